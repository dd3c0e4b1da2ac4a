"""What a worker is told with every poll: the messages to it and to all workers that have not expired.

Every poll brings all of them, since nobody knows which poll's answer a worker read; a client that shows each id once
shows each message once. A copy at most a second old, shared by all polls of a process, so that an idle poll costs
nothing. Look next: `app.workers.steering` for who writes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.vault import WorkerMessage
from app.workers.steering_queries import TOLD

#: how old the copy may be, in seconds
AGE_SECONDS = 1.0
#: messages that a process tells at most, and that one poll brings at most: the newest
MAX_TOLD = 2_000
MAX_WITH_POLL = 20

_Told = dict[UUID | None, list[WorkerMessage]]


async def told(services: Services, worker: UUID) -> Sequence[WorkerMessage]:
    """The messages to a worker and to all, the newest first, at most 20."""
    messages = await fresh(services.caches, "worker messages", AGE_SECONDS, lambda: _load(services))
    mine, all_ = messages.get(worker, ()), messages.get(None, ())
    if not mine or not all_:
        return (mine or all_)[:MAX_WITH_POLL]
    return sorted((*mine, *all_), key=lambda message: message.sent_at, reverse=True)[:MAX_WITH_POLL]


async def _load(services: Services) -> _Told:
    found: _Told = defaultdict(list)
    for message in await TOLD.all(services.pool, realm=services.realm, limit=MAX_TOLD):
        found[message.worker].append(message)
    return dict(found)
