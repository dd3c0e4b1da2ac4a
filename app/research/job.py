"""Why a job waited as long as it did, and how it ended. Pure.

The rank rule in words: registered users before the anonymous one; then who had more kudos in hand at submission, where each
second of waiting counts as five kudos. Look next: `app.ledger.priority`, `projections.queue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from app.ledger.quote import decimal_text as kudos
from app.research.answers import NothingError, Statement, Told, Why, statement, told_of
from app.research.price import Submitted
from events.base import Event, Recorded
from events.codec import fact_of
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    JobCancelled,
    JobEnded,
    JobExpired,
    LeaseExpired,
    LeaseReleased,
    SourcesFetched,
    SourcesRefused,
)
from projections import jobs, memory
from projections.queue import waits

_TIERS: Final = ("registered users", "the anonymous user")


_SAID: Final[dict[type[Event], Callable[[Any], str]]] = {
    SourcesFetched: lambda _: "its source images were there; until then nobody was handed it",
    SourcesRefused: lambda e: f"its source images could not be used ({e.cause.lower()})",
    FormReused: lambda _: "told by an earlier job's result, free",
    GenerationsLeased: lambda e: f"worker {e.worker} took {len(e.generations)} as {e.model}",
    LeaseReleased: lambda e: f"worker {e.worker} gave {len(e.generations)} back",
    LeaseExpired: lambda e: f"worker {e.worker} was not heard of in time",
    GenerationFailed: lambda e: f"worker {e.worker} failed ({e.cause.lower()})",
    GenerationFaulted: lambda _: "a generation was given up after its failures",
    GenerationDelivered: lambda e: f"worker {e.worker} delivered {e.generation}",
    GenerationCensored: lambda e: f"worker {e.worker} withheld {e.generation} ({e.cause.lower()})",
    JobCancelled: lambda e: f"its requester cancelled {len(e.generations)}",
    JobExpired: lambda e: f"nobody had served it for too long; {len(e.generations)} were given up",
    JobEnded: lambda e: f"ended, {e.state.lower()}",
}


class Place(msgspec.Struct, frozen=True):
    """The queue around a job, from its submission to its first lease."""

    #: jobs that waited with a higher rank when it was submitted
    ahead: int
    #: jobs that waited with a lower rank
    behind: int
    #: later jobs of higher rank that were leased before it: events of their leases
    overtook: tuple[Recorded, ...]
    #: jobs of lower rank that were leased before it, since the worker could not serve this one
    passed: tuple[Recorded, ...]
    #: jobs that were ahead and were leased in the meantime
    served: tuple[Recorded, ...]


def place_of(job: UUID, events: Iterable[Recorded]) -> Place:
    """Read the log from its beginning until the job is first leased, or it ends.

    Raises:
        FoldError: the log is broken.
    """
    projections = (jobs.PROJECTION,)
    state = memory.empty(projections)
    rows: dict[UUID, Any] = state["jobs"]
    mine: Any = None
    ahead: set[UUID] = set()
    behind = 0
    groups: dict[str, list[Recorded]] = {"overtook": [], "passed": [], "served": []}
    for recorded in events:
        fact = fact_of(recorded)
        event = fact.event
        if isinstance(event, GenerationsLeased) and mine is not None and event.job != job:
            other = rows[event.job]
            higher = (-other.rank, other.position) < (-mine.rank, mine.position)
            group = "served" if event.job in ahead else "overtook" if higher else "passed"
            groups[group].append(recorded)
        memory.apply(state, fact, projections)
        if mine is None and job in rows:
            mine = rows[job]
            others = [row for key, row in rows.items() if key != job and waits(row)]
            ahead = {row.id for row in others if row.rank >= mine.rank}
            behind = len(others) - len(ahead)
        elif mine is not None and isinstance(event, GenerationsLeased | JobEnded) and event.job == job:
            break
    return Place(len(ahead), behind, *(tuple(groups[name]) for name in ("overtook", "passed", "served")))


def why_job(job: UUID, events: Sequence[Recorded], place: Place | None, position: int) -> Why:
    """A job's history in sentences.

    Args:
        job: the job.
        events: its stream, in order.
        place: see `place_of`; None where the log was not read so far.
        position: up to which the log was read.

    Raises:
        NothingError: there is no such job.
    """
    story = told_of(events, position)
    submission = next(((r, e) for r, e in story if isinstance(e, Submitted)), None)
    if submission is None:
        message = f"no job {job} was submitted"
        raise NothingError(message)
    recorded, event = submission
    around = [] if place is None else _around(recorded, place)
    lines = [_submitted(recorded, event), *around, *_history(story, recorded.occurred_at)]
    return Why(question="job", id=str(job), position=position, statements=tuple(lines))


def _submitted(recorded: Recorded, event: Submitted) -> Statement:
    text = (
        f"submitted: {len(event.generations)} generations, among {_TIERS[event.tier]}, with "
        f"{kudos(event.priority)} kudos in hand; more kudos are served first, and five kudos weigh as much as a second"
    )
    return statement(text, [recorded])


def _around(recorded: Recorded, place: Place) -> list[Statement]:
    lines = [
        statement(f"{place.ahead} waiting jobs were ahead of it then, {place.behind} behind", [recorded])
    ]
    said = (
        (place.served, "leases of jobs that were ahead came first"),
        (place.overtook, "leases of later jobs came first, since their requesters had more kudos in hand"),
        (place.passed, "leases of jobs behind it came first: their workers could not serve this one"),
    )
    return lines + [statement(f"{len(found)} {text}", found) for found, text in said if found]


def _history(story: list[Told], since: datetime) -> list[Statement]:
    lines = []
    for recorded, event in story:
        text = _said(event, recorded.occurred_at, since)
        if text is not None:
            lines.append(statement(text, [recorded]))
    return lines


def _said(event: Any, at: datetime, since: datetime) -> str | None:
    say = _SAID.get(type(event))
    return None if say is None else f"after {(at - since).total_seconds():.1f} s: {say(event)}"
