"""How far 100 subscribers to the log are behind its commits, while 20 events a second are appended for them.

Those events are appended by the writer of another process than the API's, so they reach it by the log alone. Once nothing
else happens, and once the same API process serves clients in whole cycles.
Look next: `app.platform.tail`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import psycopg
import uvloop

from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks import children, commands, cycle, load
from benchmarks.figures import Table, ms
from benchmarks.lab import Api, Lab
from benchmarks.scale import Scale
from benchmarks.workload import Person, Workload
from events.store import log

SUBSCRIBERS = 100
#: events a second
PACE = 20.0
#: how much longer than the subscribers the others beside them go on, in seconds: all of these must have begun before
BESIDE = 12.0

Received = list[list[tuple[int, float]]]


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The subscriptions' table."""
    settings = lab.database()
    people = Workload(cycle.SEED, 2 * cycle.CLIENTS).people
    followed: list[_Followed] = []
    with commands.writer_of(settings) as writer, lab.api(settings) as api:
        commands.populate(writer, settings.pepper, people)
        followed.append(_follow(settings, api, writer, people, scale))
        busy = cycle.Variant("beside subscribers", picture=None).plan(api, scale.follow_seconds + BESIDE, "")
        with children.Child(load.cycles, busy) as beside:
            beside.ready()
            followed.append(_follow(settings, api, writer, people, scale))
            beside.answer()
    quiet, beside_cycles = followed
    return [_table({"quiet": quiet, f"beside {cycle.CLIENTS} cycling clients": beside_cycles})]


class _Followed(NamedTuple):
    """What subscribers received, when each event was answered to who had it appended, and when it was decided."""

    received: Received
    answered: dict[int, float]
    occurred: dict[int, float]


def _follow(
    settings: Settings, api: Api, writer: Writer, people: Sequence[Person], scale: Scale
) -> _Followed:
    count = int(PACE * scale.follow_seconds)
    plan = load.Followers(url=api.graphql, subscribers=SUBSCRIBERS, events=count)
    with children.Child(load.follow, plan) as child:
        child.ready()
        answered = uvloop.run(_append(writer, people, count))
        received = child.answer().value
    return _Followed(received, answered, _committed(settings, min(answered)))


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


def _table(followed: dict[str, _Followed]) -> Table:
    rows: list[tuple[str, ...]] = []
    wrong = received = 0
    for name, each in followed.items():
        expected = sorted(each.answered)
        wrong += sum([position for position, _ in one] != expected for one in each.received)
        arrivals = [
            (position, at) for one in each.received for position, at in one if position in each.answered
        ]
        received += len(arrivals)
        behind = {
            "behind the commit's answer": [max(0.0, at - each.answered[p]) for p, at in arrivals],
            "behind `occurredAt`, which precedes the commit": [at - each.occurred[p] for p, at in arrivals],
        }
        rows += ((name, what, ms(late, 0.5), ms(late, 0.99), ms(late, 1.0)) for what, late in behind.items())
    return Table(
        title=f"Subscriptions: {SUBSCRIBERS} followers of `events`, {PACE:.0f} events a second",
        header=("", "", "p50 ms", "p99 ms", "longest ms"),
        rows=rows,
        notes=(
            f"{received:,} events received.",
            f"Subscribers that missed one, or got one twice or out of order: {wrong}.",
        ),
    )
