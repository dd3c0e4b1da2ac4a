"""Restoring a backup: into an empty database only, proved before it is committed, projections made from the log.

Files are compared with the manifest first. Then one transaction loads all tables and proves the log that it has loaded
(dense positions, hash chain, readable events, postings); a fault leaves the database as empty as it was. No process can
serve in between: no projection is live until they are built. Look next: `app.operations.backup.take`,
`projections.store.build`, `projections.store.audit`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from alembic.util import CommandError
from psycopg import Connection, sql

from app.operations.backup.buckets import BucketFinding, check_bucket
from app.operations.backup.form import (
    BackupError,
    Manifest,
    Part,
    Progress,
    RealmEnd,
    TableCopy,
    check_files,
    pepper_mark,
    read_manifest,
    unpacked,
)
from app.operations.backup.tables import Relation, copied, revision_of
from app.operations.live_log import LiveLog
from app.operations.migrate import make_buckets, migrate, owner_url, upgrade_schema
from app.operations.verify_log import verify_live
from app.platform.settings import Settings
from projections.store.audit import Report, verify

#: told what is being done, gives what is told how far it is
Stage = Callable[[str], Progress]

_OPTIONS: Final = "-c timezone=UTC -c datestyle=ISO -c lock_timeout=10s -c application_name=hoard-restore"
#: outcomes of commands older than this many days have no partition, and nobody asks for them
_KEPT_DAYS: Final = 7


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did: where the logs end, the proof of the projections, and what the buckets hold."""

    taken_at: str
    realms: tuple[RealmEnd, ...]
    rows: dict[str, int]
    #: whether every projection is what the log says
    projections_clean: bool
    #: whether API keys work: they were hashed with the pepper of these settings
    keys_valid: bool
    buckets: tuple[BucketFinding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is missing."""
        return self.projections_clean and self.keys_valid and not any(b.wrong for b in self.buckets)


def restore(
    settings: Settings, folder: Path, stage: Stage, *, expected: str | None, any_pepper: bool
) -> Restored:
    """Restore a backup into the empty database of the settings.

    `expected` is the SHA-256 that the manifest must have, if it is known. Raises `BackupError` with nothing changed;
    `OSError`, `StorageError`, `psycopg.Error`.
    """
    manifest = read_manifest(folder, expected)
    keys_valid = pepper_mark(settings.pepper) == manifest.pepper
    if not keys_valid and not any_pepper:
        raise BackupError(
            "HOARD_PEPPER is not the one of this backup: every API key in it would be void; set the right one, or "
            "give --any-pepper"
        )
    check_files(folder, manifest, stage("checking files"))
    url = owner_url(settings)
    _make_tables(url, manifest)
    with psycopg.connect(url, autocommit=True, connect_timeout=5, options=_OPTIONS) as connection:
        with connection.transaction():
            rows = _load(connection, folder, manifest, stage("loading"))
            proving = stage("proving")
            for end in manifest.realms:
                _prove(connection, end, proving)
        for name in rows:
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*name.split("."))))
    migrate(settings, stage("building projections"))
    make_buckets(settings)
    reports = _audit(url, manifest, stage("verifying"))
    return Restored(
        taken_at=manifest.taken_at,
        realms=manifest.realms,
        rows=rows,
        projections_clean=all(report.clean for report in reports),
        keys_valid=keys_valid,
        buckets=tuple(check_bucket(settings, folder, copy) for copy in manifest.buckets),
    )


def _make_tables(url: str, manifest: Manifest) -> None:
    """Bring an empty database to the backup's revision; later ones are applied to what was loaded."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        revision = revision_of(connection)
    if revision is None:
        try:
            upgrade_schema(url, manifest.revision)
        except CommandError:
            raise BackupError(
                f"this program does not know revision {manifest.revision} of the schema: it is older than the backup"
            ) from None
    elif revision != manifest.revision:
        raise BackupError(
            f"the database is at revision {revision}, the backup at {manifest.revision}: use a database without tables"
        )


def _load(
    connection: Connection[Any], folder: Path, manifest: Manifest, progress: Progress
) -> dict[str, int]:
    """Copy all files into their tables. Raises `BackupError`."""
    # waits for writers, and keeps them and every other restore out
    connection.execute("LOCK TABLE log.lock IN ACCESS EXCLUSIVE MODE")
    targets = {relation.name: relation for relation in copied(connection)}
    _refuse_data(connection, targets)
    # whoever finds no live projections does not serve; what followed the empty log starts anew
    connection.execute("DELETE FROM relay.projection")
    connection.execute("DELETE FROM relay.checkpoint")
    connection.execute("DELETE FROM relay.reaction")
    for end in manifest.realms:
        connection.execute("INSERT INTO log.lock VALUES (%s) ON CONFLICT DO NOTHING", (end.realm,))
        connection.execute("INSERT INTO relay.leader VALUES (%s, 0) ON CONFLICT DO NOTHING", (end.realm,))
    connection.execute("SELECT vault.ensure_partitions(current_date - %s::int)", (_KEPT_DAYS - 1,))
    total, done = max(1, sum(part.bytes for table in manifest.tables for part in table.parts)), 0
    rows: dict[str, int] = {}
    for table in manifest.tables:
        target = targets.get(f"{table.schema}.{table.table}")
        if target is None or not set(table.columns) <= set(target.columns):
            raise BackupError(f"{table.schema}.{table.table} of the backup has no place in this schema")
        rows[target.name] = 0
        for part in table.parts:
            rows[target.name] += _load_part(connection, folder, target, table, part)
            done += part.bytes
            progress(done, total)
    if missing := targets.keys() - rows.keys():
        raise BackupError(f"the backup lacks {', '.join(sorted(missing))}")
    return rows


def _refuse_data(connection: Connection[Any], targets: dict[str, Relation]) -> None:
    for target in targets.values():
        query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(target.identifier)
        if connection.execute(query).fetchone() is not None:
            raise BackupError(
                f"the database is not empty: {target.name} holds rows; a backup is restored into an empty one only"
            )


def _load_part(
    connection: Connection[Any], folder: Path, target: Relation, table: TableCopy, part: Part
) -> int:
    """One file. Raises `BackupError` where it does not fit the table or has another number of rows."""
    connection.execute("SELECT log.ensure_partitions()")
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    into, expiring = target.identifier, target.name == "vault.command"
    if expiring:
        into = sql.Identifier("pg_temp", "expiring")
        create = sql.SQL("CREATE TEMP TABLE expiring (LIKE {}) ON COMMIT DROP")
        connection.execute(create.format(target.identifier))
    cursor = connection.cursor()
    try:
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(into, columns)) as copy:
            for piece in unpacked(folder, part):
                copy.write(piece)
        loaded = cursor.rowcount
        if expiring:
            keep = sql.SQL("INSERT INTO {} SELECT * FROM expiring WHERE day >= current_date - {}")
            cursor.execute(keep.format(target.identifier, sql.Literal(_KEPT_DAYS)))
            cursor.execute("DROP TABLE expiring")
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise BackupError(f"{part.file} does not fit {target.name}: {_reason(error)}") from None
    if loaded != part.rows:
        raise BackupError(f"{part.file} holds {loaded} rows, the manifest says {part.rows}")
    return loaded


def _reason(error: psycopg.Error) -> str:
    """What is wrong, without the values: they may be words of people."""
    place = (error.diag.context or "").split(":")[0]
    return f"{error.diag.message_primary or type(error).__name__}{f' ({place})' if place else ''}"


def _prove(connection: Connection[Any], end: RealmEnd, progress: Progress) -> None:
    """Prove what was loaded of a realm's log. Raises `BackupError` with the first position that cannot be trusted."""
    live = LiveLog(connection, end.realm)
    proof = verify_live(end.realm, live.last, live.events(), live.postings(), progress)
    if proof.fault is not None:
        raise BackupError(f"the log of realm {end.realm} was altered: {proof.fault.line()}")
    if (proof.last, proof.hash) != (end.position, end.hash):
        raise BackupError(
            f"the log of realm {end.realm} ends at position {proof.last} with another hash than the manifest says "
            f"for position {end.position}"
        )


def _audit(url: str, manifest: Manifest, progress: Progress) -> list[Report]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        return [verify(connection, end.realm, progress) for end in manifest.realms]
