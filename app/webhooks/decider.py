"""What may happen to webhooks: users register, change, rotate, delete and try them; the house suspends them. Pure.

URLs are checked and their rows made by the handlers; that a delivery exists that is to be made again, too. Look next:
`projections.webhooks`, `app.webhooks.handlers`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import Erase, WebhookPlace
from events.base import ANONYMOUS
from events.webhooks import (
    RedeliveryAsked,
    SuspensionCause,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookEvent,
    WebhookPinged,
    WebhookSecretRotated,
    WebhookSuspended,
)
from projections.webhooks import Endpoint

#: webhooks of one user
MOST: Final = 10
#: nothing was accepted for so long: the house gives up
FAILING: Final = timedelta(days=3)
#: what is told is signed with the secret before the present one, too, for so long after it was rotated
OVERLAP: Final = timedelta(days=1)


class CreateWebhook(Command, frozen=True, kw_only=True):
    """Register a webhook for all jobs of its owner."""

    webhook: UUID
    owner: UUID
    url: str
    events: tuple[WebhookEvent, ...]


class UpdateWebhook(Command, frozen=True, kw_only=True):
    """Change what is given."""

    webhook: UUID
    owner: UUID
    url: str | None = None
    events: tuple[WebhookEvent, ...] | None = None
    active: bool | None = None


class DeleteWebhook(Command, frozen=True, kw_only=True):
    """Tell nothing there any more, and forget where it was."""

    webhook: UUID
    owner: UUID


class RotateSecret(Command, frozen=True, kw_only=True):
    """Sign with another secret."""

    webhook: UUID
    owner: UUID


class PingWebhook(Command, frozen=True, kw_only=True):
    """Tell it nothing but that it is heard."""

    webhook: UUID
    owner: UUID


class Redeliver(Command, frozen=True, kw_only=True):
    """Tell a fact again. That its owner asks, and that it was told, is checked by the handler."""

    webhook: UUID
    owner: UUID
    told: int


class SuspendWebhook(Command, frozen=True, kw_only=True):
    """Give a webhook up that hears nothing. Nothing happens if somebody changed it meanwhile."""

    webhook: UUID
    owner: UUID
    cause: SuspensionCause


class WebhookStands(Result, frozen=True, kw_only=True):
    """The webhook, and how often its secret was rotated."""

    webhook: UUID
    rotations: int = 0


def create(command: CreateWebhook, rows: Rows) -> Decision | Rejection:
    """Everybody who has an account may have a few."""
    if command.owner == ANONYMOUS or rows.account(command.owner) is None:
        message = "webhooks are for users with an account"
        return Rejection(code="FORBIDDEN", message=message)
    owned = rows.webhooks(command.owner)
    if owned is not None and len(owned.endpoints) >= MOST:
        message = f"you have {MOST} webhooks, as many as you may: delete one"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    event = WebhookCreated(webhook=command.webhook, owner=command.owner, events=command.events)
    place = WebhookPlace(command.webhook, command.owner, command.url)
    return Decision((event,), WebhookStands(webhook=command.webhook), (place,))


def update(command: UpdateWebhook, rows: Rows) -> Decision | Rejection:
    """What is as it was changes nothing; a new URL is given another chance."""
    endpoint = _owned(rows, command.webhook, command.owner)
    if isinstance(endpoint, Rejection):
        return endpoint
    events = endpoint.events if command.events is None else command.events
    active = endpoint.active if command.active is None else command.active
    stands = WebhookStands(webhook=endpoint.id, rotations=endpoint.secret)
    if (events, active) == (endpoint.events, endpoint.active) and command.url is None:
        return Decision((), stands)
    event = WebhookChanged(
        webhook=endpoint.id,
        owner=command.owner,
        events=events,
        active=active,
        moved=command.url is not None,
    )
    if command.url is None:
        return Decision((event,), stands)
    return Decision((event,), stands, (WebhookPlace(endpoint.id, command.owner, command.url),))


def delete(command: DeleteWebhook, rows: Rows) -> Decision | Rejection:
    """Its URL is forgotten in the same transaction, its deliveries by the relay."""
    endpoint = _owned(rows, command.webhook, command.owner)
    if isinstance(endpoint, Rejection):
        return endpoint
    event = WebhookDeleted(webhook=endpoint.id, owner=command.owner)
    return Decision((event,), WebhookStands(webhook=endpoint.id), (Erase(WebhookPlace, endpoint.id),))


def rotate(command: RotateSecret, rows: Rows) -> Decision | Rejection:
    """The secret before this one goes on to be used beside it for a while; one before that is not."""
    endpoint = _owned(rows, command.webhook, command.owner)
    if isinstance(endpoint, Rejection):
        return endpoint
    event = WebhookSecretRotated(webhook=endpoint.id, owner=command.owner)
    return Decision((event,), WebhookStands(webhook=endpoint.id, rotations=endpoint.secret + 1))


def ping(command: PingWebhook, rows: Rows) -> Decision | Rejection:
    """Only one that is told anything."""
    endpoint = _owned(rows, command.webhook, command.owner)
    if isinstance(endpoint, Rejection):
        return endpoint
    if not endpoint.active:
        message = "the webhook is not active: activate it first"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "id"))
    event = WebhookPinged(webhook=endpoint.id, owner=command.owner)
    return Decision((event,), WebhookStands(webhook=endpoint.id))


def redeliver(command: Redeliver, rows: Rows) -> Decision | Rejection:
    """An inactive webhook is told nothing, not even again; one of a job is there as long as its deliveries are."""
    owned = rows.webhooks(command.owner)
    endpoint = None if owned is None else owned.endpoint(command.webhook)
    if endpoint is not None and not endpoint.active:
        message = "the webhook is not active: activate it first"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "deliveryId"))
    event = RedeliveryAsked(webhook=command.webhook, owner=command.owner, told=command.told)
    return Decision((event,), WebhookStands(webhook=command.webhook))


def suspend(command: SuspendWebhook, rows: Rows) -> Decision | Rejection:
    """Only one that is active, and for its failures only one that had `FAILING` since its owner last changed it."""
    owned = rows.webhooks(command.owner)
    endpoint = None if owned is None else owned.endpoint(command.webhook)
    stands = WebhookStands(webhook=command.webhook)
    if endpoint is None or not endpoint.active:
        return Decision((), stands)
    if command.cause is SuspensionCause.FAILING and rows.now - endpoint.begun_at < FAILING:
        return Decision((), stands)
    event = WebhookSuspended(webhook=endpoint.id, owner=command.owner, cause=command.cause)
    return Decision((event,), stands)


def _owned(rows: Rows, key: UUID, owner: UUID) -> Endpoint | Rejection:
    """To anybody but its owner a webhook does not exist."""
    owned = rows.webhooks(owner)
    endpoint = None if owned is None else owned.endpoint(key)
    if endpoint is None:
        return Rejection(code="NOT_FOUND", message="you have no such webhook", path=("input", "id"))
    return endpoint


RULES = (
    Rule(
        CreateWebhook,
        WebhookStands,
        lambda c: Needs(accounts=(c.owner,), webhooks=(c.owner,)),
        create,
    ),
    Rule(UpdateWebhook, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), update),
    Rule(DeleteWebhook, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), delete),
    Rule(RotateSecret, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), rotate),
    Rule(PingWebhook, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), ping),
    Rule(Redeliver, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), redeliver),
    Rule(SuspendWebhook, WebhookStands, lambda c: Needs(webhooks=(c.owner,)), suspend),
)
