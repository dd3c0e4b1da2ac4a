"""The workers that are online now, as every slice that shows waits or warnings needs them.

A copy at most a second old; no decision reads it. Look next: `app.platform.presence`, `projections.workers`.
"""

from __future__ import annotations

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import rows_of, workers
from projections.workers import Worker

#: how old the copy may be, in seconds
AGE_SECONDS = 1.0

_ALL = rows_of("workers", workers.c.maintenance.is_not(None), workers.c.id.asc())


async def online_workers(services: Services) -> list[Worker]:
    """Every worker that polled within the last 300 seconds."""

    async def load() -> list[Worker]:
        rows: list[Worker] = await _ALL.all(services.pool, realm=services.realm)
        online = await services.presence.online([worker.id for worker in rows])
        return [worker for worker in rows if worker.id in online]

    return await fresh(services.caches, "fleet", AGE_SECONDS, load)
