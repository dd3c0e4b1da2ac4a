"""Assessing raters by the hour, and letting marks follow what moderators decide: a thread of each actor process.

A lock of the database lets one work at a time; a run that died is done again by the next. What computing needs is loaded
only where it is computed. Look next: `app.raters.assessing`, `app.actors_main`.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import Connection

from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.writer import Writer
from projections.store.tables import LIVE

if TYPE_CHECKING:
    from app.raters.assessing import Assessor

_log = logging.getLogger(__name__)

#: the checkpoint: up to where the log was when all raters were assessed last
FOLLOWER: Final = "raters"
#: decisions of moderators are followed for so long: by then no process that was at it is still away
FOLLOWED: Final = timedelta(hours=1)

_SETTINGS: Final = "-c timezone=UTC -c jit=off -c application_name=hoard-raters"
#: whether there are ratings that no assessment has seen, and the last one is long enough ago; and where the log ends
_DUE: Final = f"""
SELECT coalesce((SELECT max(settled) FROM {LIVE}.ratings WHERE realm = %(realm)s AND state = 'DONE'), 0)
    > coalesce(c.position, 0)
  AND (c.position IS NULL OR clock_timestamp() >= %(every)s::interval + (SELECT occurred_at FROM log.event
    WHERE realm = %(realm)s AND position = c.position)),
  (SELECT max(position) FROM log.event WHERE realm = %(realm)s)
FROM (SELECT) AS one LEFT JOIN relay.checkpoint AS c ON c.realm = %(realm)s AND c.follower = %(follower)s
"""  # noqa: S608
_ADVANCE: Final = (
    "INSERT INTO relay.checkpoint AS c (realm, follower, position) VALUES (%s, %s, %s) ON CONFLICT (realm, follower) "
    "DO UPDATE SET position = greatest(c.position, excluded.position)"
)
_JUDGED: Final = (
    f"SELECT 1 FROM {LIVE}.raters WHERE realm = %s AND judged_at >= clock_timestamp() - %s::interval LIMIT 1"  # noqa: S608
)


class Examiner:
    """Looks now and then whether raters are to be assessed, or marks to follow a decision."""

    def __init__(self, database_url: str, realm: int, writer: Writer, every: timedelta) -> None:
        """Name what to work with; nothing is contacted. Without `every`, only decisions are followed."""
        self._database_url = database_url
        self._realm = realm
        self._writer = writer
        self._every = every
        self._connection: Connection[Any] | None = None

    def step(self) -> bool:
        """Do what is due: whether raters were assessed.

        Raises:
            psycopg.Error, WriterBusyError: not now.
            RefusedError: a standing changed in between.
        """
        connection = self._connected()
        with alone(connection, locks.assessments(self._realm), wait=False) as held:
            if not held:
                return False
            due, head = self._due(connection)
            if due:
                done = self._assessor(connection).run()
                connection.execute(_ADVANCE, (self._realm, FOLLOWER, head))
                _log.info("raters_assessed", extra={"ratings": done.ratings, "marked": done.marked})
            elif connection.execute(_JUDGED, (self._realm, FOLLOWED)).fetchone():
                self._assessor(connection).mark(FOLLOWED)
        return due

    def close(self) -> None:
        """Close what is open; the next step opens it again."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _due(self, connection: Connection[Any]) -> tuple[bool, int]:
        if not self._every:
            return False, 0
        asked = {"realm": self._realm, "every": self._every, "follower": FOLLOWER}
        row = connection.execute(_DUE, asked).fetchone()
        assert row is not None, "it is one row whatever there is"
        return bool(row[0]), row[1]

    def _assessor(self, connection: Connection[Any]) -> Assessor:
        from app.raters.assessing import Assessor  # noqa: PLC0415

        return Assessor(connection, self._realm, self._writer)

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._database_url, autocommit=True, connect_timeout=5, options=_SETTINGS
            )
        return self._connection
