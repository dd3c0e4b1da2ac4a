"""Requesters rate pictures of their job: who asks is checked, its generations are found, then the writer decides.

Look next: `app.ratings.job_decider`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, parse_id, run
from app.platform.keys import access_key, matches
from app.platform.services import Services
from app.ratings.job_decider import OwnRating, RateJob
from app.ratings.judging import Source
from app.ratings.queries import GENERATIONS, JOBS
from events.base import ANONYMOUS
from projections.jobs import Job


async def rate_job(
    services: Services,
    actor: UUID,
    text: str,
    secret: str | None,
    said: Sequence[tuple[str, int, int | None]],
    best: str | None,
    source: Source,
    key: str | None,
    parameters: object,
) -> Done | Rejection:
    """Rate pictures of a job and name the best, for its requester; `said` are generation, rating and artifacts."""
    promise = idempotency(actor, "rateJob", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    job = await _visible(services, actor, text, secret)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job", path=("input", "job"))
    ratings: list[OwnRating] = []
    for index, (generation, value, artifacts) in enumerate(said):
        picture = parse_id(generation)
        if picture is None:
            return _no_generation("ratings", str(index), "generation")
        ratings.append(OwnRating(picture=picture, value=value, artifacts=artifacts))
    named = None if best is None else parse_id(best)
    if best is not None and named is None:
        return _no_generation("best")
    generations = await GENERATIONS.all(services.pool, realm=services.realm, job=job.id)
    command = RateJob(
        job=job.id,
        rater=job.requester,
        generations=tuple(generations),
        ratings=tuple(ratings),
        best=named,
        source=source,
    )
    return await run(services, command, actor=actor, promise=promise)


async def _visible(services: Services, actor: UUID, text: str, secret: str | None) -> Job | None:
    """The job of an id if its owner or a bearer of its access key asks; to anybody else it does not exist."""
    key = parse_id(text)
    job = None if key is None else await JOBS.one(services.pool, realm=services.realm, id=key)
    if job is None or (job.requester == actor and actor != ANONYMOUS):
        return job
    expected = access_key(services.settings.pepper, job.id)
    return job if secret is not None and matches(expected, secret) else None


def _no_generation(*path: str) -> Rejection:
    message = "the job has no such generation"
    return Rejection(code="NOT_FOUND", message=message, path=("input", *path))
