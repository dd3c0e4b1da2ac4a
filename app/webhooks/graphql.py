"""The API of webhooks: registering, changing, trying them, and asking for what was told once more.

Resolvers only parse, call and map. Look next: `app.webhooks.handlers`, `app.webhooks.types`, docs/webhooks.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.handling import parse_id
from app.platform.services import Info, services_of
from app.platform.webhooks import WebhookEvent
from app.webhooks import handlers
from app.webhooks.decider import OVERLAP, WebhookStands
from app.webhooks.told import delivery_id
from app.webhooks.types import Webhook, load_webhook, webhook_of_job, webhooks_of
from events.base import ANONYMOUS

__all__ = ["Webhook", "WebhookMutations", "WebhookQueries", "load_webhook", "webhooks_of"]


@strawberry.input(description="A webhook for all of your jobs.")
class CreateWebhookInput:
    """Input of createWebhook."""

    url: str = strawberry.field(
        description="An https URL on the public internet, at most 2,000 characters. It never enters the public log."
    )
    events: list[WebhookEvent] | None = strawberry.field(
        default=None, description="What to tell; null for everything."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="The same key makes one webhook, however often it is sent within 7 days; its secret is shown once.",
    )


@strawberry.input(description="What to change of a webhook; what is null stays as it is.")
class UpdateWebhookInput:
    """Input of updateWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook.")
    url: str | None = strawberry.field(default=None, description="Another URL.")
    events: list[WebhookEvent] | None = strawberry.field(
        default=None, description="What to tell from now on."
    )
    active: bool | None = strawberry.field(
        default=None, description="Whether to tell anything; what happens while it is not is never told."
    )


@strawberry.input(description="Which webhook to delete.")
class DeleteWebhookInput:
    """Input of deleteWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="Whose secret to rotate.")
class RotateWebhookSecretInput:
    """Input of rotateWebhookSecret."""

    id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="Which webhook to try.")
class PingWebhookInput:
    """Input of pingWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="What to tell again.")
class RedeliverWebhookInput:
    """Input of redeliverWebhook."""

    delivery_id: strawberry.ID = strawberry.field(description="The delivery, whatever came of it.")


@strawberry.type(description="The webhook is told from now on.")
class CreateWebhookSuccess:
    """Result of createWebhook."""

    webhook: Webhook = strawberry.field(description="The webhook.")
    secret: str | None = strawberry.field(
        description='What it is signed with, "whsec_" and base64, shown this once: keep it. Null on a repeat.'
    )
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The webhook is as you wish.")
class UpdateWebhookSuccess:
    """Result of updateWebhook."""

    webhook: Webhook = strawberry.field(description="The webhook.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="Nothing is told there any more; where it was is forgotten.")
class DeleteWebhookSuccess:
    """Result of deleteWebhook."""

    id: strawberry.ID = strawberry.field(description="The id it had.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(
    description="From now on it is signed with another secret, and for a day with the one before, too."
)
class RotateWebhookSecretSuccess:
    """Result of rotateWebhookSecret."""

    webhook: Webhook = strawberry.field(description="The webhook.")
    secret: str = strawberry.field(description="The new secret, shown this once: keep it.")
    old_secret_until: datetime = strawberry.field(description="Until when the one before is used beside it.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The webhook will be told that it is heard.")
class PingWebhookSuccess:
    """Result of pingWebhook."""

    webhook: Webhook = strawberry.field(description="The webhook.")
    delivery_id: strawberry.ID = strawberry.field(
        description="The delivery, which is among the webhook's in a moment."
    )
    position: Position = strawberry.field(description="The log position of the ping.")


@strawberry.type(description="It will be told again, with the same id.")
class RedeliverWebhookSuccess:
    """Result of redeliverWebhook."""

    delivery_id: strawberry.ID = strawberry.field(description="The delivery.")
    position: Position = strawberry.field(description="The log position of your wish.")


CreateWebhookResult = Annotated[
    CreateWebhookSuccess
    | errors.InvalidInput
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("CreateWebhookResult", description="What came of createWebhook."),
]
UpdateWebhookResult = Annotated[
    UpdateWebhookSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("UpdateWebhookResult", description="What came of updateWebhook."),
]
DeleteWebhookResult = Annotated[
    DeleteWebhookSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("DeleteWebhookResult", description="What came of deleteWebhook."),
]
RotateWebhookSecretResult = Annotated[
    RotateWebhookSecretSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("RotateWebhookSecretResult", description="What came of rotateWebhookSecret."),
]
PingWebhookResult = Annotated[
    PingWebhookSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("PingWebhookResult", description="What came of pingWebhook."),
]
RedeliverWebhookResult = Annotated[
    RedeliverWebhookSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("RedeliverWebhookResult", description="What came of redeliverWebhook."),
]


@strawberry.type
class WebhookQueries:
    """Queries of webhooks."""

    @strawberry.field(
        description="The webhook that a job of yours came with, until some time after the job's end; others are found by "
        "`viewer` and `node`."
    )
    async def job_webhook(
        self, info: Info, job: Annotated[strawberry.ID, strawberry.argument(description="The job.")]
    ) -> Webhook | None:
        """Null where there is none, or it is another's."""
        key = parse_id(job)
        return None if key is None else await webhook_of_job(info, key)


@strawberry.type
class WebhookMutations:
    """Mutations of webhooks."""

    @strawberry.mutation(
        description="Be told of what becomes of your jobs, at most 10 times over.",
        graphql_type=CreateWebhookResult,
    )
    async def create_webhook(
        self,
        info: Info,
        input: Annotated[CreateWebhookInput, strawberry.argument(description="The webhook.")],
    ) -> Any:
        """Its secret is made here and kept nowhere."""
        services = services_of(info)
        outcome = await handlers.create(
            services, info.context.viewer.subject, input.url, input.events, input.idempotency_key
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return CreateWebhookSuccess(
            webhook=await _stands(info, outcome.result),
            secret=None if outcome.repeated else handlers.secret_of(services, outcome.result),
            position=Position(outcome.position),
        )

    @strawberry.mutation(
        description="Change a webhook, or activate it again.", graphql_type=UpdateWebhookResult
    )
    async def update_webhook(
        self,
        info: Info,
        input: Annotated[UpdateWebhookInput, strawberry.argument(description="The changes.")],
    ) -> Any:
        """Its secret stays."""
        outcome = await handlers.update(
            services_of(info),
            info.context.viewer.subject,
            input.id,
            input.url,
            input.events,
            active=input.active,
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        webhook = await _stands(info, outcome.result)
        return UpdateWebhookSuccess(webhook=webhook, position=Position(outcome.position))

    @strawberry.mutation(
        description="Delete a webhook and all that is known of what it was told.",
        graphql_type=DeleteWebhookResult,
    )
    async def delete_webhook(
        self,
        info: Info,
        input: Annotated[DeleteWebhookInput, strawberry.argument(description="Which webhook.")],
    ) -> Any:
        """What is being told at the moment may still arrive."""
        outcome = await handlers.delete(services_of(info), info.context.viewer.subject, input.id)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        key: UUID = outcome.result.webhook
        return DeleteWebhookSuccess(id=strawberry.ID(str(key)), position=Position(outcome.position))

    @strawberry.mutation(
        description="Sign with another secret. For a day, what is told bears the signature of the one before, too.",
        graphql_type=RotateWebhookSecretResult,
    )
    async def rotate_webhook_secret(
        self,
        info: Info,
        input: Annotated[RotateWebhookSecretInput, strawberry.argument(description="Which webhook.")],
    ) -> Any:
        """Every call makes another one."""
        services = services_of(info)
        outcome = await handlers.rotate(services, info.context.viewer.subject, input.id)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        webhook = await _stands(info, outcome.result)
        if webhook.secret_rotated_at is None:
            raise _gone()
        return RotateWebhookSecretSuccess(
            webhook=webhook,
            secret=handlers.secret_of(services, outcome.result),
            old_secret_until=webhook.secret_rotated_at + OVERLAP,
            position=Position(outcome.position),
        )

    @strawberry.mutation(
        description="Tell a webhook that it is heard: webhook.ping.", graphql_type=PingWebhookResult
    )
    async def ping_webhook(
        self,
        info: Info,
        input: Annotated[PingWebhookInput, strawberry.argument(description="Which webhook.")],
    ) -> Any:
        """Tried as often as everything else."""
        services = services_of(info)
        outcome = await handlers.ping(services, info.context.viewer.subject, info.context.address, input.id)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        webhook = await _stands(info, outcome.result)
        told = delivery_id(services.realm, webhook.key, outcome.position)
        return PingWebhookSuccess(
            webhook=webhook, delivery_id=strawberry.ID(str(told)), position=Position(outcome.position)
        )

    @strawberry.mutation(
        description="Tell a webhook again what it was told, or did not hear.",
        graphql_type=RedeliverWebhookResult,
    )
    async def redeliver_webhook(
        self,
        info: Info,
        input: Annotated[RedeliverWebhookInput, strawberry.argument(description="Which delivery.")],
    ) -> Any:
        """At once, and then as often as at first; what is pending already stays as it is."""
        found = await handlers.redeliver(
            services_of(info), info.context.viewer.subject, info.context.address, input.delivery_id
        )
        if isinstance(found, Rejection):
            return error_of(found)
        told, outcome = found
        return RedeliverWebhookSuccess(
            delivery_id=strawberry.ID(str(told.id)), position=Position(outcome.position)
        )


async def _stands(info: Info, result: WebhookStands) -> Webhook:
    if info.context.viewer.subject != ANONYMOUS and (found := await load_webhook(info, result.webhook)):
        return found
    raise _gone()


def _gone() -> ApiError:
    return ApiError("the webhook is gone", code=TopLevelCode.TRY_AGAIN, retry_after=1.0)
