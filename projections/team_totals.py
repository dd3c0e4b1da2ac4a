"""Team totals: what workers did while they were in a team, attributed when they did it.

A tailing projection: nothing decides by it. Which team it was stands in the fact itself, so a worker that moves leaves
what it did behind. Look next: `projections.teams`, `app.teams.queries`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import GenerationCensored, GenerationDelivered, JobKind
from events.workers import UptimeRewarded
from projections.base import Projection

#: the facts that touch it
FACTS = (GenerationDelivered, GenerationCensored, UptimeRewarded)


class TeamTotal(msgspec.Struct, frozen=True, gc=False):
    """What the workers of one team did in it."""

    team: UUID
    #: width x height x accurate steps of what was delivered
    pixelsteps: int
    #: generations delivered or censored
    fulfilled: int
    #: hundredths of kudos that this earned; work for a worker's own owner earns nothing
    earned: int
    #: seconds for which they were rewarded for being there
    uptime: int
    #: tokens of texts, and forms, that were delivered
    tokens: int = 0
    forms: int = 0


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The team that the worker was in; none for most."""
    event = fact.event
    assert isinstance(event, FACTS)
    return () if event.team is None else (event.team,)


def evolve(key: UUID, row: TeamTotal | None, fact: Fact) -> TeamTotal | None:
    """The totals after a delivery or a reward for being there."""
    event = fact.event
    assert isinstance(event, FACTS)
    total = row or TeamTotal(key, 0, 0, 0, 0)
    if isinstance(event, UptimeRewarded):
        return replace(total, uptime=total.uptime + event.seconds)
    if isinstance(event, GenerationDelivered):
        total = replace(
            total,
            pixelsteps=total.pixelsteps + event.pixelsteps,
            tokens=total.tokens + event.tokens,
            forms=total.forms + (event.kind is JobKind.INTERROGATION),
        )
    return replace(
        total,
        fulfilled=total.fulfilled + 1,
        earned=total.earned + (0 if event.owner == event.requester else event.price),
    )


PROJECTION = Projection("team_totals", 2, TeamTotal, FACTS, keys, evolve)
