"""How a worker stands: what `hoard worker status` shows, and the counts behind it. Nothing of a prompt, nor the key."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from clients.worker.lease import HeldLease

#: The weight of the newest piece of work in the average of the seconds that one takes.
_NEWEST = 0.2


class LeaseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A lease that is held now."""

    lease: str
    job: str
    #: Its model, or its forms.
    what: str
    begun: bool
    doing: int
    undone: int
    expires_at: datetime


class Standing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the worker stands. Kudos are decimal text, times in seconds."""

    name: str
    kind: str
    #: working, waiting, maintenance, paused, paused by the server, or stopping.
    state: str
    since: datetime
    threads: int
    queue_ahead: int
    doing: int
    leases: tuple[LeaseView, ...]
    delivered: int
    faulted: int
    earned: str
    seconds_each: float | None
    #: The last thing the server had to say, such as why there is no work.
    last_word: str


class Tally:
    """The counts since the worker started."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self.delivered = 0
        self.faulted = 0
        self.earned = Decimal(0)
        #: Average over the last pieces of work; None before the first.
        self.seconds: float | None = None

    def timed(self, seconds: float) -> None:
        """A piece of work took so long."""
        self.seconds = seconds if self.seconds is None else self.seconds + _NEWEST * (seconds - self.seconds)

    def ended(self, lease: HeldLease) -> None:
        """A lease is over."""
        self.delivered += lease.delivered
        self.faulted += lease.faults
        self.earned += lease.earned


def shown(held: Sequence[HeldLease]) -> tuple[LeaseView, ...]:
    """The leases for people to see."""
    return tuple(
        LeaseView(
            lease=lease.assignment.lease_id,
            job=lease.assignment.job_id,
            what=lease.assignment.what,
            begun=lease.begun,
            doing=lease.doing,
            undone=lease.undone,
            expires_at=lease.expires,
        )
        for lease in held
    )
