"""What may happen to jobs from their client's side: submission, cancellation, expiry, consent withdrawn. Pure.

Look next: `app.ledger.upfront` and `app.ledger.quote` for the money, `app.workers.lease_decider` for what workers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from app.jobs.image_params import ImageParams, accurate_steps, lease_seconds
from app.ledger import holds, priority
from app.ledger.closing import end_if_over, give_up_waiting
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.quote import ImageQuote, ModelChoice, decimal_text, quote_image
from app.ledger.standing import TooMany, check_waiting, established
from app.ledger.upfront import Upfront, check_upfront, free_limits
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import GenerationSeed, JobWords
from events.base import ANONYMOUS, Event
from events.jobs import HoldPlaced, ImageJobSubmitted, JobState
from events.sharing import ShareConsentForced, ShareConsentGiven, ShareConsentWithdrawn
from projections.accounts import Account
from projections.generations import GenerationState

#: a job that nobody touched for so long expires
EXPIRY = timedelta(minutes=20)
#: version of the consent text in `docs/sharing.md`
CONSENT_TEXT_VERSION = 1


class SubmitImageJob(Command, frozen=True, kw_only=True):
    """Ask for pictures. The parameters are checked; ids, seeds and the workers' payload are made."""

    job: UUID
    requester: UUID
    generations: tuple[UUID, ...]
    prompt: str
    negative_prompt: str
    models: tuple[str, ...]
    params: ImageParams
    nsfw: bool
    shared: bool
    max_kudos: int | None
    seeds: tuple[int, ...]
    #: what workers are given besides prompt and seed, as a JSON text
    payload: str


class CancelJob(Command, frozen=True, kw_only=True):
    """Want no more of a job. That the caller may is checked by the handler."""

    job: UUID


class ExpireJob(Command, frozen=True, kw_only=True):
    """Give a job up that nobody served; nothing happens if somebody has meanwhile."""

    job: UUID


class WithdrawConsent(Command, frozen=True, kw_only=True):
    """Take back the consent to share a job's pictures. That the caller may is checked by the handler."""

    job: UUID


class Submitted(Result, frozen=True, kw_only=True):
    """The job that was accepted."""

    job: UUID


class Closed(Result, frozen=True, kw_only=True):
    """The job that was cancelled or expired or whose consent was taken back, or of which all this is true already."""

    job: UUID


def submit_image_job(command: SubmitImageJob, rows: Rows) -> Decision | Rejection:
    """Quote, refuse what is beyond the limits, reserve what is available, and queue."""
    account = rows.account(command.requester)
    if account is None:
        return Rejection(code="NOT_FOUND", message="no such user")
    quote = quote_image(
        command.params,
        n=command.params.n,
        shared=command.shared,
        models=tuple(ModelChoice(name, "") for name in command.models),
        choice=WorkerChoice(),
        max_kudos=command.max_kudos,
        book=CURRENT,
    )
    if (refusal := _refusal(command, account, quote)) is not None:
        return refusal
    words = JobWords(command.job, command.prompt, command.negative_prompt, command.payload)
    seeds = (
        GenerationSeed(generation, command.job, seed)
        for generation, seed in zip(command.generations, command.seeds, strict=True)
    )
    return Decision(_submission(command, account, quote, rows), Submitted(job=command.job), (words, *seeds))


def _refusal(command: SubmitImageJob, account: Account, quote: ImageQuote) -> Rejection | None:
    if command.max_kudos is not None and quote.total > command.max_kudos:
        message = f"the quote is {decimal_text(quote.total)} kudos, more than maxKudos {decimal_text(command.max_kudos)}"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "maxKudos"))
    return beyond_limits(command.params, account, quote)


def beyond_limits(params: ImageParams, account: Account, quote: ImageQuote) -> Rejection | None:
    """Why an account as it stands may not queue a job: too much waits, or it is too large for its kudos."""
    if (too_many := check_waiting(account, params.n)) is not None:
        return _too_many(too_many, account)
    limits = free_limits(params, quote.terms.models, established=established(account), load=None)
    beyond = check_upfront(params, quote, limits=limits, available=account.available)
    return None if beyond is None else _insufficient(params, beyond, account)


def _too_many(too_many: TooMany, account: Account) -> Rejection:
    whose = "all anonymous users together" if account.anonymous else "you"
    message = f"{too_many.would_wait} generations of {whose} would wait, and {too_many.limit} may; {too_many.waiting} wait now"
    return Rejection(
        code="TOO_MANY_JOBS",
        message=message,
        path=("input", "params", "n"),
        detail=msgspec.structs.asdict(too_many),
    )


def _insufficient(params: ImageParams, beyond: Upfront, account: Account) -> Rejection:
    message = (
        f"beyond {beyond.limit_pixels} pixels or {beyond.limit_steps} accurate steps the whole quote of "
        f"{decimal_text(beyond.required)} kudos must be available; "
    )
    if account.anonymous:
        message += "register to be able to have kudos"
    else:
        message += f"{decimal_text(beyond.missing)} are missing"
        if not established(account):
            message += " (these are the limits of an account that holds no kudos)"
    return Rejection(
        code="INSUFFICIENT_KUDOS",
        message=message,
        path=("input", "params", _largest_field(params, beyond)),
        detail=msgspec.structs.asdict(beyond),
    )


def _largest_field(params: ImageParams, beyond: Upfront) -> str:
    """The input field by which a job is beyond the free limits; of the two sides the longer one."""
    if params.width * params.height <= beyond.limit_pixels:
        return "steps"
    return "height" if params.height > params.width else "width"


def _submission(command: SubmitImageJob, account: Account, quote: ImageQuote, rows: Rows) -> Sequence[Event]:
    params = command.params
    tier = priority.tier_of(anonymous=account.anonymous)
    submitted = ImageJobSubmitted(
        job=command.job,
        requester=command.requester,
        generations=command.generations,
        models=command.models,
        width=params.width,
        height=params.height,
        steps=params.steps,
        accurate_steps=accurate_steps(params),
        sampler=params.sampler.value,
        cfg_scale=params.cfg_scale,
        karras=params.karras,
        tiling=params.tiling,
        hires_fix=params.hires_fix,
        clip_skip=params.clip_skip,
        post_processing=tuple(p.value for p in params.post_processing),
        nsfw=command.nsfw,
        shared=command.shared,
        price_book=quote.book_version,
        price=quote.price,
        surcharge=quote.surcharge,
        offers=quote.offers,
        tax=quote.tax,
        quote=tuple((item.label, item.amount) for item in quote.items),
        priority=account.available,
        tier=tier,
        rank=priority.rank(tier, account.available, rows.now),
        lease_seconds=lease_seconds(params, 1),
    )
    events: list[Event] = [submitted]
    if command.shared:
        consent = ShareConsentForced if command.requester == ANONYMOUS else ShareConsentGiven
        events.append(
            consent(job=command.job, requester=command.requester, text_version=CONSENT_TEXT_VERSION)
        )
    if held := holds.place(account.available, quote.total):
        events.append(HoldPlaced(job=command.job, requester=command.requester, amount=held))
    return events


def cancel_job(command: CancelJob, rows: Rows) -> Decision | Rejection:
    """Waiting generations are cancelled, running ones may still deliver; an ended job stays as it is."""
    return _close(command.job, rows, JobState.CANCELLED)


def expire_job(command: ExpireJob, rows: Rows) -> Decision | Rejection:
    """Only a job of which nothing runs and that nobody touched for `EXPIRY`."""
    job = rows.job(command.job)
    if job is not None and (job.processing or rows.now - job.active_at < EXPIRY):
        return Decision((), Closed(job=command.job))
    return _close(command.job, rows, JobState.EXPIRED)


def withdraw_consent(command: WithdrawConsent, rows: Rows) -> Decision | Rejection:
    """Consent that was given may be taken back while it counts; anonymous jobs are shared without any."""
    job = rows.job(command.job)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job", path=("input", "id"))
    if job.requester == ANONYMOUS:
        message = "pictures of anonymous users are always shared: there is no consent to take back"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "id"))
    if not job.shared or job.unshared is not None:
        return Decision((), Closed(job=job.id))
    return Decision((ShareConsentWithdrawn(job=job.id, requester=job.requester),), Closed(job=job.id))


def _close(job_id: UUID, rows: Rows, state: JobState) -> Decision | Rejection:
    job = rows.job(job_id)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job", path=("input", "id"))
    if job.closed or job.final:
        return Decision((), Closed(job=job.id))
    draft = rows.draft()
    waiting = [g.id for g in rows.generations_of(job.id) if g.state is GenerationState.WAITING]
    give_up_waiting(draft, job, waiting, state)
    end_if_over(draft, job.id)
    return Decision(draft.events, Closed(job=job.id))


RULES = (
    Rule(
        SubmitImageJob,
        Submitted,
        lambda c: Needs(accounts=(c.requester,), made=(c.job, *c.generations)),
        submit_image_job,
    ),
    Rule(WithdrawConsent, Closed, lambda c: Needs(jobs=(c.job,)), withdraw_consent),
    Rule(CancelJob, Closed, lambda c: Needs(jobs=(c.job,)), cancel_job),
    Rule(ExpireJob, Closed, lambda c: Needs(jobs=(c.job,)), expire_job),
)
