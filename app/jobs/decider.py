"""What may happen to jobs from their client's side: submission, cancellation, expiry, consent withdrawn. Pure.

Look next: `app.jobs.text_decider` for texts, `app.jobs.wish` for what is refused and what it costs, `app.workers.lease_decider` for what workers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.jobs import text_decider
from app.jobs.image_params import accurate_steps, lease_seconds
from app.jobs.payload import resized
from app.jobs.requirements import has_slow_models, requirements
from app.jobs.wish import ImageWish, Settled, settle
from app.ledger import holds, priority
from app.ledger.closing import end_if_over, give_up_waiting
from app.ledger.modes import refuse_job
from app.ledger.upfront import Smaller
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import GenerationSeed, JobSource, JobWebhook, JobWords
from events.base import ANONYMOUS, Event
from events.jobs import HoldPlaced, ImageJobSubmitted, JobKind, JobState
from events.sharing import ShareConsentForced, ShareConsentGiven, ShareConsentWithdrawn
from projections.accounts import Account
from projections.generations import GenerationState

#: a job that nobody touched for so long expires
EXPIRY = timedelta(minutes=20)
#: version of the consent text in `docs/sharing.md`
CONSENT_TEXT_VERSION = 1
#: jobs of which one command takes the consent back, so that no transaction grows with what a user ever shared
WITHDRAWN_AT_ONCE = 100


class SubmitImageJob(ImageWish, frozen=True, kw_only=True):
    """Ask for pictures. The parameters are checked; ids, seeds and the workers' payload are made."""

    job: UUID
    requester: UUID
    generations: tuple[UUID, ...]
    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    #: what workers are given besides prompt and seed, as a JSON text
    payload: str
    #: the pictures it is drawn from; some may be still to be fetched
    sources: tuple[JobSource, ...] = ()
    #: where its client wants to be told what becomes of it
    webhook: JobWebhook | None = None


class CancelJob(Command, frozen=True, kw_only=True):
    """Want no more of a job. That the caller may is checked by the handler."""

    job: UUID


class ExpireJob(Command, frozen=True, kw_only=True):
    """Give a job up that nobody served; nothing happens if somebody has meanwhile."""

    job: UUID


class WithdrawConsent(Command, frozen=True, kw_only=True):
    """Take back the consent to share a job's pictures. That the caller may is checked by the handler."""

    job: UUID


class WithdrawAllConsent(Command, frozen=True, kw_only=True):
    """Take back the consent to share the pictures of some of a user's jobs, which were seen to be shared."""

    requester: UUID
    #: at most `WITHDRAWN_AT_ONCE`; those that are another's, or not shared, are passed over
    jobs: tuple[UUID, ...]


class Submitted(Result, frozen=True, kw_only=True):
    """The job that was accepted."""

    job: UUID
    #: what it was made, if it was made smaller than was asked for
    smaller: Smaller | None = None


class Closed(Result, frozen=True, kw_only=True):
    """The job that was cancelled or expired or whose consent was taken back, or of which all this is true already."""

    job: UUID


class Unshared(Result, frozen=True, kw_only=True):
    """How many jobs are shared no longer by this command."""

    jobs: int


def submit_image_job(command: SubmitImageJob, rows: Rows) -> Decision | Rejection:
    """Refuse what the modes of the house or the limits forbid, quote, reserve what is available, and queue."""
    account = rows.account(command.requester)
    if account is None:
        return Rejection(code="NOT_FOUND", message="no such user")
    n, unsafe = command.params.n, command.unsafe_address
    if (refused := refuse_job(rows.modes(), account, n, unsafe_address=unsafe)) is not None:
        return refused
    settled = settle(command, account)
    if isinstance(settled, Rejection):
        return settled
    words = JobWords(
        command.job,
        command.prompt,
        command.negative_prompt,
        command.payload if settled.smaller is None else resized(command.payload, settled.params),
        command.proxied_account,
    )
    seeds = (
        GenerationSeed(generation, command.job, seed)
        for generation, seed in zip(command.generations, command.seeds, strict=True)
    )
    return Decision(
        _submission(command, account, settled, rows),
        Submitted(job=command.job, smaller=settled.smaller),
        (words, *seeds, *command.sources, *(() if command.webhook is None else (command.webhook,))),
    )


def _submission(command: SubmitImageJob, account: Account, settled: Settled, rows: Rows) -> Sequence[Event]:
    params, quote = settled.params, settled.quote
    tier = priority.tier_of(anonymous=account.anonymous)
    submitted = ImageJobSubmitted(
        job=command.job,
        requester=command.requester,
        generations=command.generations,
        models=tuple(model.name for model in command.models),
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
        lease_seconds=lease_seconds(params, 1, slow_models=has_slow_models(command.models, quote.offers)),
        source_processing=params.source_processing,
        source_mask=params.source_mask,
        extra_sources=params.extra_sources,
        denoising_strength=params.denoising_strength,
        control_type=None if params.control_type is None else params.control_type.value,
        loras=len(params.loras),
        textual_inversions=len(params.tis),
        workflow=None if params.workflow is None else params.workflow.value,
        transparent=params.transparent,
        requirements=requirements(command, settled, account),
        allowed_workers=command.allowed_workers,
        denied_workers=command.denied_workers,
        batching=command.batching and params.workflow is None,
        fetching=any(source.url for source in command.sources),
        downgraded=settled.smaller is not None,
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
    if job.requester == ANONYMOUS and job.kind is JobKind.IMAGE:
        message = "pictures of anonymous users are always shared: there is no consent to take back"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "id"))
    if not job.shared or job.unshared is not None:
        return Decision((), Closed(job=job.id))
    return Decision((ShareConsentWithdrawn(job=job.id, requester=job.requester),), Closed(job=job.id))


def withdraw_all_consent(command: WithdrawAllConsent, rows: Rows) -> Decision | Rejection:
    """As for each job alone."""
    if command.requester == ANONYMOUS:
        return anonymous_shares()
    named = (rows.job(job) for job in command.jobs)
    shared = [
        job
        for job in named
        if job is not None and job.requester == command.requester and job.shared and job.unshared is None
    ]
    events = [ShareConsentWithdrawn(job=job.id, requester=job.requester) for job in shared]
    return Decision(events, Unshared(jobs=len(shared)))


def anonymous_shares() -> Rejection:
    """Why nobody takes back what was shared without an account."""
    message = (
        "without an account nothing can be taken back: pictures of anonymous users are always shared, and nobody "
        "can show which of them are theirs; a single one can be reported"
    )
    return Rejection(code="FORBIDDEN", message=message)


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
    Rule(WithdrawAllConsent, Unshared, lambda c: Needs(jobs=c.jobs), withdraw_all_consent),
    Rule(CancelJob, Closed, lambda c: Needs(jobs=(c.job,)), cancel_job),
    Rule(ExpireJob, Closed, lambda c: Needs(jobs=(c.job,)), expire_job),
    *text_decider.RULES,
)
