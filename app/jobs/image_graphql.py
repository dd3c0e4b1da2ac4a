"""The API's operations on image jobs: quoting and submitting.

Resolvers only parse, call and map. Look next: `app.jobs.graphql` for what jobs of all kinds share, `app.jobs.asking`,
`app.jobs.inputs`.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.jobs import handlers
from app.jobs.asking import ask
from app.jobs.decider import Submitted
from app.jobs.following import until_ended
from app.jobs.image_types import ImageJob, image_job
from app.jobs.inputs import SubmitImageJobInput, raw_of
from app.jobs.types import notices, quote_of
from app.platform import webhooks
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import Notice, Quote
from app.platform.services import Info, services_of
from app.platform.waiting import unreasonable
from app.platform.webhooks import Told, webhook_secret_of


@strawberry.type(description="The job is queued.")
class SubmitImageJobSuccess:
    """Result of submitImageJob."""

    job: ImageJob = strawberry.field(description="The job.")
    access_key: str = strawberry.field(description="Opens the job to whoever has it, without an API key.")
    webhook_secret: str | None = strawberry.field(description=webhooks.SHOWN)
    warnings: list[Notice] = strawberry.field(description="What you should know.")
    position: Position = strawberry.field(description="The log position at which it was accepted.")


SubmitImageJobResult = Annotated[
    SubmitImageJobSuccess
    | errors.InvalidInput
    | errors.InsufficientKudos
    | errors.TooManyJobs
    | errors.MaintenanceMode
    | errors.UnsafeAddress
    | errors.ObjectMissing
    | errors.StorageUnavailable
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("SubmitImageJobResult", description="What came of submitImageJob."),
]


@strawberry.type(description="What the job would cost at most.")
class QuoteSuccess:
    """Result of quoteImageJob."""

    quote: Quote = strawberry.field(description="The quote.")
    warnings: list[Notice] = strawberry.field(description="What you should know.")


QuoteResult = Annotated[
    QuoteSuccess | errors.InvalidInput | errors.NotFound,
    strawberry.union("QuoteResult", description="What came of quoteImageJob."),
]


@strawberry.type
class ImageJobQueries:
    """Queries of image jobs."""

    @strawberry.field(
        description="What an image job would cost at most. Nothing is queued.", graphql_type=QuoteResult
    )
    async def quote_image_job(
        self, info: Info, input: Annotated[SubmitImageJobInput, strawberry.argument(description="The job.")]
    ) -> Any:
        """The same checks and prices as submitImageJob."""
        services, actor = services_of(info), info.context.viewer.subject
        censor = bool(input.censor_nsfw)
        asked = await ask(services, actor, info.context.address, raw_of(input), censor_nsfw=censor)
        if isinstance(asked, Rejection):
            return error_of(asked)
        found = await handlers.preview(services, actor, asked)
        items = tuple((item.label, item.amount) for item in found.quote.items)
        return QuoteSuccess(quote=quote_of(items), warnings=notices(found.notes))


@strawberry.type
class ImageJobMutations:
    """Mutations of image jobs."""

    @strawberry.mutation(description="Ask for pictures.", graphql_type=SubmitImageJobResult)
    async def submit_image_job(
        self, info: Info, input: Annotated[SubmitImageJobInput, strawberry.argument(description="The job.")]
    ) -> Any:
        """Quoted, reserved and queued in one step."""
        services, actor = services_of(info), info.context.viewer.subject
        asked = unreasonable(input.wait_seconds or 0) or await ask(
            services, actor, info.context.address, raw_of(input), censor_nsfw=bool(input.censor_nsfw)
        )
        if isinstance(asked, Rejection):
            return error_of(asked)
        told = Told(info.context.address, input.webhook)
        outcome = await handlers.submit_image_job(
            services, actor, asked, told, input.idempotency_key, said(input)
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Submitted = outcome.result
        job = await until_ended(services, result.job, input.wait_seconds or 0, info.context.client)
        notes = await handlers.notes_of(services, asked, result, job)
        return SubmitImageJobSuccess(
            job=image_job(job),
            access_key=handlers.secret_of(services, result.job),
            webhook_secret=webhook_secret_of(services, result.job, input.webhook),
            warnings=notices(notes),
            position=Position(outcome.position),
        )
