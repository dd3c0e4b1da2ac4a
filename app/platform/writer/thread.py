"""The writer's thread: a bounded queue, batches formed by what waits, retries, answers.

It is the only user of its connection. When the outcome of a commit is unknown, the batch is looked for in the log by
its first event's id; if it is not there its commands are retried singly. May not be called on an event loop's thread
in a blocking way: use `execute`. Look next: `app.platform.writer.batch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import psycopg

from app.platform.commands import Outcome, Request, Rules
from app.platform.database import NETWORK
from app.platform.writer import measures
from app.platform.writer.batch import BatchResult, commit_batch, decide_batch
from app.platform.writer.gather import VersionMismatchError
from app.platform.writer.recent import LIMIT, Recent
from events.store import log

_log = logging.getLogger(__name__)

#: how many commands may wait; beyond that callers are told to try again
QUEUE_LIMIT = 4096
#: how many commands one batch decides at most
BATCH_LIMIT = 256
#: how long a batch is tried while the database does not answer, in seconds
PATIENCE_SECONDS = 20.0
#: a batch that is lost after so long, which is longer than it waits for the lock, is tried again in halves, in seconds
TOO_LONG_SECONDS = 3.5
#: A process that hangs loses the lock within 4 s. Only `transaction_timeout` ends one that hangs between two messages of
#: a trip: to the server it is not idle. Statements are all index look-ups: plans must not switch with statistics.
SETTINGS = (
    "-c lock_timeout=3s -c idle_in_transaction_session_timeout=4s -c transaction_timeout=4s "
    "-c timezone=UTC -c plan_cache_mode=force_generic_plan "
    "-c enable_seqscan=off -c enable_bitmapscan=off -c jit=off -c application_name=hoard-writer"
)

#: the session is over, or nothing can be done in it: whatever was not committed is rolled back
LOST = (
    psycopg.OperationalError,
    psycopg.errors.TransactionTimeout,
    psycopg.errors.IdleInTransactionSessionTimeout,
)

_IN_LOG = "SELECT 1 FROM log.event WHERE realm = %s AND position = %s AND event_id = %s"


class WriterBusyError(Exception):
    """The queue is full or the database is away: try again after `retry_after` seconds.

    Nothing was done, unless it is not `certain`: then a commit was sent and its answer never came.
    """

    def __init__(self, retry_after: float, *, certain: bool = True) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after
        self.certain = certain


class WriterStoppedError(WriterBusyError):
    """This process is stopping and takes no more commands."""


class InternalError(Exception):
    """A command raised: a bug. Nothing was done."""


class OutcomeUnknownError(Exception):
    """A commit was sent, its answer never came, and the database stayed away for too long to look."""


Answer = Callable[[Outcome | BaseException], None]


class Writer:
    """Decides and commits commands in groups. `start` it, `execute` commands from any thread or loop, `stop` it."""

    def __init__(
        self,
        url: str,
        realm: int,
        rules: Rules,
        *,
        on_fatal: Callable[[BaseException], None],
        rows: int = LIMIT,
    ) -> None:
        """Name the database, the log and the commands' rules; `rows` are kept at hand (`app.platform.writer.recent`)."""
        self._url = url
        self._realm = realm
        self._rules = rules
        self._on_fatal = on_fatal
        self._queue: deque[tuple[Request, Answer, float]] = deque()
        self._condition = threading.Condition()
        self._stopping = False
        self._connection: psycopg.Connection[Any] | None = None
        self._recent = Recent(rows)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        #: seconds that recent batches took, the wait for the lock included
        self.held_seconds: deque[float] = deque(maxlen=1000)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Decide what waits, then end the thread and close the connection."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout=PATIENCE_SECONDS)

    @property
    def waiting(self) -> int:
        """Commands that wait for the next batch."""
        return len(self._queue)

    @property
    def rows_kept(self) -> int:
        """Rows that are at hand for the next batch."""
        return len(self._recent)

    def submit(self, request: Request, answer: Answer) -> None:
        """Queue a command; `answer` is called on the writer's thread. Raises `WriterBusyError`."""
        with self._condition:
            if self._stopping:
                raise WriterStoppedError(1.0)
            if len(self._queue) >= QUEUE_LIMIT:
                measures.turned_away("queue full")
                raise WriterBusyError(0.5)
            self._queue.append((request, answer, time.perf_counter()))
            self._condition.notify()

    async def execute(self, request: Request) -> Outcome:
        """Decide and commit a command. Raises `WriterBusyError`, `InternalError`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome | BaseException) -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        def answer(outcome: Outcome | BaseException) -> None:
            loop.call_soon_threadsafe(settle, outcome)

        self.submit(request, answer)
        return await future

    def execute_sync(self, request: Request) -> Outcome:
        """The same for callers without an event loop, such as actors and the command line."""
        future: Future[Outcome] = Future()

        def settle(outcome: Outcome | BaseException) -> None:
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.submit(request, settle)
        return future.result()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            requests = [request for request, _, _ in taken]
            began = time.perf_counter()
            try:
                outcomes: Sequence[Any] = self._settle(requests)
            except VersionMismatchError as error:
                measures.failed("version")
                self._on_fatal(error)
                outcomes = [WriterStoppedError(1.0)] * len(taken)
            except Exception:  # noqa: BLE001 - the thread must outlive anything
                _log.exception("batch_failed")
                measures.failed("bug")
                outcomes = [InternalError("the batch failed")] * len(taken)
            for (_, answer, _), outcome in zip(taken, outcomes, strict=True):
                with contextlib.suppress(RuntimeError):  # the caller's loop is gone
                    answer(_answerable(outcome))
            measures.answered(requests, outcomes, [began - queued for _, _, queued in taken])
        self._disconnect()

    def _take(self) -> list[tuple[Request, Answer, float]] | None:
        with self._condition:
            while not self._queue:
                if self._stopping:
                    return None
                self._condition.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_LIMIT))]

    def _settle(self, requests: Sequence[Request], deadline: float | None = None) -> Sequence[Any]:
        """Commit a batch whatever happens to the connection, or tell its callers to try again."""
        deadline = deadline or time.monotonic() + PATIENCE_SECONDS
        pause = 0.05
        while True:
            started = time.monotonic()
            try:
                return self._attempt(requests)
            except OutcomeUnknownError:
                measures.looked_up("unknown")
                return [WriterBusyError(2.0, certain=False)] * len(requests)
            except LOST as error:
                self._disconnect()
                measures.failed("connection")
                if len(requests) > 1 and time.monotonic() - started > TOO_LONG_SECONDS:
                    # it may have been thrown out for holding the lock: half of it takes half as long
                    half = len(requests) // 2
                    return [
                        *self._settle(requests[:half], deadline),
                        *self._settle(requests[half:], deadline),
                    ]
                if time.monotonic() > deadline:
                    _log.warning("database_away", extra={"reason": type(error).__name__})
                    measures.turned_away("database away", len(requests))
                    return [WriterBusyError(2.0)] * len(requests)
            except VersionMismatchError:
                self._rollback()
                raise
            except Exception as error:  # noqa: BLE001 - of one command: the others are settled by themselves
                self._rollback()
                measures.failed("command")
                if len(requests) == 1:
                    _log.warning("command_failed", extra={"reason": type(error).__name__})
                    return [error]
                return [outcome for request in requests for outcome in self._settle([request], deadline)]
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _attempt(self, requests: Sequence[Request]) -> Sequence[Any]:
        connection = self._connect()
        started = time.perf_counter()
        batch, before, result = decide_batch(connection, self._realm, self._rules, requests, self._recent)
        decided = time.perf_counter()
        try:
            commit_batch(connection, batch, before)
        except LOST:
            self._disconnect()
            if not self._committed(result):
                raise
        ended = time.perf_counter()
        self._recent.keep(batch.rows, batch.position, batch.hash)
        self.held_seconds.append(ended - started)
        measures.committed(batch.waited, ended - started - batch.waited, ended - decided)
        return result.outcomes

    def _committed(self, result: BatchResult) -> bool:
        """Whether a batch whose commit was not answered is in the log. Raises `OutcomeUnknownError`."""
        if result.first is None:
            return False
        asked = (self._realm, result.first.position, result.first.event_id)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                connection = self._connect()
                # the transaction of unknown outcome may still hold the lock: wait until it is settled
                connection.execute(log.LOCK, (self._realm,))
                found = connection.execute(_IN_LOG, asked).fetchone() is not None
                connection.rollback()
            except LOST:
                self._disconnect()
                if time.monotonic() > deadline:
                    raise OutcomeUnknownError from None
                time.sleep(0.2)
            else:
                measures.looked_up("there" if found else "gone")
                return found

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            # what psycopg prepares it forgets at a rollback, and everything else that was prepared with it
            self._connection = psycopg.connect(self._url, options=SETTINGS, prepare_threshold=None, **NETWORK)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _rollback(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._disconnect()


def _answerable(outcome: Any) -> Any:
    """An exception out of a decider as the one callers know; database refusals pass as they are."""
    if isinstance(outcome, Exception) and not isinstance(
        outcome, WriterBusyError | InternalError | psycopg.Error
    ):
        return InternalError(type(outcome).__name__)
    return outcome
