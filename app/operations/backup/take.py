"""Taking a backup: the log is proved first, then every table is copied from one snapshot, then buckets are listed.

Writers go on meanwhile. The snapshot is held by a session that touches no table; the copies are short transactions
that borrow it, so that nobody who makes or drops a partition waits for long. Migrations wait for a backup, and a backup
for them. Look next: `app.operations.backup.tables`, `app.operations.backup.load`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg import Connection, IsolationLevel, sql

from app.operations.backup.buckets import copy_buckets
from app.operations.backup.form import (
    FORMAT,
    BackupError,
    Manifest,
    NewBackup,
    Part,
    Progress,
    RealmEnd,
    TableCopy,
    pepper_mark,
)
from app.operations.backup.tables import Relation, copied, revision_of
from app.operations.live_log import LiveLog
from app.operations.migrate import owner_url
from app.operations.verify_log import verify_live
from app.platform.settings import Settings
from events.chain import genesis, instant
from events.store import log

#: positions of the log in one file
SEGMENT: Final = 500_000
#: the advisory lock of `alembic/env.py`
MIGRATING: Final = 4_850_101

_HOLDER = "-c idle_in_transaction_session_timeout=0 -c application_name=hoard-backup"
_READER = "-c timezone=UTC -c datestyle=ISO -c statement_timeout=0 -c application_name=hoard-backup"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A finished backup: its manifest, and the SHA-256 of that, which is worth writing down elsewhere."""

    manifest: Manifest
    sha256: str


def take(settings: Settings, folder: Path, progress: Progress, *, objects: bool) -> Taken:
    """Back up the database of all realms, and the lists of the buckets; with `objects` also what they name.

    `progress` is told (positions, last position). Raises `BackupError`, `MigrationError`, `OSError`, `StorageError`,
    `psycopg.Error`.
    """
    with NewBackup(folder) as new, snapshot(owner_url(settings)) as view:
        view.prove(progress)
        tables = tuple(_copy(view, new, relation, progress) for relation in view.relations)
        # after the snapshot: what the log says was published is in the lists
        buckets = copy_buckets(settings, new, objects=objects)
        manifest = Manifest(
            format=FORMAT,
            taken_at=view.taken_at,
            revision=view.revision,
            pepper=pepper_mark(settings.pepper),
            realms=view.realms,
            tables=tables,
            buckets=buckets,
        )
        return Taken(manifest=manifest, sha256=new.finish(manifest))


class View:
    """The database as it stood at one instant."""

    def __init__(self, reader: Connection[Any], snapshot_id: str) -> None:
        self._reader = reader
        self._snapshot = sql.Literal(snapshot_id)
        with self.borrowed() as connection:
            row = connection.execute("SELECT transaction_timestamp()").fetchone()
            assert row is not None
            self.taken_at = instant(row[0])
            revision = revision_of(connection)
            if revision is None:
                raise BackupError("the database has no tables: there is nothing to back up")
            self.revision = revision
            self.relations = copied(connection)
            realms = connection.execute("SELECT realm FROM log.lock ORDER BY realm").fetchall()
            self.realms = tuple(_end(connection, realm) for (realm,) in realms)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Connection[Any]]:
        """A short transaction that sees the snapshot."""
        self._reader.isolation_level = IsolationLevel.REPEATABLE_READ
        self._reader.read_only = True
        with self._reader.transaction():
            self._reader.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self._snapshot))
            yield self._reader

    def prove(self, progress: Progress) -> None:
        """Prove the log of each realm: a copy of a broken one would be refused when it is needed. Raises `BackupError`."""
        for end in self.realms:
            # the log never changes behind its end, so this needs no snapshot
            live = LiveLog(self._reader, end.realm)
            live.last = end.position
            events, postings = live.events(), live.postings()
            proof = verify_live(end.realm, end.position, events, postings, progress)
            if proof.fault is not None:
                raise BackupError(f"the log of realm {end.realm} is broken: {proof.fault.line()}")
            if proof.hash != end.hash:
                raise BackupError(f"the log of realm {end.realm} is broken: position {end.position}")


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[View]:
    """Hold the state of this instant for others to see. Raises `BackupError`, `psycopg.Error`."""
    with (
        psycopg.connect(url, connect_timeout=5, options=_HOLDER) as holder,
        psycopg.connect(url, connect_timeout=5, options=_READER, autocommit=True) as reader,
    ):
        holder.isolation_level = IsolationLevel.REPEATABLE_READ
        holder.read_only = True
        reader.execute("SELECT pg_advisory_lock_shared(%s)", (MIGRATING,))
        row = holder.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield View(reader, row[0])


def _end(connection: Connection[Any], realm: int) -> RealmEnd:
    row = connection.execute(log.HEAD, (realm,)).fetchone()
    assert row is not None
    _, position, _, digest = row
    return RealmEnd(
        realm=realm, position=position or 0, hash=(bytes(digest) if digest else genesis(realm)).hex()
    )


def _copy(view: View, new: NewBackup, relation: Relation, progress: Progress) -> TableCopy:
    """One table as files: by ranges of positions where it has them, since the log is as long as it likes."""
    parts = []
    for number, (condition, reached) in enumerate(_ranges(view, relation), 1):
        parts.append(_copy_range(view, new, relation, f"{relation.name}.{number}.copy.gz", condition))
        progress(reached, max(reached, *(end.position for end in view.realms)))
    return TableCopy(
        schema=relation.schema, table=relation.table, columns=relation.columns, parts=tuple(parts)
    )


def _ranges(view: View, relation: Relation) -> Iterator[tuple[sql.Composable, int]]:
    if relation.schema != "log" or "position" not in relation.key:
        yield sql.SQL("true"), 0
        return
    for end in view.realms:
        for first in range(0, end.position, SEGMENT):
            last = min(first + SEGMENT, end.position)
            condition = sql.SQL("realm = {} AND position > {} AND position <= {}")
            yield condition.format(sql.Literal(end.realm), sql.Literal(first), sql.Literal(last)), last


def _copy_range(view: View, new: NewBackup, relation: Relation, name: str, condition: sql.Composable) -> Part:
    columns = sql.SQL(", ").join(map(sql.Identifier, relation.columns))
    order = sql.SQL(", ").join(map(sql.Identifier, relation.key))
    statement = sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY {}) TO STDOUT").format(
        columns, relation.identifier, condition, order
    )
    with new.write(name, packed=True) as writing, view.borrowed() as connection:
        cursor = connection.cursor()
        with cursor.copy(statement) as rows:
            for piece in rows:
                writing.file.write(piece)
        writing.rows = cursor.rowcount
    return writing.done()
