"""The API's operations of workers: polling, delivering, extending, giving back, maintenance.

Resolvers only parse, call and map. Look next: `app.workers.polling`, `app.workers.handlers`, `app.workers.inputs`,
`app.workers.steering_graphql` for looking at workers and steering them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.inline import Place, inline
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import JSON, Kudos, Position
from app.platform.graphql.shared import GenerationState, SourceProcessing
from app.platform.services import Info, services_of
from app.platform.sources import MAX_SOURCE_BYTES
from app.platform.vault import SourceRole
from app.workers import handlers, lease_decider
from app.workers.capabilities import check
from app.workers.inputs import (
    ExtendLeaseInput,
    PopJobInput,
    ReleaseLeaseInput,
    SetWorkerMaintenanceInput,
    SubmitResultInput,
    polling_of,
)
from app.workers.messages import told
from app.workers.polling import Nothing, pop_job
from app.workers.types import Skipped, Worker, WorkerMessage, shown, worker_message


@strawberry.type(description="A picture to draw.")
class ImageTask:
    """One generation of an assignment."""

    id: strawberry.ID = strawberry.field(description="The generation.")
    seed: str = strawberry.field(description="The seed to draw it with.")
    upload_url: str = strawberry.field(
        description="PUT the picture (WebP, PNG or JPEG, at most 20 MB) there, without a Content-Type header."
    )


@strawberry.type(description="A further source image, for a remix.")
class ExtraSource:
    """One of several sources."""

    url: str = strawberry.field(description="GET the picture (WebP, PNG or JPEG) there.")
    strength: float = strawberry.field(description="How much of it the new picture takes.")
    key: strawberry.Private[str]

    @strawberry.field(description="The picture itself, in base64; at most 4 pictures in one operation.")
    async def base64(self, info: Info) -> str | None:
        """Read when it is asked for; null once it was erased."""
        return await _inline(info, self.key)


@strawberry.interface(description="The source images of an assignment, by links as fresh as the lease.")
class SourceLinks:
    """What a job is drawn from besides its words."""

    source_image_url: str | None = strawberry.field(
        description="GET the source image (WebP, PNG or JPEG, at most 10 MiB) there; null if it has none."
    )
    source_mask_url: str | None = strawberry.field(
        description="GET the mask there: what is white in it may be painted anew; null if it has none."
    )
    extra_sources: list[ExtraSource] = strawberry.field(
        description="Further source images in their order, at most 5."
    )


@strawberry.type(description="Work for an image worker.")
class ImageAssignment(SourceLinks):
    """A lease on generations of one job."""

    lease_id: strawberry.ID = strawberry.field(description="The lease.")
    job_id: strawberry.ID = strawberry.field(description="The job.")
    expires_at: datetime = strawberry.field(description="Deliver, extend or give back before this.")
    model: str = strawberry.field(description="The model to draw with.")
    payload: JSON = strawberry.field(
        description="prompt, negative_prompt, width, height, steps, cfg_scale, sampler_name, karras, tiling, "
        "hires_fix, clip_skip, post_processing, use_nsfw_censor and what else the client asked for."
    )
    generations: list[ImageTask] = strawberry.field(description="The pictures to draw.")
    source_processing: SourceProcessing | None = strawberry.field(
        description="What to do with the source image; null: there is none."
    )
    keys: strawberry.Private[dict[SourceRole, str]]

    @strawberry.field(
        description="The source image itself, in base64, for workers that cannot reach the storage; null if there is "
        "none. At most 4 pictures in one operation."
    )
    async def source_image_base64(self, info: Info) -> str | None:
        """Read when it is asked for."""
        return await _inline(info, self.keys.get(SourceRole.SOURCE))

    @strawberry.field(description="The mask itself, in base64; null if there is none.")
    async def source_mask_base64(self, info: Info) -> str | None:
        """Read when it is asked for."""
        return await _inline(info, self.keys.get(SourceRole.MASK))

    messages: list[WorkerMessage] = strawberry.field(
        description="What the worker is told, newest first, at most 20: with every poll, until it expires."
    )


@strawberry.type(description="Nothing that this worker may serve waits.")
class NoJob:
    """An empty poll."""

    skipped: list[Skipped] = strawberry.field(
        description="What waits that it may not serve, as of at most a second ago."
    )
    messages: list[WorkerMessage] = strawberry.field(
        description="What the worker is told, newest first, at most 20: with every poll, until it expires."
    )


PopJobResult = Annotated[
    ImageAssignment
    | NoJob
    | errors.InvalidInput
    | errors.WorkerInMaintenance
    | errors.WorkerPaused
    | errors.TooManyWorkers
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("PopJobResult", description="What came of popJob."),
]


@strawberry.type(description="What became of one generation.")
class GenerationOutcome:
    """An outcome."""

    generation_id: strawberry.ID = strawberry.field(description="The generation.")
    state: GenerationState = strawberry.field(description="Where it stands now.")
    reward: Kudos = strawberry.field(description="What its delivery under this lease earned.")
    refusal: str | None = strawberry.field(
        description="Why this one was not taken, beside others that were; null if it was."
    )


@strawberry.type(description="The results were taken.")
class SubmitResultSuccess:
    """Result of submitResult."""

    reward: Kudos = strawberry.field(
        description="What the results earned together; repeats show their first reward."
    )
    results: list[GenerationOutcome] = strawberry.field(description="What became of each.")
    position: Position = strawberry.field(description="The log position at which they were taken.")


SubmitResultResult = Annotated[
    SubmitResultSuccess
    | errors.InvalidInput
    | errors.LeaseEnded
    | errors.ObjectMissing
    | errors.StorageUnavailable
    | errors.NotFound
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("SubmitResultResult", description="What came of submitResult."),
]


@strawberry.type(description="The lease lasts longer.")
class ExtendLeaseSuccess(SourceLinks):
    """Result of extendLease."""

    expires_at: datetime = strawberry.field(description="Until when it lasts now.")
    upload_urls: list[ImageTask] = strawberry.field(description="Fresh links for its generations.")
    position: Position = strawberry.field(description="The log position at which it stands.")


ExtendLeaseResult = Annotated[
    ExtendLeaseSuccess | errors.InvalidInput | errors.LeaseEnded | errors.NotFound | errors.TryAgain,
    strawberry.union("ExtendLeaseResult", description="What came of extendLease."),
]


@strawberry.type(description="The lease has ended; what was not delivered waits again.")
class ReleaseLeaseSuccess:
    """Result of releaseLease."""

    position: Position = strawberry.field(description="The log position at which it stands.")


ReleaseLeaseResult = Annotated[
    ReleaseLeaseSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("ReleaseLeaseResult", description="What came of releaseLease."),
]


@strawberry.type(description="The worker's maintenance is as you wish.")
class SetWorkerMaintenanceSuccess:
    """Result of setWorkerMaintenance."""

    worker: Worker = strawberry.field(description="The worker.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetWorkerMaintenanceResult = Annotated[
    SetWorkerMaintenanceSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("SetWorkerMaintenanceResult", description="What came of setWorkerMaintenance."),
]


@strawberry.type
class WorkerQueries:
    """Queries of workers."""

    @strawberry.field(
        description="The work of your workers' live leases, with fresh upload links for what is not delivered yet; "
        "those that end first, at most 100. A worker that was cut off goes on with it, or gives it back."
    )
    async def live_assignments(
        self,
        info: Info,
        worker_name: Annotated[
            str | None, strawberry.argument(description="Only of this worker, by name or id.")
        ] = None,
    ) -> list[ImageAssignment]:
        """Empty for who has none, and for another's worker."""
        found = await handlers.live_assignments(services_of(info), info.context.viewer.subject, worker_name)
        return [await _assignment(info, work) for work in found]


@strawberry.type
class WorkerMutations:
    """Mutations of workers."""

    @strawberry.mutation(
        description="Ask for work. The first poll registers the worker.", graphql_type=PopJobResult
    )
    async def pop_job(
        self,
        info: Info,
        input: Annotated[PopJobInput, strawberry.argument(description="Who asks and what it serves.")],
    ) -> Any:
        """Empty polls append nothing to the log."""
        given = [kind for kind in (input.image, input.text, input.interrogation) if kind is not None]
        if len(given) != 1:
            message = "give exactly one of image, text and interrogation"
            return errors.InvalidInput(message=message, path=["input"])
        if input.image is None:
            return NoJob(skipped=[], messages=[])
        poll = check(polling_of(input, input.image))
        if isinstance(poll, Rejection):
            return error_of(poll)
        services = services_of(info)
        answer = await pop_job(
            services, info.context.viewer.subject, poll, input.idempotency_key, poll, info.context.client
        )
        if isinstance(answer, Rejection):
            return error_of(answer)
        if isinstance(answer, Nothing):
            return NoJob(
                skipped=[Skipped(reason=skip.reason, count=skip.count) for skip in answer.skipped],
                messages=[] if answer.worker is None else await _told(info, answer.worker),
            )
        work = await handlers.assignment(services, answer.lease)
        return NoJob(skipped=[], messages=[]) if work is None else await _assignment(info, work)

    @strawberry.mutation(description="Deliver generations of a lease.", graphql_type=SubmitResultResult)
    async def submit_result(
        self, info: Info, input: Annotated[SubmitResultInput, strawberry.argument(description="The results.")]
    ) -> Any:
        """What was uploaded is looked at before it is taken."""
        reported = [
            handlers.Reported(
                generation=result.generation_id,
                state=lease_decider.ResultState(str(result.state.value)),
                seed=result.seed,
                metadata=result.metadata,
                notes=tuple(note.plain() for note in result.notes or ()),
            )
            for result in input.results
        ]
        outcome = await handlers.submit_results(
            services_of(info),
            info.context.viewer.subject,
            input.lease_id,
            reported,
            input.idempotency_key,
            [input.lease_id, reported],
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        delivered: lease_decider.Delivered = outcome.result
        return SubmitResultSuccess(
            reward=Kudos(sum(each.reward for each in delivered.outcomes)),
            results=[
                GenerationOutcome(
                    generation_id=strawberry.ID(str(each.generation)),
                    state=GenerationState(each.state.value),
                    reward=Kudos(each.reward),
                    refusal=each.refusal,
                )
                for each in delivered.outcomes
            ],
            position=Position(outcome.position),
        )

    @strawberry.mutation(description="Ask for more time.", graphql_type=ExtendLeaseResult)
    async def extend_lease(
        self, info: Info, input: Annotated[ExtendLeaseInput, strawberry.argument(description="Which lease.")]
    ) -> Any:
        """Never beyond an hour after the lease was taken, or its first length if that is longer."""
        services = services_of(info)
        outcome = await handlers.extend_lease(services, info.context.viewer.subject, input.lease_id)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, work = outcome
        extended: lease_decider.Extended = done.result
        return ExtendLeaseSuccess(
            expires_at=extended.expires_at,
            upload_urls=_tasks(work.uploads) if work else [],
            position=Position(done.position),
            **_links(work.sources if work else ()),
        )

    @strawberry.mutation(
        description="Give back what is not delivered. This is no failure.", graphql_type=ReleaseLeaseResult
    )
    async def release_lease(
        self, info: Info, input: Annotated[ReleaseLeaseInput, strawberry.argument(description="Which lease.")]
    ) -> Any:
        """Giving back twice changes nothing."""
        outcome = await handlers.release_lease(services_of(info), info.context.viewer.subject, input.lease_id)
        return (
            error_of(outcome)
            if isinstance(outcome, Rejection)
            else ReleaseLeaseSuccess(position=Position(outcome.position))
        )

    @strawberry.mutation(
        description="Start or end maintenance of your worker; moderators, of any.",
        graphql_type=SetWorkerMaintenanceResult,
    )
    async def set_worker_maintenance(
        self,
        info: Info,
        input: Annotated[
            SetWorkerMaintenanceInput, strawberry.argument(description="Which worker, and what it is told.")
        ],
    ) -> Any:
        """In maintenance a worker still serves its owner."""
        outcome = await handlers.set_maintenance(
            services_of(info),
            info.context.viewer.subject,
            input.worker,
            input.message,
            maintenance=input.maintenance,
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, worker = outcome
        (seen,) = await shown(info, [worker])
        return SetWorkerMaintenanceSuccess(worker=seen, position=Position(done.position))


async def _assignment(info: Info, work: handlers.Assignment) -> ImageAssignment:
    processing = work.payload.get("source_processing") if work.sources else None
    return ImageAssignment(
        lease_id=strawberry.ID(str(work.lease.id)),
        job_id=strawberry.ID(str(work.lease.job)),
        expires_at=work.lease.expires_at,
        model=work.lease.model,
        payload=JSON(work.payload),
        generations=_tasks(work.uploads),
        source_processing=None if processing is None else SourceProcessing(processing),
        keys={source.role: source.key for source in work.sources},
        messages=await _told(info, work.lease.worker),
        **_links(work.sources),
    )


def _links(sources: tuple[handlers.Source, ...]) -> dict[str, Any]:
    """The fields of `SourceLinks`."""
    by_role = {source.role: source.url for source in sources}
    extra = [source for source in sources if source.role is SourceRole.EXTRA]
    return {
        "source_image_url": by_role.get(SourceRole.SOURCE),
        "source_mask_url": by_role.get(SourceRole.MASK),
        "extra_sources": [
            ExtraSource(url=source.url, strength=source.strength, key=source.key) for source in extra
        ],
    }


async def _inline(info: Info, key: str | None) -> str | None:
    """A source of a job, in base64."""
    if key is None:
        return None
    place = Place(services_of(info).settings.bucket_sources, key)
    return await inline(info, place, limit=MAX_SOURCE_BYTES)


async def _told(info: Info, worker: UUID) -> list[WorkerMessage]:
    messages = await told(services_of(info), worker)
    return [worker_message(message, info.context.viewer.subject) for message in messages]


def _tasks(uploads: tuple[handlers.Upload, ...]) -> list[ImageTask]:
    return [
        ImageTask(id=strawberry.ID(str(upload.generation)), seed=str(upload.seed), upload_url=upload.url)
        for upload in uploads
    ]
