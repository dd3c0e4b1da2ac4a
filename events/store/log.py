"""Appending to the log and reading it back, on a psycopg connection that the caller owns.

May not decide anything. Appending is only right while the caller holds the realm's lock row (`LOCK`), taken in a
statement of its own so that what follows reads after it. Look next: `app.platform.writer`, which is the only one to append.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, Connection

import events.store.dumpers  # noqa: F401 - packed arrays can be sent
from events.base import Postings, Recorded
from events.chain import genesis, link
from events.store.arrays import byteas, instants, int8s, texts, uuids

_COLUMNS = "position, event_id, stream, type, schema_version, subject, occurred_at, data, metadata, hash"

#: Binds: realm. Takes the realm's lock row, which is locked and never written (a written one would rot).
LOCK = "SELECT 1 FROM log.lock WHERE realm = %s FOR UPDATE"

#: Binds: realm. Database clock and the last event; one row, its last three columns null in an empty log.
HEAD = (
    "SELECT clock_timestamp(), e.position, e.occurred_at, e.hash FROM (SELECT 1) AS one LEFT JOIN LATERAL "
    "(SELECT position, occurred_at, hash FROM log.event WHERE realm = %s ORDER BY position DESC LIMIT 1) AS e ON true"
)

#: Binds: realm, position, limit. Database clock, when the transaction began by it, and the events from a position on:
#: one row at least.
SINCE = (
    "SELECT clock_timestamp(), now(), e.* FROM (SELECT 1) AS one LEFT JOIN LATERAL "  # noqa: S608
    f"(SELECT {_COLUMNS} FROM log.event WHERE realm = %s AND position >= %s ORDER BY position LIMIT %s) AS e ON true"
)

#: Binds: realm, then one array a column.
INSERT_EVENTS = (
    "INSERT INTO log.event (realm, position, event_id, stream, type, schema_version, subject, occurred_at, "
    "data, metadata, hash) SELECT %b::bigint, t.* FROM unnest(%b::bigint[], %b::uuid[], %b::text[], %b::text[], "
    "%b::bigint[], %b::uuid[], %b::timestamptz[], %b::text[], %b::text[], %b::bytea[]) AS t"
)

#: Binds: realm, then one array a column. Balances are null for system accounts.
INSERT_POSTINGS = (
    "INSERT INTO log.posting (realm, position, ordinal, account, amount, balance) SELECT %b::bigint, t.* "
    "FROM unnest(%b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[]) AS t"
)

#: Binds: realm, after, limit.
READ = f"SELECT {_COLUMNS} FROM log.event WHERE realm = %s AND position > %s ORDER BY position LIMIT %s"  # noqa: S608
#: Binds: realm, stream, limit.
READ_STREAM = f"SELECT {_COLUMNS} FROM log.event WHERE realm = %s AND stream = %s ORDER BY position LIMIT %s"  # noqa: S608
#: Binds (by name): realm, after, names, limit. Places first, from each type's own index and at most `limit` of each,
#: then the events at the first of them: a type that hardly ever occurs costs a look into the index, not a scan.
READ_TYPES = f"""
SELECT e.* FROM (
  SELECT place.position FROM (SELECT DISTINCT name FROM unnest(%(names)s::text[]) AS n(name)) AS asked
  CROSS JOIN LATERAL (
    SELECT position FROM log.event WHERE realm = %(realm)s AND type = asked.name AND position > %(after)s
    ORDER BY position LIMIT %(limit)s) AS place
  ORDER BY place.position LIMIT %(limit)s) AS found
CROSS JOIN LATERAL (
  SELECT {_COLUMNS} FROM log.event WHERE realm = %(realm)s AND position = found.position OFFSET 0) AS e
ORDER BY found.position
"""  # noqa: S608
LAST_POSITION = "SELECT coalesce(max(position), 0) FROM log.event WHERE realm = %s"

PAGE = 2_000


class Head(msgspec.Struct, frozen=True):
    """Where the log stands, read under the lock: the next event goes to `position` + 1."""

    now: datetime
    position: int
    hash: bytes


class PostingRow(msgspec.Struct, frozen=True):
    """One posting as a typed row: hundredths of kudos, and the user's balance after it (None: system account)."""

    position: int
    ordinal: int
    account: str
    amount: int
    balance: int | None


def head_of(realm: int, row: Sequence[Any]) -> Head:
    """The head from a row of `HEAD`: the clock never runs backwards."""
    clock, position, occurred_at, digest = row
    if position is None:
        return Head(clock, 0, genesis(realm))
    return Head(max(clock, occurred_at), position, bytes(digest))


def record(
    previous: bytes,
    position: int,
    event_id: UUID,
    stream: str,
    name: str,
    version: int,
    subject: UUID | None,
    occurred_at: datetime,
    data: bytes,
    metadata: bytes,
) -> Recorded:
    """A whole envelope, hashed on top of `previous`."""
    digest = link(previous, position, event_id, stream, name, version, subject, occurred_at, data, metadata)
    return Recorded(
        position=position,
        event_id=event_id,
        stream=stream,
        type=name,
        schema_version=version,
        subject=subject,
        occurred_at=occurred_at,
        data=data,
        metadata=metadata,
        hash=digest,
    )


def event_parameters(realm: int, events: Sequence[Recorded]) -> list[Any]:
    """What `INSERT_EVENTS` takes."""
    return [
        realm,
        int8s([e.position for e in events]),
        uuids([e.event_id for e in events]),
        texts([e.stream for e in events]),
        texts([e.type for e in events]),
        int8s([e.schema_version for e in events]),
        uuids([e.subject for e in events]),
        instants([e.occurred_at for e in events]),
        texts([e.data.decode() for e in events]),
        texts([e.metadata.decode() for e in events]),
        byteas([e.hash for e in events]),
    ]


def posting_parameters(realm: int, postings: Sequence[PostingRow]) -> list[Any]:
    """What `INSERT_POSTINGS` takes."""
    return [
        realm,
        int8s([p.position for p in postings]),
        int8s([p.ordinal for p in postings]),
        texts([p.account for p in postings]),
        int8s([p.amount for p in postings]),
        int8s([p.balance for p in postings]),
    ]


def recorded(row: Sequence[Any]) -> Recorded:
    """The envelope in a row of `READ`."""
    position, event_id, stream, name, version, subject, occurred_at, data, metadata, digest = row
    return Recorded(
        position=position,
        event_id=event_id,
        stream=stream,
        type=name,
        schema_version=version,
        subject=subject,
        occurred_at=occurred_at,
        data=data.encode(),
        metadata=metadata.encode(),
        hash=bytes(digest),
    )


def read_all(
    connection: Connection[Any], realm: int, after: int = 0, upto: int | None = None
) -> Iterator[Recorded]:
    """The log from `after` on, page by page, to its end or to position `upto`."""
    while True:
        page = [recorded(row) for row in connection.execute(READ, (realm, after, PAGE), binary=True)]
        for event in page:
            if upto is not None and event.position > upto:
                return
            yield event
        if len(page) < PAGE:
            return
        after = page[-1].position


async def read_page(
    connection: AsyncConnection[Any], realm: int, after: int, limit: int, names: Sequence[str] | None = None
) -> list[Recorded]:
    """At most `limit` events after a position, of the named types only if any are named."""
    if names is None:
        cursor = await connection.execute(READ, (realm, after, limit), binary=True)
    else:
        asked = {"realm": realm, "after": after, "names": list(names), "limit": limit}
        cursor = await connection.execute(READ_TYPES, asked, binary=True)
    return [recorded(row) for row in await cursor.fetchall()]


async def read_stream(
    connection: AsyncConnection[Any], realm: int, stream: str, limit: int
) -> list[Recorded]:
    """The first events of a stream, in order."""
    cursor = await connection.execute(READ_STREAM, (realm, stream, limit), binary=True)
    return [recorded(row) for row in await cursor.fetchall()]


async def follow_pages(
    connection: AsyncConnection[Any], realm: int, after: int, limit: int = PAGE
) -> AsyncIterator[list[Recorded]]:
    """Pages of the log from `after` to its present end."""
    while page := await read_page(connection, realm, after, limit):
        yield page
        if len(page) < limit:
            return
        after = page[-1].position


def balanced(postings: Postings) -> bool:
    """Whether postings conserve kudos."""
    return sum(amount for _, amount in postings) == 0
