"""The API's operations on text jobs: quoting and submitting.

Resolvers only parse, call and map. Look next: `app.jobs.graphql` for what jobs of all kinds share,
`app.jobs.text_handlers`, `app.jobs.text_inputs`.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.jobs import text_handlers as handlers
from app.jobs.following import until_ended
from app.jobs.handlers import secret_of
from app.jobs.text_decider import SubmittedText
from app.jobs.text_inputs import SubmitTextJobInput, raw_text
from app.jobs.text_types import TextJob, text_job
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
class SubmitTextJobSuccess:
    """Result of submitTextJob."""

    job: TextJob = strawberry.field(description="The job.")
    access_key: str = strawberry.field(description="Opens the job to whoever has it, without an API key.")
    webhook_secret: str | None = strawberry.field(description=webhooks.SHOWN)
    warnings: list[Notice] = strawberry.field(description="What you should know.")
    position: Position = strawberry.field(description="The log position at which it was accepted.")


SubmitTextJobResult = Annotated[
    SubmitTextJobSuccess
    | errors.InvalidInput
    | errors.InsufficientKudos
    | errors.TooManyJobs
    | errors.MaintenanceMode
    | errors.UnsafeAddress
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("SubmitTextJobResult", description="What came of submitTextJob."),
]


@strawberry.type(description="What the job would cost at most.")
class QuoteTextSuccess:
    """Result of quoteTextJob."""

    quote: Quote = strawberry.field(description="The quote.")
    warnings: list[Notice] = strawberry.field(description="What you should know.")


QuoteTextResult = Annotated[
    QuoteTextSuccess | errors.InvalidInput | errors.NotFound,
    strawberry.union("QuoteTextResult", description="What came of quoteTextJob."),
]


@strawberry.type
class TextJobQueries:
    """Queries of text jobs."""

    @strawberry.field(
        description="What a text job would cost at most. Nothing is queued.", graphql_type=QuoteTextResult
    )
    async def quote_text_job(
        self, info: Info, input: Annotated[SubmitTextJobInput, strawberry.argument(description="The job.")]
    ) -> Any:
        """The same checks and prices as submitTextJob."""
        services = services_of(info)
        asked = await handlers.ask_text(services, info.context.address, raw_text(input))
        if isinstance(asked, Rejection):
            return error_of(asked)
        found = await handlers.preview_text(services, info.context.viewer.subject, asked)
        items = tuple((item.label, item.amount) for item in found.quote.items)
        return QuoteTextSuccess(quote=quote_of(items), warnings=notices(found.notes))


@strawberry.type
class TextJobMutations:
    """Mutations of text jobs."""

    @strawberry.mutation(description="Ask for texts.", graphql_type=SubmitTextJobResult)
    async def submit_text_job(
        self, info: Info, input: Annotated[SubmitTextJobInput, strawberry.argument(description="The job.")]
    ) -> Any:
        """Quoted, reserved and queued in one step."""
        services, actor = services_of(info), info.context.viewer.subject
        asked = unreasonable(input.wait_seconds or 0) or await handlers.ask_text(
            services, info.context.address, raw_text(input)
        )
        if isinstance(asked, Rejection):
            return error_of(asked)
        told = Told(info.context.address, input.webhook)
        outcome = await handlers.submit_text_job(
            services, actor, asked, told, input.idempotency_key, said(input)
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: SubmittedText = outcome.result
        job = await until_ended(services, result.job, input.wait_seconds or 0, info.context.client)
        notes = await handlers.notes_of_text(services, result, job)
        return SubmitTextJobSuccess(
            job=text_job(job),
            access_key=secret_of(services, result.job),
            webhook_secret=webhook_secret_of(services, result.job, input.webhook),
            warnings=notices(notes),
            position=Position(outcome.position),
        )
