"""Webhooks of users: one row an owner, so that how many one has is decided by the same row. Inline.

Of webhooks of single jobs nothing is here. Look next: `app.webhooks.decider`, `app.relay.webhooks`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.webhooks import (
    SuspensionCause,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookEvent,
    WebhookSecretRotated,
    WebhookSuspended,
)
from projections.base import FoldError, Projection

#: the facts that touch it
FACTS = (WebhookCreated, WebhookChanged, WebhookDeleted, WebhookSecretRotated, WebhookSuspended)


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One webhook."""

    id: UUID
    events: tuple[WebhookEvent, ...]
    active: bool
    #: why the house suspended it; None if it did not
    suspended: SuspensionCause | None
    #: how often its secret was rotated
    secret: int
    #: the position at which it was created or last began to be told: of nothing before
    since: int
    created_at: datetime
    #: when it was created, or last activated or moved
    begun_at: datetime
    rotated_at: datetime | None


class Webhooks(msgspec.Struct, frozen=True, gc=False):
    """All webhooks of one user, oldest first."""

    #: the owner
    id: UUID
    endpoints: tuple[Endpoint, ...]

    def endpoint(self, key: UUID) -> Endpoint | None:
        """One of them."""
        return next((each for each in self.endpoints if each.id == key), None)


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The owner."""
    assert isinstance(fact.event, FACTS)
    return (fact.event.owner,)


def evolve(key: UUID, row: Webhooks | None, fact: Fact) -> Webhooks | None:
    """The webhooks after a fact."""
    event = fact.event
    assert isinstance(event, FACTS)
    owned = row or Webhooks(key, ())
    if isinstance(event, WebhookCreated):
        at = fact.occurred_at
        made = Endpoint(
            event.webhook,
            event.events,
            active=True,
            suspended=None,
            secret=0,
            since=fact.position,
            created_at=at,
            begun_at=at,
            rotated_at=None,
        )
        return replace(owned, endpoints=(*owned.endpoints, made))
    before = owned.endpoint(event.webhook)
    if before is None:
        message = f"{event.TYPE} at {fact.position} is about a webhook that is not there"
        raise FoldError(message)
    if isinstance(event, WebhookDeleted):
        return replace(owned, endpoints=tuple(e for e in owned.endpoints if e is not before))
    after = _evolve(before, fact)
    return replace(owned, endpoints=tuple(after if e is before else e for e in owned.endpoints))


def _evolve(endpoint: Endpoint, fact: Fact) -> Endpoint:
    match fact.event:
        case WebhookChanged(events=events, active=active, moved=moved):
            begins = active and not endpoint.active
            return replace(
                endpoint,
                events=events,
                active=active,
                suspended=None if active else endpoint.suspended,
                since=fact.position if begins else endpoint.since,
                begun_at=fact.occurred_at if begins or moved else endpoint.begun_at,
            )
        case WebhookSecretRotated():
            return replace(endpoint, secret=endpoint.secret + 1, rotated_at=fact.occurred_at)
        case WebhookSuspended(cause=cause):
            return replace(endpoint, active=False, suspended=cause)
        case _:
            return endpoint


PROJECTION = Projection("webhooks", 1, Webhooks, FACTS, keys, evolve)
