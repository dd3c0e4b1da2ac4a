"""Quoting, submitting and cancelling jobs: checks, ids, seeds and payload made, then the writer.

Look next: `app.jobs.decider`, `app.jobs.image_request`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from uuid import UUID

import msgspec

from app.fleet.online import online_workers
from app.jobs.decider import CancelJob, SubmitImageJob, WithdrawConsent, beyond_limits
from app.jobs.image_params import resolve_seeds
from app.jobs.image_request import Fault, ImageRequest, validate_image_request
from app.jobs.queries import ACCOUNT, JOBS
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.quote import ImageQuote, ModelChoice, quote_image
from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, parse_id, run
from app.platform.ids import new_id
from app.platform.keys import access_key, matches
from app.platform.services import Services
from events.base import ANONYMOUS
from events.jobs import JobKind
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import plain_requirements, requirement_mask, unmet


class Note(msgspec.Struct, frozen=True):
    """Something that a client should know, though its request was accepted."""

    code: str
    message: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request with what follows from who asks."""

    request: ImageRequest
    censor_nsfw: bool
    shared: bool
    notes: tuple[Note, ...]


def check(actor: UUID, raw: Mapping[str, object], *, censor_nsfw: bool) -> Asked | Rejection:
    """The request in a client's input, or a rejection that names every fault."""
    request = validate_image_request(raw)
    if isinstance(request, tuple):
        return _faulty(request)
    shared = actor == ANONYMOUS or bool(request.share)
    notes: tuple[Note, ...] = ()
    if actor == ANONYMOUS and not request.share:
        notes = (Note("ANONYMOUS_IS_SHARED", "pictures of anonymous users are always shared"),)
    return Asked(request=request, censor_nsfw=censor_nsfw, shared=shared, notes=notes)


def _faulty(faults: tuple[Fault, ...]) -> Rejection:
    first, *others = faults
    message = f"{_named(first)} {first.message}"
    if others:
        message += "; also " + "; ".join(f"{_named(f)} {f.message}" for f in others)
    return Rejection(code="INVALID_INPUT", message=message, path=first.path)


def _named(fault: Fault) -> str:
    """The field at fault, as a client wrote it."""
    return ".".join(fault.path[1:])


def quote(asked: Asked) -> ImageQuote:
    """What a request will cost at most, by the present price book."""
    params = asked.request.params
    return quote_image(
        params,
        n=params.n,
        shared=asked.shared,
        models=tuple(ModelChoice(name, "") for name in asked.request.models),
        choice=WorkerChoice(),
        max_kudos=asked.request.max_kudos,
        book=CURRENT,
    )


async def warnings(services: Services, asked: Asked) -> list[Note]:
    """What the client should know: sharing, and whether anybody online could serve it."""
    request = asked.request
    named = plain_requirements(nsfw=request.nsfw, post_processing=bool(request.params.post_processing))
    mask = requirement_mask(named)
    pixels = request.params.width * request.params.height
    fleet = await online_workers(services)
    able = any(
        each.worker.kind is JobKind.IMAGE
        and not each.worker.maintenance
        and unmet(each.search, request.models, mask, pixels) is None
        for each in fleet
    )
    if able:
        return list(asked.notes)
    message = "no worker that is online now can serve this; it will wait for one"
    return [*asked.notes, Note("NO_AVAILABLE_WORKER", message)]


async def limit_warnings(services: Services, actor: UUID, asked: Asked) -> list[Note]:
    """Whether submitting this would be refused as things stand: too much waits, or it is too large."""
    account: Account | None = await ACCOUNT.one(services.pool, realm=services.realm, id=actor)
    if account is None:
        return []
    refusal = beyond_limits(asked.request.params, account, quote(asked))
    return [] if refusal is None else [Note(refusal.code, refusal.message)]


async def submit_image_job(
    services: Services, actor: UUID, asked: Asked, key: str | None, parameters: object
) -> Done | Rejection:
    """Quote, reserve and queue; `parameters` is the client's input, of which a repeat must have the same."""
    request = asked.request
    params = request.params
    command = SubmitImageJob(
        job=new_id(),
        requester=actor,
        generations=tuple(new_id() for _ in range(params.n)),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt or "",
        models=tuple(sorted(request.models)),
        params=params,
        nsfw=request.nsfw,
        shared=asked.shared,
        max_kudos=request.max_kudos,
        seeds=resolve_seeds(params.seed, params.n, params.seed_variation, secrets.randbits(32)),
        payload=_payload(asked),
    )
    promise = idempotency(actor, "submitImageJob", key, parameters)
    return await run(services, command, actor=actor, promise=promise)


def _payload(asked: Asked) -> str:
    """What workers are given besides prompts and seeds."""
    params = asked.request.params
    payload = {
        "width": params.width,
        "height": params.height,
        "steps": params.steps,
        "cfg_scale": params.cfg_scale,
        "sampler_name": params.sampler.value,
        "karras": params.karras,
        "tiling": params.tiling,
        "hires_fix": params.hires_fix,
        "hires_fix_denoising_strength": params.hires_fix_denoising_strength,
        "clip_skip": params.clip_skip,
        "post_processing": [p.value for p in params.post_processing],
        "facefixer_strength": params.facefixer_strength,
        "use_nsfw_censor": asked.censor_nsfw and not asked.request.nsfw,
    }
    return msgspec.json.encode({name: value for name, value in payload.items() if value is not None}).decode()


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


def _no_such_job() -> Rejection:
    message = "no such job, or neither its owner's key nor its access key was given"
    return Rejection(code="NOT_FOUND", message=message, path=("input", "id"))
