"""Picture scores: how often each picture was given each rating. A tailing projection; marked ratings are left out.

Mean, median and deviation follow from the counts. Ratings by a picture's owner, repeats, and those of anonymous users
are told apart by being left out too: the data sets have them. Look next: `projections.pictures`, `app.datasets`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.ratings import BestNamed, ImageRated, PicturesCompared, Preference, RatingsMarked
from projections.base import Projection
from projections.pictures import counts

#: the facts that touch it
FACTS = (ImageRated, PicturesCompared, BestNamed, RatingsMarked)


class PictureScore(msgspec.Struct, frozen=True, gc=False):
    """What raters said of one picture."""

    id: UUID
    #: how often it was given each value, from 1 to 10
    values: tuple[int, ...] = (0,) * 10
    #: how often each degree of artifacts was seen, from 0 to 5
    artifacts: tuple[int, ...] = (0,) * 6
    #: ratings that are marked as suspect
    suspect: int = 0
    #: comparisons that it won, lost, and in which neither was better
    won: int = 0
    lost: int = 0
    tied: int = 0
    #: its owner named it the best of its job, or another one
    best: int = 0
    passed: int = 0


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The pictures that were judged."""
    event = fact.event
    match event:
        case PicturesCompared():
            return (event.picture, event.other)
        case BestNamed():
            return (event.best, *event.others)
        case RatingsMarked():
            return tuple(sorted({mark.picture for mark in event.marks}))
        case _:
            assert isinstance(event, ImageRated)
            return (event.picture,) if counts(event) else ()


def evolve(key: UUID, row: PictureScore | None, fact: Fact) -> PictureScore | None:
    """The score after a fact."""
    score = row or PictureScore(key)
    event = fact.event
    match event:
        case ImageRated():
            return _counted(score, event.value, event.artifacts, 1)
        case RatingsMarked():
            for mark in event.marks:
                if mark.picture == key:
                    score = _counted(score, mark.value, mark.artifacts, -1 if event.suspect else 1)
                    score = replace(score, suspect=score.suspect + (1 if event.suspect else -1))
            return score
        case BestNamed():
            if event.best == key:
                return replace(score, best=score.best + 1)
            return replace(score, passed=score.passed + 1)
        case _:
            assert isinstance(event, PicturesCompared)
            return _compared(score, event.preference, first=event.picture == key)


def _counted(score: PictureScore, value: int, artifacts: int | None, by: int) -> PictureScore:
    values, seen = list(score.values), list(score.artifacts)
    values[value - 1] += by
    if artifacts is not None:
        seen[artifacts] += by
    return replace(score, values=tuple(values), artifacts=tuple(seen))


def _compared(score: PictureScore, preference: Preference, *, first: bool) -> PictureScore:
    if preference is Preference.TIE:
        return replace(score, tied=score.tied + 1)
    if (preference is Preference.FIRST) == first:
        return replace(score, won=score.won + 1)
    return replace(score, lost=score.lost + 1)


PROJECTION = Projection("picture_scores", 1, PictureScore, FACTS, keys, evolve)
