"""What the worker offers in a poll: what its settings wish for, as far as its backend can do it.

What all kinds of workers say alike is here; what only one kind says is with its craft, in `crafts/`. What does not
differ from the API's own default is not sent, so that a server that lacks it still serves this worker.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from clients import VERSION
from clients.shapes import Assignment
from clients.worker.settings import Settings


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What this worker is called, what it is willing and able to do, and how much at a time."""

    name: str
    #: image, text or interrogation.
    kind: str
    #: The models it has, or the forms it can tell.
    serves: tuple[str, ...]
    #: The rest of the kind's capabilities, by the API's names.
    capabilities: Mapping[str, Any] = msgspec.field(default_factory=dict)
    #: Pieces of work done at a time, leases taken ahead of them, and pieces asked for in each.
    threads: int = 1
    queue_ahead: int = 0
    amount: int = 1
    #: Seconds that a poll waits for a job.
    wait_seconds: int = 0

    def as_input(self) -> dict[str, Any]:
        """The `PopJobInput`, without its key."""
        what = "forms" if self.kind == "interrogation" else "models"
        return {
            "workerName": self.name,
            "bridgeAgent": f"hoard-worker:{VERSION}:unknown",
            "amount": self.amount,
            "waitSeconds": self.wait_seconds,
            self.kind: {what: list(self.serves), "threads": self.threads, **self.capabilities},
        }

    def covers(self, assignment: Assignment) -> bool:
        """Whether this is work for the worker as it is now."""
        if assignment.kind.lower() != self.kind:
            return False
        asked = {task.form for task in assignment.forms} if assignment.forms else {assignment.model}
        return asked <= set(self.serves)


def offer_of(
    settings: Settings, kind: str, serves: tuple[str, ...], capabilities: Mapping[str, Any]
) -> Offer:
    """The offer of a worker with these settings that has these capabilities of its kind."""
    return Offer(
        name=settings.name,
        kind=kind,
        serves=serves,
        capabilities={**_shared(settings), **capabilities},
        threads=settings.threads,
        queue_ahead=settings.queue_ahead,
        amount=settings.amount,
        wait_seconds=settings.wait_seconds,
    )


def unusual(told: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The capabilities whose value differs from the API's default, of pairs of both."""
    return {name: value for name, (value, usual) in told.items() if value != usual}


def _shared(settings: Settings) -> dict[str, Any]:
    """The capabilities of every kind."""
    plain = {"nsfw": settings.nsfw, "blacklist": list(settings.blacklist)}
    return plain | unusual(
        {
            "allowUnsafeAddress": (settings.unsafe_addresses, True),
            "trustedRequestersOnly": (settings.trusted_requesters_only, False),
            "requireUpfrontKudos": (settings.require_upfront_kudos, False),
            "extraSlow": (settings.extra_slow, False),
            "priorityUsers": (list(settings.priority_users), []),
            "testMode": (settings.test_mode, False),
        }
    )
