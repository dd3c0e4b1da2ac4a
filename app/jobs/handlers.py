"""Quoting, submitting and cancelling jobs: checks, ids, seeds and payload made, then the writer.

Look next: `app.jobs.asking`, `app.jobs.decider`, `app.jobs.servability`.
"""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

import msgspec

from app.jobs.advice import Note, NoteCode
from app.jobs.asking import Asked, given_sources
from app.jobs.decider import (
    WITHDRAWN_AT_ONCE,
    CancelJob,
    SubmitImageJob,
    Submitted,
    WithdrawAllConsent,
    WithdrawConsent,
    anonymous_shares,
)
from app.jobs.image_params import resolve_seeds
from app.jobs.payload import payload_of
from app.jobs.queries import ACCOUNT, JOBS, STILL_SHARED
from app.jobs.servability import servable, work_of
from app.jobs.wish import Settled, plain_quote, settle
from app.ledger.quote import ImageQuote
from app.ledger.upfront import Smaller
from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, parse_id, run
from app.platform.ids import new_id
from app.platform.keys import access_key, matches
from app.platform.services import Services
from app.platform.sources import resolve
from app.platform.webhooks import Told, job_webhook
from events.base import ANONYMOUS
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import Work

#: batches of one call: more jobs than these hold are taken by the next call
_BATCHES: Final = 20


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """What came of taking back everything."""

    #: jobs that are shared no longer by this call
    jobs: int
    #: whether every job is taken back that was shared when the call came
    complete: bool
    #: of the last event
    position: int


class Preview(msgspec.Struct, frozen=True):
    """What a job would cost, and what its client should know."""

    quote: ImageQuote
    notes: list[Note]


async def preview(services: Services, actor: UUID, asked: Asked) -> Preview:
    """The same decision as at submission, of the account as it stands; what would be refused is a warning."""
    account: Account | None = await ACCOUNT.one(services.pool, realm=services.realm, id=actor)
    if account is None:
        return Preview(plain_quote(asked.wish), list(asked.notes))
    settled = settle(asked.wish, account)
    if isinstance(settled, Rejection):
        refusal = Note(NoteCode(settled.code), settled.message)
        settled = Settled(asked.wish.params, plain_quote(asked.wish), None)
        notes = [refusal, *asked.notes]
    else:
        notes = [*_of_size(settled.smaller), *asked.notes]
    work = work_of(asked.wish, settled, account)
    return Preview(settled.quote, [*notes, *await notes_of_workers(services, work)])


async def notes_of(services: Services, asked: Asked, submitted: Submitted, job: Job) -> list[Note]:
    """What the client of an accepted job should know."""
    waiting = [] if job.final else await notes_of_workers(services, job)
    return [*_of_size(submitted.smaller), *asked.notes, *waiting]


def _of_size(smaller: Smaller | None) -> list[Note]:
    if smaller is None:
        return []
    made = f"{smaller.width} x {smaller.height} pixels and {smaller.steps} steps"
    return [
        Note(NoteCode.DOWNGRADED, f"the kudos were short: it was made smaller, {made}, slow workers allowed")
    ]


async def notes_of_workers(services: Services, work: Work) -> list[Note]:
    """That no worker who is online may serve a job, of whatever kind, if that is so."""
    if await servable(services, work):
        return []
    message = "no worker that is online now can serve this; it will wait for one"
    return [Note(NoteCode.NO_AVAILABLE_WORKER, message)]


async def submit_image_job(
    services: Services, actor: UUID, asked: Asked, told: Told, key: str | None, parameters: object
) -> Done | Rejection:
    """Quote, reserve and queue; `parameters` is the client's input, of which a repeat must have the same."""
    request, wish = asked.request, asked.wish
    job = new_id()
    webhook = await job_webhook(services, actor, told, job)
    if isinstance(webhook, Rejection):
        return webhook
    sources = await resolve(services, actor, given_sources(request)) if request.source is not None else ()
    if isinstance(sources, Rejection):
        return sources
    params = wish.params
    command = SubmitImageJob(
        **msgspec.structs.asdict(wish),
        job=job,
        requester=actor,
        generations=tuple(new_id() for _ in range(params.n)),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt or "",
        seeds=resolve_seeds(params.seed, params.n, params.seed_variation, secrets.randbits(32)),
        payload=payload_of(params, use_nsfw_censor=asked.censor_nsfw and not request.nsfw),
        sources=tuple(source.row(job) for source in sources),
        webhook=webhook,
    )
    promise = idempotency(actor, "submitImageJob", key, parameters)
    return await run(services, command, actor=actor, promise=promise)


def secret_of(services: Services, job: UUID) -> str:
    """The access key of a job: derived, so it is kept nowhere and a repeated submission can show it again."""
    return access_key(services.settings.pepper, job)


async def visible_job(services: Services, actor: UUID, text: str, secret: str | None) -> Job | None:
    """The job of an id if its owner or a bearer of its access key asks; to anybody else it does not exist."""
    job_id = parse_id(text)
    if job_id is None:
        return None
    job: Job | None = await JOBS.one(services.pool, realm=services.realm, ids=[job_id])
    if job is None or (job.requester == actor and actor != ANONYMOUS):
        return job
    return job if secret is not None and matches(secret_of(services, job.id), secret) else None


async def cancel_job(services: Services, actor: UUID, text: str, secret: str | None) -> Done | Rejection:
    """Cancel what waits; what runs may still be delivered."""
    job = await visible_job(services, actor, text, secret)
    if job is None:
        return _no_such_job()
    return await run(services, CancelJob(job=job.id), actor=actor)


async def withdraw_consent(
    services: Services, actor: UUID, text: str, secret: str | None
) -> Done | Rejection:
    """Take back the consent to share a job's pictures."""
    job = await visible_job(services, actor, text, secret)
    if job is None:
        return _no_such_job()
    return await run(services, WithdrawConsent(job=job.id), actor=actor)


async def withdraw_all_consent(services: Services, actor: UUID, *, confirmed: bool) -> Withdrawn | Rejection:
    """Take back the consent to share everything of a user's, job by job in bounded batches, oldest first.

    What is taken back stays so whatever happens after; calling again goes on with the rest.
    """
    if actor == ANONYMOUS:
        return anonymous_shares()
    if not confirmed:
        message = "must be true: the consent to share every job of yours is taken back"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "confirm"))
    count = after = position = 0
    for _ in range(_BATCHES):
        page = await STILL_SHARED.all(
            services.pool, realm=services.realm, requester=actor, after=after, limit=WITHDRAWN_AT_ONCE
        )
        command = WithdrawAllConsent(requester=actor, jobs=tuple(job.id for job in page))
        done = await run(services, command, actor=actor)
        if isinstance(done, Rejection):
            return done
        count, position = count + done.result.jobs, done.position
        if len(page) < WITHDRAWN_AT_ONCE:
            return Withdrawn(jobs=count, complete=True, position=position)
        after = page[-1].position
    return Withdrawn(jobs=count, complete=False, position=position)


def _no_such_job() -> Rejection:
    message = "no such job, or neither its owner's key nor its access key was given"
    return Rejection(code="NOT_FOUND", message=message, path=("input", "id"))
