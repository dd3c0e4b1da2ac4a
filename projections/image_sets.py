"""Image sets: what pictures are imported into. Inline: imports are decided by it.

The set of shared pictures is no row: it is always there. Look next: `projections.image_set_totals` for how much is in
each, `projections.pictures`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.images import ImageSetOpened, RedistributionSet
from projections.base import FoldError, Projection, known


class ImageSet(msgspec.Struct, frozen=True, gc=False):
    """One named set."""

    id: UUID
    name: str
    #: SPDX id
    licence: str
    #: how many raters are wanted for each of its pictures
    target: int
    opened_at: datetime
    #: releases may hold copies of its pictures
    redistributed: bool = False


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The set that is opened or changed."""
    event = fact.event
    assert isinstance(event, ImageSetOpened | RedistributionSet)
    return (event.image_set,)


def evolve(key: UUID, row: ImageSet | None, fact: Fact) -> ImageSet | None:
    """The set after a fact."""
    event = fact.event
    if isinstance(event, RedistributionSet):
        return replace(known(row, fact), redistributed=event.allowed)
    assert isinstance(event, ImageSetOpened)
    if row is not None:
        message = f"set {key} was opened twice"
        raise FoldError(message)
    return ImageSet(key, event.name, event.licence, event.target, fact.occurred_at)


PROJECTION = Projection("image_sets", 2, ImageSet, (ImageSetOpened, RedistributionSet), keys, evolve)
