"""Image set totals: how many pictures, ratings and comparisons there are in each set. A tailing projection.

Nothing decides by it. Look next: `projections.image_sets`, `projections.picture_scores` for single pictures.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.images import (
    SHARED_SET,
    ImagesImported,
    MirrorFailed,
    PictureMirrored,
    PicturesTakenDown,
)
from events.ratings import ImageRated, PicturesCompared
from events.sharing import PicturePublished, PicturesWithdrawn
from projections.base import Projection

#: the facts that touch it
FACTS = (
    ImagesImported,
    PictureMirrored,
    MirrorFailed,
    PicturePublished,
    PicturesWithdrawn,
    PicturesTakenDown,
    ImageRated,
    PicturesCompared,
)


class ImageSetTotals(msgspec.Struct, frozen=True, gc=False):
    """What is in one set."""

    id: UUID
    #: pictures that ever came into it
    pictures: int = 0
    #: of those, the ones that were withdrawn, taken down, or could not be had
    removed: int = 0
    #: of addresses and of files: a copy was put into the bucket
    mirrored: int = 0
    #: of those removed, the ones that could not be had
    failed: int = 0
    ratings: int = 0
    comparisons: int = 0


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The sets that a fact touches."""
    event = fact.event
    match event:
        case PicturePublished() | PicturesWithdrawn():
            return (SHARED_SET,)
        case PicturesTakenDown():
            return tuple(sorted({gone.image_set for gone in event.pictures}))
        case _:
            assert isinstance(
                event, ImagesImported | PictureMirrored | MirrorFailed | ImageRated | PicturesCompared
            )
            return (event.image_set,)


def evolve(key: UUID, row: ImageSetTotals | None, fact: Fact) -> ImageSetTotals | None:
    """The totals after a fact."""
    totals = row or ImageSetTotals(key)
    event = fact.event
    match event:
        case ImagesImported():
            return replace(totals, pictures=totals.pictures + len(event.pictures))
        case PicturePublished():
            return replace(totals, pictures=totals.pictures + 1)
        case PictureMirrored():
            return replace(totals, mirrored=totals.mirrored + 1)
        case MirrorFailed():
            return replace(totals, removed=totals.removed + 1, failed=totals.failed + 1)
        case PicturesWithdrawn():
            return replace(totals, removed=totals.removed + len(event.generations))
        case PicturesTakenDown():
            gone = sum(taken.image_set == key for taken in event.pictures)
            return replace(totals, removed=totals.removed + gone)
        case ImageRated():
            return replace(totals, ratings=totals.ratings + 1)
        case _:
            return replace(totals, comparisons=totals.comparisons + 1)


PROJECTION = Projection("image_set_totals", 2, ImageSetTotals, FACTS, keys, evolve)
