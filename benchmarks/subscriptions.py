"""How far 50 subscribers to the log are behind its commits, while 20 events a second are appended.

The events are appended by the writer of another process than the API's, so they reach it by the log alone.
Look next: `app.platform.tail`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psycopg
import uvloop

from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks import children, commands, load
from benchmarks.figures import Table, ms
from benchmarks.lab import Lab
from benchmarks.scale import Scale
from benchmarks.workload import Person, Workload
from events.store import log

SUBSCRIBERS = 50
#: events a second
PACE = 20.0
PEOPLE = 64
SEED = 5

Received = list[list[tuple[int, float]]]


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The subscriptions' table."""
    settings = lab.database()
    people = Workload(SEED, PEOPLE).people
    count = int(PACE * scale.follow_seconds)
    with commands.writer_of(settings) as writer, lab.api(settings) as api:
        commands.populate(writer, settings.pepper, people)
        plan = load.Followers(url=api.graphql, subscribers=SUBSCRIBERS, events=count)
        with children.Child(load.follow, plan) as child:
            child.ready()
            answered = uvloop.run(_append(writer, people, count))
            received = child.answer().value
    return [_table(received, answered, _committed(settings, min(answered)))]


async def _append(writer: Writer, people: Sequence[Person], count: int) -> dict[int, float]:
    """Append one event at a time at a fixed pace; when each was answered, in seconds since 1970, by position."""
    answered: dict[int, float] = {}
    started = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / PACE - time.perf_counter()))
        source, target = people[number % len(people)], people[(number + 1) % len(people)]
        done = commands.must(await writer.execute(commands.request(commands.transfer(source, target))))
        answered[done.position] = time.time()
    return answered


def _committed(settings: Settings, first: int) -> dict[int, float]:
    """When events were decided under the lock, by the database's clock, in seconds since 1970, by position."""
    with psycopg.connect(settings.database_url) as connection:
        events = list(log.read_all(connection, settings.realm, first - 1))
    return {event.position: event.occurred_at.timestamp() for event in events}


def _table(received: Received, answered: dict[int, float], occurred: dict[int, float]) -> Table:
    expected = sorted(answered)
    wrong = sum([position for position, _ in each] != expected for each in received)
    arrivals = [(position, at) for each in received for position, at in each if position in answered]
    behind = {
        "behind the commit's answer": [max(0.0, at - answered[position]) for position, at in arrivals],
        "behind `occurredAt`, which precedes the commit": [at - occurred[p] for p, at in arrivals],
    }
    return Table(
        title=f"Subscriptions: {SUBSCRIBERS} followers of `events`, {PACE:.0f} events a second",
        header=("", "p50 ms", "p99 ms", "longest ms"),
        rows=[(name, ms(late, 0.5), ms(late, 0.99), ms(late, 1.0)) for name, late in behind.items()],
        notes=(
            f"{len(arrivals):,} events received.",
            f"Subscribers that missed one, or got one twice or out of order: {wrong}.",
        ),
    )
