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
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    ImageJobSubmitted,
    LeaseReleased,
    RedundantDeliveryPaid,
)
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import (
    PicturePublished,
    PicturesWithdrawn,
    PictureWithheld,
    ShareConsentForced,
    ShareConsentGiven,
    ShareConsentWithdrawn,
)
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
        self.from_sources: set[UUID] = set()
        self.delivered: dict[UUID, UUID] = {}
        self.verdicts: set[UUID] = set()
        self.published: set[UUID] = set()
        self.reported: set[UUID] = set()
        self.decided: set[UUID] = set()
        #: jobs of which nothing more may be shared
        self.ended: set[UUID] = set()

    def read(self, events: Sequence[Recorded], postings: Sequence[tuple[Any, ...]]) -> None:
        """Check more events, with the rows of the postings table for them."""
        expected: list[tuple[Any, ...]] = []
        for event in events:
            self._envelope(event)
            fact = fact_of(event)
            self._account(fact)
            self._work(fact.event)
            self._share(fact.event)
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

    def _work(self, event: Event) -> None:
        """A generation is under one lease at a time."""
        match event:
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
            case FormReused():
                assert event.generation not in self.delivered, "what was told is told again"
                assert event.generation not in self.holder
                assert event.reused in self.delivered, "what nobody told is told again"
            case RedundantDeliveryPaid():
                assert event.generation in self.delivered
            case _:
                pass

    def _share(self, event: Event) -> None:  # noqa: C901 - one case for each kind of fact
        """Sharing is agreed before, judged once after delivery, and over for good; what is published can be taken back."""
        match event:
            case ImageJobSubmitted():
                assert not event.shared or event.job not in self.agreed
                if event.source_processing is not None:
                    self.from_sources.add(event.job)
            case ShareConsentGiven() | ShareConsentForced():
                assert isinstance(event, ShareConsentForced) == (event.requester == ANONYMOUS)
                assert event.job not in self.from_sources, "what was made from a source is to be shared"
                self.agreed.add(event.job)
            case ShareConsentWithdrawn():
                assert event.job in self.agreed - self.ended
                self.ended.add(event.job)
            case CaseOpened():
                assert event.generation not in self.reported, "a picture is reported once"
                self.reported.add(event.generation)
            case CaseDecided():
                assert event.generation in self.reported - self.decided, "a case is decided once"
                self.decided.add(event.generation)
                if event.verdict is Verdict.UPHELD:
                    self.ended.add(event.job)
            case PicturesWithdrawn():
                assert self.published.issuperset(event.generations), "what was not published is taken back"
                self.published.difference_update(event.generations)
            case PicturePublished() | PictureWithheld():
                assert event.generation not in self.verdicts, "a picture is judged once"
                assert self.delivered[event.generation] in self.agreed, "a picture nobody agreed to share"
                self.verdicts.add(event.generation)
                if isinstance(event, PicturePublished):
                    over = event.job in self.ended or event.generation in self.reported
                    assert not over, "a picture that nobody shares any more is published"
                    self.published.add(event.generation)
            case _:
                pass

    @property
    def to_be_shared(self) -> set[UUID]:
        """Pictures that were delivered for jobs whose requester agreed."""
        return {generation for generation, job in self.delivered.items() if job in self.agreed}
