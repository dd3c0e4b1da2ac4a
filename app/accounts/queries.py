"""Reads of accounts for display: who a key belongs to, names, balances, statements.

Look next: `app.platform.sql`, `app.accounts.graphql`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from app.platform.sql import (
    Query,
    accounts,
    any_of,
    api_keys,
    bind,
    constant,
    event,
    notes,
    persons,
    posting,
    rows_of,
)
from app.platform.vault import Person
from events.kudos import KudosAdjusted, KudosGranted

SUBJECT_OF_KEY: Query[UUID] = Query(
    sa.select(api_keys.c.subject).where(
        api_keys.c.realm == bind("realm"), api_keys.c.hash == bind("hash", sa.LargeBinary)
    ),
    lambda row: row[0],
)
PERSONS: Query[Person] = Query(
    sa.select(persons.c.subject, persons.c.username, persons.c.number).where(
        persons.c.realm == bind("realm"), any_of(persons.c.subject, "subjects")
    ),
    lambda row: Person(*row),
)
BY_NUMBER: Query[Person] = Query(
    sa.select(persons.c.subject, persons.c.username, persons.c.number).where(
        persons.c.realm == bind("realm"), persons.c.number == bind("number", sa.BigInteger)
    ),
    lambda row: Person(*row),
)
ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))


class Movement(msgspec.Struct, frozen=True):
    """One posting on a user's account with the event behind it."""

    position: int
    ordinal: int
    amount: int
    balance: int
    type: str
    schema_version: int
    data: str
    occurred_at: datetime
    #: what the operator said, for grants and corrections
    note: str | None


STATEMENT: Query[Movement] = Query(
    sa.select(
        posting.c.position,
        posting.c.ordinal,
        posting.c.amount,
        posting.c.balance,
        event.c.type,
        event.c.schema_version,
        event.c.data,
        event.c.occurred_at,
        notes.c.words,
    )
    .join(event, sa.and_(event.c.realm == posting.c.realm, event.c.position == posting.c.position))
    .outerjoin(
        notes,
        sa.and_(
            event.c.type.in_([constant(KudosGranted.TYPE), constant(KudosAdjusted.TYPE)]),
            notes.c.realm == event.c.realm,
            notes.c.command
            == sa.cast(
                sa.func.jsonb_extract_path_text(sa.cast(event.c.metadata, JSONB), constant("command")),
                sa.Uuid,
            ),
        ),
    )
    .where(
        posting.c.realm == bind("realm"),
        posting.c.account == bind("account"),
        sa.tuple_(posting.c.position, posting.c.ordinal)
        < sa.tuple_(bind("position", sa.BigInteger), bind("ordinal", sa.BigInteger)),
    )
    .order_by(posting.c.position.desc(), posting.c.ordinal.desc())
    .limit(bind("limit", sa.BigInteger)),
    lambda row: Movement(*row),
)
