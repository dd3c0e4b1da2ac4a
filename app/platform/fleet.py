"""The workers that are online now, as every slice that shows waits or warnings needs them.

A copy at most a second old; no decision reads it. Look next: `app.platform.presence`, `projections.workers`.
"""

from __future__ import annotations

import time

from app.platform.services import Services
from app.platform.sql import rows_of, workers
from projections.workers import Worker

#: how old the copy may be, in seconds
AGE_SECONDS = 1.0

_ALL = rows_of("workers", workers.c.maintenance.is_not(None), workers.c.id.asc())


async def online_workers(services: Services) -> list[Worker]:
    """Every worker that polled within the last 300 seconds."""
    made_at, fleet = services.caches.get("fleet", (-AGE_SECONDS, []))
    now = time.monotonic()
    if now - made_at < AGE_SECONDS:
        known: list[Worker] = fleet
        return known
    rows: list[Worker] = await _ALL.all(services.pool, realm=services.realm)
    online = await services.presence.online([worker.id for worker in rows])
    fleet = [worker for worker in rows if worker.id in online]
    services.caches["fleet"] = (now, fleet)
    return fleet
