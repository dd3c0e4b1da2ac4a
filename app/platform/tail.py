"""The process's follower of the log: wakes subscriptions and waiting polls. A cache; no decision reads it.

Notifications are hints; a poll always stands behind them. It keeps the last events, so that live followers share one
read; who is further behind reads the log itself. Look next: `events.store.log`, `app.operations.graphql`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import AsyncConnection

from app.platform.graphql.errors import ApiError
from app.platform.sql import read
from app.platform.writer.apply import channel
from events.base import Recorded
from events.jobs import GenerationFailed, ImageJobSubmitted, LeaseReleased
from events.store import log
from projections.queue import ANY_MODEL

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: events kept for live followers
KEPT = 4_000
PAGE = 500

#: facts after which something waits again that did not before; they are rare and do not say for which models
REQUEUEING = frozenset({GenerationFailed.TYPE, LeaseReleased.TYPE})


class _Submitted(msgspec.Struct, frozen=True):
    """What a submission says to whom it matters."""

    models: tuple[str, ...]


_submitted = msgspec.json.Decoder(_Submitted)


class Place:
    """Where one poll waits: `flag` is raised by what may suit it, and when the worker polled anew, so that it is `over`."""

    __slots__ = ("flag", "over")

    def __init__(self, flag: asyncio.Event) -> None:
        self.flag = flag
        self.over = False


class Tail:
    """Follows the log from its end. `start` it; `stop` it."""

    def __init__(self, url: str, realm: int) -> None:
        self._url = url
        self._realm = realm
        self._kept: deque[Recorded] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._places: dict[UUID, Place] = {}
        #: the last position that this process has seen
        self.position = 0

    async def start(self) -> None:
        """Find the end of the log and follow it from there."""
        async with await self._connect() as connection:
            cursor = await connection.execute(log.LAST_POSITION, (self._realm,))
            row = await cursor.fetchone()
            self.position = row[0] if row else 0
        self._task = asyncio.create_task(self._run(), name="tail")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def since(self, position: int) -> Sequence[Recorded] | None:
        """The kept events after a position; None if they are not all kept any more."""
        if position >= self.position:
            return ()
        if not self._kept or self._kept[0].position > position + 1:
            return None
        return list(
            islice(self._kept, len(self._kept) - (self.position - position), None)
        )  # positions are dense

    async def moved(self) -> None:
        """Wait for the next events."""
        await self._moved.wait()

    @contextlib.contextmanager
    def watch(self, *topics: str) -> Iterator[asyncio.Event]:
        """A flag that is raised by every event of these streams or of a model's queue; the watcher lowers it."""
        flag = asyncio.Event()
        for topic in topics:
            self._watchers.setdefault(topic, set()).add(flag)
        try:
            yield flag
        finally:
            for topic in topics:
                watchers = self._watchers[topic]
                watchers.discard(flag)
                if not watchers:
                    del self._watchers[topic]

    @contextlib.contextmanager
    def place(self, worker: UUID, models: Sequence[str]) -> Iterator[Place]:
        """A worker's place to wait for jobs of these models. It has one: the place it had before is over."""
        before = self._places.get(worker)
        if before is not None:
            before.over = True
            before.flag.set()
        with self.watch(*map(_queue, {*models, ANY_MODEL})) as flag:
            place = self._places[worker] = Place(flag)
            try:
                yield place
            finally:
                if self._places.get(worker) is place:
                    del self._places[worker]

    async def _connect(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(
            self._url,
            autocommit=True,
            options="-c timezone=UTC -c application_name=hoard-tail",
            connect_timeout=5,
        )

    async def _run(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {channel(self._realm)}")
                    await self._follow(connection)
            except (psycopg.Error, OSError) as error:
                _log.warning("tail_reconnects", extra={"reason": type(error).__name__})
                await asyncio.sleep(0.5)

    async def _follow(self, connection: AsyncConnection[Any]) -> None:
        while True:
            async for page in log.follow_pages(connection, self._realm, self.position, PAGE):
                self._publish(page)
            async for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass

    def _publish(self, page: Sequence[Recorded]) -> None:
        self._kept.extend(page)
        self.position = page[-1].position
        self._moved.set()
        self._moved = asyncio.Event()
        for event in page:
            for topic in _topics(event):
                for flag in self._watchers.get(topic, ()):
                    flag.set()


def _queue(model: str) -> str:
    """The topic of a model's queue; that of `ANY_MODEL` is watched by every poll."""
    return f"queue/{model}"


def _topics(event: Recorded) -> Iterable[str]:
    """What an event is about: its stream, and the queues that it may have put something into."""
    yield event.stream
    if event.type == ImageJobSubmitted.TYPE:
        yield from map(_queue, _submitted.decode(event.data).models or (ANY_MODEL,))
    elif event.type in REQUEUEING:
        yield _queue(ANY_MODEL)


async def follow(
    tail: Tail, connect: Any, realm: int, after: int, names: Sequence[str] | None
) -> AsyncIterator[Recorded]:
    """Every event after a position, first what is there, then live; `connect` gives a connection for catching up."""
    wanted = None if names is None else frozenset(names)
    while True:
        page = tail.since(after)
        if page is None:
            end = tail.position  # before reading: a page that is not full holds all up to there
            try:
                page = await read_log(connect, realm, after, PAGE, names)
            except ApiError as away:  # nothing is missed: it goes on once the database is back
                await asyncio.sleep(away.retry_after or POLL_SECONDS)
                continue
            full = len(page) == PAGE
            reached = page[-1].position if full else max([end, *(event.position for event in page)])
        elif page:
            reached = page[-1].position
        else:
            await tail.moved()
            continue
        for event in page:
            if wanted is None or event.type in wanted:
                yield event
        after = reached


async def read_log(
    connect: Any, realm: int, after: int, limit: int, names: Sequence[str] | None = None
) -> list[Recorded]:
    """At most `limit` events after a position. Raises `ApiError` TRY_AGAIN when the database does not answer."""
    return await read(connect, lambda connection: log.read_page(connection, realm, after, limit, names))
