"""The form of an answer: sentences, each with the positions of the events that it rests on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from events.base import Event, Recorded
from events.codec import fact_of

#: positions that a sentence names at most: of more, the first and the last
NAMED: Final = 8


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of an answer."""

    text: str
    #: the events that it rests on, in order; of many, the first and the last ones
    positions: tuple[int, ...]
    #: how many they are
    events: int
    #: when the first of them was
    at: datetime
    #: hundredths of kudos that it speaks of; None where it speaks of none
    amount: int | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    #: what was asked: job, price, balance or rater
    question: str
    #: of what
    id: str
    #: up to which position the log was read
    position: int
    statements: tuple[Statement, ...]
    #: hundredths of kudos that the amounts of the statements sum to; None where they are no sum
    total: int | None = None


class NothingError(Exception):
    """The log holds nothing of what was asked for, up to the position."""


Told = tuple[Recorded, Event]


def told_of(events: Sequence[Recorded], position: int) -> list[Told]:
    """Those up to a position, with what they say."""
    return [(recorded, fact_of(recorded).event) for recorded in events if recorded.position <= position]


def statement(text: str, events: Sequence[Recorded], amount: int | None = None) -> Statement:
    """A sentence that rests on events, in their order."""
    positions = [event.position for event in events]
    half = NAMED // 2
    named = positions if len(positions) <= NAMED else [*positions[:half], *positions[-half:]]
    return Statement(
        text=text,
        positions=tuple(named),
        events=len(positions),
        at=events[0].occurred_at,
        amount=amount,
    )
