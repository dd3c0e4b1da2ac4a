"""Facts about workers: registration, what they can do, maintenance.

A worker's name, its maintenance message and its word blacklist are free text and live in the vault.
Look next: `projections.workers`, `app.workers.decider`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from events.base import Event
from events.jobs import JobKind


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


class MaintenanceStarted(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker stopped serving anybody but its owner."""

    TYPE: ClassVar[str] = "workers.MaintenanceStarted"


class MaintenanceEnded(_WorkerEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker serves everybody again."""

    TYPE: ClassVar[str] = "workers.MaintenanceEnded"


EVENTS: tuple[type[Event], ...] = (
    WorkerRegistered,
    ImageCapabilitiesDeclared,
    MaintenanceStarted,
    MaintenanceEnded,
)
