"""Facts about moderation: reports of what must not exist, and what moderators decided of them.

They are facts about jobs, and name everybody by random ids only. Look next: `app.moderation`, `projections.cases`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event
from events.jobs import CensorCause, JobEvent


class Verdict(StrEnum):
    """What a moderator decided of a report: it was right, or it was not."""

    UPHELD = "UPHELD"
    DISMISSED = "DISMISSED"


class CaseOpened(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker reported a generation for moderators to judge; from here on nobody is shown its picture."""

    TYPE: ClassVar[str] = "moderation.CaseOpened"

    case: UUID
    generation: UUID
    lease: UUID
    worker: UUID
    owner: UUID
    cause: CensorCause


class CaseDecided(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator upheld or dismissed a report."""

    TYPE: ClassVar[str] = "moderation.CaseDecided"

    case: UUID
    generation: UUID
    verdict: Verdict


EVENTS: tuple[type[Event], ...] = (CaseOpened, CaseDecided)
