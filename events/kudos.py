"""Facts about kudos that move without a job: grants, corrections, monthly allowances, transfers, escrows released.

Amounts are integers in hundredths of kudos; the postings of each event sum to zero. The reasons of grants
and corrections are free text and live in the vault. Look next: `app.ledger.postings`, `projections.accounts`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from events.accounts import UserEvent
from events.base import Event, Postings


class KudosGranted(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator gave an account kudos out of the treasury."""

    TYPE: ClassVar[str] = "kudos.KudosGranted"

    amount: int
    postings: Postings


class KudosAdjusted(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator corrected a balance, up or down, from or to the treasury."""

    TYPE: ClassVar[str] = "kudos.KudosAdjusted"

    #: what the balance changed by, in hundredths: below zero where kudos were taken, never zero
    amount: int
    postings: Postings


class AllowancePaid(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The treasury paid an account its allowance for one month, or what is missing of it since it was raised."""

    TYPE: ClassVar[str] = "kudos.AllowancePaid"

    #: when the month begins for which it is: an instant counted in calendar months from the first payment
    month: datetime
    amount: int
    postings: Postings


class KudosTransferred(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user gave another user kudos that were available."""

    TYPE: ClassVar[str] = "kudos.KudosTransferred"

    source: UUID
    target: UUID
    amount: int
    postings: Postings

    def stream(self) -> str:
        """The sender's stream."""
        return f"user-{self.source}"

    def subject(self) -> UUID | None:
        """The sender."""
        return self.source


class EscrowReleased(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What workers earned and waited in escrow may be spent from now on, because the account is trusted."""

    TYPE: ClassVar[str] = "kudos.EscrowReleased"

    #: all of it that waited, in hundredths
    amount: int
    postings: Postings


EVENTS: tuple[type[Event], ...] = (
    KudosGranted,
    KudosAdjusted,
    AllowancePaid,
    KudosTransferred,
    EscrowReleased,
)
