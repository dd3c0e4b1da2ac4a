"""Which pictures are proposed to a rater: those that want raters most, and now and then one for another reason.

Unannounced and at random a picture with a known answer, or one that the rater judged before, is put among the others;
the answer looks the same. Chosen outside the lock, confirmed under it. Look next: `app.ratings.decider`,
`app.ratings.queries` for the search.
"""

from __future__ import annotations

import asyncio
import random
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from app.platform.ids import new_id
from app.platform.services import Services
from app.ratings.decider import Candidate
from app.ratings.identity import comparison_id, rating_id, repeat_id
from app.ratings.queries import GIVEN, KNOWN, KNOWN_FOUND, PICTURES, RATERS, RATINGS, SEARCHES, SIBLINGS
from events.base import ANONYMOUS
from events.images import SHARED_SET
from events.ratings import Assigned
from projections.pictures import Picture, PictureState
from projections.ratings import RatingState

#: how often a picture has a known answer: for raters with fewer ratings than these, and for the others
NEWCOMER: Final = 20
KNOWN_TO_NEWCOMERS: Final = 1 / 4
KNOWN_TO_OTHERS: Final = 1 / 12
#: how often a rater is asked again, about one of so many earlier ratings, the last few left out
AGAIN: Final = 1 / 20
REMEMBERED: Final = 10
ASKED_AGAIN: Final = 60
#: candidates beyond what is asked for: others may be quicker
SPARE: Final = 4

_CHANCE = random.SystemRandom()


class Task(StrEnum):
    """What a rater is asked to do."""

    RATE = "RATE"
    COMPARE = "COMPARE"


class Nothing(StrEnum):
    """Why nothing was handed out."""

    #: nothing wants raters that this one may judge
    NOTHING_LEFT = "NOTHING_LEFT"
    #: as many are open as may be
    TOO_MANY_OPEN = "TOO_MANY_OPEN"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a rater wants to be handed."""

    rater: UUID
    task: Task
    amount: int
    #: only of this set; None for any
    image_set: UUID | None
    #: also what may be not safe for work
    nsfw: bool
    #: only what this model drew; None for any
    model: str | None

    @property
    def anonymous(self) -> bool:
        """Many people share this rater."""
        return self.rater == ANONYMOUS


async def candidates(services: Services, wish: Wish) -> list[Candidate]:
    """What may be handed out, best first: at least `amount`, if there is as much."""
    found = await _wanted(services, wish)
    if wish.task is Task.COMPARE:
        return await _pairs(services, wish, found)
    plain = [_rate(wish, picture) for picture in found[: wish.amount + SPARE]]
    special = [] if wish.anonymous else await _special(services, wish)
    for candidate in special:
        plain.insert(_CHANCE.randrange(wish.amount), candidate)
    return plain


async def _wanted(services: Services, wish: Wish) -> list[Picture]:
    """Pictures that want raters, most wanted first, from a random place on."""
    narrow = "any" if wish.image_set is None else "image_set"
    if wish.model is not None:
        narrow = "model"
        if wish.image_set not in (None, SHARED_SET):
            return []  # nobody says which model drew an imported picture
    asked = {
        "realm": services.realm,
        "rater": wish.rater,
        "judge": None if wish.anonymous or wish.task is Task.COMPARE else wish.rater,
        "image_set": wish.image_set,
        "model": wish.model,
        "pivot": _CHANCE.randrange(-(2**63), 2**63),
    }
    search = SEARCHES[narrow]
    kinds = (False, True) if wish.nsfw else (False,)
    found = await asyncio.gather(*(search.all(services.pool, nsfw=nsfw, **asked) for nsfw in kinds))
    pictures = [picture for some in found for picture in some]
    if len(kinds) > 1:  # both kinds among one another
        _CHANCE.shuffle(pictures)
        pictures.sort(key=lambda picture: -picture.wanted)
    return pictures


def _rate(wish: Wish, picture: Picture, *, wanted: bool = True, again: bool = False) -> Candidate:
    if wish.anonymous:
        key = new_id()
    else:
        key = repeat_id(wish.rater, picture.id) if again else rating_id(wish.rater, picture.id)
    assigned = Assigned(id=key, picture=picture.id, image_set=picture.image_set, again=again)
    return Candidate(assigned=assigned, wanted=wanted)


async def _special(services: Services, wish: Wish) -> list[Candidate]:
    """For each picture that is asked for, maybe one with a known answer, or one that was rated before."""
    rater = await RATERS.one(services.pool, realm=services.realm, id=wish.rater)
    given = 0 if rater is None else rater.given
    often = KNOWN_TO_NEWCOMERS if given < NEWCOMER else KNOWN_TO_OTHERS
    known = sum(_CHANCE.random() < often for _ in range(wish.amount))
    again = sum(_CHANCE.random() < AGAIN for _ in range(wish.amount)) if given > REMEMBERED else 0
    chosen: list[Candidate] = []
    if known:
        found = [picture for picture in await _known(services, wish) if _suits(picture, wish)]
        chosen += [_rate(wish, picture, wanted=False) for picture in found[:known]]
    if again:
        found = [picture for picture in await _rated_before(services, wish) if _suits(picture, wish)]
        chosen += [_rate(wish, picture, wanted=False, again=True) for picture in found[:again]]
    return chosen


def _suits(picture: Picture, wish: Wish) -> bool:
    return (
        picture.state is PictureState.OPEN
        and picture.owner != wish.rater
        and (wish.nsfw or not picture.nsfw)
        and wish.image_set in (None, picture.image_set)
        and wish.model in (None, picture.model)
    )


async def _known(services: Services, wish: Wish) -> list[Picture]:
    """Pictures with known answers that the rater did not see, from a random place on."""
    asked = {"realm": services.realm, "image_set": wish.image_set}
    ids = await KNOWN.all(services.pool, pivot=new_id(), **asked)
    if len(ids) < KNOWN_FOUND:
        ids = list(dict.fromkeys([*ids, *await KNOWN.all(services.pool, pivot=UUID(int=0), **asked)]))
    if not ids:
        return []
    keys = {rating_id(wish.rater, picture): picture for picture in ids}
    seen = {row.picture for row in await RATINGS.all(services.pool, realm=services.realm, ids=list(keys))}
    return await _pictures(services, [picture for picture in ids if picture not in seen])


async def _rated_before(services: Services, wish: Wish) -> list[Picture]:
    """Pictures that the rater rated some time ago, and was not asked about again, in any order."""
    rows = await GIVEN.all(
        services.pool, realm=services.realm, rater=wish.rater, before=2**62, limit=ASKED_AGAIN
    )
    rated = [row.picture for row in rows[REMEMBERED:] if row.other is None and not row.again and not row.own]
    keys = {repeat_id(wish.rater, picture): picture for picture in rated}
    asked = {row.picture for row in await RATINGS.all(services.pool, realm=services.realm, ids=list(keys))}
    left = [picture for picture in rated if picture not in asked]
    _CHANCE.shuffle(left)
    return await _pictures(services, left)


async def _pictures(services: Services, ids: list[UUID]) -> list[Picture]:
    """The pictures of ids, in their order."""
    if not ids:
        return []
    rows = {row.id: row for row in await PICTURES.all(services.pool, realm=services.realm, ids=ids)}
    return [rows[key] for key in ids if key in rows]


async def _pairs(services: Services, wish: Wish, found: list[Picture]) -> list[Candidate]:
    """Pairs to compare, those of one job first, that the rater did not compare yet."""
    jobs = list({picture.job for picture in found if picture.job is not None})
    siblings: dict[UUID, list[Picture]] = {}
    if jobs:
        for picture in await SIBLINGS.all(services.pool, realm=services.realm, jobs=jobs):
            assert picture.job is not None
            siblings.setdefault(picture.job, []).append(picture)
    pairs: list[tuple[Picture, Picture]] = []
    alone: dict[UUID, list[Picture]] = {}
    for picture in found:
        others = [each for each in siblings.get(picture.job or UUID(int=0), ()) if each.id != picture.id]
        others = [each for each in others if wish.nsfw or not each.nsfw]
        if others:
            pairs.append((picture, _CHANCE.choice(others)))
        else:
            alone.setdefault(picture.image_set, []).append(picture)
    for lonely in alone.values():
        pairs += zip(lonely[::2], lonely[1::2], strict=False)
    return await _new_pairs(services, wish, pairs)


async def _new_pairs(services: Services, wish: Wish, pairs: list[tuple[Picture, Picture]]) -> list[Candidate]:
    """Of pairs those that the rater was not asked about, either picture first."""
    keyed: dict[UUID, tuple[Picture, Picture]] = {}
    for first, second in pairs:
        key = new_id() if wish.anonymous else comparison_id(wish.rater, first.id, second.id)
        keyed[key] = (first, second) if _CHANCE.random() < 0.5 else (second, first)
    if not wish.anonymous and keyed:
        rows = await RATINGS.all(services.pool, realm=services.realm, ids=list(keyed))
        for row in rows:
            if row.state is not RatingState.ASSIGNED:
                del keyed[row.id]
    return [
        Candidate(
            assigned=Assigned(id=key, picture=first.id, other=second.id, image_set=first.image_set),
            wanted=False,
        )
        for key, (first, second) in list(keyed.items())[: wish.amount + SPARE]
    ]
