"""Who could serve a job: for each thing that it requires, how many of the workers that are online remain after it.

Of copies a second old; no decision reads it. Look next: `projections.queue`, `app.fleet.online`.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from app.fleet.online import Online, fleet_of
from app.jobs.requirements import requirements
from app.jobs.wish import ImageWish, Settled
from app.platform.services import Services
from events.jobs import JobKind
from projections.accounts import Account
from projections.queue import (
    REQUIREMENTS,
    SERVED,
    SIZES,
    Work,
    admits,
    oversized,
    requirement_mask,
    unmet_by,
    waived_by,
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is not queued, as matching would see it."""

    requester: UUID
    kind: JobKind
    models: tuple[str, ...]
    mask: int
    size: int
    soft_prompt: str | None = None
    allowed_workers: tuple[UUID, ...]
    denied_workers: tuple[UUID, ...]


class Remaining(msgspec.Struct, frozen=True):
    """How many workers remain after a constraint and those before it."""

    constraint: str
    workers: int


def work_of(wish: ImageWish, settled: Settled, account: Account) -> Wanted:
    """What a wish would require once it was queued."""
    return Wanted(
        requester=account.id,
        models=tuple(name for name, _, _ in settled.quote.offers),
        mask=requirement_mask(requirements(wish, settled, account)),
        kind=JobKind.IMAGE,
        size=settled.params.width * settled.params.height,
        allowed_workers=wish.allowed_workers,
        denied_workers=wish.denied_workers,
    )


async def servable(services: Services, work: Work) -> bool:
    """Whether a worker that is online now may serve a job: the first that may is enough."""
    return any(
        each.works_for(work.requester) and unmet_by(each.search, work) is None
        for each in await fleet_of(services, work.kind)
    )


def remaining(work: Work, fleet: Iterable[Online]) -> tuple[Remaining, ...]:
    """Constraint by constraint, in the order in which a worker is told what it lacks; the last one is what is left."""
    left = [each for each in fleet if each.worker.kind is work.kind]
    found = [Remaining("online", len(left))]

    def keep(constraint: str, able: Iterable[Online]) -> None:
        nonlocal left
        left = list(able)
        found.append(Remaining(constraint, len(left)))

    keep("at_work", (each for each in left if each.works_for(work.requester)))
    if work.models:
        wanted = set(work.models)
        keep(SERVED[work.kind], (each for each in left if not wanted.isdisjoint(each.search.models)))
    for name in SIZES[work.kind]:
        keep(
            name,
            [each for each in left if name not in oversized(work.kind, work.size, each.search.max_size)],
        )
    for name, bit in REQUIREMENTS.items():
        if work.mask & bit:
            keep(
                name,
                [
                    each
                    for each in left
                    if bit & (each.search.allowed | waived_by(each.search, work.requester))
                ],
            )
    if (prompt := work.soft_prompt) is not None:
        keep("soft_prompt", (each for each in left if prompt in each.search.soft_prompts))
    if work.allowed_workers or work.denied_workers:
        keep("worker_id", (each for each in left if admits(work, each.worker.id)))
    return tuple(found)
