"""The process's follower of the log: wakes subscriptions and waiting pops. A cache; no decision reads it.

Notifications are hints; a poll always stands behind them. It keeps the last events, so that live followers share one
read; who is further behind reads the log itself. Look next: `events.store.log`, `app.operations.graphql`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from app.platform.graphql.errors import ApiError, TopLevelCode
from app.platform.writer.apply import channel
from events.base import Recorded
from events.jobs import GenerationFailed, ImageJobSubmitted, LeaseReleased
from events.store import log

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: events kept for live followers
KEPT = 4_000
PAGE = 500

#: facts after which something waits that did not before
QUEUEING = frozenset({ImageJobSubmitted.TYPE, GenerationFailed.TYPE, LeaseReleased.TYPE})


class Tail:
    """Follows the log from its end. `start` it; `stop` it."""

    def __init__(self, url: str, realm: int) -> None:
        self._url = url
        self._realm = realm
        self._kept: deque[Recorded] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._queued = asyncio.Event()
        self._streams: dict[str, set[asyncio.Event]] = {}
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

    async def queued(self, seconds: float) -> None:
        """Wait until something was queued, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queued.wait(), seconds)

    @contextlib.contextmanager
    def watch(self, stream: str) -> Iterator[asyncio.Event]:
        """A flag that is raised by every event of a stream; the watcher lowers it."""
        flag = asyncio.Event()
        self._streams.setdefault(stream, set()).add(flag)
        try:
            yield flag
        finally:
            watchers = self._streams[stream]
            watchers.discard(flag)
            if not watchers:
                del self._streams[stream]

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
        if any(event.type in QUEUEING for event in page):
            self._queued.set()
            self._queued = asyncio.Event()
        for event in page:
            for flag in self._streams.get(event.stream, ()):
                flag.set()


async def follow(
    tail: Tail, connect: Any, realm: int, after: int, names: Sequence[str] | None
) -> AsyncIterator[Recorded]:
    """Every event after a position, first what is there, then live; `connect` gives a connection for catching up."""
    wanted = None if names is None else frozenset(names)
    while True:
        page = tail.since(after)
        if page is None:
            try:
                page = await read_log(connect, realm, after, PAGE)
            except ApiError as away:  # nothing is missed: it goes on once the database is back
                await asyncio.sleep(away.retry_after or POLL_SECONDS)
                continue
        if not page:
            await tail.moved()
            continue
        for event in page:
            if wanted is None or event.type in wanted:
                yield event
        after = page[-1].position


async def read_log(
    connect: Any, realm: int, after: int, limit: int, names: Sequence[str] | None = None
) -> list[Recorded]:
    """At most `limit` events after a position. Raises `ApiError` TRY_AGAIN when the database does not answer."""
    for _ in range(2):  # a connection may be from before a restart: reading again does no harm
        try:
            async with connect() as connection:
                return await log.read_page(connection, realm, after, limit, names)
        except PoolTimeout:
            break
        except psycopg.OperationalError:
            continue
    raise ApiError("the database does not answer", code=TopLevelCode.TRY_AGAIN, retry_after=1.0)
