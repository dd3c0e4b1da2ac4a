"""Raters: how much each rated, what it earned by that, and how far it is believed. Inline: rewards are decided by it.

There is a row for whoever was ever handed a picture. What waits in escrow is in the account's row
(`projections.accounts`), since accounts release it. Look next: `projections.ratings`, `app.raters`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import ANONYMOUS, Event, Fact
from events.images import PictureReported
from events.ratings import (
    AppealMade,
    BestNamed,
    ImageRated,
    PicturesCompared,
    PictureSkipped,
    RaterAssessed,
    RaterCause,
    RaterJudged,
    RaterScores,
    RaterVerdict,
    RatingEscrowReleased,
    RatingRewardsRestored,
    RatingRewardsReversed,
    RatingsAssigned,
    RatingsMarked,
    Standing,
)
from projections.base import Projection

#: the facts that touch it
FACTS = (
    RatingsAssigned,
    ImageRated,
    PicturesCompared,
    BestNamed,
    PictureSkipped,
    PictureReported,
    RaterAssessed,
    RatingsMarked,
    RatingRewardsReversed,
    RatingRewardsRestored,
    RatingEscrowReleased,
    RaterJudged,
    AppealMade,
)
_DAY: Final = 86_400


class Rater(msgspec.Struct, frozen=True, gc=False):
    """One rater. The anonymous user is one for all who have no account."""

    id: UUID
    #: ratings of pictures, without repeats; of those, with artifacts
    given: int = 0
    with_artifacts: int = 0
    repeated: int = 0
    comparisons: int = 0
    bests: int = 0
    skipped: int = 0
    reported: int = 0
    #: how often it gave each value, from 1 to 10, without repeats and own pictures
    values: tuple[int, ...] = (0,) * 10
    #: assignments that are not answered, and until when they may be; none of the anonymous user
    ahead: tuple[tuple[UUID, datetime], ...] = ()
    assigned_at: datetime | None = None
    first_at: datetime | None = None
    #: day (since 1970) of its last reward, and judgements paid and hundredths rewarded on that day
    day: int = 0
    paid_today: int = 0
    rewarded_today: int = 0
    #: hundredths that ratings ever earned, went back, and were paid again
    rewarded: int = 0
    reversed: int = 0
    restored: int = 0
    #: it earned trust by rating: what ratings earn is paid at once
    trusted: bool = False
    standing: Standing = Standing.NEW
    causes: tuple[RaterCause, ...] = ()
    scores: RaterScores | None = None
    #: up to which position it was last assessed
    assessed: int = 0
    assessed_at: datetime | None = None
    #: ratings that are marked as suspect
    marked: int = 0
    verdict: RaterVerdict | None = None
    judged_at: datetime | None = None
    #: an appeal that nobody has decided yet
    appeal: UUID | None = None


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The rater of a fact."""
    event = fact.event
    if isinstance(event, PictureReported):
        return (event.rater,)
    assert isinstance(event, FACTS)
    return (event.rater,)


def evolve(key: UUID, row: Rater | None, fact: Fact) -> Rater | None:
    """The rater after a fact."""
    rater = row or Rater(key)
    event = fact.event
    match event:
        case RatingsAssigned():
            return _assigned(rater, event, fact.occurred_at)
        case ImageRated() | PicturesCompared() | BestNamed():
            return _rewarded(_judged(rater, event, fact.occurred_at), event, fact.occurred_at)
        case PictureSkipped():
            return replace(rater, skipped=rater.skipped + 1, ahead=_without(rater, event.rating))
        case PictureReported():
            return replace(rater, reported=rater.reported + 1)
        case _:
            return _stands(rater, event, fact.occurred_at)


def _assigned(rater: Rater, event: RatingsAssigned, now: datetime) -> Rater:
    if rater.id == ANONYMOUS:  # many people
        return replace(rater, assigned_at=now)
    named = {assigned.id for assigned in event.assignments}
    kept = [(key, until) for key, until in rater.ahead if until > now and key not in named]
    new = [(assigned.id, event.expires_at) for assigned in event.assignments]
    return replace(rater, ahead=(*kept, *new), assigned_at=now)


def _without(rater: Rater, rating: UUID) -> tuple[tuple[UUID, datetime], ...]:
    return tuple(each for each in rater.ahead if each[0] != rating)


def _judged(rater: Rater, event: ImageRated | PicturesCompared | BestNamed, now: datetime) -> Rater:
    rater = replace(rater, first_at=rater.first_at or now)
    match event:
        case BestNamed():
            return replace(rater, bests=rater.bests + 1)
        case PicturesCompared():
            return replace(rater, comparisons=rater.comparisons + 1, ahead=_without(rater, event.rating))
        case ImageRated(again=True):
            return replace(rater, repeated=rater.repeated + 1, ahead=_without(rater, event.rating))
        case _:
            values = list(rater.values)
            values[event.value - 1] += not event.own
            return replace(
                rater,
                given=rater.given + 1,
                with_artifacts=rater.with_artifacts + (event.artifacts is not None),
                values=tuple(values),
                ahead=_without(rater, event.rating),
            )


def _rewarded(rater: Rater, event: ImageRated | PicturesCompared | BestNamed, now: datetime) -> Rater:
    if not event.reward:
        return rater
    day = int(now.timestamp()) // _DAY
    same = rater.day == day
    return replace(
        rater,
        day=day,
        paid_today=(rater.paid_today if same else 0) + 1,
        rewarded_today=(rater.rewarded_today if same else 0) + event.reward,
        rewarded=rater.rewarded + event.reward,
    )


def _stands(rater: Rater, event: Event, now: datetime) -> Rater:
    """How far it is believed."""
    match event:
        case RaterAssessed():
            return replace(
                rater,
                standing=event.standing,
                causes=event.causes,
                scores=event.scores,
                assessed=event.up_to,
                assessed_at=now,
            )
        case RatingsMarked():
            marked = len(event.marks) if event.suspect else -len(event.marks)
            return replace(rater, marked=rater.marked + marked)
        case RatingRewardsReversed():
            return replace(rater, reversed=rater.reversed + event.amount)
        case RatingRewardsRestored():
            return replace(rater, restored=rater.restored + event.amount)
        case RatingEscrowReleased():
            return replace(rater, trusted=True)
        case RaterJudged():
            return replace(rater, verdict=event.verdict, judged_at=now, appeal=None)
        case _:
            assert isinstance(event, AppealMade)
            return replace(rater, appeal=event.appeal)


PROJECTION = Projection(
    "raters",
    1,
    Rater,
    FACTS,
    keys,
    evolve,
    indexes=(
        "(realm, standing, id)",
        "(realm, id) WHERE appeal IS NOT NULL",
        "(realm, judged_at) WHERE judged_at IS NOT NULL",
    ),
)
