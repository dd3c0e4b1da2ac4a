"""Where a waiting job stands: its position and an estimate of its wait, from a histogram at most a second old.

Counting the jobs ahead costs as much as there are; the histogram of ranks (`projections.queue`) has their counts by
buckets of about a second of age, so only the job's own bucket is counted. The wait is the work ahead at the measured
speed of the workers online, and then the job's own work at the speed of those that may serve it (docs/api.md has the
formula). Shown to clients, never decided by. Look next: `projections.store.derived`, `app.fleet.online`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import ceil

import msgspec

from app.fleet.online import Capacity, capacity
from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query
from events.jobs import JobKind
from projections.jobs import Job
from projections.queue import BUCKET, bucket, waits

#: how old the histogram may be, in seconds
AGE_SECONDS = 1.0
#: jobs counted one by one at most in the job's own bucket
COUNTED = 5_000

_HISTOGRAM: Query[tuple[int, int, int]] = Query(
    "SELECT bucket, jobs, work FROM projections.queue_histogram WHERE realm = %(realm)s AND kind = %(kind)s "
    "ORDER BY bucket DESC",
    lambda row: (row[0], row[1], row[2]),
)
#: for each job asked about: what waits before it in its own bucket
_AHEAD: Query[tuple[int, int]] = Query(
    f"""
    SELECT ahead.jobs, ahead.work
    FROM unnest(%(kinds)s::text[], %(ranks)s::bigint[], %(positions)s::bigint[], %(above)s::bigint[]) WITH ORDINALITY
      AS asked(kind, rank, position, above, number)
    CROSS JOIN LATERAL (
      SELECT count(*) AS jobs, coalesce(sum(work), 0)::bigint AS work FROM (
        SELECT waiting * work AS work FROM projections.jobs
        WHERE realm = %(realm)s AND kind = asked.kind AND waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND NOT fetching
          AND rank >= asked.rank AND rank < asked.above AND (rank > asked.rank OR position < asked.position)
        LIMIT {COUNTED}) AS counted) AS ahead
    ORDER BY asked.number""",  # noqa: S608
    lambda row: (row[0], row[1]),
)


class Standing(msgspec.Struct, frozen=True):
    """A place in the queue, from 1, and the seconds until the job should be done; None where nobody can tell."""

    position: int
    wait_seconds: int | None


class _Histogram(msgspec.Struct, frozen=True):
    """Bucket numbers negated (so that they ascend), and the sums over all buckets before each."""

    keys: list[int]
    jobs: list[int]
    work: list[int]


async def standing(services: Services, job: Job) -> Standing | None:
    """The standing of a job; None once nothing of it waits."""
    return (await standings(services, [job]))[0]


async def standings(services: Services, jobs: Sequence[Job]) -> list[Standing | None]:
    """The standing of each job, from one statement for all of them; None where nothing waits."""
    waiting = [job for job in jobs if waits(job)]
    if not waiting:
        return [None] * len(jobs)
    kinds = {job.kind for job in waiting}
    histograms = {kind: await _histogram(services, kind) for kind in kinds}
    fleets = {kind: await capacity(services, kind) for kind in kinds}
    beside = await _AHEAD.all(
        services.pool,
        realm=services.realm,
        kinds=[job.kind for job in waiting],
        ranks=[job.rank for job in waiting],
        positions=[job.position for job in waiting],
        above=[(bucket(job.rank) + 1) * BUCKET for job in waiting],
    )
    found = (
        _standing(histograms[job.kind], job, before, fleets[job.kind])
        for job, before in zip(waiting, beside, strict=True)
    )
    return [next(found) if waits(job) else None for job in jobs]


def _standing(histogram: _Histogram, job: Job, beside: tuple[int, int], fleet: Capacity) -> Standing:
    """From the jobs and the work before it in its own bucket, and in the buckets before."""
    jobs, work = beside
    before = bisect_left(histogram.keys, -bucket(job.rank))
    return Standing(
        histogram.jobs[before] + jobs + 1, wait_seconds(job, histogram.work[before] + work, fleet)
    )


def wait_seconds(job: Job, ahead: int, fleet: Capacity) -> int | None:
    """Seconds until what waits of a job should be done, with so much work of other jobs ahead of it.

    None if nobody online may serve it.
    """
    able = fleet.able(job.models, job.mask, job.size)
    if not able.threads:
        return None
    rounds = ceil(job.waiting / able.threads)
    return ceil(ahead / fleet.work + rounds * job.work * able.threads / able.work)


async def _histogram(services: Services, kind: JobKind) -> _Histogram:
    async def load() -> _Histogram:
        rows = await _HISTOGRAM.all(services.pool, realm=services.realm, kind=kind)
        return _Histogram(
            [-number for number, _, _ in rows],
            list(accumulate((count for _, count, _ in rows), initial=0)),
            list(accumulate((work for _, _, work in rows), initial=0)),
        )

    return await fresh(services.caches, f"histogram:{kind}", AGE_SECONDS, load)
