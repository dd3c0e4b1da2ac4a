"""The live log as the iterators that proof and replay take.

The log is append-only and dense, so everything up to a position that was once read stays as it is: no snapshot is
held while writers go on. May not decide or write. Look next: `events.store.log`, `app.operations.verify_log`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from psycopg import Connection

from app.operations.verify_log import PostingValues
from events.base import Recorded
from events.store import log

#: Rows of the postings table that are fetched at a time.
_PAGE: Final = 5_000
_POSTINGS: Final = (
    "SELECT position, ordinal, account, amount, balance FROM log.posting WHERE realm = %s "
    "AND (position, ordinal) > (%s, %s) AND position <= %s ORDER BY position, ordinal LIMIT %s"
)


class LiveLog:
    """One realm's log as it stood when this was made. `connection` is in autocommit."""

    def __init__(self, connection: Connection[Any], realm: int) -> None:
        self._connection = connection
        self._realm = realm
        row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
        #: position of the last event
        self.last = int(row[0]) if row else 0

    def events(self, upto: int | None = None) -> Iterator[Recorded]:
        """All events, or those up to a position."""
        return log.read_all(
            self._connection, self._realm, 0, self.last if upto is None else min(upto, self.last)
        )

    def postings(self) -> Iterator[PostingValues]:
        """All rows of the postings table in their order."""
        position, ordinal = 0, -1
        while True:
            asked = (self._realm, position, ordinal, self.last, _PAGE)
            page = self._connection.execute(_POSTINGS, asked, binary=True).fetchall()
            yield from page
            if len(page) < _PAGE:
                return
            position, ordinal = page[-1][:2]
