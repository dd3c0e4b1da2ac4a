"""The API's operations on interrogations: quoting and submitting.

Resolvers only parse, call and map. Look next: `app.jobs.graphql` for what jobs of all kinds share,
`app.jobs.interrogation_asking`, `app.jobs.interrogation_inputs`.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.jobs import handlers, interrogation_handlers
from app.jobs.decider import Submitted
from app.jobs.following import until_ended
from app.jobs.image_graphql import QuoteSuccess
from app.jobs.interrogation_asking import ask
from app.jobs.interrogation_inputs import SubmitInterrogationJobInput, raw_of
from app.jobs.interrogation_types import InterrogationJob, interrogation_job
from app.jobs.types import notices, quote_of
from app.platform import webhooks
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import Notice
from app.platform.services import Info, services_of
from app.platform.waiting import unreasonable
from app.platform.webhooks import Told, webhook_secret_of


@strawberry.type(description="The interrogation is queued, or done at once where all was told before.")
class SubmitInterrogationJobSuccess:
    """Result of submitInterrogationJob."""

    job: InterrogationJob = strawberry.field(description="The job.")
    access_key: str = strawberry.field(description="Opens the job to whoever has it, without an API key.")
    webhook_secret: str | None = strawberry.field(description=webhooks.SHOWN)
    warnings: list[Notice] = strawberry.field(description="What you should know.")
    position: Position = strawberry.field(description="The log position at which it was accepted.")


SubmitInterrogationJobResult = Annotated[
    SubmitInterrogationJobSuccess
    | errors.InvalidInput
    | errors.TooManyJobs
    | errors.MaintenanceMode
    | errors.UnsafeAddress
    | errors.ObjectMissing
    | errors.StorageUnavailable
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("SubmitInterrogationJobResult", description="What came of submitInterrogationJob."),
]

QuoteInterrogationResult = Annotated[
    QuoteSuccess | errors.InvalidInput | errors.NotFound | errors.ObjectMissing | errors.StorageUnavailable,
    strawberry.union("QuoteInterrogationResult", description="What came of quoteInterrogationJob."),
]
_Input = Annotated[SubmitInterrogationJobInput, strawberry.argument(description="The job.")]


@strawberry.type
class InterrogationJobQueries:
    """Queries of interrogations."""

    @strawberry.field(
        description="What an interrogation would cost at most. Nothing is queued.",
        graphql_type=QuoteInterrogationResult,
    )
    async def quote_interrogation_job(self, info: Info, input: _Input) -> Any:
        """The same checks and prices as submitInterrogationJob."""
        services, actor = services_of(info), info.context.viewer.subject
        asked = await ask(services, info.context.address, raw_of(input))
        found = (
            asked
            if isinstance(asked, Rejection)
            else await interrogation_handlers.preview(services, actor, asked)
        )
        if isinstance(found, Rejection):
            return error_of(found)
        items = tuple((item.label, item.amount) for item in found.quote.items)
        return QuoteSuccess(quote=quote_of(items), warnings=notices(found.notes))


@strawberry.type
class InterrogationJobMutations:
    """Mutations of interrogations."""

    @strawberry.mutation(
        description="Ask what a picture shows, or for what becomes of it. Each form is delivered as soon as it is done.",
        graphql_type=SubmitInterrogationJobResult,
    )
    async def submit_interrogation_job(self, info: Info, input: _Input) -> Any:
        """Quoted, reserved and queued in one step."""
        services, actor = services_of(info), info.context.viewer.subject
        asked = unreasonable(input.wait_seconds or 0) or await ask(
            services, info.context.address, raw_of(input)
        )
        if isinstance(asked, Rejection):
            return error_of(asked)
        outcome = await interrogation_handlers.submit_interrogation_job(
            services,
            actor,
            asked,
            Told(info.context.address, input.webhook),
            input.idempotency_key,
            said(input),
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Submitted = outcome.result
        job = await until_ended(services, result.job, input.wait_seconds or 0, info.context.client)
        notes = await interrogation_handlers.notes_of(services, asked, job)
        return SubmitInterrogationJobSuccess(
            job=interrogation_job(job),
            access_key=handlers.secret_of(services, result.job),
            webhook_secret=webhook_secret_of(services, result.job, input.webhook),
            warnings=notices(notes),
            position=Position(outcome.position),
        )
