"""The API's operations on jobs of any kind: cancelling, looking, following, and what leads to them from elsewhere.

Resolvers only parse, call and map. Look next: `app.jobs.image_graphql` and `app.jobs.text_graphql` for submitting, `app.jobs.handlers`,
`app.jobs.kinds`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.jobs import handlers
from app.jobs.following import following, read_job
from app.jobs.kinds import AnyGeneration, AnyJob, generation_of, job_of
from app.jobs.loaders import load_generations, load_job
from app.jobs.queries import JOB_OF_GENERATION, PAGE
from app.jobs.types import (
    Job,
    JobConnection,
    JobEdge,
)
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import AccessKey, JobId, JobState
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.services import Info, services_of
from events.base import ANONYMOUS
from projections.jobs import Job as JobRow


@strawberry.input(description="Which job to cancel.")
class CancelJobInput:
    """Input of cancelJob."""

    id: strawberry.ID = strawberry.field(description="The job.")
    access_key: str | None = strawberry.field(default=None, description="Needed unless you are its owner.")


@strawberry.type(description="Nothing more of the job will be handed out.")
class CancelJobSuccess:
    """Result of cancelJob."""

    job: Job = strawberry.field(description="The job; what runs may still be delivered and charged.")
    position: Position = strawberry.field(description="The log position at which it stands.")


CancelJobResult = Annotated[
    CancelJobSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("CancelJobResult", description="What came of cancelJob."),
]


@strawberry.input(description="Which job's pictures are to be shared no longer.")
class WithdrawConsentInput:
    """Input of withdrawConsent."""

    id: strawberry.ID = strawberry.field(description="The job.")
    access_key: str | None = strawberry.field(default=None, description="Needed unless you are its owner.")


@strawberry.type(description="Nothing more of the job is published, and what was published is being removed.")
class WithdrawConsentSuccess:
    """Result of withdrawConsent."""

    job: Job = strawberry.field(description="The job, shared no longer.")
    position: Position = strawberry.field(description="The log position at which it stands.")


WithdrawConsentResult = Annotated[
    WithdrawConsentSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("WithdrawConsentResult", description="What came of withdrawConsent."),
]


@strawberry.input(description="That everything is meant.")
class WithdrawAllConsentInput:
    """Input of withdrawAllConsent."""

    confirm: bool = strawberry.field(description="Must be true: it is about everything that you ever shared.")


@strawberry.type(
    description="Nothing more of these jobs is published, and what was published is being removed."
)
class WithdrawAllConsentSuccess:
    """Result of withdrawAllConsent."""

    jobs: int = strawberry.field(description="How many jobs are shared no longer by this call.")
    complete: bool = strawberry.field(
        description="Whether that was everything. If not, there were very many: call again, which goes on with the rest."
    )
    position: Position = strawberry.field(description="The log position at which it stands.")


WithdrawAllConsentResult = Annotated[
    WithdrawAllConsentSuccess | errors.InvalidInput | errors.Forbidden | errors.TryAgain,
    strawberry.union("WithdrawAllConsentResult", description="What came of withdrawAllConsent."),
]


@strawberry.type
class JobQueries:
    """Queries of jobs."""

    @strawberry.field(description="A job; null to all but its owner or a bearer of its accessKey.")
    async def job(self, info: Info, id: JobId, access_key: AccessKey = None) -> Job | None:
        """A job by id."""
        row = await handlers.visible_job(services_of(info), info.context.viewer.subject, id, access_key)
        return None if row is None else job_of(row)


@strawberry.type
class JobMutations:
    """Mutations of jobs."""

    @strawberry.mutation(
        description="Want no more of a job: what waits is cancelled, what runs may still be delivered.",
        graphql_type=CancelJobResult,
    )
    async def cancel_job(
        self, info: Info, input: Annotated[CancelJobInput, strawberry.argument(description="Which job.")]
    ) -> Any:
        """Cancelling an ended job changes nothing."""
        services = services_of(info)
        outcome = await handlers.cancel_job(services, info.context.viewer.subject, input.id, input.access_key)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        job = job_of(await read_job(services, outcome.result.job))
        return CancelJobSuccess(job=job, position=Position(outcome.position))

    @strawberry.mutation(
        description="Take back the consent to share a job's pictures: they are removed from the shared bucket. "
        "Copies that others made are beyond reach, and what the job cost stays as it was.",
        graphql_type=WithdrawConsentResult,
    )
    async def withdraw_consent(
        self,
        info: Info,
        input: Annotated[WithdrawConsentInput, strawberry.argument(description="Which job.")],
    ) -> Any:
        """Withdrawing what was not shared, or again, changes nothing."""
        services = services_of(info)
        actor = info.context.viewer.subject
        outcome = await handlers.withdraw_consent(services, actor, input.id, input.access_key)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        job = job_of(await read_job(services, outcome.result.job))
        return WithdrawConsentSuccess(job=job, position=Position(outcome.position))

    @strawberry.mutation(
        description="Take back the consent to share the pictures of all your jobs: they are removed from the shared "
        "bucket, and are not in later releases. Copies that others made are beyond reach. Anonymous users cannot.",
        graphql_type=WithdrawAllConsentResult,
    )
    async def withdraw_all_consent(
        self,
        info: Info,
        input: Annotated[WithdrawAllConsentInput, strawberry.argument(description="That it is meant.")],
    ) -> Any:
        """Again it changes nothing, or goes on where it was broken off."""
        actor = info.context.viewer.subject
        outcome = await handlers.withdraw_all_consent(services_of(info), actor, confirmed=input.confirm)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return WithdrawAllConsentSuccess(
            jobs=outcome.jobs, complete=outcome.complete, position=Position(outcome.position)
        )


@strawberry.type
class JobSubscriptions:
    """Subscriptions of jobs."""

    @strawberry.subscription(
        description="A job: first its present state, then every change, ending when the job has ended."
    )
    async def job_updated(
        self,
        info: Info,
        id: JobId,
        access_key: AccessKey = None,
    ) -> AsyncGenerator[Job, None]:
        """Promises the latest state, coalesced, and always the last one."""
        services = services_of(info)
        row = await handlers.visible_job(services, info.context.viewer.subject, id, access_key)
        if row is None:
            message = "no such job, or neither its owner's key nor its access key was given"
            raise ApiError(message, code=TopLevelCode.FORBIDDEN)
        with following(services).follow(row.id, placed=True) as followed:
            async for look in followed.looks():
                yield job_of(look.row, look)


async def job_of_viewer(info: Info, job: UUID) -> AnyJob | None:
    """A job by id, if it is the viewer's."""
    row = await _row_of_viewer(info, job)
    return None if row is None else job_of(row)


async def generation_of_viewer(info: Info, generation: UUID) -> AnyGeneration | None:
    """A generation by id, if its job is the viewer's."""
    services = services_of(info)
    job = await JOB_OF_GENERATION.one(services.pool, realm=services.realm, id=generation)
    row = None if job is None else await _row_of_viewer(info, job)
    if row is None:
        return None
    views = await load_generations(info, row.id)
    return next((generation_of(row, view) for view in views if view.id == generation), None)


async def _row_of_viewer(info: Info, job: UUID) -> JobRow | None:
    row = await load_job(info, job)
    actor = info.context.viewer.subject
    return row if row is not None and row.requester == actor != ANONYMOUS else None


async def jobs_of(
    info: Info, user: UUID, first: int | None, after: str | None, state: JobState | None
) -> JobConnection:
    """A page of a user's jobs, newest first; anonymous callers share one account and see none."""
    services = services_of(info)
    size = page_size(first)
    before = 2**62 if after is None else decode_cursor(after, tuple[int])[0]
    rows: list[JobRow] = []
    if user != ANONYMOUS:
        rows = await PAGE.all(
            services.pool,
            realm=services.realm,
            requester=user,
            before=before,
            state=None if state is None else state.value,
            limit=size + 1,
        )
    edges, page = build_page(
        rows,
        size,
        key=lambda row: (row.position,),
        edge=lambda cursor, row: JobEdge(cursor=cursor, node=job_of(row)),
        after=after,
    )
    return JobConnection(edges=edges, page_info=page)
