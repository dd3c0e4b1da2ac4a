"""Ratings: what was handed to whom, and what came of it. Inline: ratings are decided by it.

A rating has the id of its assignment, and that follows from rater and picture, so that a registered user has at most
one of each picture, and one more where it is asked again. Look next: `projections.raters`, `projections.pictures`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Event, Fact
from events.ratings import (
    Assigned,
    ImageRated,
    PicturesCompared,
    PictureSkipped,
    Preference,
    RatingsAssigned,
    RatingsMarked,
)
from projections.base import FoldError, Projection, known

#: the facts that touch it
FACTS = (RatingsAssigned, ImageRated, PicturesCompared, PictureSkipped, RatingsMarked)


class RatingState(StrEnum):
    """What came of an assignment; one that is not answered in time stays assigned."""

    ASSIGNED = "ASSIGNED"
    DONE = "DONE"
    SKIPPED = "SKIPPED"


class Rating(msgspec.Struct, frozen=True, gc=False):
    """One assignment and its rating or comparison. An owner's rating of a picture of theirs was never assigned."""

    id: UUID
    rater: UUID
    picture: UUID
    #: the picture it is compared with; None where it is rated
    other: UUID | None
    image_set: UUID
    state: RatingState
    #: when it was last handed out, and until when it may be answered
    assigned_at: datetime
    expires_at: datetime
    #: the same rater had rated the picture before
    again: bool = False
    own: bool = False
    value: int | None = None
    artifacts: int | None = None
    preference: Preference | None = None
    #: position of the rating; None while there is none
    settled: int | None = None
    #: hundredths of kudos, in escrow or not, reversed or not
    reward: int = 0
    suspect: bool = False


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The ratings that a fact touches."""
    event = fact.event
    match event:
        case RatingsAssigned():
            return tuple(assigned.id for assigned in event.assignments)
        case RatingsMarked():
            return tuple(mark.rating for mark in event.marks)
        case _:
            assert isinstance(event, ImageRated | PicturesCompared | PictureSkipped)
            return (event.rating,)


def evolve(key: UUID, row: Rating | None, fact: Fact) -> Rating | None:
    """The rating after a fact."""
    event = fact.event
    if isinstance(event, RatingsAssigned):
        assigned = next(each for each in event.assignments if each.id == key)
        return _assigned(row, assigned, event, fact)
    if row is None and isinstance(event, ImageRated) and event.own:
        row = _own(event, fact)
    rating = known(row, fact)
    if isinstance(event, RatingsMarked):
        return replace(rating, suspect=event.suspect)
    if rating.state is not RatingState.ASSIGNED:
        message = f"rating {key} was {rating.state.lower()} before {fact.position}"
        raise FoldError(message)
    return _settled(rating, event, fact)


def _assigned(row: Rating | None, assigned: Assigned, event: RatingsAssigned, fact: Fact) -> Rating:
    if row is not None and row.state is not RatingState.ASSIGNED:
        message = f"rating {row.id} was {row.state.lower()}, and handed out again at {fact.position}"
        raise FoldError(message)
    return Rating(
        id=assigned.id,
        rater=event.rater,
        picture=assigned.picture,
        other=assigned.other,
        image_set=assigned.image_set,
        state=RatingState.ASSIGNED,
        assigned_at=fact.occurred_at,
        expires_at=event.expires_at,
        again=assigned.again,
    )


def _own(event: ImageRated, fact: Fact) -> Rating:
    return Rating(
        id=event.rating,
        rater=event.rater,
        picture=event.picture,
        other=None,
        image_set=event.image_set,
        state=RatingState.ASSIGNED,
        assigned_at=fact.occurred_at,
        expires_at=fact.occurred_at,
        own=True,
    )


def _settled(rating: Rating, event: Event, fact: Fact) -> Rating:
    match event:
        case ImageRated():
            return replace(
                rating,
                state=RatingState.DONE,
                value=event.value,
                artifacts=event.artifacts,
                settled=fact.position,
                reward=event.reward,
            )
        case PicturesCompared():
            return replace(
                rating,
                state=RatingState.DONE,
                preference=event.preference,
                settled=fact.position,
                reward=event.reward,
            )
        case _:
            return replace(rating, state=RatingState.SKIPPED, settled=fact.position)


PROJECTION = Projection(
    "ratings",
    1,
    Rating,
    FACTS,
    keys,
    evolve,
    # an inline fold does not know its position while a decider composes events: only rows that are committed have one
    indexes=("(realm, rater, settled DESC)", "(realm, picture)"),
)
