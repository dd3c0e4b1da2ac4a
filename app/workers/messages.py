"""What a worker is told with every poll: the messages to it and to all workers that have not expired.

Every poll brings all of them, since nobody knows which poll's answer a worker read; a client that shows each id once
shows each message once. Which messages there are for whom is a copy at most a second old, shared by all polls of a
process; their words, which never change, are read once. So an idle poll costs nothing. Look next:
`app.workers.steering` for who writes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.vault import WorkerMessage
from app.workers.steering_queries import MESSAGES, TOLD

#: how old the copy may be, in seconds
AGE_SECONDS = 1.0
#: messages that a process tells at most: those to all workers, then the newest
MAX_TOLD = 10_000
#: messages that one poll brings at most: the newest
MAX_WITH_POLL = 20

#: (when it was sent, message) by worker; those to all under None
_Told = dict[UUID | None, list[tuple[datetime, UUID]]]


async def told(services: Services, worker: UUID) -> Sequence[WorkerMessage]:
    """The messages to a worker and to all, the newest first, at most 20."""
    messages = await fresh(services.caches, "worker messages", AGE_SECONDS, lambda: _load(services))
    found = [*messages.get(worker, ()), *messages.get(None, ())]
    if not found:
        return ()
    ids = [message for _, message in sorted(found, reverse=True)[:MAX_WITH_POLL]]
    words = _words(services)
    if missing := [message for message in ids if message not in words]:
        read = await MESSAGES.all(services.pool, realm=services.realm, ids=missing)
        words.update({message.message: message for message in read})
    return [words[message] for message in ids if message in words]


def _words(services: Services) -> dict[UUID, WorkerMessage]:
    """The messages that were read already."""
    found: dict[UUID, WorkerMessage] = services.caches.setdefault("words to workers", {})
    return found


async def _load(services: Services) -> _Told:
    found: _Told = defaultdict(list)
    rows = await TOLD.all(services.pool, realm=services.realm, limit=MAX_TOLD)
    for message, worker, sent_at in rows:
        found[worker].append((sent_at, message))
    words = _words(services)
    for gone in words.keys() - {message for message, _, _ in rows}:
        del words[gone]
    return dict(found)
