"""Registering, changing, rotating, deleting and trying webhooks: words are checked here, then the writer decides.

Look next: `app.webhooks.decider`, `app.platform.webhooks`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.platform.commands import Command, Done, Rejection
from app.platform.handling import idempotency, parse_id, run
from app.platform.ids import new_id
from app.platform.keys import webhook_secret
from app.platform.services import Services
from app.platform.vault import WebhookDelivery
from app.platform.webhooks import checked_events, checked_url, secret_text, too_often
from app.webhooks.decider import (
    CreateWebhook,
    DeleteWebhook,
    PingWebhook,
    Redeliver,
    RotateSecret,
    UpdateWebhook,
    WebhookStands,
)
from app.webhooks.queries import DELIVERY
from events.base import ANONYMOUS


async def create(
    services: Services, actor: UUID, url: str, events: list[Any] | None, key: str | None
) -> Done | Rejection:
    """Register a webhook."""
    if actor == ANONYMOUS:
        message = "webhooks are for users with an account"
        return Rejection(code="FORBIDDEN", message=message, path=("input",))
    checked = checked_url(services, url, ("input", "url"))
    if isinstance(checked, Rejection):
        return checked
    named = checked_events(events, ("input", "events"))
    if isinstance(named, Rejection):
        return named
    command = CreateWebhook(webhook=new_id(), owner=actor, url=checked, events=named)
    promise = idempotency(actor, "createWebhook", key, {"url": url, "events": events and named})
    return await run(services, command, actor=actor, promise=promise)


async def update(
    services: Services,
    actor: UUID,
    text: str,
    url: str | None,
    events: list[Any] | None,
    *,
    active: bool | None,
) -> Done | Rejection:
    """Change what is given."""
    if url is None and events is None and active is None:
        message = "nothing to change: give a url, events, or whether it is active"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    checked = None if url is None else checked_url(services, url, ("input", "url"))
    if isinstance(checked, Rejection):
        return checked
    named = None if events is None else checked_events(events, ("input", "events"))
    if isinstance(named, Rejection):
        return named
    key = parse_id(text)
    if key is None:
        return _no_webhook()
    command = UpdateWebhook(webhook=key, owner=actor, url=checked, events=named, active=active)
    return await run(services, command, actor=actor)


async def delete(services: Services, actor: UUID, text: str) -> Done | Rejection:
    """Delete a webhook."""
    return await _of(services, actor, text, DeleteWebhook)


async def rotate(services: Services, actor: UUID, text: str) -> Done | Rejection:
    """Rotate a webhook's secret."""
    return await _of(services, actor, text, RotateSecret)


async def ping(services: Services, actor: UUID, address: str, text: str) -> Done | Rejection:
    """Tell a webhook that it is heard."""
    return await too_often(services, actor, address) or await _of(services, actor, text, PingWebhook)


async def redeliver(
    services: Services, actor: UUID, address: str, text: str
) -> tuple[WebhookDelivery, Done] | Rejection:
    """Tell again what was told, or was not heard."""
    if (limited := await too_often(services, actor, address)) is not None:
        return limited
    key = parse_id(text)
    found = None
    if key is not None and actor != ANONYMOUS:
        found = await DELIVERY.one(services.pool, realm=services.realm, id=key, owner=actor)
    if found is None:
        message = "no webhook of yours has such a delivery, or it was forgotten"
        return Rejection(code="NOT_FOUND", message=message, path=("input", "deliveryId"))
    command = Redeliver(webhook=found.webhook, owner=actor, told=found.position)
    outcome = await run(services, command, actor=actor)
    return outcome if isinstance(outcome, Rejection) else (found, outcome)


def secret_of(services: Services, stands: WebhookStands) -> str:
    """The present secret of a webhook; it is shown once, when it is made."""
    return secret_text(webhook_secret(services.settings.pepper, stands.webhook, stands.rotations))


async def _of(
    services: Services,
    actor: UUID,
    text: str,
    kind: type[DeleteWebhook | RotateSecret | PingWebhook],
) -> Done | Rejection:
    key = parse_id(text)
    if key is None:
        return _no_webhook()
    command: Command = kind(webhook=key, owner=actor)
    return await run(services, command, actor=actor)


def _no_webhook() -> Rejection:
    return Rejection(code="NOT_FOUND", message="you have no such webhook", path=("input", "id"))
