"""Why a job waited as long as it did, and how it ended. Pure.

The rank rule in words: registered users before the anonymous one; then who had more kudos in hand at submission, where each
second of waiting counts as five kudos. Look next: `app.ledger.priority`, `projections.queue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
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
from projections.jobs import Job
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
    JobCancelled: lambda e: f"cancelled; {len(e.generations)} were given up",
    JobExpired: lambda e: f"nobody had served it for too long; {len(e.generations)} were given up",
    JobEnded: lambda e: f"ended, {e.state.lower()}",
}


class Cause(StrEnum):
    """Why a lease of another job came first, in words."""

    AHEAD = "leases of earlier jobs that were ahead came first"
    KUDOS = "leases of later jobs came first, since their requesters had more kudos in hand"
    TIER = "leases of later jobs came first, since registered users come before the anonymous one"
    FETCHING = "leases of jobs behind it came first, while its source images were not there"
    OWN = "leases of jobs behind it came first: workers serve their owners before anybody else"
    PASSED = "leases of jobs behind it came first: their workers could not serve this one, or had friends"


class Place(msgspec.Struct, frozen=True):
    """The queue around a job, from its submission to its first lease."""

    #: jobs that waited with a higher rank when it was submitted
    ahead: int
    #: jobs that waited with a lower rank
    behind: int
    #: leases of other jobs in the meantime, by their cause
    first: dict[Cause, list[Recorded]]


def place_of(job: UUID, events: Iterable[Recorded]) -> Place:
    """Read the log from its beginning until the job is first leased, or it ends.

    Raises:
        FoldError: the log is broken.
    """
    projections = (jobs.PROJECTION,)
    state = memory.empty(projections)
    rows: dict[UUID, Any] = state["jobs"]
    mine: Any = None
    ahead = behind = 0
    first: dict[Cause, list[Recorded]] = {cause: [] for cause in Cause}
    for recorded in events:
        fact = fact_of(recorded)
        event = fact.event
        if isinstance(event, GenerationsLeased) and mine is not None and event.job != job:
            first[_cause(event, rows[event.job], rows[job])].append(recorded)
        memory.apply(state, fact, projections)
        if mine is None and job in rows:
            mine = rows[job]
            others = [row for key, row in rows.items() if key != job and waits(row)]
            ahead = sum(row.rank >= mine.rank for row in others)
            behind = len(others) - ahead
        elif mine is not None and isinstance(event, GenerationsLeased | JobEnded) and event.job == job:
            break
    return Place(ahead, behind, first)


def _cause(lease: GenerationsLeased, other: Job, mine: Job) -> Cause:
    """Why another job was leased before a waiting one."""
    if (-other.rank, other.position) < (-mine.rank, mine.position):
        if other.position < mine.position:
            return Cause.AHEAD
        return Cause.TIER if other.tier < mine.tier else Cause.KUDOS
    if mine.fetching:
        return Cause.FETCHING
    return Cause.OWN if lease.owner == other.requester else Cause.PASSED


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
    return lines + [
        statement(f"{len(found)} {cause}", found) for cause, found in place.first.items() if found
    ]


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
