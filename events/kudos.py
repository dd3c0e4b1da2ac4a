"""Facts about kudos that move without a job: grants, transfers, escrows released.

Amounts are integers in hundredths of kudos; the postings of each event sum to zero. The reason of a grant is
free text and lives in the vault. Look next: `app.ledger.postings`, `projections.accounts`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from events.accounts import UserEvent
from events.base import Event, Postings


class KudosGranted(UserEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator gave an account kudos out of the treasury."""

    TYPE: ClassVar[str] = "kudos.KudosGranted"

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
    """What waited in an account's escrow may be spent from now on, because the account is trusted."""

    TYPE: ClassVar[str] = "kudos.EscrowReleased"

    #: all that waited, in hundredths
    amount: int
    postings: Postings


EVENTS: tuple[type[Event], ...] = (KudosGranted, KudosTransferred, EscrowReleased)
