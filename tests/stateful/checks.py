"""What must hold of any log, whatever was commanded: read event by event, with no model of what should have happened.

Look next: `tests/property/oracle.py`, the accountant who reads no posting; `model.py` for what should have happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from events.base import ANONYMOUS, Event, Fact, Recorded, postings_of
from events.chain import genesis, link_of
from events.codec import decode_metadata, fact_of
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    ImageJobSubmitted,
    LeaseReleased,
    RedundantDeliveryPaid,
)
from events.sharing import PicturePublished, PictureWithheld, ShareConsentForced, ShareConsentGiven
from tests.property.oracle import Books

#: whatever people write carries it
FREE_TEXT = "zqj"


class LogChecks:
    """Reads a log as it grows."""

    def __init__(self, realm: int) -> None:
        self.position = 0
        self.hash = genesis(realm)
        self.instant: datetime | None = None
        self.sums: Counter[str] = Counter()
        self.books = Books()
        #: which lease each generation in process is under
        self.holder: dict[UUID, UUID] = {}
        self.commands: set[UUID] = set()
        self.agreed: set[UUID] = set()
        self.delivered: dict[UUID, UUID] = {}
        self.verdicts: set[UUID] = set()

    def read(self, events: Sequence[Recorded], postings: Sequence[tuple[Any, ...]]) -> None:
        """Check more events, with the rows of the postings table for them."""
        expected: list[tuple[Any, ...]] = []
        for event in events:
            self._envelope(event)
            fact = fact_of(event)
            self._account(fact)
            self._work(fact.event)
            moved = postings_of(fact.event)
            assert sum(amount for _, amount in moved) == 0, f"postings at {event.position} do not sum to zero"
            for ordinal, (account, amount) in enumerate(moved):
                self.sums[account] += amount
                balance = self.sums[account] if account.startswith("user:") else None
                expected.append((event.position, ordinal, account, amount, balance))
        assert [tuple(row) for row in postings] == expected, "the postings table says otherwise than the log"
        assert sum(self.sums.values()) == 0
        assert self.sums[f"user:{ANONYMOUS}"] == -5000

    def _account(self, fact: Fact) -> None:
        try:
            self.books.read([fact])
        except AssertionError as error:
            message = (
                f"the accountant does not accept {type(fact.event).__name__} at {fact.position}: {error}"
            )
            raise AssertionError(message) from error

    def _envelope(self, event: Recorded) -> None:
        """Dense positions, an unbroken chain, instants that never run back, no words of anybody."""
        assert event.position == self.position + 1, f"{event.position} follows {self.position}"
        self.position, self.hash = event.position, link_of(self.hash, event)
        assert event.hash == self.hash, f"the chain breaks at {event.position}"
        assert self.instant is None or event.occurred_at >= self.instant, (
            f"time runs back at {event.position}"
        )
        self.instant = event.occurred_at
        written = (event.data + event.metadata).decode() + event.stream
        assert FREE_TEXT not in written, f"free text in the log at {event.position}: {written}"
        self.commands.add(decode_metadata(event.metadata).command)

    def _work(self, event: Event) -> None:  # noqa: C901 - one case for each kind of fact that counts
        """A generation is under one lease at a time; sharing is agreed before, and judged once after delivery."""
        match event:
            case ImageJobSubmitted():
                assert not event.shared or event.job not in self.agreed
            case ShareConsentGiven() | ShareConsentForced():
                assert isinstance(event, ShareConsentForced) == (event.requester == ANONYMOUS)
                self.agreed.add(event.job)
            case GenerationsLeased():
                for generation in event.generations:
                    assert generation not in self.holder, "a generation is under two live leases"
                    assert generation not in self.delivered, "a delivered generation is leased"
                    self.holder[generation] = event.lease
            case LeaseReleased():
                for generation in event.generations:
                    assert self.holder.pop(generation) == event.lease
            case GenerationFailed():
                assert self.holder.pop(event.generation) == event.lease
            case GenerationDelivered():
                assert (self.holder.pop(event.generation, None) is None) == event.waited
                self.delivered[event.generation] = event.job
            case GenerationCensored():
                assert self.holder.pop(event.generation) == event.lease
            case RedundantDeliveryPaid():
                assert event.generation in self.delivered
            case PicturePublished() | PictureWithheld():
                assert event.generation not in self.verdicts, "a picture is judged once"
                assert self.delivered[event.generation] in self.agreed, "a picture nobody agreed to share"
                self.verdicts.add(event.generation)
            case _:
                pass

    @property
    def to_be_shared(self) -> set[UUID]:
        """Pictures that were delivered for jobs whose requester agreed."""
        return {generation for generation, job in self.delivered.items() if job in self.agreed}
