"""How long `hoard up` takes until everything answers: in an empty data folder, and in one that was used before.

`python -m benchmarks.startup` prints the table by itself. Each run has a folder of its own, gone at the end. What is
installed is not measured. Look next: `app.embedded.up`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.figures import Table
from benchmarks.scale import LARGE, SMALL, Scale

_CHECKOUT = Path(__file__).resolve().parents[1]
#: seconds that one start may take, and that its end may take
_PATIENCE = 120.0
_TICK = 0.02
#: seconds that a start should not take on two idle cores
TARGETS = {"an empty folder": 15.0, "a used folder": 8.0}


def measure(scale: Scale) -> list[Table]:
    """The table of starts."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in TARGETS}
    for _ in range(max(3, scale.runs // 2)):
        with tempfile.TemporaryDirectory(prefix="hoard-bench-") as name:
            folder = Path(name)
            folder.chmod(0o711)  # PostgreSQL may run as another account and must get through
            for case in TARGETS:
                taken[case].append(_start(folder))
    rows = [
        (
            case,
            *(_seconds([run[part] for run in runs]) for part in (0, 1)),
            f"{TARGETS[case]:.0f}",
        )
        for case, runs in taken.items()
    ]
    header = ("`hoard up` in", "servers answer, s", "everything answers, s", "target, s")
    return [
        Table("Starting", header, rows, ("median (lowest to highest) of whole starts, one after the other",))
    ]


def _seconds(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.1f} ({ordered[0]:.1f} to {ordered[-1]:.1f})"


def _start(folder: Path) -> tuple[float, float]:
    """Start and stop once: seconds until the servers answer, and until everything does. Raises `RuntimeError`."""
    ready, said = folder / "ready.json", folder / "up.log"
    arguments = ("--port", str(_free_port()), "--data", str(folder / "data"), "--ready-file", str(ready))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOARD_")}
    started = time.monotonic()
    with (
        said.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", *arguments],
            cwd=_CHECKOUT,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as up,
    ):
        try:
            servers = None
            while not ready.exists():
                if up.poll() is not None or time.monotonic() - started > _PATIENCE:
                    message = f"hoard up did not get ready: {said.read_text(encoding='utf-8')[-2000:]}"
                    raise RuntimeError(message)
                if servers is None and b"running " in said.read_bytes():
                    servers = time.monotonic() - started
                time.sleep(_TICK)
            everything = time.monotonic() - started
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(_PATIENCE)
    return servers or everything, everything


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@click.command()
@click.option("--large", is_flag=True, help="Start more often.")
def main(*, large: bool) -> None:
    """Measure and print the table."""
    for table in measure(LARGE if large else SMALL):
        click.echo(table.markdown())


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.startup")
