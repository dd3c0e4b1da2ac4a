"""Ends of generations and jobs: what is released, when a job is over. Pure; shared by jobs and workers.

Every function adds events to a draft, deciding each on top of those before it. Look next: `app.jobs.decider`,
`app.workers.lease_decider`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.ledger.holds import release_on_drop
from app.platform.rows import Draft
from events.jobs import (
    FailureCause,
    GenerationFailed,
    GenerationFaulted,
    HoldReleased,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobState,
    SourceFault,
    SourcesRefused,
)
from projections.generations import Generation
from projections.jobs import Job
from projections.leases import Lease

#: a generation is given up after this many failed leases by at least this many owners
MAX_FAILURES = 3
MIN_OWNERS = 2


def standing(draft: Draft, job: UUID) -> Job:
    """The job as it stands in the draft."""
    row = draft.job(job)
    assert row is not None, "a job under a lease is never deleted"
    return row


def give_up_waiting(draft: Draft, job: Job, generations: Sequence[UUID], state: JobState) -> None:
    """Cancel or expire waiting generations and release their shares of the hold."""
    _release_shares(draft, job.id, generations)
    made = JobCancelled if state is JobState.CANCELLED else JobExpired
    draft.add(made(job=job.id, requester=job.requester, generations=tuple(generations), kind=job.kind))


def refuse_sources(draft: Draft, job: Job, generations: Sequence[UUID], cause: SourceFault) -> None:
    """Fault waiting generations whose sources could not be had, and release their shares of the hold."""
    _release_shares(draft, job.id, generations)
    draft.add(
        SourcesRefused(
            job=job.id,
            requester=job.requester,
            generations=tuple(generations),
            cause=cause,
            kind=job.kind,
        )
    )


def fail(draft: Draft, lease: Lease, generation: UUID, cause: FailureCause) -> None:
    """End a lease's claim on a generation as a failure: it waits again, or is given up."""
    job = standing(draft, lease.job)
    draft.add(
        GenerationFailed(
            job=lease.job,
            requester=lease.requester,
            generation=generation,
            lease=lease.id,
            worker=lease.worker,
            owner=lease.owner,
            cause=cause,
            kind=job.kind,
        )
    )
    job = standing(draft, lease.job)
    row = draft.generation(generation)
    assert row is not None, "a leased generation is never deleted"
    if job.closed:
        _drop_closed(draft, job, generation)
    elif _hopeless(row):
        _release_shares(draft, job.id, (generation,))
        draft.add(
            GenerationFaulted(job=job.id, requester=job.requester, generation=generation, kind=job.kind)
        )


def give_back(draft: Draft, job: Job, generations: Sequence[UUID]) -> None:
    """Generations that a worker gave back: of a closed job they are given up."""
    if job.closed:
        for generation in generations:
            _drop_closed(draft, standing(draft, job.id), generation)


def end_if_over(draft: Draft, job_id: UUID) -> None:
    """End a job of which nothing waits or runs, and release the rest of its hold."""
    job = standing(draft, job_id)
    if job.open or job.final:
        return
    if job.held:
        draft.add(HoldReleased(job=job.id, requester=job.requester, amount=job.held))
    draft.add(JobEnded(job=job.id, requester=job.requester, state=_final_state(job)))


def _drop_closed(draft: Draft, job: Job, generation: UUID) -> None:
    _release_shares(draft, job.id, (generation,))
    made = JobCancelled if job.state is JobState.CANCELLED else JobExpired
    draft.add(made(job=job.id, requester=job.requester, generations=(generation,), kind=job.kind))


def _release_shares(draft: Draft, job_id: UUID, dropped: Sequence[UUID]) -> None:
    """Release the shares of open generations that will never be charged."""
    job = standing(draft, job_id)
    if released := release_on_drop(job.held, job.owed_without(dropped)):
        draft.add(HoldReleased(job=job.id, requester=job.requester, amount=released))


def _hopeless(generation: Generation) -> bool:
    owners = {owner for _, owner in generation.failures}
    return len(generation.failures) >= MAX_FAILURES and len(owners) >= MIN_OWNERS


def _final_state(job: Job) -> JobState:
    if job.closed:
        return job.state
    return JobState.DONE if job.done or job.censored else JobState.FAULTED
