"""The second round trip of a batch: append events and postings, write changed rows, keep outcomes, notify, commit.

May not decide. Every statement is set-based: one for each table that changed. Look next: `app.platform.writer.batch`,
`projections.store.derived`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.rows import Rows
from app.platform.vault import CommandOutcome
from events.base import Recorded
from events.store import log
from projections.store import derived
from projections.store.tables import LIVE, TABLES

_UPSERTS = {name: table.upsert(LIVE) for name, table in TABLES.items()}
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
    with connection.pipeline():
        connection.execute(log.INSERT_EVENTS, log.event_parameters(realm, writes.events))
        if writes.postings:
            connection.execute(log.INSERT_POSTINGS, log.posting_parameters(realm, writes.postings))
        for name, table in rows.tables.items():
            changed = [
                row for key, row in table.items() if row is not None and before[name].get(key) is not row
            ]
            if changed:
                connection.execute(_UPSERTS[name], TABLES[name].parameters(realm, changed))
        jobs = [(before["jobs"].get(key), job) for key, job in rows.tables["jobs"].items()]
        for statement, parameters in derived.statements(realm, derived.change_of(jobs)):
            connection.execute(statement, parameters)
        for kind, group in _by_type(writes.words).items():
            connection.execute(vault.UPSERTS[kind], vault.TABLES[kind].parameters(realm, group))
        if writes.outcomes:
            connection.execute(vault.KEEP_OUTCOMES, vault.outcome_parameters(realm, writes.outcomes))
        if writes.events:
            connection.execute(NOTIFY, (channel(realm), str(writes.events[-1].position)))
        connection.commit()


def _by_type(rows: Sequence[msgspec.Struct]) -> dict[type[msgspec.Struct], list[msgspec.Struct]]:
    grouped: dict[type[msgspec.Struct], list[msgspec.Struct]] = {}
    for row in rows:
        grouped.setdefault(type(row), []).append(row)
    return grouped
