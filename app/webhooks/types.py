"""The API's output types of webhooks, of what they were told, and of pages of that.

Resolvers only read and map. Look next: `app.webhooks.graphql`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from app.platform import vault
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.enums import described_enum
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, First, Node
from app.platform.services import Info, services_of
from app.platform.vault import JobWebhook, WebhookDelivery
from app.platform.webhooks import WebhookEvent
from app.webhooks.queries import DELIVERIES, OF_JOB, OWNED, PLACES, PlaceView
from app.webhooks.told import PING
from events import webhooks
from events.base import ANONYMOUS
from projections.webhooks import Endpoint

WebhookFault = described_enum(
    vault.WebhookFault,
    "WebhookFault",
    "Why an attempt to tell a webhook came to nothing. Clients must expect new values.",
    lambda fault: {
        "UNREACHABLE": "No connection, no answer, or a certificate that nobody vouches for.",
        "FORBIDDEN_ADDRESS": "The name leads to an address that is not public. It is not tried again.",
        "TOO_SLOW": "No answer within ten seconds.",
        "REFUSED": "Another answer than 2xx. Redirects are not followed.",
        "GONE": "410: it is not tried again, and the webhook is suspended.",
        "INACTIVE": "The webhook was inactive, deleted or forgotten when its time came.",
    }[fault.name],
)
WebhookDeliveryState = described_enum(
    vault.DeliveryState,
    "WebhookDeliveryState",
    "Where a delivery stands.",
    lambda state: {
        "PENDING": "It is tried, or tried again later.",
        "DELIVERED": "It was answered by 2xx.",
        "GIVEN_UP": "It will not be tried again, unless you ask by redeliverWebhook.",
    }[state.name],
)
WebhookSuspension = described_enum(
    webhooks.SuspensionCause,
    "WebhookSuspension",
    "Why the house deactivated a webhook.",
    lambda cause: {
        "FAILING": "Nothing was accepted for three days.",
        "GONE": "Its server answered 410.",
    }[cause.name],
)


@strawberry.type(description="One try to tell a webhook something.")
class WebhookAttempt:
    """An attempt."""

    at: datetime = strawberry.field(description="When it began.")
    status_code: int | None = strawberry.field(description="What was answered; null for no answer.")
    fault: WebhookFault | None = strawberry.field(  # type: ignore[valid-type]
        description="Why it came to nothing; null if it did not."
    )
    milliseconds: int = strawberry.field(description="How long it took.")


@strawberry.type(
    name="WebhookDelivery", description="Something that a webhook is told, however many attempts it takes."
)
class Delivery:
    """A delivery."""

    id: strawberry.ID = strawberry.field(
        description="The header webhook-id: the same at every attempt, so that a receiver can tell repeats."
    )
    event: WebhookEvent | None = strawberry.field(description="What it tells; null for a ping.")
    position: Position = strawberry.field(description="The log position of the fact that it tells.")
    happened_at: datetime = strawberry.field(description="When that happened.")
    job_id: strawberry.ID | None = strawberry.field(description="The job; null for a ping.")
    generation_id: strawberry.ID | None = strawberry.field(
        description="The generation, where it is about one."
    )
    state: WebhookDeliveryState = strawberry.field(  # type: ignore[valid-type]
        description="Where it stands."
    )
    attempts: list[WebhookAttempt] = strawberry.field(
        description="What was tried, oldest first; the last 30 if there are more."
    )
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is tried next; null once it is settled."
    )


@strawberry.type(description="An edge of a page of deliveries.")
class WebhookDeliveryEdge:
    """A delivery and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Delivery = strawberry.field(description="The delivery.")


@strawberry.type(description="A page of deliveries, newest first.")
class WebhookDeliveryConnection:
    """Deliveries of a webhook."""

    edges: list[WebhookDeliveryEdge] = strawberry.field(description="The deliveries.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.type(description="Where you are told what becomes of your jobs, or of one of them.")
class Webhook(Node):
    """A webhook, which only its owner sees."""

    url: str = strawberry.field(description="Where it leads.")
    job_id: strawberry.ID | None = strawberry.field(
        description="The job that it came with; null if it is told of all of yours."
    )
    events: list[WebhookEvent] = strawberry.field(description="What it is told of.")
    active: bool = strawberry.field(description="Whether it is told of anything.")
    suspended: WebhookSuspension | None = strawberry.field(  # type: ignore[valid-type]
        description="Why the house deactivated it; null if it did not. Activate it again by updateWebhook."
    )
    failing_since: datetime | None = strawberry.field(
        description="Since when nothing was accepted; after three days of it the webhook is suspended."
    )
    created_at: datetime | None = strawberry.field(description="When it was created; null for that of a job.")
    secret_rotated_at: datetime | None = strawberry.field(
        description="When its secret was last rotated; for a day after that the one before is used, too."
    )
    key: strawberry.Private[UUID]

    @strawberry.field(description="What it was told in the last days, newest first.")
    async def deliveries(
        self, info: Info, first: First = 20, after: After = None
    ) -> WebhookDeliveryConnection:
        """A page of them."""
        services = services_of(info)
        size = page_size(first)
        before = 2**62 if after is None else decode_cursor(after, tuple[int])[0]
        rows = await DELIVERIES.all(
            services.pool, realm=services.realm, webhook=self.key, before=before, limit=size + 1
        )
        edges, page = build_page(
            rows,
            size,
            key=lambda row: (row.position,),
            edge=lambda cursor, row: WebhookDeliveryEdge(cursor=cursor, node=delivery(row)),
            after=after,
        )
        return WebhookDeliveryConnection(edges=edges, page_info=page)


def delivery(row: WebhookDelivery) -> Delivery:
    """A delivery as the API shows it."""
    return Delivery(
        id=strawberry.ID(str(row.id)),
        event=None if row.event == PING else WebhookEvent(row.event),
        position=Position(row.position),
        happened_at=row.happened_at,
        job_id=None if row.job is None else strawberry.ID(str(row.job)),
        generation_id=None if row.generation is None else strawberry.ID(str(row.generation)),
        state=WebhookDeliveryState(row.state.value),
        attempts=[
            WebhookAttempt(
                at=attempt.at,
                status_code=attempt.status,
                fault=None if attempt.fault is None else WebhookFault(attempt.fault.value),
                milliseconds=attempt.milliseconds,
            )
            for attempt in row.attempts
        ],
        next_attempt_at=row.next_at if row.state is vault.DeliveryState.PENDING else None,
    )


async def webhooks_of(info: Info, owner: UUID) -> list[Webhook]:
    """All webhooks of a user, oldest first."""
    services = services_of(info)
    owned = await OWNED.one(services.pool, realm=services.realm, owner=owner)
    if owned is None or not owned.endpoints:
        return []
    ids = [endpoint.id for endpoint in owned.endpoints]
    places = await PLACES.all(services.pool, realm=services.realm, ids=ids)
    by_id = {place.webhook: place for place in places}
    return [_webhook(each, by_id[each.id]) for each in owned.endpoints if each.id in by_id]


async def load_webhook(info: Info, key: UUID) -> Webhook | None:
    """A webhook of the viewer's by id, for `node` and for results."""
    actor = info.context.viewer.subject
    found = [] if actor == ANONYMOUS else await webhooks_of(info, actor)
    return next((each for each in found if each.key == key), None)


async def webhook_of_job(info: Info, job: UUID) -> Webhook | None:
    """The webhook that a job of the viewer's came with."""
    services, actor = services_of(info), info.context.viewer.subject
    row: JobWebhook | None = await OF_JOB.one(services.pool, realm=services.realm, job=job, owner=actor)
    if row is None:
        return None
    return Webhook(
        id=strawberry.ID(str(job)),
        url=row.url,
        job_id=strawberry.ID(str(job)),
        events=[WebhookEvent(event.value) for event in row.events],
        active=True,
        suspended=None,
        failing_since=None,
        created_at=None,
        secret_rotated_at=None,
        key=job,
    )


def _webhook(endpoint: Endpoint, place: PlaceView) -> Webhook:
    return Webhook(
        id=strawberry.ID(str(endpoint.id)),
        url=place.url,
        job_id=None,
        events=[WebhookEvent(event.value) for event in endpoint.events],
        active=endpoint.active,
        suspended=None if endpoint.suspended is None else WebhookSuspension(endpoint.suspended.value),
        failing_since=place.failing_since,
        created_at=endpoint.created_at,
        secret_rotated_at=endpoint.rotated_at,
        key=endpoint.id,
    )
