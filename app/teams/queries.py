"""Reads of teams: with their words, what their workers did, and who may change them.

Look next: `app.platform.sql`, `projections.teams`, `projections.team_totals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.platform.sql import (
    Query,
    accounts,
    bind,
    persons,
    rows_of,
    team_totals,
    team_words,
    teams,
    workers,
)

ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))


class TeamView(msgspec.Struct, frozen=True):
    """A team with its words and its totals."""

    id: UUID
    name: str
    info: str
    creator: UUID
    #: name and number of who founded it; None once they were erased, or unless public
    username: str | None
    number: int | None
    public: bool
    created_at: datetime
    workers: int
    pixelsteps: int
    fulfilled: int
    #: hundredths of kudos
    earned: int
    #: seconds
    uptime: int
    tokens: int
    forms: int


def _view(row: Sequence[Any]) -> TeamView:
    return TeamView(*row)


def _views() -> sa.Select[Any]:
    return (
        sa.select(
            teams.c.id,
            team_words.c.name,
            team_words.c.info,
            teams.c.creator,
            persons.c.username,
            persons.c.number,
            accounts.c.public_workers,
            teams.c.created_at,
            teams.c.workers,
            sa.func.coalesce(team_totals.c.pixelsteps, sa.literal_column("0")),
            sa.func.coalesce(team_totals.c.fulfilled, sa.literal_column("0")),
            sa.func.coalesce(team_totals.c.earned, sa.literal_column("0")),
            sa.func.coalesce(team_totals.c.uptime, sa.literal_column("0")),
            sa.func.coalesce(team_totals.c.tokens, sa.literal_column("0")),
            sa.func.coalesce(team_totals.c.forms, sa.literal_column("0")),
        )
        .select_from(team_words)
        .join(teams, sa.and_(teams.c.realm == team_words.c.realm, teams.c.id == team_words.c.team))
        .join(accounts, sa.and_(accounts.c.realm == teams.c.realm, accounts.c.id == teams.c.creator))
        .outerjoin(persons, sa.and_(persons.c.realm == teams.c.realm, persons.c.subject == teams.c.creator))
        .outerjoin(
            team_totals, sa.and_(team_totals.c.realm == teams.c.realm, team_totals.c.team == teams.c.id)
        )
        .where(team_words.c.realm == bind("realm"))
    )


BY_ID: Query[TeamView] = Query(_views().where(team_words.c.team == bind("id", sa.Uuid)), _view)
BY_NAME: Query[TeamView] = Query(
    _views().where(sa.func.lower(team_words.c.name) == sa.func.lower(bind("name", sa.Text))), _view
)
#: a page of teams by name
PAGE: Query[TeamView] = Query(
    _views()
    .where(sa.func.lower(team_words.c.name) > sa.func.lower(bind("after", sa.Text)))
    .order_by(sa.func.lower(team_words.c.name))
    .limit(bind("limit", sa.BigInteger)),
    _view,
)
#: the workers of a team
MEMBERS: Query[UUID] = Query(
    sa.select(workers.c.id).where(
        workers.c.realm == bind("realm"),
        workers.c.team == bind("team", sa.Uuid),
        workers.c.team.is_not(None),  # the partial index
    ),
    lambda row: UUID(str(row[0])),
)
