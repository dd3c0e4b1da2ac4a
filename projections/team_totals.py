"""Team totals: what workers delivered while they were in a team, attributed when it was delivered.

A tailing projection: nothing decides by it. Which team it was stands in the fact itself, so a worker that moves leaves
what it did behind. Look next: `projections.teams`, `app.teams.queries`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import GenerationCensored, GenerationDelivered
from projections.base import Projection

#: the facts that touch it
FACTS = (GenerationDelivered, GenerationCensored)


class TeamTotal(msgspec.Struct, frozen=True, gc=False):
    """What the workers of one team did in it."""

    team: UUID
    #: width x height x accurate steps of what was delivered
    pixelsteps: int
    #: generations delivered or censored
    fulfilled: int
    #: hundredths of kudos that this earned; work for a worker's own owner earns nothing
    earned: int


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The team that the worker was in; none for most."""
    event = fact.event
    assert isinstance(event, FACTS)
    return () if event.team is None else (event.team,)


def evolve(key: UUID, row: TeamTotal | None, fact: Fact) -> TeamTotal | None:
    """The totals after a delivery."""
    event = fact.event
    assert isinstance(event, FACTS)
    total = row or TeamTotal(key, 0, 0, 0)
    return replace(
        total,
        pixelsteps=total.pixelsteps + (event.pixelsteps if isinstance(event, GenerationDelivered) else 0),
        fulfilled=total.fulfilled + 1,
        earned=total.earned + (0 if event.owner == event.requester else event.price),
    )


PROJECTION = Projection("team_totals", 1, TeamTotal, FACTS, keys, evolve)
