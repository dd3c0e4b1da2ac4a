"""The process's follower of the log: tells subscriptions and whoever listens what was committed, by any process.

A cache; no decision reads it. Notifications are hints; a poll always stands behind them. It keeps the last events, so
that live followers share one read; who is further behind reads the log itself. Whatever goes wrong, it tries again:
a process whose tail is dead would look well and wake nobody. Look next: `events.store.log`, `app.platform.waiting`,
`app.operations.graphql`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from psycopg import AsyncConnection

from app.platform import metrics
from app.platform.database import NETWORK, read
from app.platform.graphql.masking import describe
from app.platform.graphql.top_level import ApiError
from app.platform.writer.apply import channel
from events.base import Recorded
from events.store import log

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
#: pause before it connects anew
RECONNECT_SECONDS = 0.5
#: events kept for live followers
KEPT = 4_000
PAGE = 500
SETTINGS = "-c timezone=UTC -c statement_timeout=10s -c application_name=hoard-tail"

#: called with each page of new events, on the event loop; must not wait
Listener = Callable[[Sequence[Recorded]], None]


class Tail:
    """Follows the log from its end. `start` it; `stop` it."""

    def __init__(self, url: str, realm: int) -> None:
        self._url = url
        self._realm = realm
        self._kept: deque[Recorded] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._listeners: list[Listener] = []
        self._read_at = 0.0
        #: the last position that this process has seen
        self.position = 0

    @property
    def silent_seconds(self) -> float:
        """How long ago it last read the log to its end; it does so several times a second while all is well."""
        return time.monotonic() - self._read_at

    async def start(self) -> None:
        """Find the end of the log and follow it from there."""
        async with await self._connect() as connection:
            cursor = await connection.execute(log.LAST_POSITION, (self._realm,))
            row = await cursor.fetchone()
            self.position = row[0] if row else 0
        self._read_at = time.monotonic()
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

    def listen(self, listener: Listener) -> None:
        """Have every page of new events told to a listener, for as long as this follows."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def watch(self, stream: str) -> Iterator[asyncio.Event]:
        """A flag that is raised by every event of a stream; the watcher lowers it."""
        flag = asyncio.Event()
        self._watchers.setdefault(stream, set()).add(flag)
        try:
            yield flag
        finally:
            watchers = self._watchers[stream]
            watchers.discard(flag)
            if not watchers:
                del self._watchers[stream]

    async def _connect(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(self._url, autocommit=True, options=SETTINGS, **NETWORK)

    async def _run(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {channel(self._realm)}")
                    await self._follow(connection)
            except Exception as error:  # noqa: BLE001  (a dead tail would leave every poll and subscription asleep)
                metrics.TAIL_RECONNECTS.inc()
                _log.warning("tail_reconnects", extra={"trace": describe(error)})
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self, connection: AsyncConnection[Any]) -> None:
        while True:
            async for page in log.follow_pages(connection, self._realm, self.position, PAGE):
                self._publish(page)
            self._read_at = time.monotonic()
            async for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass

    def _publish(self, page: Sequence[Recorded]) -> None:
        self._kept.extend(page)
        self.position = page[-1].position
        metrics.TAIL_DELAY_SECONDS.observe(max(0.0, time.time() - page[0].occurred_at.timestamp()))
        self._moved.set()
        self._moved = asyncio.Event()
        for event in page:
            for flag in self._watchers.get(event.stream, ()):
                flag.set()
        for listener in self._listeners:
            try:
                listener(page)
            except Exception as error:  # noqa: BLE001  (one listener's fault must not keep the page from the others)
                _log.error("tail_listener_failed", extra={"trace": describe(error)})


async def follow(
    tail: Tail, connect: Any, realm: int, after: int, names: Sequence[str] | None
) -> AsyncIterator[tuple[Sequence[Recorded], int]]:
    """Pages of every event after a position, first what is there, then live, none empty.

    With each page comes the position up to which it tells all of the names that are wanted. `connect` gives a
    connection for catching up.
    """
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
        told = page if wanted is None else [event for event in page if event.type in wanted]
        if told:
            yield told, reached
        after = reached


async def read_log(
    connect: Any, realm: int, after: int, limit: int, names: Sequence[str] | None = None
) -> list[Recorded]:
    """At most `limit` events after a position. Raises `ApiError` TRY_AGAIN when the database does not answer."""
    return await read(connect, lambda connection: log.read_page(connection, realm, after, limit, names))
