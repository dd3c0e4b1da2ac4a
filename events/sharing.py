"""Facts about sharing: consent, and what became of a picture that was to be shared.

Look next: `app.sharing`, which publishes pictures through a gate; `projections.generations`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event
from events.jobs import JobEvent


class WithheldReason(StrEnum):
    """Why a picture that was to be shared is not in the shared bucket."""

    MISSING = "MISSING"
    DECODE_FAILED = "DECODE_FAILED"
    WRONG_SIZE = "WRONG_SIZE"
    TOO_LARGE = "TOO_LARGE"
    ANIMATED = "ANIMATED"
    BLOCKLISTED = "BLOCKLISTED"
    PROMPT_ERASED = "PROMPT_ERASED"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    REPORTED = "REPORTED"
    #: by a takedown, or by a rater's report that was upheld
    TAKEN_DOWN = "TAKEN_DOWN"


class ShareConsentGiven(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered user opted in to share the pictures of a job."""

    TYPE: ClassVar[str] = "sharing.ShareConsentGiven"

    #: version of the consent text that was in force
    text_version: int


class ShareConsentForced(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An anonymous job was submitted: its pictures are always shared."""

    TYPE: ClassVar[str] = "sharing.ShareConsentForced"

    text_version: int


class ShareConsentWithdrawn(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The requester takes the consent back: what is published is withdrawn, and nothing more is published."""

    TYPE: ClassVar[str] = "sharing.ShareConsentWithdrawn"


class PicturePublished(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shared picture and its metadata are in the shared bucket."""

    TYPE: ClassVar[str] = "sharing.PicturePublished"

    generation: UUID
    #: SHA-256 of the published file, hexadecimal
    sha256: str
    #: perceptual hash of the picture, hexadecimal
    perceptual_hash: str
    width: int
    height: int
    #: size of the published file in bytes
    size: int
    #: its requester said that it may be not safe for work
    nsfw: bool = False
    #: the model that drew it
    model: str = ""


class PictureWithheld(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture that was to be shared did not pass the gate, and never will."""

    TYPE: ClassVar[str] = "sharing.PictureWithheld"

    generation: UUID
    reason: WithheldReason


class PicturesWithdrawn(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a job is not shared any more, possibly nothing, was removed from the shared bucket with its metadata."""

    TYPE: ClassVar[str] = "sharing.PicturesWithdrawn"

    #: those that were published
    generations: tuple[UUID, ...]
    reason: WithheldReason


EVENTS: tuple[type[Event], ...] = (
    ShareConsentGiven,
    ShareConsentForced,
    ShareConsentWithdrawn,
    PicturePublished,
    PictureWithheld,
    PicturesWithdrawn,
)
