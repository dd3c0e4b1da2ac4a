"""Whether the live projections are those of this program: standing by until they are, stopping when others are.

The writer asks with every batch; these ask for what only reads, or has nothing to do. Look next:
`app.platform.writer.gather`, `projections.store.build`, `docs/upgrading.md`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg_pool import PoolTimeout

from app.platform.database import Pool
from app.platform.writer.gather import VERSIONS_SQL, VersionMismatchError, check_versions
from projections.registry import VERSIONS

_log = logging.getLogger(__name__)

#: seconds between two looks of a process that serves, and of one that stands by
LOOK_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 0.2
#: seconds between two lines of the log that say that a process stands by
_SAY_SECONDS: Final = 30.0


def look(connection: Connection[Any], realm: int) -> None:
    """Raises `VersionMismatchError` where the live projections are not this program's; `psycopg.Error`."""
    check_versions(connection.execute(VERSIONS_SQL, (realm,)).fetchall())


async def watch(pool: Pool, realm: int, on_fatal: Callable[[BaseException], None]) -> None:
    """Look until others are live, then say so once. A database that is away says nothing about versions."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with pool.connection(timeout=LOOK_SECONDS) as connection:
                cursor = await connection.execute(VERSIONS_SQL, (realm,))
                check_versions(await cursor.fetchall())
        except VersionMismatchError as error:
            on_fatal(error)
            return
        except (psycopg.Error, PoolTimeout):
            continue


def stand_by(url: str, realm: int, patience: float = 30.0) -> None:
    """Wait until `hoard migrate` has made this program's projections live; a signal ends the process meanwhile.

    Raises:
        VersionMismatchError: those that are live are a newer program's.
        psycopg.OperationalError: the database did not answer for `patience` seconds.
    """
    deadline = time.monotonic() + patience
    say_at = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                live = _live(connection, realm)
            deadline = time.monotonic() + patience
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
        else:
            if live == VERSIONS:
                return
            if any(version > VERSIONS.get(name, 0) for name, version in live.items()):
                check_versions(list(live.items()))
            if time.monotonic() > say_at:
                _log.warning("waits_for_hoard_migrate", extra={"live": str(live), "known": str(VERSIONS)})
                say_at = time.monotonic() + _SAY_SECONDS
        time.sleep(STANDBY_SECONDS)


def _live(connection: Connection[Any], realm: int) -> dict[str, int]:
    try:
        return dict(connection.execute(VERSIONS_SQL, (realm,)).fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return {}  # migrations have not come so far
