"""What time brings about, by commands, as everything is: leases and jobs end, allowances are paid; and upkeep.

Upkeep makes partitions ahead and forgets old reactions. All this on a thread and connection of its own, only while its
relay leads. It only proposes, by the database's clock: the decider checks again under the lock, so that two sweepers
do no harm. Look next: `app.workers.lease_decider.expire_lease`, `app.jobs.decider.expire_job`,
`app.accounts.treasury.pay_allowance`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import Connection

from app.accounts.treasury import PayAllowance
from app.jobs.decider import EXPIRY, ExpireJob
from app.platform import metrics
from app.platform.commands import Command, Done, Outcome, Request
from app.platform.ids import new_id
from app.platform.writer import Writer, WriterBusyError
from app.relay.outage import Outage
from app.relay.reactions import FOLLOWER
from app.workers.lease_decider import ExpireLease
from projections.store.tables import LIVE

_log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
#: the same while there is more to end than one sweep takes
HURRY_SECONDS: Final = 0.05
UPKEEP_SECONDS: Final = 60.0
#: completed reactions are kept until so many positions lie behind them
KEPT_POSITIONS: Final = 1_000_000
#: leases, and jobs, that one sweep ends at most, and allowances that it pays
AT_ONCE: Final = 200
#: the writer answers long before
ANSWER_SECONDS: Final = 60.0
#: after so many commands that raised none is passed over any more
MOST_PASSED_OVER: Final = 10_000

_SETTINGS = (
    "-c statement_timeout=20s -c lock_timeout=5s -c timezone=UTC -c jit=off -c application_name=hoard-sweeper"
)
_LEASES = (
    f"SELECT id, owner FROM {LIVE}.leases WHERE realm = %s AND state = 'LIVE' AND expires_at < now() "  # noqa: S608
    "AND id <> ALL(%s) ORDER BY expires_at LIMIT %s"
)
_JOBS = (
    f"SELECT id FROM {LIVE}.jobs WHERE realm = %s AND ended_at IS NULL AND processing = 0 "  # noqa: S608
    "AND active_at < now() - %s::interval AND id <> ALL(%s) ORDER BY active_at LIMIT %s"
)
_ALLOWANCES = (
    f"SELECT id FROM {LIVE}.accounts WHERE realm = %s AND allowance > 0 AND allowance_due <= now() "  # noqa: S608
    "AND id <> ALL(%s) ORDER BY allowance_due LIMIT %s"
)
_PARTITIONS = "SELECT log.ensure_partitions(), vault.ensure_partitions()"
_FORGET = (
    "DELETE FROM relay.reaction WHERE realm = %(realm)s AND completed_by IS NOT NULL AND position < "
    "(SELECT position FROM relay.checkpoint WHERE realm = %(realm)s AND follower = %(follower)s) - %(kept)s"
)


class Sweeper:
    """Ends what is over and pays what is due. `start` it once; it sweeps while `leading` is set, until `stop` is."""

    def __init__(
        self,
        url: str,
        realm: int,
        writer: Writer,
        *,
        leading: threading.Event,
        stop: threading.Event,
        expiry: timedelta = EXPIRY,
    ) -> None:
        self._url = url
        self._realm = realm
        self._writer = writer
        self._leading = leading
        self._stop = stop
        self._expiry = expiry
        self._connection: Connection[Any] | None = None
        self._outage = Outage()
        self._upkeep_at = 0.0
        #: commands on these raised, which is a bug: they must not keep the others waiting
        self._passed_over: set[UUID] = set()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `stop` was set."""
        self._thread.join(timeout=seconds)

    def sweep(self) -> int:
        """End what is over now, pay what is due, and now and then make partitions ahead; how many commands were accepted.

        Raises:
            psycopg.Error: the database does not answer.
        """
        connection = self._connected()
        passed_over = list(self._passed_over)
        leases = connection.execute(_LEASES, (self._realm, passed_over, AT_ONCE)).fetchall()
        jobs = connection.execute(_JOBS, (self._realm, self._expiry, passed_over, AT_ONCE)).fetchall()
        allowances = connection.execute(_ALLOWANCES, (self._realm, passed_over, AT_ONCE)).fetchall()
        away = bool(leases) and self._outage.seen(connection, self._realm, {owner for _, owner in leases})
        due: list[tuple[UUID, Command]] = [
            (key, ExpireLease(lease=key, server_away=away)) for key, _ in leases
        ]
        due += [(key, ExpireJob(job=key)) for (key,) in jobs]
        due += [(key, PayAllowance(user=key)) for (key,) in allowances]
        accepted = self._execute(due)
        if time.monotonic() >= self._upkeep_at:
            self._keep_up(connection)
        return accepted

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _run(self) -> None:
        pause = SWEEP_SECONDS
        while not self._stop.wait(pause):
            pause = SWEEP_SECONDS
            if not self._leading.is_set():
                continue
            try:
                if self.sweep() >= AT_ONCE:
                    pause = HURRY_SECONDS
                metrics.child(metrics.SWEEPS, "done").inc()
            except Exception as error:  # the thread must outlive anything  # noqa: BLE001
                metrics.child(metrics.SWEEPS, "failed").inc()
                _log.warning("sweep_failed", extra={"reason": type(error).__name__})
                self.close()
        self.close()

    def _keep_up(self, connection: Connection[Any]) -> None:
        self._upkeep_at = time.monotonic() + UPKEEP_SECONDS
        try:
            with connection.transaction():
                # a new partition keeps everybody out of its parent: rather wait a minute than behind a long reader
                connection.execute("SET LOCAL lock_timeout = '100ms'")
                connection.execute(_PARTITIONS)
        except psycopg.errors.LockNotAvailable:
            _log.info("partitions_wait_for_a_reader")
        parameters = {"realm": self._realm, "follower": FOLLOWER, "kept": KEPT_POSITIONS}
        connection.execute(_FORGET, parameters)

    def _execute(self, due: Sequence[tuple[UUID, Command]]) -> int:
        """All at once, so that they make few batches; how many were accepted."""
        waiting: list[tuple[UUID, Command, Future[Outcome | BaseException]]] = []
        for key, command in due:
            answer: Future[Outcome | BaseException] = Future()
            try:
                self._writer.submit(Request(command, new_id()), answer.set_result)
            except WriterBusyError:
                break
            waiting.append((key, command, answer))
        accepted = 0
        for key, command, answer in waiting:
            outcome = answer.result(timeout=ANSWER_SECONDS)
            if isinstance(outcome, Done):
                accepted += 1
                metrics.child(metrics.SWEPT, type(command).__name__).inc()
            if isinstance(outcome, BaseException) and not isinstance(outcome, WriterBusyError):
                _log.error("expiry_raised", extra={"id": str(key), "reason": type(outcome).__name__})
                self._pass_over(key)
        return accepted

    def _pass_over(self, key: UUID) -> None:
        if len(self._passed_over) >= MOST_PASSED_OVER:
            self._passed_over.clear()
        self._passed_over.add(key)

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, options=_SETTINGS, connect_timeout=5
            )
        return self._connection
