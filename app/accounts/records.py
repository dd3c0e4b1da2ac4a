"""Reads of what users asked for, were given and delivered, and lists of those who let everybody see theirs.

A list is read whole as far as it is shown, at most every two seconds: what it is ordered by has no index, so that
deliveries need not keep one up. Look next: `projections.user_records`, `app.accounts.profile_graphql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query, accounts, any_of, bind, persons, rows_of, user_records
from events.jobs import JobKind
from events.store.columns import Table
from projections.accounts import Account
from projections.store.tables import TABLES
from projections.user_records import Record

#: how old a list may be, in seconds, and how long it is
AGE_SECONDS: Final = 2.0
LISTED: Final = 1_000

_ACCOUNT: Table[Account] = TABLES["accounts"]
#: the records of users
RECORDS: Query[Record] = rows_of(
    "user_records", any_of(user_records.c.account, "users"), user_records.c.key.asc()
)


class Order(StrEnum):
    """By what users are listed."""

    #: by the balance, and by what their workers' deliveries earned
    KUDOS = "KUDOS"
    EARNED = "EARNED"
    #: by what their workers delivered of one kind
    DELIVERED = "DELIVERED"
    #: by when they registered, oldest first
    AGE = "AGE"


class Listed(msgspec.Struct, frozen=True):
    """A user who lets everybody see their profile."""

    #: what the list is ordered by, lowest first, and the number in the alias, which is nobody else's
    place: int
    number: int
    username: str
    account: Account


def _listed(row: Sequence[Any]) -> Listed:
    return Listed(row[0], row[1], row[2], _ACCOUNT.load(row[3:]))


def _public(place: sa.ColumnElement[Any]) -> sa.Select[Any]:
    columns = (accounts.c[column.name] for column in _ACCOUNT.columns)
    return (
        sa.select(
            sa.cast(place, sa.BigInteger).label("place"), persons.c.number, persons.c.username, *columns
        )
        .join(persons, sa.and_(persons.c.realm == accounts.c.realm, persons.c.subject == accounts.c.id))
        .where(accounts.c.realm == bind("realm"), accounts.c.public_profile)
    )


def _ordered(listing: sa.Select[Any]) -> Query[Listed]:
    return Query(
        listing.order_by(sa.literal_column("place"), persons.c.number).limit(bind("limit", sa.BigInteger)),
        _listed,
    )


_AGE = sa.func.date_part(sa.literal_column("'epoch'", sa.Text), accounts.c.registered_at) * sa.literal_column(
    "1000000"
)
_BY: Final = {
    Order.KUDOS: _ordered(_public(-accounts.c.balance)),
    Order.EARNED: _ordered(_public(-accounts.c.earned)),
    Order.AGE: _ordered(_public(_AGE)),
    Order.DELIVERED: _ordered(
        _public(-user_records.c.fulfilled_amount)
        .join(
            user_records,
            sa.and_(user_records.c.realm == accounts.c.realm, user_records.c.account == accounts.c.id),
        )
        .where(
            user_records.c.kind == bind("kind", sa.Text),
            user_records.c.fulfilled_amount > sa.literal_column("0"),
        )
    ),
}
#: the profile of a user, by the number in the alias
PROFILE: Query[Listed] = Query(
    _public(sa.literal_column("0")).where(persons.c.number == bind("number", sa.BigInteger)), _listed
)


async def leaderboard(services: Services, order: Order, kind: JobKind) -> list[Listed]:
    """The first users of a list, in order; of those who let everybody see them."""
    given = {"kind": kind.value} if order is Order.DELIVERED else {}

    async def load() -> list[Listed]:
        return await _BY[order].all(services.pool, realm=services.realm, limit=LISTED, **given)

    name = f"leaderboard:{order}:{given.get('kind', '')}"
    return await fresh(services.caches, name, AGE_SECONDS, load)
