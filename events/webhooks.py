"""Facts about webhooks: who wants to be told of what. Where to is a word of the vault, and so is what came of telling.

A webhook of a single job has no facts but that somebody wants one of its deliveries again: it comes and goes with its
job. Look next: `projections.webhooks`, `app.webhooks.decider`, `app.relay.webhooks`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event


class WebhookEvent(StrEnum):
    """What somebody may want to be told of; the values are what receivers read."""

    GENERATION_DONE = "generation.done"
    GENERATION_CENSORED = "generation.censored"
    GENERATION_FAULTED = "generation.faulted"
    JOB_DONE = "job.done"
    JOB_FAULTED = "job.faulted"
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"


class SuspensionCause(StrEnum):
    """Why the house tells a webhook nothing more."""

    #: nothing was accepted for days
    FAILING = "FAILING"
    #: its server said that it is gone for good (410)
    GONE = "GONE"


class _WebhookFact(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one webhook, about whose it is."""

    #: its random id
    webhook: UUID
    #: who made it; of a job's, the requester
    owner: UUID

    def stream(self) -> str:
        """The stream it is appended to."""
        return f"webhook-{self.webhook}"

    def subject(self) -> UUID | None:
        """Whom it is about."""
        return self.owner


class WebhookCreated(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody wants to be told of what becomes of all of their jobs."""

    TYPE: ClassVar[str] = "webhooks.WebhookCreated"

    #: of these things
    events: tuple[WebhookEvent, ...]


class WebhookChanged(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From now on a webhook is told of these things, or of nothing, or at another place."""

    TYPE: ClassVar[str] = "webhooks.WebhookChanged"

    #: of these things
    events: tuple[WebhookEvent, ...]
    #: whether it is told of anything
    active: bool
    #: whether its URL became another
    moved: bool


class WebhookDeleted(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody wants to be told no more; where to, and what was told, is forgotten."""

    TYPE: ClassVar[str] = "webhooks.WebhookDeleted"


class WebhookSecretRotated(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a webhook is told is signed with another secret; for a day with the one before, too."""

    TYPE: ClassVar[str] = "webhooks.WebhookSecretRotated"


class WebhookSuspended(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The house gave up telling a webhook anything, until its owner says otherwise."""

    TYPE: ClassVar[str] = "webhooks.WebhookSuspended"

    cause: SuspensionCause


class WebhookPinged(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An owner wants to see whether a webhook hears anything."""

    TYPE: ClassVar[str] = "webhooks.WebhookPinged"


class RedeliveryAsked(_WebhookFact, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An owner wants to be told of a fact again."""

    TYPE: ClassVar[str] = "webhooks.RedeliveryAsked"

    #: the position of the fact
    told: int


EVENTS: tuple[type[Event], ...] = (
    WebhookCreated,
    WebhookChanged,
    WebhookDeleted,
    WebhookSecretRotated,
    WebhookSuspended,
    WebhookPinged,
    RedeliveryAsked,
)
