"""Which facts webhooks are told of, and which webhooks are told: one delivery for each fact and webhook. Pure.

Look next: `app.relay.webhooks`, which keeps them, `app.webhooks.payload`, which says what is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID, uuid5

from app.platform.vault import DeliveryState, JobWebhook, WebhookDelivery
from events.base import Event, Fact
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFaulted,
    JobEnded,
    JobEvent,
    JobState,
    generations_of,
)
from events.webhooks import WebhookEvent, WebhookPinged
from projections.webhooks import Webhooks

#: facts of jobs that webhooks are told of
FACTS: Final = (GenerationDelivered, GenerationCensored, GenerationFaulted, FormReused, JobEnded)
#: what a ping is called
PING: Final = "webhook.ping"

_DELIVERIES = UUID("b0a5b7d4-36a2-4f0c-8b4e-64b2d4a0d3f1")
_OF_GENERATIONS: dict[type[Event], WebhookEvent] = {
    GenerationDelivered: WebhookEvent.GENERATION_DONE,
    FormReused: WebhookEvent.GENERATION_DONE,
    GenerationCensored: WebhookEvent.GENERATION_CENSORED,
    GenerationFaulted: WebhookEvent.GENERATION_FAULTED,
}
_OF_JOBS = {
    JobState.DONE: WebhookEvent.JOB_DONE,
    JobState.FAULTED: WebhookEvent.JOB_FAULTED,
    JobState.CANCELLED: WebhookEvent.JOB_CANCELLED,
    JobState.EXPIRED: WebhookEvent.JOB_EXPIRED,
}


def delivery_id(realm: int, webhook: UUID, position: int) -> UUID:
    """The id of a delivery: it follows from what is told to whom, so that telling it again is the same delivery."""
    return uuid5(_DELIVERIES, f"{realm}:{webhook}:{position}")


def event_of(event: Event) -> WebhookEvent | None:
    """What a fact is to webhooks; None if it is nothing to them."""
    return _OF_JOBS.get(event.state) if isinstance(event, JobEnded) else _OF_GENERATIONS.get(type(event))


def deliveries_of(
    realm: int, fact: Fact, owned: Webhooks | None, of_job: JobWebhook | None
) -> Iterator[WebhookDelivery]:
    """What is to be delivered of a fact, given the webhooks of whom it is about and that of its job."""
    event = fact.event
    if isinstance(event, WebhookPinged):
        endpoint = None if owned is None else owned.endpoint(event.webhook)
        if endpoint is not None:
            yield _delivery(realm, fact, endpoint.id, event.owner, PING)
        return
    told = event_of(event)
    if told is None or not isinstance(event, JobEvent):
        return
    for endpoint in () if owned is None else owned.endpoints:
        if endpoint.active and told in endpoint.events and fact.position > endpoint.since:
            yield _delivery(realm, fact, endpoint.id, event.requester, told)
    if of_job is not None and told in of_job.events:
        yield _delivery(realm, fact, of_job.job, of_job.owner, told)


def _delivery(realm: int, fact: Fact, webhook: UUID, owner: UUID, told: str) -> WebhookDelivery:
    job = fact.event.job if isinstance(fact.event, JobEvent) else None
    return WebhookDelivery(
        webhook,
        fact.position,
        delivery_id(realm, webhook, fact.position),
        owner,
        job,
        next(iter(generations_of(fact.event)), None),
        told,
        fact.occurred_at,
        DeliveryState.PENDING,
        tries=0,
        attempts=(),
        next_at=fact.occurred_at,
        asked_at=None,
        claimed_until=None,
    )
