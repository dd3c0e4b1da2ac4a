"""Pictures: what may be handed out to be rated, and how much each is wanted. Inline: hand-outs are decided by it.

A row is made when a generation is published or a picture imported, and stays when it is gone. What counts towards
the wanted number are ratings of registered users of others' pictures that are not marked as suspect. Look next:
`projections.ratings`, `projections.picture_scores` for what was said of it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import ANONYMOUS, Fact
from events.images import (
    SHARED_SET,
    ImagesImported,
    MirrorFailed,
    PictureCaseDecided,
    PictureMirrored,
    PictureReported,
    PictureReportReason,
    PicturesTakenDown,
)
from events.moderation import Verdict
from events.ratings import BestNamed, ImageRated, PicturesCompared, RatingsMarked
from events.sharing import PicturePublished, PicturesWithdrawn
from projections.base import FoldError, Projection, known

#: how many raters are wanted for a shared picture
SHARED_TARGET: Final = 5
#: the facts that touch it
FACTS = (
    PicturePublished,
    PicturesWithdrawn,
    ImagesImported,
    PictureMirrored,
    MirrorFailed,
    PictureReported,
    PictureCaseDecided,
    PicturesTakenDown,
    ImageRated,
    PicturesCompared,
    BestNamed,
    RatingsMarked,
)


class PictureState(StrEnum):
    """Whether a picture may be handed out."""

    OPEN = "OPEN"
    #: reported, and not decided yet
    HIDDEN = "HIDDEN"
    #: a report was upheld: its files are being taken down
    UPHELD = "UPHELD"
    REMOVED = "REMOVED"


class Picture(msgspec.Struct, frozen=True, gc=False):
    """One picture that is rated."""

    #: the generation's id where it is a shared one
    id: UUID
    image_set: UUID
    #: whose generation it is, and who asked for it; None for imported ones
    job: UUID | None
    owner: UUID | None
    state: PictureState
    nsfw: bool
    #: the model that drew it; empty for imported ones, and where it was not recorded
    model: str
    #: how many raters are wanted, and how many have rated it
    target: int
    ratings: int
    comparisons: int
    #: how many raters are still wanted; 0 for what may not be handed out
    wanted: int
    #: a place among all pictures that depends on nothing but its id, so that hand-outs may begin anywhere
    shuffle: int
    #: its owner named it the best of its job
    best: bool = False
    #: of the published file or of the mirrored copy, hexadecimal; None where there is neither
    sha256: str | None = None
    perceptual_hash: str | None = None
    #: of the file that a mirrored copy was made from
    original_sha256: str | None = None
    #: the last report by a rater, who that was, what is said of it, and when
    report: UUID | None = None
    reporter: UUID | None = None
    reason: PictureReportReason | None = None
    reported_at: datetime | None = None


def shuffle_of(picture: UUID) -> int:
    """A signed 64-bit number that ids made one after another are scattered over."""
    # ids made one after another share their first bits, and have random last ones
    return int.from_bytes(picture.bytes[8:], "big", signed=True) ^ (picture.int >> 64 & 0xFFFFFFFF)


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The pictures that a fact touches."""
    event = fact.event
    match event:
        case PicturePublished():
            return (event.generation,)
        case PicturesWithdrawn():
            return event.generations
        case ImagesImported():
            return tuple(picture.id for picture in event.pictures)
        case PicturesTakenDown():
            return tuple(gone.picture for gone in event.pictures)
        case PicturesCompared():
            return (event.picture, event.other)
        case BestNamed():
            return (event.best, *event.others)
        case RatingsMarked():
            return tuple(sorted({mark.picture for mark in event.marks}))
        case _:
            assert isinstance(
                event, PictureMirrored | MirrorFailed | PictureReported | PictureCaseDecided | ImageRated
            )
            return (event.picture,)


def evolve(key: UUID, row: Picture | None, fact: Fact) -> Picture | None:
    """The picture after a fact."""
    event = fact.event
    if isinstance(event, PicturePublished | ImagesImported):
        if row is not None:
            message = f"picture {key} came twice"
            raise FoldError(message)
        picture = _come(key, event)
    else:
        picture = _after(key, known(row, fact), fact)
    missing = max(0, picture.target - picture.ratings)
    return replace(picture, wanted=missing if picture.state is PictureState.OPEN else 0)


def _come(key: UUID, event: PicturePublished | ImagesImported) -> Picture:
    if isinstance(event, PicturePublished):
        return Picture(
            id=key,
            image_set=SHARED_SET,
            job=event.job,
            owner=event.requester,
            state=PictureState.OPEN,
            nsfw=event.nsfw,
            model=event.model,
            target=SHARED_TARGET,
            ratings=0,
            comparisons=0,
            wanted=0,
            shuffle=shuffle_of(key),
            sha256=event.sha256,
            perceptual_hash=event.perceptual_hash,
        )
    imported = next(picture for picture in event.pictures if picture.id == key)
    return Picture(
        id=key,
        image_set=event.image_set,
        job=None,
        owner=None,
        state=PictureState.OPEN,
        nsfw=imported.nsfw,
        model="",
        target=event.target,
        ratings=0,
        comparisons=0,
        wanted=0,
        shuffle=shuffle_of(key),
    )


def _after(key: UUID, picture: Picture, fact: Fact) -> Picture:
    match event := fact.event:
        case PicturesWithdrawn() | MirrorFailed() | PicturesTakenDown():
            return replace(picture, state=PictureState.REMOVED)
        case PictureMirrored():
            return replace(
                picture,
                sha256=event.sha256,
                perceptual_hash=event.perceptual_hash,
                original_sha256=event.original_sha256,
            )
        case PictureReported():
            hidden = PictureState.HIDDEN if picture.state is PictureState.OPEN else picture.state
            return replace(
                picture,
                state=hidden,
                report=event.case,
                reporter=event.rater,
                reason=event.reason,
                reported_at=fact.occurred_at,
            )
        case PictureCaseDecided():
            return replace(picture, state=_decided(picture, event.verdict))
        case ImageRated():
            return replace(picture, ratings=picture.ratings + (1 if counts(event) else 0))
        case PicturesCompared():
            return replace(picture, comparisons=picture.comparisons + 1)
        case BestNamed():
            return replace(picture, best=picture.best or event.best == key)
        case RatingsMarked():
            marked = sum(mark.picture == key for mark in event.marks)
            return replace(picture, ratings=picture.ratings + (-marked if event.suspect else marked))
        case _:
            message = f"{event.TYPE} is no fact about a picture"
            raise FoldError(message)


def _decided(picture: Picture, verdict: Verdict) -> PictureState:
    if picture.state is not PictureState.HIDDEN:
        return picture.state
    if verdict is Verdict.DISMISSED:
        return PictureState.OPEN
    # what is only an address has no files
    return PictureState.REMOVED if picture.sha256 is None else PictureState.UPHELD


def counts(event: ImageRated) -> bool:
    """Whether a rating counts among those that are wanted of a picture."""
    return not event.own and not event.again and event.rater != ANONYMOUS


PROJECTION = Projection(
    "pictures",
    2,
    Picture,
    FACTS,
    keys,
    evolve,
    indexes=(
        "(realm, nsfw, wanted DESC, shuffle) WHERE wanted > 0",
        "(realm, image_set, nsfw, wanted DESC, shuffle) WHERE wanted > 0",
        "(realm, model, nsfw, wanted DESC, shuffle) WHERE wanted > 0 AND model <> ''",
        "(realm, job) WHERE job IS NOT NULL",
        "(realm, sha256) WHERE sha256 IS NOT NULL",
        "(realm, id) WHERE state = 'HIDDEN'",
        "(realm, report) WHERE report IS NOT NULL",
    ),
)
