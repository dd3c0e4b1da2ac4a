"""One seed: set up, let people come and things go wrong, let all come to rest, check."""

from __future__ import annotations

import gc
import logging

import msgspec

from tests.simulation import checks
from tests.simulation.cluster import Cluster
from tests.simulation.foundation import foundation
from tests.simulation.people import People
from tests.simulation.scheduler import Line, Scheduler
from tests.simulation.stand_ins import installed
from tests.simulation.weather import Weather

#: simulated seconds in which people come and things go wrong: mostly short, for many short histories find more
STORMS = (0.4, 0.4, 0.8, 0.8, 0.8, 1.5, 1.5, 4.0)
#: simulated seconds that requests and restarts take to end afterwards
CALM = 90.0
#: seconds between two moves of the clock while all comes to rest, and the moves: by leases, by jobs, by calls
REST = 0.6
MOVES = (0.0, 7_200.0, 1_500.0, 700.0, 1_500.0)
#: how often these moves are made at most: pauses that faults have caused must end, too
ROUNDS = 12


class Seen(msgspec.Struct):
    """What one seed came to."""

    seed: int
    trace: str
    events: int
    operations: int
    lines: list[Line]
    #: what was wrong, if anything was
    failure: BaseException | None = None


def simulate(seed: int, certain: frozenset[str] = frozenset()) -> Seen:
    """Run one seed to its end, with these kinds of faults for certain; a failure is in what it returns."""
    scheduler = Scheduler(seed)
    log, requests = foundation()
    cluster = Cluster(scheduler, log, requests)
    people = People(cluster)
    failure: BaseException | None = None
    logging.disable(logging.CRITICAL)
    try:
        with installed(cluster.server, cluster.broker):
            try:
                _live(cluster, people, certain)
            except Exception as error:  # noqa: BLE001 - told with its seed
                failure = error
                scheduler.note(f"FAILED: {type(error).__name__}: {error}", "check")
            finally:
                _bury(cluster)
    finally:
        logging.disable(logging.NOTSET)
    return Seen(
        seed=seed,
        trace=scheduler.trace_hash(),
        events=len(cluster.log.events),
        operations=len(people.operations),
        lines=scheduler.lines,
        failure=failure,
    )


def _live(cluster: Cluster, people: People, certain: frozenset[str]) -> None:
    scheduler = cluster.scheduler
    weather = Weather(cluster, people, certain)
    watch = checks.Watch(cluster.log)
    watch.look()
    cluster.server.on_commit.append(watch.look)
    for node in cluster.nodes:
        node.start()
    people.come()
    weather.come()
    scheduler.run(max(STORMS) if "long" in certain else scheduler.dice.choice(STORMS))
    people.leave()
    weather.end()
    scheduler.run(scheduler.now + CALM, lambda: people.here == 0)
    checks.must(people.here == 0, "requests are still not answered")
    for move in MOVES * ROUNDS:
        cluster.server.ahead += move
        scheduler.note(f"clock moves by {move} s", "db")
        scheduler.run(scheduler.now + REST)
        if checks.quiet(cluster):
            break
    checks.must(checks.quiet(cluster), f"it does not come to rest: {checks.unrest(cluster)}")
    checks.at_rest(cluster, people.operations)


def _bury(cluster: Cluster) -> None:
    """End all tasks, so that nothing of a seed outlives it."""
    for process in (*(node.process for node in cluster.nodes), cluster.outside, cluster.server.process):
        cluster.scheduler.kill(process)
    gc.collect(0)
