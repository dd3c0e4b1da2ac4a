"""Where a waiting job stands: its position and an estimate of its wait, from a histogram at most a second old.

Counting the jobs ahead costs as much as there are; the histogram of ranks (`projections.queue`) has their counts by
buckets of about a second of age, so only the job's own bucket is counted. Shown to clients, never decided by.
Look next: `projections.store.derived`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from itertools import accumulate

import msgspec

from app.platform.fleet import online_workers
from app.platform.services import Services
from app.platform.sql import Query
from projections.jobs import Job
from projections.queue import BUCKET, bucket, waits

#: how old the histogram may be, in seconds
AGE_SECONDS = 1.0
#: jobs counted one by one at most in the job's own bucket
COUNTED = 5_000
#: what a thread is taken to do until more is measured: one megapixelstep a second
BASELINE_PER_THREAD = 1_000_000

_HISTOGRAM: Query[tuple[int, int, int]] = Query(
    "SELECT bucket, jobs, pixelsteps FROM projections.queue_histogram WHERE realm = %(realm)s ORDER BY bucket DESC",
    lambda row: (row[0], row[1], row[2]),
)
_AHEAD: Query[tuple[int, int]] = Query(
    f"SELECT count(*), coalesce(sum(work), 0)::bigint FROM (SELECT waiting * pixelsteps AS work FROM projections.jobs "  # noqa: S608
    "WHERE realm = %(realm)s AND waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND rank < %(above)s "
    f"AND (rank > %(rank)s OR (rank = %(rank)s AND position < %(position)s)) LIMIT {COUNTED}) AS ahead",
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
    pixelsteps: list[int]


async def standing(services: Services, job: Job) -> Standing | None:
    """The standing of a job; None once nothing of it waits."""
    if not waits(job):
        return None
    histogram = await _histogram(services)
    own = bucket(job.rank)
    before = bisect_left(histogram.keys, -own)
    beside = await _AHEAD.one(
        services.pool, realm=services.realm, above=(own + 1) * BUCKET, rank=job.rank, position=job.position
    )
    jobs, work = beside or (0, 0)
    threads = sum(worker.threads for worker in await online_workers(services))
    ahead = histogram.pixelsteps[before] + work + job.waiting * job.pixelsteps
    seconds = -(-ahead // (threads * BASELINE_PER_THREAD)) if threads else None
    return Standing(histogram.jobs[before] + jobs + 1, seconds)


async def _histogram(services: Services) -> _Histogram:
    made_at, known = services.caches.get("histogram", (-AGE_SECONDS, None))
    now = time.monotonic()
    if known is None or now - made_at >= AGE_SECONDS:
        rows = await _HISTOGRAM.all(services.pool, realm=services.realm)
        known = _Histogram(
            [-number for number, _, _ in rows],
            list(accumulate((count for _, count, _ in rows), initial=0)),
            list(accumulate((work for _, _, work in rows), initial=0)),
        )
        services.caches["histogram"] = (now, known)
    histogram: _Histogram = known
    return histogram
