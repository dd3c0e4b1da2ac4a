"""The workers that are online now and how fast they draw, as every slice that shows waits or warnings needs them.

Copies at most a second old; no decision reads them. Look next: `app.platform.presence`, `projections.workers`,
`projections.speeds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query, rows_of, workers
from events.jobs import JobKind
from projections.queue import unmet
from projections.workers import Worker

#: how old the copies may be, in seconds
AGE_SECONDS = 1.0
#: what a thread is taken to do while no worker that is online has delivered anything yet, in pixelsteps a second
BASELINE_PER_THREAD = 1_000_000

_ALL = rows_of("workers", workers.c.maintenance.is_not(None), workers.c.id.asc())
_SPEEDS: Query[tuple[UUID, int, int]] = Query(
    "SELECT worker, pixelsteps, microseconds FROM projections.speeds "
    "WHERE realm = %(realm)s AND worker = ANY(%(workers)s::uuid[]) AND pixelsteps > 0 AND microseconds > 0",
    lambda row: (row[0], row[1], row[2]),
)


class Capacity:
    """Workers that draw for anybody, each with the pixelsteps a second that each of its threads makes."""

    def __init__(self, workers: Sequence[tuple[Worker, float]]) -> None:
        self.workers = tuple(workers)
        #: what they make together in a second
        self.pixelsteps = sum(worker.threads * speed for worker, speed in self.workers)
        #: how many pictures they draw at a time
        self.threads = sum(worker.threads for worker, _ in self.workers)
        self._able: dict[tuple[tuple[str, ...], int, int], Capacity] = {}

    def able(self, models: tuple[str, ...], mask: int, pixels: int) -> Capacity:
        """That of those who may serve a job with these requirements."""
        key = (models, mask, pixels)
        found = self._able.get(key)
        if found is None:
            found = self._able[key] = Capacity(
                [each for each in self.workers if unmet(each[0], models, mask, pixels) is None]
            )
        return found


async def online_workers(services: Services) -> list[Worker]:
    """Every worker that polled within the last 300 seconds."""

    async def load() -> list[Worker]:
        rows: list[Worker] = await _ALL.all(services.pool, realm=services.realm)
        online = await services.presence.online([worker.id for worker in rows])
        return [worker for worker in rows if worker.id in online]

    return await fresh(services.caches, "fleet", AGE_SECONDS, load)


async def capacity(services: Services) -> Capacity:
    """What the workers that are online and not in maintenance can do, by their measured speeds."""

    async def load() -> Capacity:
        online = [worker for worker in await online_workers(services) if _draws(worker)]
        if not online:
            return Capacity(())
        ids = [worker.id for worker in online]
        found = await _SPEEDS.all(services.pool, realm=services.realm, workers=ids)
        return Capacity(with_speeds(online, found))

    return await fresh(services.caches, "capacity", AGE_SECONDS, load)


def with_speeds(
    online: Sequence[Worker], measured: Iterable[tuple[UUID, int, int]]
) -> list[tuple[Worker, float]]:
    """Workers with their speeds; one of which nothing was measured is as fast as a thread of the others on average."""
    speeds = {worker: work * 1_000_000 / microseconds for worker, work, microseconds in measured}
    known = [worker for worker in online if worker.id in speeds]
    threads = sum(worker.threads for worker in known)
    mean = sum(worker.threads * speeds[worker.id] for worker in known) / threads if threads else None
    return [(worker, speeds.get(worker.id, mean or BASELINE_PER_THREAD)) for worker in online]


def _draws(worker: Worker) -> bool:
    return worker.kind is JobKind.IMAGE and worker.threads > 0 and not worker.maintenance
