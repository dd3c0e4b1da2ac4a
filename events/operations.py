"""Facts about running the house: the modes that its operators and moderators switch on and off.

Why a mode was set is said nowhere; who set it stands in the event's metadata. Look next: `projections.modes`,
`app.ledger.modes` for what each of them changes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

from events.base import ANONYMOUS, Event

#: the id of the whole house: a realm has no other than that of its first user
HOUSE: Final = ANONYMOUS


class Mode(StrEnum):
    """What the whole house can be set to; all of them are off at first."""

    #: no new jobs are taken; what waits and runs is served to its end
    MAINTENANCE = "MAINTENANCE"
    #: new workers only of those whom a moderator gave a number of workers, and of the trusted
    INVITE_ONLY = "INVITE_ONLY"
    #: strangers may do less: no new accounts, no jobs from unsafe addresses, fewer anonymous ones
    RAID = "RAID"


class ModeSet(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mode of the whole house was switched on or off."""

    TYPE: ClassVar[str] = "operations.ModeSet"

    #: which
    mode: Mode
    #: whether it holds from here on
    on: bool

    def stream(self) -> str:
        """The stream of the house."""
        return f"house-{HOUSE}"


EVENTS: tuple[type[Event], ...] = (ModeSet,)
