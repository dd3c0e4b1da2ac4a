"""The workers that are online now and how fast they draw, as every slice that shows waits or warnings needs them.

Copies at most a second old; no decision reads them. Look next: `app.platform.presence`, `projections.workers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.fleet.serving import families_of, judged, search_of
from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import accounts, any_of, rows_of, workers
from events.jobs import JobKind
from projections.accounts import Account
from projections.queue import WORK, Search, unmet
from projections.workers import Worker

#: how old the copies may be, in seconds
AGE_SECONDS = 1.0
#: what a thread is taken to do in a second while no worker that is online has delivered anything yet: pixelsteps, or
#: thousandths of tokens, or of forms
BASELINE_PER_THREAD = {JobKind.IMAGE: 1_000_000, JobKind.TEXT: 5 * WORK, JobKind.INTERROGATION: WORK // 5}

_ALL = rows_of("workers", sa.not_(workers.c.deleted), workers.c.id.asc())
_OWNERS = rows_of("accounts", any_of(accounts.c.id, "ids"))


class Online(msgspec.Struct, frozen=True):
    """A worker that polled lately, and what it may be taken to ask of the queue."""

    worker: Worker
    search: Search

    def works_for(self, requester: UUID | None) -> bool:
        """Whether it works for a user, or for everybody: paused it works for nobody, in maintenance for its owner."""
        if self.worker.paused or self.worker.threads < 1:
            return False
        return not self.search.own_only or self.search.owner == requester


class Capacity:
    """Workers of one kind that work for anybody, each with the work that each of its threads does in a second."""

    def __init__(self, workers: Sequence[tuple[Online, float]]) -> None:
        self.workers = tuple(workers)
        #: what they make together in a second
        self.work = sum(each.worker.threads * speed for each, speed in self.workers)
        #: how many generations they make at a time
        self.threads = sum(each.worker.threads for each, _ in self.workers)
        self._able: dict[tuple[tuple[str, ...], int, int], Capacity] = {}

    def able(self, models: tuple[str, ...], mask: int, size: int) -> Capacity:
        """That of those who may serve a job with these requirements."""
        key = (models, mask, size)
        found = self._able.get(key)
        if found is None:
            found = self._able[key] = Capacity(
                [each for each in self.workers if unmet(each[0].search, models, mask, size) is None]
            )
        return found


async def online_workers(services: Services) -> list[Online]:
    """Every worker that polled within the last 300 seconds."""

    async def load() -> list[Online]:
        rows: list[Worker] = await _ALL.all(services.pool, realm=services.realm)
        there = await services.presence.online([worker.id for worker in rows])
        online = [worker for worker in rows if worker.id in there]
        owners = list({worker.owner for worker in online})
        found: list[Account] = await _OWNERS.all(services.pool, realm=services.realm, ids=owners)
        by_id = {account.id: account for account in found}
        return [
            Online(
                worker,
                search_of(
                    worker,
                    by_id.get(worker.owner),
                    families_of(worker.kind, worker.models, services.models),
                    judged(worker, services.models, services.settings.validated_backends),
                ),
            )
            for worker in online
        ]

    return await fresh(services.caches, "fleet", AGE_SECONDS, load)


async def capacity(services: Services, kind: JobKind) -> Capacity:
    """What the workers of a kind that are online and serve everybody can do, by their measured speeds."""

    async def load() -> Capacity:
        return Capacity(
            with_speeds([each for each in await fleet_of(services, kind) if each.works_for(None)])
        )

    return await fresh(services.caches, f"capacity:{kind}", AGE_SECONDS, load)


async def fleet_of(services: Services, kind: JobKind) -> list[Online]:
    """Those of one kind."""
    return [each for each in await online_workers(services) if each.worker.kind is kind]


def with_speeds(online: Sequence[Online]) -> list[tuple[Online, float]]:
    """Workers of one kind with their speeds; one of which nothing was measured is as fast as a thread of the others on average."""
    known = [each.worker for each in online if each.worker.speed]
    threads = sum(worker.threads for worker in known)
    mean = sum(worker.threads * worker.speed for worker in known) / threads if threads else None
    return [(each, each.worker.speed or mean or BASELINE_PER_THREAD[each.worker.kind]) for each in online]
