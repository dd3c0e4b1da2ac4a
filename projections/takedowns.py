"""Takedowns: hashes of pictures that are neither shared, nor rated, nor released. Inline: publishing asks for them.

A few rows, so that each new picture can be held against all of them. A lifted takedown keeps its row. Look next:
`app.platform.takedowns`, which asks; `app.images`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.images import PicturesTakenDown, TakedownCarriedOut, TakedownLifted, TakedownOrdered
from projections.base import FoldError, Projection, known

#: the facts that touch it
FACTS = (TakedownOrdered, TakedownLifted, PicturesTakenDown, TakedownCarriedOut)


class Takedown(msgspec.Struct, frozen=True, gc=False):
    """One takedown."""

    id: UUID
    #: of the file, hexadecimal
    sha256: str | None
    #: of the picture, hexadecimal, and in how many bits it may differ
    perceptual_hash: str | None
    distance: int
    #: position of the order
    ordered: int
    ordered_at: datetime
    lifted: bool
    #: pictures that it took down, and whether all there were are gone
    taken: int
    complete: bool


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The takedown of a fact."""
    event = fact.event
    assert isinstance(event, FACTS)
    return (event.takedown,)


def evolve(key: UUID, row: Takedown | None, fact: Fact) -> Takedown | None:
    """The takedown after a fact."""
    event = fact.event
    if isinstance(event, TakedownOrdered):
        if row is not None:
            message = f"takedown {key} was ordered twice"
            raise FoldError(message)
        return Takedown(
            id=key,
            sha256=event.sha256,
            perceptual_hash=event.perceptual_hash,
            distance=event.distance,
            ordered=fact.position,
            ordered_at=fact.occurred_at,
            lifted=False,
            taken=0,
            complete=False,
        )
    takedown = known(row, fact)
    if isinstance(event, TakedownLifted):
        return replace(takedown, lifted=True)
    if isinstance(event, TakedownCarriedOut):
        return replace(takedown, complete=True)
    assert isinstance(event, PicturesTakenDown)
    return replace(takedown, taken=takedown.taken + len(event.pictures))


PROJECTION = Projection("takedowns", 1, Takedown, FACTS, keys, evolve)
