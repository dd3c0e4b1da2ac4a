"""Teams: who founded one, and how many workers are in it. Inline: joining and deleting are decided by it.

A deleted team keeps its row, so that nothing that refers to it refers to nothing. Look next: `projections.team_totals`
for what its workers did, `projections.workers` for who is in it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.teams import TeamCreated, TeamDeleted, TeamEdited
from events.workers import WorkerTeamChanged
from projections.base import FoldError, Projection, known

#: the facts that touch it
FACTS = (TeamCreated, TeamEdited, TeamDeleted, WorkerTeamChanged)


class Team(msgspec.Struct, frozen=True, gc=False):
    """One team."""

    id: UUID
    creator: UUID
    created_at: datetime
    #: workers that are in it now
    workers: int
    deleted: bool


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The team of a fact; of a worker that moves, the one it joins and the one it leaves."""
    event = fact.event
    if isinstance(event, WorkerTeamChanged):
        return tuple(team for team in (event.team, event.before) if team is not None)
    assert isinstance(event, TeamCreated | TeamEdited | TeamDeleted)
    return (event.team,)


def evolve(key: UUID, row: Team | None, fact: Fact) -> Team | None:
    """The team after a fact."""
    event = fact.event
    if isinstance(event, TeamCreated):
        return Team(key, event.creator, fact.occurred_at, workers=0, deleted=False)
    team = known(row, fact)
    match event:
        case WorkerTeamChanged():
            workers = team.workers + (1 if event.team == key else -1)
            if workers < 0:
                message = f"team {key} has {workers} workers after {fact.position}"
                raise FoldError(message)
            return replace(team, workers=workers)
        case TeamDeleted():
            return replace(team, deleted=True)
        case _:
            return team


PROJECTION = Projection("teams", 1, Team, FACTS, keys, evolve)
