"""Reads of webhooks and of what they were told.

Look next: `app.platform.sql`, `projections.webhooks`, `app.platform.vault`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.platform import vault
from app.platform.sql import (
    Query,
    any_of,
    bind,
    job_webhooks,
    rows_of,
    webhook_deliveries,
    webhook_places,
    webhooks,
)
from app.platform.vault import JobWebhook, WebhookDelivery
from projections.webhooks import Webhooks

#: a user's webhooks, without where they lead
OWNED: Query[Webhooks] = rows_of("webhooks", webhooks.c.id == bind("owner", sa.Uuid))


class PlaceView(msgspec.Struct, frozen=True):
    """Where a webhook leads, and how it is."""

    webhook: UUID
    owner: UUID
    url: str
    failing_since: datetime | None


PLACES: Query[PlaceView] = Query(
    sa.select(
        webhook_places.c.webhook, webhook_places.c.owner, webhook_places.c.url, webhook_places.c.failing_since
    ).where(webhook_places.c.realm == bind("realm"), any_of(webhook_places.c.webhook, "ids")),
    lambda row: PlaceView(*row),
)
OF_JOB: Query[JobWebhook] = Query(
    sa.select(*(job_webhooks.c[name] for name in JobWebhook.__struct_fields__)).where(
        job_webhooks.c.realm == bind("realm"),
        job_webhooks.c.job == bind("job", sa.Uuid),
        job_webhooks.c.owner == bind("owner", sa.Uuid),
    ),
    vault.TABLES[JobWebhook].load,
)


def _delivery(row: Sequence[Any]) -> WebhookDelivery:
    loaded: WebhookDelivery = vault.TABLES[WebhookDelivery].load(row)
    return loaded


_DELIVERIES = sa.select(*(webhook_deliveries.c[name] for name in WebhookDelivery.__struct_fields__))
#: a page of what a webhook was told, newest first
DELIVERIES: Query[WebhookDelivery] = Query(
    _DELIVERIES.where(
        webhook_deliveries.c.realm == bind("realm"),
        webhook_deliveries.c.webhook == bind("webhook", sa.Uuid),
        webhook_deliveries.c.position < bind("before", sa.BigInteger),
    )
    .order_by(webhook_deliveries.c.position.desc())
    .limit(bind("limit", sa.BigInteger)),
    _delivery,
)
DELIVERY: Query[WebhookDelivery] = Query(
    _DELIVERIES.where(
        webhook_deliveries.c.realm == bind("realm"),
        webhook_deliveries.c.id == bind("id", sa.Uuid),
        webhook_deliveries.c.owner == bind("owner", sa.Uuid),
    ),
    _delivery,
)
