"""From a checked poll and the worker that makes it the search that it asks of the queue.

What the worker declared, what its owner and its speed allow, the families of its models, and whose jobs come first.
May not decide: a worker's standing is looked at again under the lock. Look next: `app.workers.polling`,
`projections.queue`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.fleet.serving import Families, Judged, families_of, judged, search_of
from app.platform.commands import Rejection
from app.platform.services import Services
from app.platform.sql import Query
from app.workers.capabilities import Polled
from app.workers.queries import Named
from projections.queue import Search

_SUBJECTS: Query[tuple[UUID, str, int]] = Query(
    "SELECT subject, username, number FROM vault.person WHERE realm = %(realm)s AND number = ANY(%(numbers)s::bigint[])",
    lambda row: (row[0], row[1], row[2]),
)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """A search, what the families in it stand for, and what is known of the worker."""

    search: Search
    families: Families
    judged: Judged


async def asking(services: Services, poll: Polled, worker: Named) -> Asking | Rejection:
    """What a worker's poll asks of the queue, or why one of its priority users is none."""
    friends = await _friends(services, poll)
    if isinstance(friends, Rejection):
        return friends
    families = families_of(worker.worker.kind, worker.worker.models, services.models)
    known = judged(worker.worker, services.models, services.settings.validated_backends)
    declared = search_of(worker.worker, worker.owner, families, known)
    search = replace(
        declared,
        friends=friends,
        blacklist=poll.blacklist,
        own_only=declared.own_only or poll.test_mode,
    )
    return Asking(search=search, families=families, judged=known)


async def _friends(services: Services, poll: Polled) -> tuple[UUID, ...] | Rejection:
    aliases = poll.friends
    if not aliases:
        return ()
    rows = await _SUBJECTS.all(services.pool, realm=services.realm, numbers=[number for _, number in aliases])
    known = {(username, number): subject for subject, username, number in rows}
    for index, alias in enumerate(aliases):
        if alias not in known:
            path = ("input", poll.capabilities.kind.lower(), "priorityUsers", str(index))
            return Rejection(code="NOT_FOUND", message="there is no such user", path=path)
    return tuple(known[alias] for alias in aliases)
