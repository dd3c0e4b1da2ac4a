"""The database server: sessions with one backend task each, locks, transactions, committed rows; and what goes wrong.

What a client sends is a function that the backend runs on a `View`: committed rows under the transaction's own. A
network fault may lose what was sent, the answer to it, or let it arrive long after its client gave up. Look next:
`statements.py` for those functions, `stand_ins.py` for the connections that programs see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors

from app.platform.commands import Request
from events.base import Fact
from events.codec import fact_of
from projections.registry import TAILING
from tests.model import MemoryLog
from tests.simulation.scheduler import Failure, Process, Scheduler, Task

#: tables that only the leading relay writes
_FOLLOWING = {"checkpoint", "reaction", *(projection.name for projection in TAILING)}
#: what a backend runs: it may wait for locks, reads and writes through the view
Work = Callable[["View"], Any]
LockName = Hashable


class SimulatedLog(MemoryLog):
    """A log in memory that decodes each event once."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: list[Fact] = []

    @property
    def facts(self) -> list[Fact]:
        """The whole history."""
        self._facts.extend(fact_of(event) for event in self.events[len(self._facts) :])
        return self._facts

    def copy(self) -> SimulatedLog:
        """Another log that begins as this one does."""
        other = SimulatedLog()
        other.now = self.now
        other.state = {name: dict(rows) for name, rows in self.state.items()}
        other.events, other.postings = list(self.events), list(self.postings)
        other.prompts, other.known = dict(self.prompts), dict(self.known)
        other._facts = list(self.facts)
        return other


class Network:
    """How often messages between programs and the database are lost; set by the cluster."""

    def __init__(self) -> None:
        #: chance that a message never arrives, that its answer does not, that it arrives when nobody waits any more
        self.lost = 0.0
        self.unanswered = 0.0
        self.late = 0.0
        #: chance that a message takes up to two seconds
        self.slow = 0.0
        #: chance that a broken connection is noticed by the server only by its timeouts
        self.silent = 0.0


class Limits:
    """Seconds after which the server ends a session, or a statement's wait for a lock."""

    def __init__(self, options: str) -> None:
        self.idle = _seconds(options, "-c idle_session_timeout=")
        self.idle_in_transaction = _seconds(options, "-c idle_in_transaction_session_timeout=")
        self.lock = _seconds(options, "-c lock_timeout=")


def _seconds(options: str, name: str) -> float | None:
    for setting in options.replace("-c ", "\0-c ").split("\0"):
        if setting.startswith(name):
            value = setting.removeprefix(name).strip()
            return float(value[:-2]) / 1000 if value.endswith("ms") else float(value.rstrip("s"))
    return None


class Locks:
    """Named locks, shared or exclusive, granted in the order of asking."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held: dict[LockName, dict[Session, bool]] = {}
        self._waiting: dict[LockName, deque[tuple[Session, bool, Task]]] = {}

    def held_by(self, session: Session) -> list[LockName]:
        return [name for name, holders in self._held.items() if session in holders]

    def holder(self, name: LockName) -> Session | None:
        return next(iter(self._held.get(name, ())), None)

    def take(self, session: Session, name: LockName, *, shared: bool = False) -> None:
        """Wait for a lock. Raises `psycopg.errors.LockNotAvailable` after the session's lock timeout."""
        if self.attempt(session, name, shared=shared):
            return
        task = self._scheduler.current
        assert task is not None
        entry = (session, shared, task)
        queue = self._waiting.setdefault(name, deque())
        queue.append(entry)
        try:
            self._scheduler.block(session.limits.lock)
        finally:
            if entry in queue:
                queue.remove(entry)
        if session not in self._held.get(name, {}):
            raise errors.LockNotAvailable("canceling statement due to lock timeout")

    def attempt(self, session: Session, name: LockName, *, shared: bool = False) -> bool:
        """Take a lock if it is free."""
        holders = self._held.setdefault(name, {})
        if session in holders:
            others = len(holders) > 1
            if shared or not others:
                holders[session] = holders[session] and shared
                return True
            return False
        if self._waiting.get(name) or (holders and not (shared and all(holders.values()))):
            return False
        holders[session] = shared
        return True

    def release(self, session: Session, names: list[LockName]) -> None:
        """Give locks back, and grant them to those who wait."""
        for name in names:
            holders = self._held.get(name, {})
            holders.pop(session, None)
            queue = self._waiting.get(name)
            while queue:
                next_session, shared, task = queue[0]
                if holders and not (shared and all(holders.values())):
                    break
                queue.popleft()
                holders[next_session] = shared
                self._scheduler.wake(task)


class View:
    """What one statement sees: committed rows and those of its own transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.server = session.server

    @property
    def now(self) -> datetime:
        return self.server.clock()

    def lock(self, name: LockName, *, shared: bool = False) -> None:
        """Lock a row until the end of the transaction."""
        self.server.locks.take(self.session, name, shared=shared)

    def get(self, table: str, key: Any) -> Any:
        """A row, or None."""
        own = self.session.written.get((table, key))
        return own if own is not None else self.server.tables[table].get(key)

    def items(self, table: str) -> Iterator[tuple[Any, Any]]:
        """All rows of a table in the order of their keys."""
        rows = dict(self.server.tables[table])
        rows.update({key: row for (name, key), row in self.session.written.items() if name == table})
        return iter(sorted(rows.items()))

    def put(self, table: str, key: Any, row: Any) -> None:
        """Write a row; the transaction's commit shows it to others."""
        self.session.written[table, key] = row

    def commit(self) -> None:
        """Commit the transaction."""
        self.session.end(commit=True)

    def rollback(self) -> None:
        """Undo the transaction."""
        self.session.end(commit=False)


class Session:
    """One connection as the server sees it: a backend that runs what arrives, in order."""

    def __init__(self, server: Server, name: str, limits: Limits, *, autocommit: bool) -> None:
        self.server = server
        self.name = name
        self.limits = limits
        self.autocommit = autocommit
        self.alive = True
        self.in_transaction = False
        self.written: dict[tuple[str, Any], Any] = {}
        #: locks that last until the session's end
        self.session_locks: set[LockName] = set()
        self.listening = False
        #: the term that a relay's session began
        self.epoch = 0
        #: upkeep needs no term: it only forgets
        self.sweeping = False
        #: why the server ended it, for the client to see
        self.last_words: type[psycopg.Error] = psycopg.OperationalError
        #: called when the server ends it or notifies
        self.on_end: Callable[[], None] = lambda: None
        self.on_notice: Callable[[], None] = lambda: None
        self._inbox: deque[tuple[Work, Callable[[Any], None]]] = deque()
        self.task = server.scheduler.spawn(server.process, name, self._serve)

    def __repr__(self) -> str:
        return self.name

    def arrive(self, work: Work, answer: Callable[[Any], None]) -> None:
        """A message arrives from the client."""
        if self.alive:
            self._inbox.append((work, answer))
            self.server.scheduler.wake(self.task)

    def begin(self) -> None:
        self.in_transaction = True

    def end(self, *, commit: bool) -> None:
        """End the transaction: show what it wrote, or forget it; free its locks."""
        if commit:
            self._check_epoch()
            for (table, key), row in self.written.items():
                if row is None:
                    self.server.tables[table].pop(key, None)
                else:
                    self.server.tables[table][key] = row
        self.written.clear()
        self.in_transaction = False
        kept = self.session_locks
        self.server.locks.release(self, [n for n in self.server.locks.held_by(self) if n not in kept])

    def _check_epoch(self) -> None:
        """What follows the log is written by the relay that leads, and by no other."""
        following = {table for table, _ in self.written} & _FOLLOWING
        if following and not self.sweeping and self.epoch != self.server.tables["leader"][0]:
            raise Failure(f"{self.name} wrote {sorted(following)} in a term that was over")

    def terminate(self, reason: str, last_words: type[psycopg.Error] = psycopg.OperationalError) -> None:
        """End the session: its transaction is undone and all its locks are free."""
        if not self.alive:
            return
        self.alive = False
        self.last_words = last_words
        self.server.scheduler.note(f"session ended: {reason}", self.name)
        self.end(commit=False)
        self.server.locks.release(self, self.server.locks.held_by(self))
        self.server.sessions.pop(self.name, None)
        self.server.scheduler.at(self.server.latency(), self.on_end)
        if self.server.scheduler.current is not self.task:
            self.server.scheduler.end(self.task)

    def _serve(self) -> None:
        scheduler = self.server.scheduler
        while self.alive:
            if not self._inbox:
                limit = self.limits.idle_in_transaction if self.in_transaction else self.limits.idle
                if not scheduler.block(limit) and not self._inbox:
                    words = (
                        errors.IdleInTransactionSessionTimeout
                        if self.in_transaction
                        else errors.IdleSessionTimeout
                    )
                    self.terminate("it said nothing for too long", words)
                continue
            work, answer = self._inbox.popleft()
            answer(self._run(work))

    def _run(self, work: Work) -> Any:
        """The result of a message, or the error that it ended with."""
        if not self.autocommit:
            self.begin()
        try:
            result = work(View(self))
        except psycopg.Error as error:
            self.end(commit=False)
            return error
        if self.autocommit and not self.in_transaction:
            self.end(commit=True)
        return result


class Server:
    """The database."""

    def __init__(self, scheduler: Scheduler, log: SimulatedLog, network: Network) -> None:
        self.scheduler = scheduler
        self.network = network
        self.process = Process("db")
        self.locks = Locks(scheduler)
        #: events, postings, kept outcomes and the rows of inline projections
        self.log = log
        #: words of the vault by kind of row and key
        self.words: dict[tuple[type, Any], Any] = {}
        #: tables that relays write
        self.tables: dict[str, dict[Any, Any]] = {
            "leader": {0: 0},
            "checkpoint": {},
            "reaction": {},
            **{projection.name: {} for projection in TAILING},
        }
        self.sessions: dict[str, Session] = {}
        #: every command that a writer has tried to decide
        self.requests: dict[UUID, Request] = {}
        #: seconds that the clock is ahead of simulated time; it may jump either way
        self.ahead = 0.0
        self.down_until = 0.0
        #: called after every commit to the log
        self.on_commit: list[Callable[[], None]] = []
        self._count = 0
        self._epoch = log.now

    def clock(self) -> datetime:
        """The database's clock."""
        return self._epoch + timedelta(seconds=self.scheduler.now + self.ahead)

    def latency(self) -> float:
        """Seconds of one way through the network."""
        dice = self.scheduler.dice
        if dice.random() < self.network.slow:
            return dice.uniform(0.05, 2.0)
        return dice.uniform(0.0002, 0.003)

    def open(self, who: str, options: str, *, autocommit: bool) -> Session:
        """A new session. Raises `psycopg.OperationalError` while the server is down."""
        if self.scheduler.now < self.down_until:
            raise psycopg.OperationalError("the server is starting up")
        self._count += 1
        session = Session(self, f"{who}#{self._count}", Limits(options), autocommit=autocommit)
        self.sessions[session.name] = session
        return session

    def client_gone(self, session: Session) -> None:
        """The client's end is broken: the server notices soon, or by its timeouts."""
        dice = self.scheduler.dice
        silent = dice.random() < self.network.silent
        delay = dice.uniform(1.0, 8.0) if silent else dice.uniform(0.0, 0.02)
        self.scheduler.at(delay, lambda: session.terminate("its client is gone"))

    def restart(self, seconds: float) -> None:
        """Every session ends; what was committed stays; for some seconds nobody can connect."""
        self.scheduler.note("restarts", "db")
        self.down_until = self.scheduler.now + seconds
        for session in list(self.sessions.values()):
            session.terminate("the server restarts", errors.AdminShutdown)

    def notify(self) -> None:
        """Tell all who listen that the log grew."""
        for session in list(self.sessions.values()):
            if session.listening:
                self.scheduler.at(self.latency(), session.on_notice)


class Client:
    """A program's end of a connection."""

    def __init__(self, server: Server, process: Process, options: str, *, autocommit: bool) -> None:
        self._server = server
        self._scheduler = server.scheduler
        self._scheduler.sleep(server.latency())
        self.session = server.open(process.name, options, autocommit=autocommit)
        self.session.on_end = self._ended
        self.session.on_notice = self._noticed
        self.closed = False
        self._ended_by_server = False
        self._noticed_any = False
        self._waiter: Task | None = None
        process.at_death.append(self._abandon)
        self._forget = lambda: process.at_death.remove(self._abandon)

    def call(self, work: Work, what: str, *, piped: bool = False) -> Any:
        """Send work and wait for its result. Raises `psycopg.Error`; after a lost connection nobody knows."""
        self._check(piped=piped)
        fate = self._fate()
        scheduler, server = self._scheduler, self._server
        if fate:
            scheduler.note(f"{what}: {fate}")
        arrived: list[Any] = []

        def receive(result: Any) -> None:
            if fate != "unanswered":
                scheduler.at(server.latency(), lambda: (arrived.append(result), self._wake()))

        session = self.session
        if fate != "lost":
            delay = server.latency() if fate != "late" else scheduler.dice.uniform(0.1, 4.0)
            scheduler.at(delay, lambda: session.arrive(work, receive))
        if fate:
            scheduler.sleep(server.latency() * 4)
            self._break(noticed_later=fate == "late")
            raise psycopg.OperationalError("the connection is lost")
        while not arrived:
            if self._ended_by_server:
                self._break()
                raise self._last_words(piped=piped)
            self._wait(None)
        (result,) = arrived
        scheduler.note(f"{what}: {result!r}" if isinstance(result, Exception) else what)
        if isinstance(result, Exception):
            raise result
        return result

    def notice(self, timeout: float) -> bool:
        """Wait for a notification. Raises `psycopg.OperationalError` when the connection ends."""
        self._check(piped=True)
        if not self._noticed_any:
            self._wait(timeout)
        noticed, self._noticed_any = self._noticed_any, False
        self._check(piped=True)
        return noticed

    def close(self) -> None:
        """Close the connection; the server sees it at once."""
        if not self.closed:
            self.closed = True
            self._forget()
            session = self.session
            self._scheduler.at(self._server.latency(), lambda: session.terminate("its client closed it"))

    def _check(self, *, piped: bool) -> None:
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        if self._ended_by_server:
            self._break()
            raise self._last_words(piped=piped)

    def _last_words(self, *, piped: bool) -> psycopg.Error:
        # in a pipeline psycopg tells nothing but that the connection is lost
        return (psycopg.OperationalError if piped else self.session.last_words)(
            "the server ended the session"
        )

    def _fate(self) -> str:
        """What becomes of a message: arrives and is answered (empty), lost, unanswered, late."""
        network, chance = self._server.network, self._scheduler.dice.random()
        for name in ("lost", "unanswered", "late"):
            if chance < getattr(network, name):
                return name
            chance -= getattr(network, name)
        return ""

    def _break(self, *, noticed_later: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        self._forget()
        if noticed_later:
            session = self.session
            self._scheduler.at(5.0, lambda: session.terminate("its client is gone"))
        else:
            self._server.client_gone(self.session)

    def _abandon(self) -> None:
        """The program was killed."""
        self.closed = True
        self._server.client_gone(self.session)

    def _ended(self) -> None:
        self._ended_by_server = True
        self._wake()

    def _noticed(self) -> None:
        self._noticed_any = True
        self._wake()

    def _wait(self, timeout: float | None) -> None:
        self._waiter = self._scheduler.current
        try:
            self._scheduler.block(timeout)
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            self._scheduler.wake(self._waiter)
