"""Stand-ins for what programs take from outside: threads, clocks, futures, chance, connections, the two SQL trips.

`installed` puts them into the modules of the programs for one simulation, by the names under which these look them
up; everything else in those modules is real. Look next: `statements.py`, `database.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Self
from unittest import mock
from uuid import UUID

import psycopg

from app.platform import ids
from app.platform.commands import Request
from app.platform.picture_fetch import FetchError
from app.platform.pictures.clean import CleanPicture, Withheld
from app.platform.writer import batch, thread
from app.relay import leader, main, outage, reactions, sweeper, tailing
from app.sharing import publish
from app.sources import fetching
from events.jobs import SourceFault
from events.sharing import WithheldReason
from tests.simulation import statements
from tests.simulation.database import Client, Server
from tests.simulation.scheduler import Failure, Killed, Scheduler, Task

#: seconds between two looks of the relay for what is due: shorter than in earnest, as everything is here
HURRY = 0.3


class Time:
    """The module `time`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.monotonic = self.perf_counter = lambda: scheduler.now
        self.sleep = scheduler.sleep


class Turn:
    """`asyncio.Semaphore` where nobody has to wait."""

    def __init__(self, _: int) -> None:
        pass

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


class Asyncio:
    """The module `asyncio`, for coroutines that are driven each by a task of its own: what waits, waits here."""

    Semaphore = Turn

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def to_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    async def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(seconds)


def driven(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine of which nothing ever waits for a loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for a loop that is not there")


#: a PNG of 64 x 64 pixels, as far as anybody looks
SOURCE = (
    b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + (64).to_bytes(4) * 2 + b"\x08\x02\0\0\0" + b"\0" * 32
)


async def fetched(url: str, *_: object, **__: object) -> bytes:
    """What strangers' servers send: pictures, nothing for now, or nothing for good. Raises `FetchError`."""
    if "gone" in url:
        raise FetchError(SourceFault.UNREACHABLE)
    if "busy" in url:
        raise FetchError(SourceFault.UNREACHABLE, passing=True)
    return SOURCE


class Waiters:
    """Tasks that wait for the same thing."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._tasks: deque[Task] = deque()

    def wait(self, timeout: float | None) -> bool:
        task = self._scheduler.current
        assert task is not None
        self._tasks.append(task)
        try:
            return self._scheduler.block(timeout)
        finally:
            if task in self._tasks:
                self._tasks.remove(task)

    def wake(self, most: int | None = None) -> None:
        for _ in range(len(self._tasks) if most is None else min(most, len(self._tasks))):
            self._scheduler.wake(self._tasks.popleft())


class Event:
    """`threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._set = False
        self._waiters = Waiters(scheduler)

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._waiters.wait(timeout)
        return self._set


class Condition:
    """`threading.Condition`: tasks change only where they wait, so holding it costs nothing."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._waiters = Waiters(scheduler)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiters.wait(timeout)

    def notify(self, n: int = 1) -> None:
        self._waiters.wake(n)


class Future:
    """`concurrent.futures.Future`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._done = Event(scheduler)
        self._result: Any = None
        self._exception: BaseException | None = None

    def set_result(self, result: Any) -> None:
        self._result = result
        self._done.set()

    def set_exception(self, error: BaseException) -> None:
        self._exception = error
        self._done.set()

    def result(self, timeout: float | None = None) -> Any:
        if not self._done.wait(timeout):
            raise TimeoutError
        if self._exception is not None:
            raise self._exception
        return self._result


class Thread:
    """`threading.Thread`: a task of the process that starts it."""

    def __init__(self, scheduler: Scheduler, *, target: Callable[[], None], name: str) -> None:
        self._scheduler = scheduler
        self._target = target
        self._name = name
        self._ended = Event(scheduler)

    def start(self) -> None:
        assert self._scheduler.current is not None
        self._scheduler.spawn(self._scheduler.current.process, self._name, self._run)

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._ended.set()


class Threading:
    """The module `threading`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def Event(self) -> Event:  # noqa: N802 - the names of the module
        return Event(self._scheduler)

    def Condition(self) -> Condition:  # noqa: N802
        return Condition(self._scheduler)

    def Thread(self, *, target: Callable[[], None], name: str, daemon: bool) -> Thread:  # noqa: N802
        return Thread(self._scheduler, target=target, name=name)


class Chance:
    """The functions of `os` and `uuid` that make ids."""

    def __init__(self, dice: random.Random) -> None:
        self.urandom = dice.randbytes

    def uuid4(self) -> UUID:
        return UUID(bytes=self.urandom(16), version=4)


class Cursor:
    """What a statement found."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)


class Connection:
    """A psycopg connection as the programs use it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        #: the writer sets it; there are no plans here
        self.prepared_max: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self.client.closed

    def execute(self, statement: Any, parameters: Any = (), *, binary: bool = False) -> Cursor:
        name, handler = statements.handler_of(statement)
        return Cursor(self.client.call(lambda view: handler(view, parameters), name))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.client.call(lambda view: view.session.begin(), "begin")
        try:
            yield
        except Killed:
            raise
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                self.client.call(lambda view: view.rollback(), "rollback")
            raise
        self.client.call(lambda view: view.commit(), "commit")

    def notifies(self, *, timeout: float, stop_after: int) -> Iterator[None]:
        if self.client.notice(timeout):
            yield

    def rollback(self) -> None:
        self.client.call(lambda view: view.rollback(), "rollback")

    def close(self) -> None:
        self.client.close()


class Psycopg:
    """The module `psycopg`, with a server of our own behind it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connect(self, _: str, *, options: str, autocommit: bool = False, **__: Any) -> Connection:
        task = self._server.scheduler.current
        assert task is not None
        return Connection(Client(self._server, task.process, options, autocommit=autocommit))

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class Pool:
    """The actors' pool: a connection for each piece of work."""

    def __init__(self, connect: Callable[..., Connection]) -> None:
        self._connect = connect

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        with self._connect("", options=publish.SETTINGS, autocommit=True) as connection:
            yield connection


def gather(connection: Connection, _: int, needs: Sequence[Any], keys: Sequence[Any], recent: Any) -> Any:
    """`app.platform.writer.gather.gather`, in one trip."""
    work = statements.gathered
    gathered, log = connection.client.call(
        lambda view: (work(view, needs, keys), view.server.log), "gather", piped=True
    )
    statements.catch_up(log, recent, gathered)
    return gathered


def apply(
    connection: Connection, _: int, writes: Any, before: Mapping[str, Mapping[Any, Any]], rows: Any
) -> None:
    """`app.platform.writer.apply.apply`, in one trip."""
    work = statements.applied
    first = writes.events[0].position if writes.events else 0
    name = f"apply {first}-{first + len(writes.events) - 1}" if first else "apply"
    connection.client.call(lambda view: work(view, writes, before, rows), name, piped=True)


def fold_chunk(connection: Connection, _: int, __: str, projection: Any, chunk: Sequence[Any]) -> None:
    """`projections.store.build.fold_chunk`."""
    connection.client.call(lambda view: statements.fold_chunk(view, projection, chunk), "fold")


def inspect(data: bytes, expected: tuple[int, int]) -> CleanPicture | Withheld:
    """A gate that knows what a simulated picture is: bad ones say so."""
    if data.startswith(b"bad"):
        return Withheld(WithheldReason.DECODE_FAILED)
    webp = b"webp " + data
    digest = hashlib.sha256(webp).hexdigest()
    return CleanPicture(
        webp=webp, width=expected[0], height=expected[1], sha256=digest, perceptual_hash=digest[:16]
    )


@contextlib.contextmanager
def installed(server: Server, broker: Any) -> Iterator[None]:
    """The stand-ins in place, until the end of the block."""
    scheduler = server.scheduler
    time, threading, database = Time(scheduler), Threading(scheduler), Psycopg(server)
    chance = Chance(random.Random(scheduler.dice.random()))

    def future() -> Future:
        return Future(scheduler)

    def send(_: Any, __: int, actor: str, position: int) -> None:
        broker.send(actor, position)

    def decide_batch(
        connection: Any, realm: int, rules: Any, requests: Sequence[Request], recent: Any
    ) -> Any:
        server.requests.update({request.id: request for request in requests})
        decided = batch.decide_batch(connection, realm, rules, requests, recent)
        raised = [outcome for outcome in decided[2].outcomes if isinstance(outcome, BaseException)]
        if raised:
            scheduler.fail(Failure(f"a command raises: {raised[0]!r}"))
        return decided

    places: list[tuple[Any, dict[str, Any]]] = [
        (thread, {"time": time, "threading": threading, "psycopg": database, "Future": future}),
        (thread, {"decide_batch": decide_batch}),
        (batch, {"gather": gather, "apply": apply}),
        (ids, {"os": chance, "uuid4": chance.uuid4}),
        (leader, {"psycopg": database}),
        (main, {"time": time, "threading": threading, "make_sender": lambda _: broker, "send": send}),
        # what has nothing to forget, or to copy, within a simulated day is left out
        (main, {"ObjectStore": mock.Mock(), "Retention": mock.Mock(), "Segments": mock.Mock()}),
        (reactions, {"time": time, "LOOK_SECONDS": HURRY}),
        (sweeper, {"time": time, "threading": threading, "psycopg": database, "Future": future}),
        (sweeper, {"SWEEP_SECONDS": HURRY}),
        (outage, {"time": time}),
        (tailing, {"fold_chunk": fold_chunk}),
        (publish, {"inspect": inspect}),
        (fetching, {"asyncio": Asyncio(scheduler), "fetch": fetched}),
    ]
    with contextlib.ExitStack() as stack:
        for module, names in places:
            stack.enter_context(mock.patch.multiple(module, **names))
        yield
