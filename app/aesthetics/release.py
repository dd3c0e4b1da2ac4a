"""What the trainer reads of a release: pictures with their scores, in the split that the release gives them.

Reads files only. Look next: docs/datasets.md for the files of a release, `app.aesthetics.training`.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from PIL import Image, UnidentifiedImageError
from pyarrow import parquet

#: the scores of a picture that one can learn
TARGETS: Final = ("robust_score", "mean", "artifacts_mean")
_TRAIN: Final = ("train", "validation")


class ReleaseError(Exception):
    """The folder is no release that one can learn from; the message says why."""


class Scored(msgspec.Struct, frozen=True):
    """One picture that people rated."""

    id: str
    #: points
    score: float
    #: how many ratings it has
    n: int
    #: pictures of one prompt share it
    prompt: str
    #: its release keeps it for judging
    held_out: bool


def scored(folder: Path, target: str, least: int) -> dict[str, Scored]:
    """The pictures with at least so many ratings, by id.

    Raises:
        ReleaseError: tables or columns are missing.
    """
    splits = {row["id"]: row for row in _rows(folder, "splits", ("id", "prompt_hash", "split"))}
    found = {}
    for row in _rows(folder, "aggregates", ("id", "n", target)):
        of = splits.get(row["id"])
        if of is None or row[target] is None or row["n"] < least:
            continue
        found[row["id"]] = Scored(
            id=row["id"],
            score=float(row[target]),
            n=int(row["n"]),
            prompt=str(of["prompt_hash"]),
            held_out=of["split"] not in _TRAIN,
        )
    return found


def pictures(folder: Path, wanted: dict[str, Scored]) -> Iterator[tuple[Scored, Image.Image]]:
    """The wanted pictures that are in the release's tars, in the order in which they lie there."""
    for path in sorted((folder / "images").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, kind = member.name.rpartition("/")[2].partition(".")
                if kind != "webp" or stem not in wanted:
                    continue
                file = tar.extractfile(member)
                assert file is not None, "a picture is a file"
                try:
                    with Image.open(io.BytesIO(file.read())) as picture:
                        picture.load()
                        yield wanted[stem], picture
                except (UnidentifiedImageError, OSError) as error:
                    raise ReleaseError(f"{path.name}: {member.name} is no picture ({error})") from None


def _rows(folder: Path, table: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    paths = sorted((folder / table).glob("*.parquet"))
    if not paths:
        raise ReleaseError(f"{folder} is no release: it has no {table}/*.parquet")
    for path in paths:
        try:
            file = parquet.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise ReleaseError(f"{path} cannot be read ({error})") from None
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise ReleaseError(f"{path} has no column {', '.join(sorted(missing))}")
        for batch in file.iter_batches(columns=list(columns)):
            yield from batch.to_pylist()
