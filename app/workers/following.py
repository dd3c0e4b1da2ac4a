"""Workers that subscriptions follow: read when something happened to one, and every few seconds for what is no fact.

A listener of the tail raises the flag of a followed worker for each fact about it or about its work; while nobody
follows a worker it looks at nothing. Presence and what polls came to are in Valkey, so they are looked at by the clock.
Promises the latest state, coalesced. Look next: `app.platform.tail`, `app.workers.steering_graphql`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from app.platform.graphql.top_level import ApiError
from app.platform.presence import LastPoll
from app.platform.services import Services
from app.workers.queries import BY_ID, Named
from app.workers.steering_queries import LIVE_LEASES
from events.base import Recorded
from events.codec import fact_of
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    LeaseExpired,
    LeaseReleased,
    RedundantDeliveryPaid,
)
from events.workers import WorkerMessageSent

#: how often presence and polls are looked at, in seconds
LOOK_SECONDS = 5.0
#: how long after a change others are waited for, so that a busy worker is not shown with every picture, in seconds
GATHER_SECONDS = 0.5
#: live leases that count for whether something changed
MAX_LEASES = 100

#: facts about a worker's work, which are on the streams of jobs
_WORK = (
    GenerationsLeased,
    GenerationDelivered,
    GenerationCensored,
    GenerationFailed,
    RedundantDeliveryPaid,
    LeaseReleased,
    LeaseExpired,
)
_NAMES = frozenset(cls.TYPE for cls in (*_WORK, WorkerMessageSent))
_STREAM = "worker-"


class State(msgspec.Struct, frozen=True):
    """A worker as its followers see it."""

    named: Named
    online: bool
    poll: LastPoll | None
    leases: tuple[tuple[UUID, int], ...]


class Flags:
    """The followed workers of a process, with the flags of who follows them."""

    def __init__(self) -> None:
        self._flags: dict[UUID, set[asyncio.Event]] = {}

    @contextlib.contextmanager
    def watch(self, worker: UUID) -> Iterator[asyncio.Event]:
        """A flag that is raised by whatever happens to a worker; the watcher lowers it."""
        flag = asyncio.Event()
        self._flags.setdefault(worker, set()).add(flag)
        try:
            yield flag
        finally:
            flags = self._flags[worker]
            flags.discard(flag)
            if not flags:
                del self._flags[worker]

    def hear(self, page: Sequence[Recorded]) -> None:
        """New events of the log."""
        if self._flags:
            for event in page:
                for worker in self._touched(event):
                    for flag in self._flags.get(worker, ()):
                        flag.set()

    def _touched(self, recorded: Recorded) -> tuple[UUID, ...]:
        if recorded.stream.startswith(_STREAM):
            return (UUID(recorded.stream.removeprefix(_STREAM)),)
        if recorded.type not in _NAMES:
            return ()
        event: Any = fact_of(recorded).event
        if event.worker is None:  # a message to all
            return tuple(self._flags)
        return (event.worker,)


def flags_of(services: Services) -> Flags:
    """The followed workers of this process."""
    found: Flags | None = services.caches.get("followed workers")
    if found is None:
        found = services.caches["followed workers"] = Flags()
        services.tail.listen(found.hear)
    return found


async def states(services: Services, worker: UUID) -> AsyncGenerator[State, None]:
    """The present state of a worker, then each newer one; ends when the worker is deleted."""
    seen: State | None = None
    with flags_of(services).watch(worker) as flag:
        while True:
            flag.clear()
            try:
                state = await _look(services, worker)
            except ApiError as away:
                if away.retry_after is None:
                    raise
                await asyncio.sleep(away.retry_after)
                continue
            if state is None:
                return
            if state != seen:
                seen = state
                yield state
                await asyncio.sleep(GATHER_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(flag.wait(), LOOK_SECONDS)


async def _look(services: Services, worker: UUID) -> State | None:
    named = await BY_ID.one(services.pool, realm=services.realm, id=worker)
    if named is None:
        return None
    leases = await LIVE_LEASES.all(services.pool, realm=services.realm, worker=worker, limit=MAX_LEASES)
    return State(
        named,
        bool(await services.presence.online([worker])),
        await services.presence.last_poll(worker),
        tuple((lease.id, len(lease.pending)) for lease in leases),
    )
