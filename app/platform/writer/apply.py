"""The second round trip of a batch: append events and postings, write changed rows, keep outcomes, notify, commit.

May not decide. Every statement is set-based: one for each table that changed. Look next: `app.platform.writer.batch`,
`projections.store.derived`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.round_trip import Statement, travel
from app.platform.rows import Rows
from app.platform.vault import CommandOutcome
from events.base import Recorded
from events.store import log
from events.store.arrays import uuids
from events.store.columns import Table
from projections.store import derived
from projections.store.tables import LIVE, TABLES

#: Binds: channel, position.
NOTIFY = "SELECT pg_notify(%s, %s)"


def channel(realm: int) -> str:
    """The notification channel on which each batch of a realm announces its last position."""
    return f"hoard_log_{realm}"


class Writes(msgspec.Struct):
    """Everything that a decided batch writes."""

    events: list[Recorded]
    postings: list[log.PostingRow]
    words: list[msgspec.Struct]
    outcomes: list[CommandOutcome]


def apply(
    connection: Connection[Any],
    realm: int,
    writes: Writes,
    before: Mapping[str, Mapping[Any, Any]],
    rows: Rows,
) -> None:
    """Write it all and commit. Raises `psycopg.Error`; after one at the commit the outcome is unknown."""
    statements = [Statement(log.INSERT_EVENTS, log.event_parameters(realm, writes.events))]
    if writes.postings:
        statements.append(Statement(log.INSERT_POSTINGS, log.posting_parameters(realm, writes.postings)))
    for name, table in rows.tables.items():
        statements += _row_writes(realm, TABLES[name], before[name], table)
    jobs = [(before["jobs"].get(key), job) for key, job in rows.tables["jobs"].items()]
    statements += (Statement(*each) for each in derived.statements(realm, derived.change_of(jobs)))
    statements += _word_writes(realm, writes.words)
    if writes.outcomes:
        statements.append(Statement(vault.KEEP_OUTCOMES, vault.outcome_parameters(realm, writes.outcomes)))
    if writes.events:
        statements.append(Statement(NOTIFY, (channel(realm), str(writes.events[-1].position))))
    connection.wait(travel(connection, [*statements, Statement("COMMIT")]))


def _row_writes(
    realm: int, table: Table[Any], before: Mapping[Any, Any], after: Mapping[Any, Any]
) -> Iterator[Statement]:
    """Insert the rows that are new; of those that changed write only the columns in which any of them did."""
    made: list[Any] = []
    moved: list[Any] = []
    changed: set[str] = set()
    for key, row in after.items():
        if row is None or (was := before.get(key)) is row:
            continue
        if was is None:
            made.append(row)
        elif names := table.changed(was, row):
            moved.append(row)
            changed.update(names)
    if made:
        yield Statement(_upsert(table), table.parameters(realm, made))
    if moved:
        columns = tuple(sorted(changed))
        yield Statement(_update(table, columns), table.update_parameters(realm, moved, columns))


@cache
def _upsert(table: Table[Any]) -> str:
    return table.upsert(LIVE)


@cache
def _update(table: Table[Any], columns: tuple[str, ...]) -> str:
    return table.update(LIVE, columns)


def _word_writes(realm: int, words: Sequence[msgspec.Struct]) -> Iterator[Statement]:
    """Take away what is erased, then write rows: a name that becomes free may be somebody else's at once.

    Of several words for one key the last ones count, as if written one after another.
    """
    grouped: dict[type[msgspec.Struct], dict[tuple[Any, ...], msgspec.Struct]] = {}
    for row in words:
        kind, key = _place(row)
        grouped.setdefault(kind, {})[key] = row
    for kind, group in grouped.items():
        if gone := [key[0] for key, row in group.items() if isinstance(row, vault.Erase)]:
            yield Statement(vault.ERASURES[kind], (realm, uuids(gone)))
    for kind, group in grouped.items():
        if kept := [row for row in group.values() if not isinstance(row, vault.Erase)]:
            yield Statement(vault.UPSERTS[kind], vault.TABLES[kind].parameters(realm, kept))


def _place(row: msgspec.Struct) -> tuple[type[msgspec.Struct], tuple[Any, ...]]:
    """The kind and key of the row of the vault that is written or taken away."""
    if isinstance(row, vault.Erase):
        return row.kind, (row.key,)
    return type(row), tuple(getattr(row, name) for name in vault.TABLES[type(row)].key)
