"""Facts about accounts: who exists, which keys they hold, what they may do.

No username, contact or key is ever here; those are rows of the vault. Look next: `projections.accounts`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event, Postings


class Role(StrEnum):
    """What an account may do beyond its own affairs."""

    OPERATOR = "operator"
    MODERATOR = "moderator"
    TRUSTED = "trusted"
    #: hosts models that the reference does not know, and models of its own
    CUSTOMIZER = "customizer"
    #: asks for others: a bot, a site
    SERVICE = "service"


class AllowanceSource(StrEnum):
    """Why an account has a monthly allowance."""

    MANUAL = "manual"
    #: for moderating
    MODERATOR = "moderator"
    #: for supporting the house with money
    PATRON = "patron"


class UserEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one user, about that user."""

    user: UUID

    def stream(self) -> str:
        """The user's stream."""
        return f"user-{self.user}"

    def subject(self) -> UUID | None:
        """The user."""
        return self.user


class AnonymousOpened(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The realm opened: its single anonymous user stands at -50 kudos, once and for ever."""

    TYPE: ClassVar[str] = "accounts.AnonymousOpened"

    postings: Postings


class UserRegistered(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person opened an account, at 0 kudos, and was given its first API key."""

    TYPE: ClassVar[str] = "accounts.UserRegistered"

    #: the id of the API key, not the key
    key: UUID


class RoleGranted(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator gave an account a role."""

    TYPE: ClassVar[str] = "accounts.RoleGranted"

    role: Role


class RoleRevoked(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator or operator took a role from an account. Trust that was taken comes back only by being granted."""

    TYPE: ClassVar[str] = "accounts.RoleRevoked"

    role: Role


class TrustEarned(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account's workers delivered, its age and its record earned it the role trusted."""

    TYPE: ClassVar[str] = "accounts.TrustEarned"


class WaitingLimitSet(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator or operator said how many generations of a user may wait at once."""

    TYPE: ClassVar[str] = "accounts.WaitingLimitSet"

    #: generations that may wait; null for the default again
    limit: int | None


class WorkerLimitSet(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moderator or operator said how many workers a user may have."""

    TYPE: ClassVar[str] = "accounts.WorkerLimitSet"

    #: workers that there may be; null for the default again
    limit: int | None


class PublicWorkersSet(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user said whether everybody may see whose their workers are."""

    TYPE: ClassVar[str] = "accounts.PublicWorkersSet"

    #: whether the workers show their owner's name; at first they do not
    public: bool


class PublicProfileSet(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user said whether everybody may see their name with what they have, asked for and delivered."""

    TYPE: ClassVar[str] = "accounts.PublicProfileSet"

    #: whether there is a profile of them, and a place in the lists of users; at first there is not
    public: bool


class AllowanceSet(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator said what the treasury pays an account each month."""

    TYPE: ClassVar[str] = "accounts.AllowanceSet"

    #: hundredths of kudos a month; 0 ends it
    amount: int
    #: what it is paid for
    source: AllowanceSource


EVENTS: tuple[type[Event], ...] = (
    AnonymousOpened,
    UserRegistered,
    RoleGranted,
    RoleRevoked,
    TrustEarned,
    WaitingLimitSet,
    WorkerLimitSet,
    PublicWorkersSet,
    PublicProfileSet,
    AllowanceSet,
)
