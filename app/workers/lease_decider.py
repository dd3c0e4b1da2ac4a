"""What may happen between a worker and a job: taking, extending, giving back, delivering, running out of time. Pure.

A generation has at most one live lease; its requester is charged at most once; a delivery under a live lease is
always paid. Look next: `app.workers.matching` (which job), `app.workers.payment` (money), `app.ledger.closing` (ends).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from app.fleet.serving import Families, Judged, allowed_by, offered
from app.ledger.closing import end_if_over, fail, give_back, standing
from app.ledger.text_price import tokens_of
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Draft, Rows
from app.platform.vault import ResultWords, ToldForm
from app.workers.conduct import watch_failures
from app.workers.decider import PAUSED
from app.workers.matching import Match, best
from app.workers.payment import Delivery, pay, pay_redundant
from app.workers.reports import report
from events.jobs import (
    CensorCause,
    FailureCause,
    GenerationCensored,
    GenerationDelivered,
    GenerationsLeased,
    JobKind,
    LeaseExpired,
    LeaseExtended,
    LeaseReleased,
)
from projections.generations import HIDING, Generation, GenerationState
from projections.jobs import Job
from projections.leases import Lease, LeaseState
from projections.queue import Search
from projections.workers import Worker

#: a lease can be extended until so long after it was taken
MAX_LEASE = timedelta(hours=1)
#: a lease is not taken for longer than this, however many generations were asked for
LONGEST_LEASE = timedelta(hours=24)
#: how much longer the leases of extra slow workers last
EXTRA_SLOW_FACTOR = 3
#: what forms tell of the picture at a URL is given again for so long to whoever asks the same
TOLD_FOR = timedelta(days=5)
#: leases that ran out so long ago ran out while nothing swept them: the server was away, and no worker could deliver
SWEPT_WITHIN = timedelta(minutes=1)


class ResultState(StrEnum):
    """What a worker says of a generation."""

    OK = "OK"
    CENSORED = "CENSORED"
    CSAM = "CSAM"
    FAULTED = "FAULTED"


class PopJob(Command, frozen=True, kw_only=True):
    """Take work: up to `amount` generations of the best job that the worker may serve."""

    lease: UUID
    worker: UUID
    search: Search
    amount: int
    #: chance, made beforehand: which of several models serves
    choice: int
    #: for each set of models that jobs may name, those of the worker's that are in it
    families: Families = ()
    #: what the server's settings and its model reference say of the worker
    judged: Judged | None = None
    #: what a look at the queue without the lock found
    candidates: tuple[UUID, ...] = ()


class GenerationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker did with one generation; `etag` and `version` are of the uploaded object, checked before."""

    generation: UUID
    state: ResultState
    etag: str | None
    #: empty where storage keeps no versions
    version: str = ""
    seed: str | None
    metadata: str | None
    #: what the worker notes of it, as the vault keeps it
    notes: str | None = None
    #: of a text job, what was written; of an interrogation, what was told, as a JSON text
    text: str | None = None
    form: str | None = None
    #: work a second of which more cannot be with the lease's model; None: with any
    fastest: int | None = None


class SubmitResults(Command, frozen=True, kw_only=True):
    """Deliver generations of a lease."""

    lease: UUID
    owner: UUID
    results: tuple[GenerationResult, ...]
    #: storage lately did not answer: what is reported as failed is not the worker's fault
    storage_away: bool = False
    #: of an interrogation, by what the URL of its picture is known again; none where nothing is to be given again
    source: UUID | None = None


class ExtendLease(Command, frozen=True, kw_only=True):
    """Ask for more time."""

    lease: UUID
    owner: UUID


class ReleaseLease(Command, frozen=True, kw_only=True):
    """Give back what is not delivered."""

    lease: UUID
    owner: UUID


class ExpireLease(Command, frozen=True, kw_only=True):
    """End a lease whose time is over; nothing happens if it was extended or settled meanwhile."""

    lease: UUID
    #: many others' leases ran out at the same time, and nobody delivered anything
    server_away: bool = False


class Popped(Result, frozen=True, kw_only=True):
    """The lease, or none; `after` says where to go on searching when all candidates were turned down."""

    lease: UUID | None = None
    after: tuple[int, int] | None = None
    blacklisted: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one generation of a submission; the reward is in hundredths."""

    generation: UUID
    state: GenerationState
    reward: int
    #: why it was not taken, beside others that were
    refusal: str | None = None


class Delivered(Result, frozen=True, kw_only=True):
    """What became of a submission."""

    outcomes: tuple[Outcome, ...]


class Extended(Result, frozen=True, kw_only=True):
    """Until when the lease lasts now."""

    expires_at: datetime


class Released(Result, frozen=True, kw_only=True):
    """The lease has ended."""


def pop_job(command: PopJob, rows: Rows) -> Decision | Rejection:
    """Lease generations of the best match, for the job's lease length times the generations taken."""
    worker = rows.worker(command.worker)
    if worker is None or worker.deleted:
        return Rejection(code="NOT_FOUND", message="no such worker", path=("input", "workerName"))
    if worker.paused:
        return PAUSED
    allowed = allowed_by(worker, rows.account(worker.owner), command.judged)
    match = best(worker, command.search, allowed, rows)
    if not isinstance(match, Match):
        return Decision((), Popped(after=match.after, blacklisted=match.blacklisted))
    job = match.job
    seconds = _lease_seconds(job, worker)
    fitting = max(1, int(LONGEST_LEASE.total_seconds()) // seconds) if job.batching else 1
    taken = match.generations[: min(command.amount, fitting)]
    model: str
    price: int | None
    if job.kind is JobKind.INTERROGATION:  # each form has a price of its own
        model, price, surcharge = "", None, 0
    else:
        offers = offered(job, worker, command.families)
        if not offers:  # it has other models now than when it asked
            return Decision((), Popped(blacklisted=match.blacklisted))
        model, price, surcharge = offers[command.choice % len(offers)]
    leased = GenerationsLeased(
        job=job.id,
        requester=job.requester,
        lease=command.lease,
        worker=worker.id,
        owner=worker.owner,
        generations=taken,
        model=model,
        expires_at=rows.now + timedelta(seconds=seconds * len(taken)),
        price=price,
        surcharge=surcharge,
        kind=job.kind,
    )
    return Decision((leased,), Popped(lease=command.lease, blacklisted=match.blacklisted))


def _lease_seconds(job: Job, worker: Worker) -> int:
    """How long a worker has for each generation of a job."""
    return job.lease_seconds * (EXTRA_SLOW_FACTOR if worker.extra_slow else 1)


def submit_results(command: SubmitResults, rows: Rows) -> Decision | Rejection:
    """Each generation by itself: settle it, repeat its first reward, or say why it cannot be taken."""
    lease = rows.lease(command.lease)
    if lease is None or lease.owner != command.owner:
        return _no_lease()
    for index, result in enumerate(command.results):
        if result.generation not in lease.generations:
            path = ("input", "results", str(index), "generationId")
            return Rejection(code="INVALID_INPUT", message="this generation is not of this lease", path=path)
    draft = rows.draft()
    cause = FailureCause.STORAGE_AWAY if command.storage_away else FailureCause.REPORTED_BY_WORKER
    outcomes: list[Outcome] = []
    refused: list[Rejection] = []
    for index, result in enumerate(command.results):
        settled = _settle(draft, lease, result, cause, ("input", "results", str(index)))
        if isinstance(settled, Rejection):
            refused.append(settled)
            settled = _outcome(draft, result.generation, refusal=settled.message)
        outcomes.append(settled)
    if len(refused) == len(command.results):
        return refused[0]
    end_if_over(draft, lease.job)
    watch_failures(draft, lease.worker)
    words = (*_words(command, lease, draft), *_told(command, lease, draft))
    return Decision(draft.events, Delivered(outcomes=tuple(outcomes)), words)


def _told(command: SubmitResults, lease: Lease, draft: Draft) -> tuple[ToldForm, ...]:
    """What is told again to others who ask the same of the same URL; nothing of a picture that somebody reported."""
    if command.source is None or any(g.report in HIDING for g in draft.generations_of(lease.job)):
        return ()
    forms = {e.generation: e.form for e in draft.events if isinstance(e, GenerationDelivered)}
    nsfw = standing(draft, lease.job).nsfw
    return tuple(
        ToldForm(
            generation=result.generation,
            job=lease.job,
            lease=lease.id,
            source=command.source,
            form=form,
            nsfw=nsfw,
            told=result.form,
            expires_at=draft.now + TOLD_FOR,
        )
        for result in command.results
        if result.form is not None and (form := forms.get(result.generation)) is not None
    )


def _words(command: SubmitResults, lease: Lease, draft: Draft) -> tuple[ResultWords, ...]:
    delivered = {
        e.generation for e in draft.events if isinstance(e, GenerationDelivered | GenerationCensored)
    }
    return tuple(
        ResultWords(
            generation=result.generation,
            lease=lease.id,
            seed=result.seed,
            metadata=result.metadata,
            notes=result.notes,
            text=result.text,
            form=result.form,
        )
        for result in command.results
        if result.generation in delivered
    )


def _settle(
    draft: Draft, lease: Lease, result: GenerationResult, cause: FailureCause, path: tuple[str, ...]
) -> Outcome | Rejection:
    """One generation on top of those before it, which may have ended the lease's claim on it."""
    lease = _as_drafted(draft, lease)
    generation = draft.generation(result.generation)
    assert generation is not None, "a lease names its generations"
    if (repeated := _repeat(generation, lease)) is not None:
        return repeated
    job = standing(draft, lease.job)
    mine = generation.state is GenerationState.PROCESSING and generation.lease == lease.id
    if mine and result.state is ResultState.FAULTED:
        fail(draft, lease, generation.id, cause)
        return _outcome(draft, generation.id)
    if mine:
        return _reported(draft, lease, result, _pay(draft, lease, job, result, waited=False))
    if result.state is ResultState.FAULTED and lease.worker in dict(generation.failures):
        return _outcome(draft, generation.id)  # told before
    live = lease.state is LeaseState.LIVE and generation.id in lease.pending
    if live and result.state is not ResultState.FAULTED:
        reward = pay_redundant(draft, lease, job, generation, _delivered(result))
        return _reported(draft, lease, result, _outcome(draft, generation.id, reward=reward))
    return _late(draft, lease, job, generation, result, path)


def _reported(draft: Draft, lease: Lease, result: GenerationResult, outcome: Outcome) -> Outcome:
    """A report counts under a live lease, also about what another worker delivered late."""
    if result.state is ResultState.CSAM:
        report(draft, lease, result.generation)
    return outcome


def _repeat(generation: Generation, lease: Lease) -> Outcome | None:
    settled = generation.state in (GenerationState.DONE, GenerationState.CENSORED)
    if settled and generation.lease == lease.id:
        return Outcome(generation=generation.id, state=generation.state, reward=generation.reward or 0)
    for redundant, reward in generation.redundant:
        if redundant == lease.id:
            return Outcome(generation=generation.id, state=generation.state, reward=reward)
    return None


def _late(
    draft: Draft,
    lease: Lease,
    job: Job,
    generation: Generation,
    result: GenerationResult,
    path: tuple[str, ...],
) -> Outcome | Rejection:
    """A delivery after the lease's time is paid if it is the first and the job still wants it."""
    if job.closed:
        return Rejection(
            code="LEASE_ENDED", message=f"the job is {job.state.lower()}: nothing is paid", path=path
        )
    open_ = generation.state in (GenerationState.WAITING, GenerationState.PROCESSING)
    if not open_ or lease.state is not LeaseState.EXPIRED or result.state is not ResultState.OK:
        message = (
            f"the generation is {generation.state.lower()}, the lease {lease.state.lower()}: nothing is paid"
        )
        return Rejection(code="LEASE_ENDED", message=message, path=path)
    return _pay(draft, lease, job, result, waited=generation.state is GenerationState.WAITING)


def _pay(draft: Draft, lease: Lease, job: Job, result: GenerationResult, *, waited: bool) -> Outcome:
    reward = pay(draft, lease, job, result.generation, _delivered(result), waited=waited)
    return _outcome(draft, result.generation, reward=reward)


def _delivered(result: GenerationResult) -> Delivery | CensorCause:
    if result.state is not ResultState.OK:
        return CensorCause(result.state.value)
    tokens = 0 if result.text is None else tokens_of(len(result.text))
    return Delivery(etag=result.etag or "", version=result.version, tokens=tokens, fastest=result.fastest)


def extend_lease(command: ExtendLease, rows: Rows) -> Decision | Rejection:
    """Another full length from now, but never beyond `MAX_LEASE` after it was taken."""
    lease = _live(rows, command.lease, command.owner)
    if isinstance(lease, Rejection):
        return lease
    job = rows.job(lease.job)
    assert job is not None, "a lease brings its job"
    worker = rows.worker(lease.worker)
    assert worker is not None, "a lease brings its worker"
    length = timedelta(seconds=_lease_seconds(job, worker) * len(lease.generations))
    expires_at = max(lease.expires_at, min(rows.now + length, lease.taken_at + max(MAX_LEASE, length)))
    if expires_at == lease.expires_at:
        return Decision((), Extended(expires_at=lease.expires_at))
    event = LeaseExtended(job=lease.job, requester=lease.requester, lease=lease.id, expires_at=expires_at)
    return Decision((event,), Extended(expires_at=expires_at))


def release_lease(command: ReleaseLease, rows: Rows) -> Decision | Rejection:
    """Giving back is no failure. Giving back what is given back changes nothing."""
    lease = rows.lease(command.lease)
    if lease is None or lease.owner != command.owner:
        return _no_lease()
    if lease.state is not LeaseState.LIVE:
        return Decision((), Released())
    held = _held(rows, lease)
    draft = rows.draft()
    draft.add(
        LeaseReleased(
            job=lease.job,
            requester=lease.requester,
            lease=lease.id,
            worker=lease.worker,
            generations=held,
            kind=standing(draft, lease.job).kind,
        )
    )
    give_back(draft, standing(draft, lease.job), held)
    end_if_over(draft, lease.job)
    return Decision(draft.events, Released())


def expire_lease(command: ExpireLease, rows: Rows) -> Decision | Rejection:
    """Every generation still under the lease failed."""
    lease = rows.lease(command.lease)
    if lease is None or lease.state is not LeaseState.LIVE or lease.expires_at > rows.now:
        return Decision((), Released())
    draft = rows.draft()
    away = command.server_away or rows.now - lease.expires_at > SWEPT_WITHIN
    cause = FailureCause.SERVER_AWAY if away else FailureCause.LEASE_EXPIRED
    for generation in _held(rows, lease):
        fail(draft, lease, generation, cause)
    draft.add(LeaseExpired(job=lease.job, requester=lease.requester, lease=lease.id, worker=lease.worker))
    end_if_over(draft, lease.job)
    watch_failures(draft, lease.worker)
    return Decision(draft.events, Released())


def _held(rows: Rows, lease: Lease) -> tuple[UUID, ...]:
    """The generations that are in process under this lease."""
    rows_of_job = {g.id: g for g in rows.generations_of(lease.job)}
    return tuple(
        key
        for key in lease.pending
        if rows_of_job[key].state is GenerationState.PROCESSING and rows_of_job[key].lease == lease.id
    )


def _live(rows: Rows, key: UUID, owner: UUID) -> Lease | Rejection:
    lease = rows.lease(key)
    if lease is None or lease.owner != owner:
        return _no_lease()
    if lease.state is not LeaseState.LIVE:
        message = f"the lease has ended ({lease.state.lower()})"
        return Rejection(code="LEASE_ENDED", message=message, path=("input", "leaseId"))
    return lease


def _no_lease() -> Rejection:
    return Rejection(code="NOT_FOUND", message="you have no such lease", path=("input", "leaseId"))


def _as_drafted(draft: Draft, lease: Lease) -> Lease:
    row = draft.lease(lease.id)
    assert row is not None, "a lease never vanishes"
    return row


def _outcome(draft: Draft, key: UUID, *, reward: int = 0, refusal: str | None = None) -> Outcome:
    generation = draft.generation(key)
    assert generation is not None, "a lease names its generations"
    return Outcome(generation=key, state=generation.state, reward=reward, refusal=refusal)


RULES = (
    Rule(
        PopJob,
        Popped,
        lambda c: Needs(
            workers=(c.worker,),
            accounts=(c.search.owner,),
            made=(c.lease,),
            search=c.search,
            jobs=c.candidates,
        ),
        pop_job,
    ),
    Rule(SubmitResults, Delivered, lambda c: Needs(leases=(c.lease,)), submit_results),
    Rule(ExtendLease, Extended, lambda c: Needs(leases=(c.lease,)), extend_lease),
    Rule(ReleaseLease, Released, lambda c: Needs(leases=(c.lease,)), release_lease),
    Rule(ExpireLease, Released, lambda c: Needs(leases=(c.lease,)), expire_lease),
)
