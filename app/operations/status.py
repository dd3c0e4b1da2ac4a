"""Figures about the horde as a whole: queue, workers, throughput, models. At most a second old; never decided by.

Look next: `projections.store.derived` (demand), `projections.throughput`, `app.fleet.online`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from math import ceil

import msgspec

from app.fleet.online import capacity, fleet_of
from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query
from events.jobs import JobKind

#: how old figures may be, in seconds
AGE_SECONDS = 1.0
#: models shown at most
MAX_MODELS = 500

_MILLION = 1_000_000
_QUEUED: Query[tuple[int, int, int]] = Query(
    "SELECT coalesce(sum(jobs), 0)::bigint, coalesce(sum(generations), 0)::bigint, "
    "coalesce(sum(work), 0)::bigint FROM projections.queue_demand WHERE realm = %(realm)s AND kind = 'IMAGE'",
    lambda row: (row[0], row[1], row[2]),
)
#: the past minute by two whole minutes of the projection: the present one, and of the one before the part still in it
_MINUTES: Query[tuple[int, int, int]] = Query(
    "SELECT minute, images, pixelsteps FROM projections.throughput WHERE realm = %(realm)s AND minute >= %(since)s",
    lambda row: (row[0], row[1], row[2]),
)
_BY_MODEL: Query[tuple[str, int, int]] = Query(
    "SELECT m.model, sum(jobs)::bigint, sum(work)::bigint FROM projections.queue_demand, "
    "jsonb_array_elements_text(models) AS m(model) WHERE realm = %(realm)s AND kind = 'IMAGE' GROUP BY 1",
    lambda row: (row[0], row[1], row[2]),
)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the horde; megapixelsteps are millions of width x height x accurate steps."""

    queued_jobs: int
    queued_generations: int
    queued_megapixelsteps: float
    past_minute_images: int
    past_minute_megapixelsteps: float
    workers: int
    threads: int
    position: int


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A model, who serves it and what waits for it."""

    name: str
    workers: int
    threads: int
    queued_jobs: int
    queued_megapixelsteps: float
    estimated_wait_seconds: int | None


async def figures(services: Services) -> Figures:
    """The figures, computed at most once a second."""
    return await fresh(services.caches, "figures", AGE_SECONDS, lambda: _figures(services))


async def _figures(services: Services) -> Figures:
    jobs, generations, queued = await _QUEUED.one(services.pool, realm=services.realm) or (0, 0, 0)
    images, done = await _past_minute(services)
    fleet = await fleet_of(services, JobKind.IMAGE)
    return Figures(
        queued_jobs=jobs,
        queued_generations=generations,
        queued_megapixelsteps=queued / _MILLION,
        past_minute_images=images,
        past_minute_megapixelsteps=done / _MILLION,
        workers=len(fleet),
        threads=sum(each.worker.threads for each in fleet),
        position=services.tail.position,
    )


async def _past_minute(services: Services) -> tuple[int, int]:
    """Pictures and pixelsteps of the past 60 seconds: the minute before the present one counts for its remaining part."""
    now = time.time()
    present = int(now) // 60
    share = 1 - (now % 60) / 60
    images = work = 0.0
    for minute, count, pixelsteps in await _MINUTES.all(
        services.pool, realm=services.realm, since=present - 1
    ):
        weight = 1.0 if minute >= present else share
        images += weight * count
        work += weight * pixelsteps
    return round(images), round(work)


async def models(services: Services) -> list[ModelFigures]:
    """Models that are served or asked for, most work first."""
    return await fresh(services.caches, "models", AGE_SECONDS, lambda: _models(services))


async def _models(services: Services) -> list[ModelFigures]:
    waiting = {
        name: (jobs, work) for name, jobs, work in await _BY_MODEL.all(services.pool, realm=services.realm)
    }
    served: defaultdict[str, list[int]] = defaultdict(list)
    for each in await fleet_of(services, JobKind.IMAGE):
        for name in each.worker.models:
            served[name].append(each.worker.threads)
    speeds: defaultdict[str, float] = defaultdict(float)
    for each, speed in (await capacity(services, JobKind.IMAGE)).workers:
        for name in each.worker.models:
            speeds[name] += each.worker.threads * speed
    made = []
    for name in waiting.keys() | served.keys():
        jobs, work = waiting.get(name, (0, 0))
        threads = served.get(name, [])
        seconds = ceil(work / speeds[name]) if name in speeds else None
        made.append(
            ModelFigures(
                name=name,
                workers=len(threads),
                threads=sum(threads),
                queued_jobs=jobs,
                queued_megapixelsteps=work / _MILLION,
                estimated_wait_seconds=seconds,
            )
        )
    return sorted(made, key=lambda model: (-model.queued_megapixelsteps, -model.workers, model.name))[
        :MAX_MODELS
    ]
