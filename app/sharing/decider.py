"""What may become of a picture that was to be shared: published, withheld for good, or withdrawn. Pure.

The picture itself is judged before, by `app.sharing.publish`; here only what the log knows counts. Each generation
gets one verdict: whatever comes after it changes nothing and is told what stands. Only a report of
it, or what ends the sharing of its job (a withdrawn consent, a report that was upheld), takes back what was published.
"""

from __future__ import annotations

from uuid import UUID

from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.takedowns import outdated
from events.sharing import PicturePublished, PicturesWithdrawn, PictureWithheld, WithheldReason
from projections.generations import Generation, GenerationState
from projections.jobs import Job


class PublishPicture(Command, frozen=True, kw_only=True):
    """Record that a picture and its metadata are in the shared bucket: they were put there before."""

    job: UUID
    generation: UUID
    #: of the published file, hexadecimal
    sha256: str
    perceptual_hash: str
    #: pixels
    width: int
    height: int
    #: bytes
    size: int
    #: how many takedowns it was held against
    takedowns: int = 0


class WithholdPicture(Command, frozen=True, kw_only=True):
    """Record that a picture did not pass the gate."""

    job: UUID
    generation: UUID
    reason: WithheldReason


class WithdrawPictures(Command, frozen=True, kw_only=True):
    """Record that what of a job is not to be shared any more is not in the shared bucket: it was removed before."""

    job: UUID


class Verdict(Result, frozen=True, kw_only=True):
    """What stands: the hash of the published file, or why there is none."""

    sha256: str | None = None
    withheld: WithheldReason | None = None


class Withdrawn(Result, frozen=True, kw_only=True):
    """What is not to be shared any more is not."""


def publish_picture(command: PublishPicture, rows: Rows) -> Decision | Rejection:
    """Only what was delivered OK for a job that is shared, and only once."""
    found = _eligible(command.job, command.generation, rows)
    if not isinstance(found, Job):
        return found
    generation = _generation_of(found, command.generation, rows)
    if generation is not None and (ended := unshared(found.unshared, generation)) is not None:
        return Rejection(code="FORBIDDEN", message=f"the picture is not shared any more ({ended.lower()})")
    if (again := outdated(command.takedowns, rows)) is not None:
        return again
    event = PicturePublished(
        job=command.job,
        requester=found.requester,
        generation=command.generation,
        sha256=command.sha256,
        perceptual_hash=command.perceptual_hash,
        width=command.width,
        height=command.height,
        size=command.size,
        nsfw=found.nsfw,
        model="" if generation is None else generation.model or "",
    )
    return Decision((event,), Verdict(sha256=command.sha256))


def withhold_picture(command: WithholdPicture, rows: Rows) -> Decision | Rejection:
    """The same conditions: what was never to be shared is not withheld either."""
    found = _eligible(command.job, command.generation, rows)
    if not isinstance(found, Job):
        return found
    event = PictureWithheld(
        job=command.job, requester=found.requester, generation=command.generation, reason=command.reason
    )
    return Decision((event,), Verdict(withheld=command.reason))


def withdraw_pictures(command: WithdrawPictures, rows: Rows) -> Decision | Rejection:
    """Once is enough."""
    job = rows.job(command.job)
    if job is None:
        return Rejection(code="NOT_FOUND", message="no such job")
    if not job.withdrawing:
        return Decision((), Withdrawn())
    gone = tuple(
        g.id
        for g in rows.generations_of(job.id)
        if g.sha256 is not None and unshared(job.unshared, g) is not None
    )
    reason = job.unshared or WithheldReason.REPORTED
    event = PicturesWithdrawn(job=job.id, requester=job.requester, generations=gone, reason=reason)
    return Decision((event,), Withdrawn())


def unshared(of_job: WithheldReason | None, generation: Generation) -> WithheldReason | None:
    """Why a picture is not shared any more: what was reported never is again, whatever is decided."""
    return of_job or (None if generation.report is None else WithheldReason.REPORTED)


def _eligible(job_id: UUID, generation_id: UUID, rows: Rows) -> Job | Decision | Rejection:
    """The job whose picture waits for a verdict; or the verdict there is, or why there can be none."""
    job = rows.job(job_id)
    generation = None if job is None else _generation_of(job, generation_id, rows)
    if job is None or generation is None:
        return Rejection(code="NOT_FOUND", message="no such generation of this job")
    if not job.shared:
        return Rejection(code="FORBIDDEN", message="the pictures of this job are not shared")
    if generation.state is not GenerationState.DONE:
        return Rejection(code="FORBIDDEN", message=f"the generation is {generation.state.lower()}, not done")
    if generation.sha256 is not None or generation.withheld is not None:
        return Decision((), Verdict(sha256=generation.sha256, withheld=generation.withheld))
    return job


def _generation_of(job: Job, key: UUID, rows: Rows) -> Generation | None:
    return next((generation for generation in rows.generations_of(job.id) if generation.id == key), None)


RULES = (
    Rule(PublishPicture, Verdict, lambda c: Needs(jobs=(c.job,), pictures=(c.generation,)), publish_picture),
    Rule(WithholdPicture, Verdict, lambda c: Needs(jobs=(c.job,)), withhold_picture),
    Rule(WithdrawPictures, Withdrawn, lambda c: Needs(jobs=(c.job,), galleries=(c.job,)), withdraw_pictures),
)
