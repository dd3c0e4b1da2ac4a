"""Keeps one tailing projection: folds the log into its table, rows and checkpoint in one transaction.

The fold is the same as everywhere. While a rebuild swaps the tables it waits, and goes on from where the rebuild
stands. Look next: `projections.store.build`, `projections.registry`.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection, sql

from app.platform.writer.gather import VersionMismatchError
from app.relay.leader import Term
from events.codec import fact_of
from events.store import log
from projections.base import Projection
from projections.store.build import fold_chunk
from projections.store.tables import LIVE

PAGE: Final = 2_000

_VERSION = "SELECT version FROM relay.projection WHERE realm = %s AND name = %s"
_CHECKPOINT = "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s FOR UPDATE"
_ADVANCE = "UPDATE relay.checkpoint SET position = %s WHERE realm = %s AND follower = %s"


class Tailing:
    """Follows the log for one projection."""

    def __init__(self, term: Term, projection: Projection[Any]) -> None:
        self._term = term
        self._projection = projection
        self.name = f"projection:{projection.name}"
        self._position = -1
        # A rebuild takes the table first and the checkpoint second: whoever takes them the other way round could
        # stop it by a deadlock.
        self._lock = sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(
            sql.Identifier(LIVE, projection.name)
        )

    def advance(self) -> bool:
        """Fold a page. True if there is more. Raises `VersionMismatchError` where others replaced the projection."""
        realm = self._term.realm
        last = self._term.connection.execute(log.LAST_POSITION, (realm,)).fetchone()
        if last is not None and last[0] == self._position:
            return False
        self._check_version(self._term.connection)  # before the table, which a newer program may not have
        with self._term.transaction() as connection:
            connection.execute(self._lock)
            self._check_version(connection)
            after = self._checkpoint(connection)
            page = [
                log.recorded(row) for row in connection.execute(log.READ, (realm, after, PAGE), binary=True)
            ]
            if page:
                fold_chunk(connection, realm, LIVE, self._projection, [fact_of(event) for event in page])
                connection.execute(_ADVANCE, (page[-1].position, realm, self.name))
        self._position = page[-1].position if page else after
        return len(page) == PAGE

    def _check_version(self, connection: Connection[Any]) -> None:
        row = connection.execute(_VERSION, (self._term.realm, self._projection.name)).fetchone()
        if row is None or row[0] != self._projection.version:
            message = f"{self._projection.name} is live in version {row[0] if row else None}"
            raise VersionMismatchError(message)

    def _checkpoint(self, connection: Connection[Any]) -> int:
        """Where the table stands; it is written by whoever built the table, so it is never made up."""
        row = connection.execute(_CHECKPOINT, (self._term.realm, self.name)).fetchone()
        if row is None:
            message = f"{self.name} has no checkpoint"
            raise VersionMismatchError(message)
        return int(row[0])
