"""The live log as the iterators that proof and replay take.

The log is append-only and dense, so everything up to a position that was once read stays as it is: no snapshot is
held while writers go on. May not decide or write. Look next: `events.store.log`, `app.operations.verify_log`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Connection

from app.operations.verify_log import PostingValues
from events.base import Recorded
from events.store import log

#: Rows of the postings table that are fetched at a time.
_PAGE: Final = 5_000
_AT: Final = "SELECT occurred_at FROM log.event WHERE realm = %s AND position = %s"
_STREAMS: Final = "SELECT position FROM log.event WHERE realm = %s AND stream = ANY(%s) AND position <= %s ORDER BY position"
_ACCOUNT: Final = (
    "SELECT DISTINCT position FROM log.posting WHERE realm = %s AND account = ANY(%s) AND position <= %s "
    "ORDER BY position"
)
_POSTINGS: Final = (
    "SELECT position, ordinal, account, amount, balance FROM log.posting WHERE realm = %s "
    "AND (position, ordinal) > (%s, %s) AND position <= %s ORDER BY position, ordinal LIMIT %s"
)


class LiveLog:
    """One realm's log as it stood when this was made. `connection` is in autocommit."""

    def __init__(self, connection: Connection[Any], realm: int) -> None:
        self._connection = connection
        self.realm = realm
        row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
        #: position of the last event
        self.last = int(row[0]) if row else 0

    def events(self, upto: int | None = None) -> Iterator[Recorded]:
        """All events, or those up to a position."""
        return log.read_all(
            self._connection, self.realm, 0, self.last if upto is None else min(upto, self.last)
        )

    def of_streams(self, streams: Sequence[str]) -> Iterator[Recorded]:
        """The events of some streams, by their index."""
        return self._at(_STREAMS, streams)

    def of_account(self, account: str) -> Iterator[Recorded]:
        """The events that moved kudos of an account, by the index of postings."""
        return self._at(_ACCOUNT, [account])

    def position_at(self, instant: datetime) -> int:
        """The position of the last event at an instant, 0 before the first: instants never run backwards."""
        before, after = 0, self.last + 1
        while after - before > 1:
            middle = (before + after) // 2
            row = self._connection.execute(_AT, (self.realm, middle)).fetchone()
            if row is not None and row[0] <= instant:
                before = middle
            else:
                after = middle
        return before

    def _at(self, statement: LiteralString, names: Sequence[str]) -> Iterator[Recorded]:
        rows = self._connection.execute(statement, (self.realm, list(names), self.last)).fetchall()
        for (position,) in rows:
            asked = (self.realm, position - 1, 1)
            yield from map(log.recorded, self._connection.execute(log.READ, asked, binary=True))

    def postings(self) -> Iterator[PostingValues]:
        """All rows of the postings table in their order."""
        position, ordinal = 0, -1
        while True:
            asked = (self.realm, position, ordinal, self.last, _PAGE)
            page = self._connection.execute(_POSTINGS, asked, binary=True).fetchall()
            yield from page
            if len(page) < _PAGE:
                return
            position, ordinal = page[-1][:2]
