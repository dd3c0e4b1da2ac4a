"""What may become of a job whose sources are being fetched: queued with them, or given up without. Pure.

The pictures themselves are judged before, by `app.sources.fetching`. Whoever comes second, or after the job was
cancelled or expired, changes nothing and is told so. Look next: `app.ledger.closing`.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.closing import end_if_over, refuse_sources
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import JobSource
from events.jobs import JobKind, SourceFault, SourcesFetched
from projections.generations import GenerationState


class AcceptSources(Command, frozen=True, kw_only=True):
    """Queue a job: all of its sources are in storage and are pictures."""

    job: UUID
    #: where those lie that were fetched; their URLs are forgotten
    sources: tuple[JobSource, ...]
    #: squares of 512 x 512 pixels that the first of them takes up
    tiles: int = 0


class RefuseSources(Command, frozen=True, kw_only=True):
    """Give a job up: one of its sources could not be had."""

    job: UUID
    cause: SourceFault


class Settled(Result, frozen=True, kw_only=True):
    """Whether this command settled it: otherwise the job's sources were settled before, or nobody wants them now."""

    settled: bool


def accept_sources(command: AcceptSources, rows: Rows) -> Decision | Rejection:
    """Only a job that still waits for them."""
    job = rows.job(command.job)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job")
    if not job.fetching or job.closed:
        return Decision((), Settled(settled=False))
    tiles = command.tiles if job.kind is JobKind.INTERROGATION else 0
    event = SourcesFetched(job=job.id, requester=job.requester, tiles=tiles)
    return Decision((event,), Settled(settled=True), command.sources)


def refuse(command: RefuseSources, rows: Rows) -> Decision | Rejection:
    """The same condition; all of its generations are faulted, its hold is released, and it ends."""
    job = rows.job(command.job)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job")
    if not job.fetching or job.closed:
        return Decision((), Settled(settled=False))
    draft = rows.draft()
    waiting = [g.id for g in rows.generations_of(job.id) if g.state is GenerationState.WAITING]
    refuse_sources(draft, job, waiting, command.cause)
    end_if_over(draft, job.id)
    return Decision(draft.events, Settled(settled=True))


RULES = (
    Rule(AcceptSources, Settled, lambda c: Needs(jobs=(c.job,)), accept_sources),
    Rule(RefuseSources, Settled, lambda c: Needs(jobs=(c.job,)), refuse),
)
