"""Why a poll found nothing: how many waiting jobs a worker does not serve, by reason, from the demand counters.

Computed once a second for each set of capabilities, so that idle polls stay cheap. Look next: `projections.queue`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query
from events.jobs import JobKind
from projections.queue import Search, unmet

#: how old the counters may be, in seconds
AGE_SECONDS = 1.0
#: the reason of jobs whose prompt has a word that the worker does not want
BLACKLIST = "blacklist"


class Skip(msgspec.Struct, frozen=True):
    """A reason and how many waiting jobs it keeps from the worker."""

    reason: str
    count: int


class DemandRow(msgspec.Struct, frozen=True):
    """How many jobs wait with the same requirements."""

    kind: JobKind
    models: tuple[str, ...]
    mask: int
    size: int
    #: whether they are only for some workers, whichever
    chosen: bool
    jobs: int
    generations: int
    work: int
    #: what their generations earn, in hundredths
    reward: int


DEMAND: Query[DemandRow] = Query(
    "SELECT kind, models, mask, size, chosen, jobs, generations, work, reward FROM projections.queue_demand "
    "WHERE realm = %(realm)s",
    lambda row: DemandRow(JobKind(row[0]), tuple(row[1]), *row[2:]),
)


async def skips(services: Services, worker: Search, blacklisted: int) -> tuple[Skip, ...]:
    """The reasons, most jobs first; jobs that are only for some workers count as such where nothing else is amiss."""
    demand, answers = await fresh(services.caches, "demand", AGE_SECONDS, lambda: _demand(services))
    capabilities = (worker.kind, worker.models, worker.max_size, worker.allowed)
    if capabilities not in answers:
        answers[capabilities] = _count(worker, demand)
    counts = Counter(answers[capabilities])
    if blacklisted:
        counts[BLACKLIST] = blacklisted
    return tuple(Skip(reason, count) for reason, count in counts.most_common())


async def _demand(services: Services) -> tuple[list[DemandRow], dict[Any, dict[str, int]]]:
    """The counters, and room for the answers made of them."""
    return await DEMAND.all(services.pool, realm=services.realm), {}


def _count(worker: Search, demand: list[DemandRow]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in demand:
        if row.kind is not worker.kind:
            continue
        reason = unmet(worker, row.models, row.mask, row.size) or ("worker_id" if row.chosen else None)
        if reason is not None:
            counts[reason] += row.jobs
    return dict(counts)
