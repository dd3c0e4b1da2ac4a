"""Facts about workers: registration, what they can do, uptime, how owners, moderators and rules steer them, messages.

A worker's name and description, its maintenance message, its word blacklist and what it is told are free text and
live in the vault.
Look next: `projections.workers`, `app.workers.decider`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event, Postings
from events.jobs import JobKind


class SuspicionKind(StrEnum):
    """What a worker did that no honest one does."""

    UNREASONABLY_FAST = "UNREASONABLY_FAST"


class _WorkerEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one worker, about its owner."""

    worker: UUID
    owner: UUID

    def stream(self) -> str:
        """The stream it is appended to."""
        return f"worker-{self.worker}"

    def subject(self) -> UUID | None:
        """Whom it is about."""
        return self.owner


class WorkerRegistered(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker asked for work for the first time. Its kind and its owner never change."""

    TYPE: ClassVar[str] = "workers.WorkerRegistered"

    kind: JobKind


class ImageCapabilitiesDeclared(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image worker said what it serves from now on."""

    TYPE: ClassVar[str] = "workers.ImageCapabilitiesDeclared"

    models: tuple[str, ...]
    #: largest picture, in pixels (width x height)
    max_pixels: int
    nsfw: bool
    post_processing: bool
    threads: int
    #: name and version of the worker's program, without its contact
    agent: str
    #: requirements that it allows, by the names in `projections.queue`; none in declarations from before they had names
    allows: tuple[str, ...] | None = None
    #: its leases last longer, and it serves only jobs that accept that
    extra_slow: bool = False


class TextCapabilitiesDeclared(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text worker said what it serves from now on."""

    TYPE: ClassVar[str] = "workers.TextCapabilitiesDeclared"

    models: tuple[str, ...]
    #: tokens that it writes at most
    max_length: int
    #: tokens that it reads at most
    max_context_length: int
    #: soft prompts that it has, by name
    soft_prompts: tuple[str, ...]
    threads: int
    #: name and version of the worker's program, without its contact
    agent: str
    #: requirements that it allows, by the names in `projections.queue`
    allows: tuple[str, ...]
    #: its leases last longer, and it serves only jobs that accept that
    extra_slow: bool = False


class InterrogationCapabilitiesDeclared(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An interrogation worker said what it serves from now on."""

    TYPE: ClassVar[str] = "workers.InterrogationCapabilitiesDeclared"

    #: of `events.jobs.InterrogationForm`, and post-processors
    forms: tuple[str, ...]
    #: the largest picture, in squares of 512 x 512 pixels
    max_tiles: int
    threads: int
    #: name and version of the worker's program, without its contact
    agent: str
    #: requirements that it allows, by the names in `projections.queue`
    allows: tuple[str, ...]
    #: its leases last longer, and it serves only jobs that accept that
    extra_slow: bool = False


class MaintenanceStarted(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker stopped serving anybody but its owner."""

    TYPE: ClassVar[str] = "workers.MaintenanceStarted"


class MaintenanceEnded(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker serves everybody again."""

    TYPE: ClassVar[str] = "workers.MaintenanceEnded"


class AutoMaintenanceStarted(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Too much failed under a worker's leases: by rule it serves nobody but its owner for a while."""

    TYPE: ClassVar[str] = "workers.AutoMaintenanceStarted"

    #: from then on its next poll ends it
    until: datetime
    #: leases on a generation that failed within the hour before by the worker's own fault
    failures: int


class UptimeRewarded(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker was there for ten minutes and more, and its owner was rewarded for that."""

    TYPE: ClassVar[str] = "workers.UptimeRewarded"

    #: for how long it was seen since the last reward
    seconds: int
    #: the reward, in hundredths of kudos
    amount: int
    #: how much of it waits in the owner's escrow: all or nothing
    escrowed: int
    postings: Postings
    #: the team that the worker was in when it was rewarded
    team: UUID | None = None


class SuspicionRaised(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker did what no honest one does; it counts for its owner as well."""

    TYPE: ClassVar[str] = "workers.SuspicionRaised"

    kind: SuspicionKind


class WorkerRenamed(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker got another name."""

    TYPE: ClassVar[str] = "workers.WorkerRenamed"


class WorkerDescribed(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker's description was written, changed or taken away."""

    TYPE: ClassVar[str] = "workers.WorkerDescribed"


class WorkerPaused(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator, or a rule, lets a worker take no more work."""

    TYPE: ClassVar[str] = "workers.WorkerPaused"


class WorkerResumed(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator lets a worker take work again."""

    TYPE: ClassVar[str] = "workers.WorkerResumed"


class WorkerTeamChanged(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker joined a team or left one; what it delivered before stays with the team it was in then."""

    TYPE: ClassVar[str] = "workers.WorkerTeamChanged"

    #: the team it is in from now on; none: it left
    team: UUID | None
    #: the team it was in before
    before: UUID | None


class WorkerDeleted(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker is no more: its name is free again. What it did stays in the log."""

    TYPE: ClassVar[str] = "workers.WorkerDeleted"


class _MessageEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one message to workers, about who wrote it."""

    message: UUID
    sender: UUID

    def stream(self) -> str:
        """The stream it is appended to."""
        return f"message-{self.message}"

    def subject(self) -> UUID | None:
        """Whom it is about."""
        return self.sender


class WorkerMessageSent(_MessageEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody has something to tell to a worker, or a moderator to all of them, for a while."""

    TYPE: ClassVar[str] = "workers.WorkerMessageSent"

    #: whom it is told; none: all workers
    worker: UUID | None
    #: it is told until then
    expires_at: datetime


class WorkerMessageDeleted(_MessageEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message is told no more, and its words are gone."""

    TYPE: ClassVar[str] = "workers.WorkerMessageDeleted"


EVENTS: tuple[type[Event], ...] = (
    WorkerRegistered,
    ImageCapabilitiesDeclared,
    TextCapabilitiesDeclared,
    InterrogationCapabilitiesDeclared,
    MaintenanceStarted,
    MaintenanceEnded,
    AutoMaintenanceStarted,
    UptimeRewarded,
    SuspicionRaised,
    WorkerRenamed,
    WorkerDescribed,
    WorkerPaused,
    WorkerResumed,
    WorkerTeamChanged,
    WorkerDeleted,
    WorkerMessageSent,
    WorkerMessageDeleted,
)
