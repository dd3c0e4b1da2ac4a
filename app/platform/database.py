"""The pool of reading connections of a process. Every connection is autocommitting: a read is one round trip.

Reads go in groups, as commands do: what is asked for while all round trips are under way goes in the next one, as one
pipeline. Writes of facts go through `app.platform.writer` only. Look next: `app.platform.sql` for how statements are
made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.round_trip import Row, Statement, travel

R = TypeVar("R")

#: how many connections a process reads on
POOL_SIZE = 8
#: how many statements go in one round trip at most
GROUP = 16
#: round trips under way at a time, as long as nothing waits longer than `PATIENCE_SECONDS` for the next
TRIPS = 2
#: a statement that takes longer does not hold up those behind it
PATIENCE_SECONDS = 0.01
SETTINGS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c jit=off -c statement_timeout=10s -c application_name=hoard-read"

#: a peer that vanished is noticed within seconds, not hours
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


async def read(
    connect: Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]],
    work: Callable[[AsyncConnection[Any]], Awaitable[R]],
) -> R:
    """Read on a connection of a pool. Raises `ApiError` TRY_AGAIN when the database does not answer (in time).

    A connection may be from before a restart of the database: reading again, on another one, does no harm. Whatever
    failed on a sound connection (a statement that took too long) would fail again, and is not repeated.
    """
    for _ in range(2):
        broken = False
        try:
            async with connect() as connection:
                try:
                    return await work(connection)
                finally:
                    broken = connection.closed
        except psycopg.OperationalError:  # also when the pool has no connection to give
            if not broken:
                break
    raise ApiError("the database does not answer", code=TopLevelCode.TRY_AGAIN, retry_after=1.0)


class _GroupFailedError(Exception):
    """One of several statements failed, and with it the whole round trip."""


class _Asked(NamedTuple):
    statement: Statement
    answer: asyncio.Future[list[Row]]


class Pool(AsyncConnectionPool[AsyncConnection[Any]]):
    """Connections for reading, for one event loop; `fetch` shares their round trips."""

    def __init__(self, url: str, size: int = POOL_SIZE) -> None:
        """Not open yet: `await pool.open()`."""
        super().__init__(
            url,
            min_size=2,
            max_size=size,
            open=False,
            timeout=3.0,
            kwargs={"autocommit": True, "prepare_threshold": 0, "options": SETTINGS, **NETWORK},
            name="reads",
        )
        self._asked: deque[_Asked] = deque()
        self._trips: set[asyncio.Task[None]] = set()

    @property
    def trips(self) -> int:
        """Round trips that are under way."""
        return len(self._trips)

    async def fetch(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a reading statement. Raises `ApiError` TRY_AGAIN when the database does not answer (in time)."""
        loop = asyncio.get_running_loop()
        asked = _Asked(Statement(text, parameters), loop.create_future())
        self._asked.append(asked)
        if len(self._trips) < TRIPS:
            self._set_out()
        elif len(self._asked) == 1:
            loop.call_later(PATIENCE_SECONDS, self._relieve, asked)
        return await asked.answer

    @property
    def waiting(self) -> int:
        """How many wait for a connection, or for a turn on one."""
        return len(self._asked) + self.get_stats().get("requests_waiting", 0)

    def _set_out(self) -> None:
        trip = asyncio.get_running_loop().create_task(self._travel())
        self._trips.add(trip)  # the loop holds its tasks weakly
        trip.add_done_callback(self._trips.discard)

    def _relieve(self, asked: _Asked) -> None:
        """One more trip, if what was asked for still waits."""
        if self._asked and self._asked[0] is asked and len(self._trips) < self.max_size:
            self._set_out()

    async def _travel(self) -> None:
        """Round trip after round trip, as long as anything is asked for."""
        while self._asked:
            group = [self._asked.popleft() for _ in range(min(GROUP, len(self._asked)))]
            try:
                answers = await read(self.connection, partial(_together, group))
            except _GroupFailedError:
                await asyncio.gather(*(self._alone(asked) for asked in group))
            except Exception as error:  # noqa: BLE001 - it is the askers' to handle
                for asked in group:
                    _settle(asked.answer, error)
            else:
                for asked, rows in zip(group, answers, strict=True):
                    _settle(asked.answer, rows)

    async def _alone(self, asked: _Asked) -> None:
        """One statement of a group that failed: only who asked for what is wrong is told so."""
        try:
            (rows,) = await read(self.connection, partial(_together, [asked]))
        except Exception as error:  # noqa: BLE001 - it is the asker's to handle
            _settle(asked.answer, error)
        else:
            _settle(asked.answer, rows)


async def _together(group: Sequence[_Asked], connection: AsyncConnection[Any]) -> list[list[Row]]:
    """The rows of each statement. Raises `_GroupFailedError` where it was no fault of the connection."""
    try:
        async with connection.lock:
            return await connection.wait(travel(connection, [asked.statement for asked in group]))
    except Exception as error:
        # also what no database saw: a text that cannot be encoded is no neighbour's fault
        if connection.closed or len(group) == 1:
            raise
        raise _GroupFailedError from error


def _settle(answer: asyncio.Future[list[Row]], outcome: list[Row] | Exception) -> None:
    if answer.done():
        return  # whoever asked has gone
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
