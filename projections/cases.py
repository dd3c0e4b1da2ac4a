"""Cases: what workers reported and what moderators decided of it. A tailing projection: nothing decides by it.

What a decider needs to know of a case is in the generation's row (`projections.generations`). Look next:
`app.moderation.queries`, which lists them.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import CensorCause
from events.moderation import CaseDecided, CaseOpened
from projections.base import Projection, known
from projections.generations import CaseState


class Case(msgspec.Struct, frozen=True, gc=False):
    """One report."""

    id: UUID
    job: UUID
    generation: UUID
    requester: UUID
    #: who reported it
    worker: UUID
    cause: CensorCause
    state: CaseState
    #: position of the report
    opened: int
    opened_at: datetime
    decided_at: datetime | None


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The case that a fact is about."""
    event = fact.event
    assert isinstance(event, CaseOpened | CaseDecided)
    return (event.case,)


def evolve(key: UUID, row: Case | None, fact: Fact) -> Case | None:
    """The case after a fact."""
    event = fact.event
    if isinstance(event, CaseOpened):
        return Case(
            id=key,
            job=event.job,
            generation=event.generation,
            requester=event.requester,
            worker=event.worker,
            cause=event.cause,
            state=CaseState.OPEN,
            opened=fact.position,
            opened_at=fact.occurred_at,
            decided_at=None,
        )
    assert isinstance(event, CaseDecided)
    return replace(known(row, fact), state=CaseState(event.verdict.value), decided_at=fact.occurred_at)


PROJECTION = Projection(
    "cases",
    1,
    Case,
    (CaseOpened, CaseDecided),
    keys,
    evolve,
    indexes=("(realm, opened DESC)", "(realm, state, opened DESC)"),
)
