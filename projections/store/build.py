"""Making the tables of projections from the log, beside the live ones, and swapping the two under the lock.

Runs with the owner's role, since it makes tables. The log is folded in chunks, so memory does not grow with it; the
last events are folded while the writer waits. Look next: `projections.store.audit`, which proves the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from psycopg import Connection, errors

from events.base import Fact
from events.codec import fact_of
from events.store import log
from projections.base import Projection
from projections.registry import ALL, TAILING, VERSIONS
from projections.store import derived
from projections.store.tables import LIVE, NEXT, TABLES, table_of

#: facts folded before their rows are written
CHUNK = 20_000
#: when fewer than this many events are left the writer is made to wait for the rest
CLOSE = 2_000

#: how long the swap waits for readers while writers wait for it, and how long it lets them be before it tries again
PATIENCE_MS = 500
PAUSE_SECONDS = 1.0
#: how long the one who swaps may be silent in the meantime: a rebuild that hangs (Ctrl+Z) must not stop everybody
SILENCE_SECONDS = 5
#: advisory lock under which tables are rebuilt
REBUILD_LOCK = 4_850_104

Progress = Callable[[int, int], None]

_BUILD = "SELECT coalesce(max(build), 0) + 1 FROM relay.projection"
_REGISTER = (
    "INSERT INTO relay.projection (realm, name, version, build) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (realm, name) DO UPDATE SET version = excluded.version, build = excluded.build"
)
_CHECKPOINT = (
    "INSERT INTO relay.checkpoint (realm, follower, position) VALUES (%s, %s, %s) "
    "ON CONFLICT (realm, follower) DO UPDATE SET position = excluded.position"
)


def live_versions(connection: Connection[Any], realm: int) -> dict[str, int]:
    """The versions of the projections that are live in the database."""
    return dict(
        connection.execute("SELECT name, version FROM relay.projection WHERE realm = %s", (realm,)).fetchall()
    )


def rebuild(connection: Connection[Any], realm: int, progress: Progress | None = None) -> int:
    """Fold the whole log of every realm into new tables and swap them in. Returns the position of `realm`'s log.

    `connection` is the owner's and not in a transaction. `progress` is told (position, last position).
    """
    # two at once would drop each other's new tables; the session's end gives the lock back
    connection.execute("SELECT pg_advisory_lock(%s)", (REBUILD_LOCK,))
    realms = [row[0] for row in connection.execute("SELECT realm FROM log.lock ORDER BY realm").fetchall()]
    with connection.transaction():
        _create(connection)
    reached = {each: _catch_up(connection, each, 0, progress if each == realm else None) for each in realms}
    with connection.transaction():
        _index(connection)  # not before most rows are there: each row would be put in one by one
    while (last := _finish(connection, reached)) is None:
        time.sleep(PAUSE_SECONDS)
        reached = {each: _catch_up(connection, each, after, None) for each, after in reached.items()}
    for table in (*TABLES, *derived.NAMES):
        # of an empty table nothing is better known than that it is empty: plans made then would read it whole
        if connection.execute(f"SELECT 1 FROM {LIVE}.{table} LIMIT 1").fetchone():  # noqa: S608
            connection.execute(f"ANALYZE {LIVE}.{table}")
    connection.execute("SELECT pg_advisory_unlock(%s)", (REBUILD_LOCK,))
    if progress is not None:
        progress(last[realm], last[realm])
    return last[realm]


def _finish(connection: Connection[Any], reached: dict[int, int]) -> dict[int, int] | None:
    """Fold the rest under the lock and swap; None if somebody reads the live tables and would hold everybody up."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{SILENCE_SECONDS}s'")
            connection.execute("SELECT 1 FROM log.lock ORDER BY realm FOR UPDATE")
            _lock_live(connection)
            last = {realm: _last(connection, realm) for realm in reached}
            for realm, after in reached.items():
                fold_into(connection, realm, NEXT, _facts(connection, realm, after, last[realm]))
                _derive(connection, realm)
            _swap(connection, last)
    except errors.LockNotAvailable:
        return None
    return last


def _lock_live(connection: Connection[Any]) -> None:
    """Keep readers out of the live tables, if there are any. Raises `LockNotAvailable` where one stays too long."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (LIVE,)).fetchall()
    connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE_MS}ms'")
    for (table,) in sorted(tables):
        connection.execute(f"LOCK TABLE {LIVE}.{table} IN ACCESS EXCLUSIVE MODE")


def ensure(connection: Connection[Any], realm: int, progress: Progress | None = None) -> bool:
    """Build the tables if those that are live are not of this program's versions. True if it did."""
    if live_versions(connection, realm) == VERSIONS:
        return False
    rebuild(connection, realm, progress)
    return True


def fold_into(connection: Connection[Any], realm: int, schema: str, facts: Iterable[Fact]) -> None:
    """Fold facts, which follow on what the tables hold, into the tables of a schema."""
    source = iter(facts)
    while chunk := list(islice(source, CHUNK)):
        for projection in ALL:
            fold_chunk(connection, realm, schema, projection, chunk)


def fold_chunk(
    connection: Connection[Any], realm: int, schema: str, projection: Projection[Any], chunk: list[Fact]
) -> None:
    """Fold one chunk into one projection's table: read the rows it touches, fold, write those that changed."""
    touched = [(projection.keys(fact), fact) for fact in chunk if type(fact.event) in projection.kinds]
    keys = {key for named, _ in touched for key in named}
    if not keys:
        return
    table = table_of(projection)
    where = f"{projection.key} = ANY(%(keys)s)"
    fetched = connection.execute(
        table.select(schema, where), {"realm": realm, "keys": list(keys)}, binary=True
    )
    rows: dict[Any, Any] = {getattr(row, projection.key): row for row in table.load_all(fetched)}
    for named, fact in touched:
        for key in named:
            rows[key] = projection.evolve(key, rows.get(key), fact)
    changed = [row for row in rows.values() if row is not None]
    connection.execute(table.upsert(schema), table.parameters(realm, changed))


def _create(connection: Connection[Any]) -> None:
    connection.execute(f"DROP SCHEMA IF EXISTS {NEXT} CASCADE")
    connection.execute(f"CREATE SCHEMA {NEXT}")
    connection.execute(
        f"COMMENT ON SCHEMA {NEXT} IS 'store: projection. Droppable, rebuilt from the log alone'"
    )
    for projection in ALL:
        for statement in table_of(projection).ddl(NEXT):
            connection.execute(statement)
    for statement in derived.ddl(NEXT):
        connection.execute(statement)
    connection.execute(f"GRANT USAGE ON SCHEMA {NEXT} TO hoard_app")
    connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {NEXT} TO hoard_app")


def _index(connection: Connection[Any]) -> None:
    for projection in ALL:
        for statement in table_of(projection).index_ddl(NEXT):
            connection.execute(statement)


def _catch_up(connection: Connection[Any], realm: int, after: int, progress: Progress | None) -> int:
    """Fold until few events are left, while the writer goes on."""
    while (last := _last(connection, realm)) - after > CLOSE:
        while after < last:
            until = min(after + CHUNK, last)
            with connection.transaction():
                fold_into(connection, realm, NEXT, _facts(connection, realm, after, until))
            after = until
            if progress is not None:
                progress(after, last)
    return after


def _facts(connection: Connection[Any], realm: int, after: int, upto: int) -> Iterator[Fact]:
    return (fact_of(event) for event in log.read_all(connection, realm, after, upto))


def _derive(connection: Connection[Any], realm: int) -> None:
    for statement in derived.fill(NEXT):
        connection.execute(statement, (realm,))


def _swap(connection: Connection[Any], positions: dict[int, int]) -> None:
    """Put the new tables in the place of the live ones; open statements are planned anew by the server."""
    row = connection.execute(_BUILD).fetchone()
    build = row[0] if row else 1
    connection.execute(f"DROP SCHEMA IF EXISTS {LIVE} CASCADE")
    connection.execute(f"ALTER SCHEMA {NEXT} RENAME TO {LIVE}")
    connection.execute("DELETE FROM relay.projection")
    for realm, position in positions.items():
        for projection in ALL:
            connection.execute(_REGISTER, (realm, projection.name, projection.version, build))
        for projection in TAILING:
            connection.execute(_CHECKPOINT, (realm, f"projection:{projection.name}", position))


def _last(connection: Connection[Any], realm: int) -> int:
    row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
    return int(row[0]) if row else 0
