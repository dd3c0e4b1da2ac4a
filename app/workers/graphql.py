"""The API's operations of workers: polling, delivering, extending, giving back, maintenance.

Resolvers only parse, call and map. Look next: `app.workers.polling`, `app.workers.handlers`, `app.workers.inputs`,
`app.workers.steering_graphql` for looking at workers and steering them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Kudos, Position
from app.platform.graphql.shared import GenerationState
from app.platform.services import Info, services_of
from app.workers import handlers, lease_decider
from app.workers.assignments import (
    Assignment,
    ImageAssignment,
    ImageTask,
    InterrogationAssignment,
    SourceLinks,
    TextAssignment,
    assignment_of,
    links,
    messages_for,
    tasks,
)
from app.workers.capabilities import check
from app.workers.inputs import (
    ExtendLeaseInput,
    PopJobInput,
    ReleaseLeaseInput,
    SetWorkerMaintenanceInput,
    SubmitResultInput,
    polling_of,
)
from app.workers.polling import Nothing, pop_job
from app.workers.types import Skipped, Worker, WorkerMessage, shown


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
    | TextAssignment
    | InterrogationAssignment
    | NoJob
    | errors.InvalidInput
    | errors.WorkerInMaintenance
    | errors.WorkerPaused
    | errors.TooManyWorkers
    | errors.InviteOnly
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
    ) -> list[Assignment]:
        """Empty for who has none, and for another's worker."""
        found = await handlers.live_assignments(services_of(info), info.context.viewer.subject, worker_name)
        return [await assignment_of(info, work) for work in found]


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
        polling = polling_of(input)
        poll = polling if isinstance(polling, Rejection) else check(polling)
        if isinstance(poll, Rejection):
            return error_of(poll)
        services = services_of(info)
        answer = await pop_job(
            services,
            info.context.viewer.subject,
            poll,
            input.idempotency_key,
            said(input),
            info.context.client,
        )
        if isinstance(answer, Rejection):
            return error_of(answer)
        if isinstance(answer, Nothing):
            return NoJob(
                skipped=[Skipped(reason=skip.reason, count=skip.count) for skip in answer.skipped],
                messages=[] if answer.worker is None else await messages_for(info, answer.worker),
            )
        work = await handlers.assignment(services, answer.lease)
        return NoJob(skipped=[], messages=[]) if work is None else await assignment_of(info, work)

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
                text=result.text,
                form=result.form,
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
            said(input),
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
            upload_urls=tasks(work.uploads) if work else [],
            position=Position(done.position),
            **links(work.sources if work else ()),
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
