"""Who leads: one relay a realm, by a lock of its database session; and proof of it in every transaction, by an epoch.

The session lock ends with the session: at once when the process dies, after `SILENCE_SECONDS` when it or its machine
hangs, because the server ends sessions of this role that say nothing for so long. Whoever gets the lock raises the
epoch in the lock row; a leader that wakes up late finds another epoch there, and its transaction comes to nothing.
The session must lead to the server itself or to a pooler that keeps sessions. Look next: `app.relay.main`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import Connection

#: seconds after which a leader that does nothing is no leader any more; it polls several times a second
SILENCE_SECONDS: Final = 4
#: seconds between two tries of a relay that stands by
STANDBY_SECONDS: Final = 0.5

_SETTINGS = (
    f"-c idle_session_timeout={SILENCE_SECONDS}s -c idle_in_transaction_session_timeout={SILENCE_SECONDS}s "
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 "
    "-c lock_timeout=10s -c statement_timeout=60s -c timezone=UTC -c jit=off -c application_name=hoard-relay"
)
#: the first of the two numbers of the advisory lock; the second is the realm
_LOCK_CLASS: Final = 4_850_102
_TRY = "SELECT pg_try_advisory_lock(%s, %s)"
_BEGIN = "UPDATE relay.leader SET epoch = epoch + 1 WHERE realm = %s RETURNING epoch"
_CONFIRM = "SELECT epoch FROM relay.leader WHERE realm = %s FOR SHARE"


class LeadershipLostError(Exception):
    """Another relay leads."""


class NotMigratedError(Exception):
    """The realm has no lock row: `hoard migrate` makes it."""


class Term:
    """One relay's time of leading: its session, and the epoch that proves it."""

    def __init__(self, connection: Connection[Any], realm: int, epoch: int) -> None:
        #: autocommitting; used by one thread only
        self.connection = connection
        self.realm = realm
        self.epoch = epoch

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A transaction that commits only if this relay still leads: no other can begin before it ends.

        Raises:
            LeadershipLostError: another relay leads.
        """
        with self.connection.transaction():
            row = self.connection.execute(_CONFIRM, (self.realm,)).fetchone()
            if row is None or row[0] != self.epoch:
                message = f"epoch {self.epoch} is over"
                raise LeadershipLostError(message)
            yield self.connection


@contextlib.contextmanager
def lead(url: str, realm: int, stop: threading.Event) -> Iterator[Term | None]:
    """Stand by until this relay leads; None if `stop` is set before.

    Raises:
        psycopg.Error: the database does not answer, or ended the session: the lock is free again.
        NotMigratedError: there is nothing to lead.
    """
    with psycopg.connect(url, autocommit=True, options=_SETTINGS, connect_timeout=5) as connection:
        while not _locked(connection, realm):
            if stop.wait(STANDBY_SECONDS):
                yield None
                return
        yield Term(connection, realm, _begin(connection, realm))


def _begin(connection: Connection[Any], realm: int) -> int:
    """Raise the epoch: the term's number."""
    try:
        row = connection.execute(_BEGIN, (realm,)).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        message = f"realm {realm} is not in the database: run `hoard migrate`"
        raise NotMigratedError(message)
    return int(row[0])


def _locked(connection: Connection[Any], realm: int) -> bool:
    row = connection.execute(_TRY, (_LOCK_CLASS, realm)).fetchone()
    return row is not None and bool(row[0])
