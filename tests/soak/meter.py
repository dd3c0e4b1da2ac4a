"""What each process uses while the soak runs: memory, open files, and what waits in the database.

A process that is started again is another life: each is measured for itself. Memory is what a process and its children hold
of their own, in MiB: not the pages of libraries, whose share grows whenever another process that maps them is killed. Look
next: `tests/soak/report.py`.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

#: seconds between two looks
EVERY = 10.0
#: the part of a life that is not looked at: a process fills its caches first
WARMING = 1 / 3
#: looks below which nothing is said of a life
FEWEST = 6


@dataclass
class Life:
    """One process from its start to its end: (seconds since the soak began, MiB, open files)."""

    name: str
    pid: int
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.samples[-1][0] - self.samples[0][0]

    def late(self) -> list[tuple[float, float, int]]:
        """The samples of the last two thirds."""
        return self.samples[int(len(self.samples) * WARMING) :]

    def slope(self) -> tuple[float, float] | None:
        """Growth over the last two thirds and its standard error, in MiB an hour, by least squares."""
        late = self.late()
        if len(late) < FEWEST:
            return None
        times, sizes = [each[0] / 3600 for each in late], [each[1] for each in late]
        middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
        spread = sum((each - middle) ** 2 for each in times)
        grows = sum((t - middle) * (s - mean) for t, s in zip(times, sizes, strict=True)) / spread
        rest = sum((s - mean - grows * (t - middle)) ** 2 for t, s in zip(times, sizes, strict=True))
        error: float = (rest / (len(late) - 2) / spread) ** 0.5
        return grows, error


class Meter:
    """Looks every few seconds, on a thread of its own, from `start` to `stop`."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], database: Callable[[], dict[str, int]]) -> None:
        self._pids, self._database = pids, database
        self.lives: dict[tuple[str, int], Life] = {}
        #: (seconds since the soak began, what waits by kind, with the log's events and the database's bytes)
        self.backlog: list[tuple[float, dict[str, int]]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            self._look()

    def _look(self) -> None:
        at = time.monotonic() - self._began
        of = children()
        for name, pid in self._pids().items():
            with contextlib.suppress(OSError, StopIteration):
                tree = family(pid, of)
                used = sum(map(memory, tree)) / 1024
                opened = sum(len(os.listdir(f"/proc/{each}/fd")) for each in tree)  # noqa: PTH208 - names alone
                life = self.lives.setdefault((name, pid), Life(name, pid))
                life.samples.append((at, used, opened))
        with contextlib.suppress(psycopg.Error):  # it is being killed now and then
            self.backlog.append((at, self._database()))

    def longest(self) -> dict[str, Life]:
        """The longest life by name."""
        found: dict[str, Life] = {}
        for life in self.lives.values():
            if life.name not in found or life.seconds > found[life.name].seconds:
                found[life.name] = life
        return found


def memory(pid: int) -> int:
    """What is its own, in KiB. Raises OSError if it has ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "SwapPss:")))


def children() -> dict[int, list[int]]:
    """Who was started by whom, of all processes."""
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            found.setdefault(int(parent), []).append(int(folder.name))
    return found


def family(pid: int, of: Mapping[int, list[int]]) -> list[int]:
    """A process and all that come of it."""
    return [pid, *(each for child in of.get(pid, ()) for each in family(child, of))]
