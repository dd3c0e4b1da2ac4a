"""Modes: what the whole house is set to, in one row that every decision can read under the writer's lock.

The row is there from the realm's opening on, so that a process which has it at hand never has to look for it. Look
next: `app.ledger.modes` for what a mode changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.accounts import AnonymousOpened
from events.base import Fact
from events.images import TakedownOrdered
from events.operations import HOUSE, Mode, ModeSet
from projections.base import Projection, known

#: the facts that touch it
FACTS = (AnonymousOpened, ModeSet, TakedownOrdered)


class Modes(msgspec.Struct, frozen=True, gc=False):
    """What the house is set to."""

    id: UUID
    maintenance: bool = False
    invite_only: bool = False
    raid: bool = False
    #: when any of them was switched last; None: never
    changed_at: datetime | None = None
    #: takedowns that were ever ordered: whoever held a picture against the list knows whether it has grown since
    takedowns: int = 0

    def has(self, mode: Mode) -> bool:
        """Whether a mode is on."""
        on: bool = getattr(self, mode.value.lower())
        return on


#: before the realm is opened nothing is set
UNSET: Final = Modes(HOUSE)


def keys(_: Fact) -> tuple[UUID, ...]:
    """Always the one row."""
    return (HOUSE,)


def evolve(_: UUID, row: Modes | None, fact: Fact) -> Modes | None:
    """The modes after one was switched."""
    event = fact.event
    if isinstance(event, AnonymousOpened):
        return UNSET
    modes = known(row, fact)
    if isinstance(event, TakedownOrdered):
        return replace(modes, takedowns=modes.takedowns + 1)
    assert isinstance(event, ModeSet)
    return replace(modes, **{event.mode.value.lower(): event.on}, changed_at=fact.occurred_at)


PROJECTION = Projection("modes", 2, Modes, FACTS, keys, evolve)
