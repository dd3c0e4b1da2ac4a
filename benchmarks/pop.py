"""Polls for work against short and long queues: what a poll costs must not grow with what waits.

Workers poll in an open loop, one shortly after the other, so a slow answer delays no other poll and is counted from
when its poll was due; then as fast as they are answered. *Hit*: the worker may serve what waits. *Miss*: it has all
models, but draws smaller pictures than any job asks for. Look next: `benchmarks.queue` for the queues,
`projections.store.search` for what is measured.
"""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import psycopg

from app.platform import database
from app.platform.settings import Settings
from benchmarks import children, commands, load
from benchmarks.figures import Table, ms, percentile
from benchmarks.lab import Api, Lab
from benchmarks.machine import resident_memory
from benchmarks.queue import CROWD, WORKERS, Queue, denying_one, every_rule, plain
from benchmarks.scale import Scale
from benchmarks.workload import Worker
from projections.store import search

#: polls a second of each of the `WORKERS`, and of a crowd of any size together
PACE = 10.0
#: how many polls are under way at a time when they come as fast as they are answered
AT_ONCE = 32
#: a run takes at most this share of the jobs that wait
SHARE = 4


@dataclass
class Figures:
    """What came of one kind of polls against one queue: seconds of each poll, polls a second at most."""

    kind: str
    depth: int
    latencies: list[float]
    probes: list[float]
    classes: int
    memory: int
    rate: float | None = None

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        return (
            f"{self.depth:,}",
            self.kind,
            f"{len(self.latencies):,}",
            ms(self.latencies, 0.5),
            ms(self.latencies, 0.99),
            "" if self.rate is None else f"{self.rate:,.0f}",
            ms(self.probes, 0.5),
            ms(self.probes, 0.99),
            f"{self.classes:,}",
            f"{self.memory / 1e6:.0f}",
        )


_HEADER = (
    *("waiting jobs", "", "polls", "p50 ms", "p99 ms", "at most polls/s"),
    *("statement p50 ms", "p99 ms", "classes", "API MB"),
)
_CLASSES = "SELECT count(*) FROM projections.queue_head WHERE realm = %s"


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The polls' tables."""
    rows: list[Figures] = []
    made: list[str] = []
    for depth in scale.waiting:
        with _served(lab, plain(lab.database(), depth), made) as bench:
            rows += (bench.misses(scale, "miss"), bench.hits(scale, "hit"))
    special: list[Figures] = []
    with _served(lab, every_rule(lab.database(), scale.special), made) as bench:
        special += (bench.misses(scale, "every rule: miss"), bench.hits(scale, "every rule: hit"))
        special += bench.crowd(scale)
    with _served(lab, denying_one(lab.database(), scale.special), made) as bench:
        special += (bench.misses(scale, "all deny this one worker"), bench.hits(scale, "another worker: hit"))
    return [
        Table(
            title=f"Polls, {WORKERS} workers at {PACE:.0f} polls a second each, open loop",
            header=_HEADER,
            rows=[row.cells() for row in rows],
            notes=(
                "All polls name 50 models. `statement` is the lock-free probe's SQL alone, on one connection.",
                f"`at most`: as many as are answered, {AT_ONCE} under way. A hit takes its job; the queue is filled up again.",
                "A class is a set of jobs that require the same of a worker: a row of `queue_head`.",
                *_ratios(rows),
            ),
        ),
        Table(
            title="Polls where every rule of matching is in use",
            header=_HEADER,
            rows=[row.cells() for row in special],
            notes=(
                "One job in ten has a source image, one in twenty an allow-list, one in twenty a deny list; LoRAs, ControlNet and more.",
                f"The crowd are {CROWD} workers unlike one another, that together poll as often as the others.",
                *made,
            ),
        ),
    ]


@contextlib.contextmanager
def _served(lab: Lab, queue: Queue, made: list[str]) -> Iterator[_Bench]:
    """A queue that was made, and an API process of its own before it; how long it took to make is noted."""
    made.append(queue.make())
    with lab.api(queue.settings) as api:
        yield _Bench(queue, api)
    lab.drop(queue.settings)


@dataclass(frozen=True)
class _Bench:
    """Polls against one queue."""

    queue: Queue
    api: Api

    def misses(self, scale: Scale, kind: str) -> Figures:
        """Of workers that may serve nothing: no job is ever taken. Raises `load.AnswerError`."""
        workers = self.queue.unable
        hits, misses = self._paced(workers, PACE, scale.poll_seconds)
        _none(hits, "should miss")
        figures = self._figures(scale, kind, workers, misses)
        figures.rate = self._flat_out(workers, scale.poll_seconds, most=None)
        return figures

    def hits(self, scale: Scale, kind: str) -> Figures:
        """Of workers that may serve: each takes a job. Raises `load.AnswerError`."""
        workers, rate = self.queue.able, PACE * len(self.queue.able)
        hits: list[float] = []
        while len(hits) < int(rate * scale.poll_seconds):
            polls = min(int(rate * scale.poll_seconds) - len(hits), self.queue.depth // SHARE)
            found, misses = self._paced(workers, PACE, max(polls, len(workers)) / rate)
            _none(misses, "should hit")
            hits += found
        figures = self._figures(scale, kind, workers, hits)
        figures.rate = self._flat_out(workers, scale.poll_seconds, most=self.queue.depth // SHARE)
        return figures

    def crowd(self, scale: Scale) -> tuple[Figures, ...]:
        """Of workers of all sorts: some find something."""
        workers = self.queue.crowd
        hits, misses = self._paced(workers, PACE * WORKERS / len(workers), scale.poll_seconds)
        kinds = {"every rule, crowd: hit": hits, "every rule, crowd: miss": misses}
        return tuple(self._figures(scale, kind, workers, polls) for kind, polls in kinds.items() if polls)

    def _paced(
        self, workers: tuple[Worker, ...], pace: float, seconds: float
    ) -> tuple[list[float], list[float]]:
        self.queue.fill_up()
        _followed(self.api)  # the filling was another process's, and following it is not what is measured
        plan = load.Polls(url=self.api.graphql, workers=workers, pace=pace, seconds=seconds)
        return children.run(load.polls, plan).value

    def _flat_out(self, workers: tuple[Worker, ...], seconds: float, most: int | None) -> float:
        self.queue.fill_up()
        _followed(self.api)
        plan = load.Storm(url=self.api.graphql, workers=workers, at_once=AT_ONCE, seconds=seconds, most=most)
        return children.run(load.storm, plan).value

    def _figures(
        self, scale: Scale, kind: str, workers: tuple[Worker, ...], latencies: list[float]
    ) -> Figures:
        settings = self.queue.settings
        with psycopg.connect(settings.database_url) as connection:
            row = connection.execute(_CLASSES, (settings.realm,)).fetchone() or (0,)
        return Figures(
            kind=kind,
            depth=self.queue.depth,
            latencies=latencies,
            probes=_probe(settings, workers[0], scale.probes),
            classes=row[0],
            memory=sum(map(resident_memory, self.api.pids)),
        )


def _none(polls: Sequence[float], should: str) -> None:
    if polls:
        message = f"{len(polls)} of the polls that {should} did not"
        raise load.AnswerError(message)


def _ratios(rows: Sequence[Figures]) -> Iterator[str]:
    """How much longer a poll takes with the longest queue than with the shortest."""
    for kind in dict.fromkeys(row.kind for row in rows):
        first, *_, last = (row for row in rows if row.kind == kind)
        half, most = (percentile(last.latencies, s) / percentile(first.latencies, s) for s in (0.5, 0.99))
        yield f"{last.depth:,} against {first.depth:,} waiting, {kind}: p50 x {half:.2f}, p99 x {most:.2f}."


def _followed(api: Api) -> None:
    """Wait until the API process has followed the log to its end."""
    while True:
        with urllib.request.urlopen(f"{api.url}/readyz", timeout=5.0) as answer:
            if msgspec.json.decode(answer.read())["lag"] == 0:
                return
        time.sleep(0.1)


def _probe(settings: Settings, worker: Worker, count: int) -> list[float]:
    """The seconds of the probe's statement, executed and fetched."""
    parameters = search.Questions(settings.realm, [commands.search(worker)]).parameters()
    taken = []
    with psycopg.connect(
        settings.database_url, autocommit=True, prepare_threshold=0, options=database.SETTINGS
    ) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.execute(search.FIND, parameters, binary=True).fetchone()
            taken.append(time.perf_counter() - started)
    return taken
