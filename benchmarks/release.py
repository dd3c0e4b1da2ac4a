"""Building a release: rows a second, and memory at the most, out of a log that is made up as it is read.

The log is no database's, so that what is measured is the fold, the joins, and the writing of tables and tars. The build
has a process of its own. Look next: `benchmarks.made_up_release`, `app.datasets.build`.
"""

from __future__ import annotations

import time
from pathlib import Path

from app.datasets.build import Source, build
from app.datasets.people import People
from benchmarks import children
from benchmarks.children import Ready
from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.made_up_release import MadeUp
from benchmarks.scale import Scale

USERS = 500


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The release's table."""
    pictures, ratings = scale.release
    answer = children.run(_build, lab.folder / "release", pictures, ratings)
    rows, reading, seconds = answer.value
    return [
        Table(
            title="Building a release",
            header=("pictures", "ratings", "rows", "seconds", "rows/s", "peak memory MiB"),
            rows=[
                (
                    f"{pictures:,}",
                    f"{ratings:,}",
                    f"{rows:,}",
                    f"{seconds:.1f}",
                    f"{rows / seconds:,.0f}",
                    f"{answer.memory / 2**20:,.0f}",
                )
            ],
            notes=(
                f"All tables and tars of tiny pictures. Making up the events takes {reading:.1f} s of it, about.",
            ),
        )
    ]


def _build(_: Ready, folder: Path, pictures: int, ratings: int) -> tuple[int, float, float]:
    log = MadeUp(pictures, ratings, users=USERS)
    began = time.perf_counter()
    position = log.last()
    read = time.perf_counter()
    release = build(Source(log, log, People("a pepper of no house", 0)), position, folder)
    # the log is made up twice while a release is built: for the fold, and for the hash at its end
    return sum(release.rows.values()), 2 * (read - began), time.perf_counter() - read
