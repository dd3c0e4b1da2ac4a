"""What raters may read: sets, pictures with what was said of them, what they gave and what they have in hand.

Whoever has a picture in hand is not told what others said of it: that would be theirs to repeat. Look next:
`app.ratings.library_graphql`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from app.ledger.standing import moderates
from app.platform.services import Services
from app.ratings.identity import rating_id
from app.ratings.queries import ACCOUNTS, PICTURES, RATERS, RATINGS, SCORES, SETS, TOTALS, SetView
from events.base import ANONYMOUS
from events.images import SHARED_SET
from projections.image_set_totals import ImageSetTotals
from projections.image_sets import ImageSet
from projections.picture_scores import PictureScore
from projections.pictures import SHARED_TARGET, Picture, PictureState
from projections.ratings import Rating, RatingState

#: what is said of the set of shared pictures; requesters place them under this licence (docs/sharing.md)
SHARED: Final = ImageSet(
    SHARED_SET, "shared", "CC0-1.0", SHARED_TARGET, datetime(2026, 1, 1, tzinfo=UTC), redistributed=True
)
_SHARED_WORDS: Final = "Pictures that requesters of this house share."


class PictureView(msgspec.Struct, frozen=True):
    """A picture, and what was said of it as far as the viewer may know."""

    picture: Picture
    score: PictureScore | None


async def sets(services: Services, after: UUID | None, limit: int) -> list[SetView]:
    """Sets by id, that of shared pictures before all others."""
    first = [] if after is not None else [await _shared(services)]
    rest = await SETS.all(
        services.pool, realm=services.realm, id=None, after=after or UUID(int=0), limit=limit
    )
    return [*first, *rest][:limit]


async def set_of(services: Services, key: UUID) -> SetView | None:
    """The set of an id."""
    if key == SHARED_SET:
        return await _shared(services)
    return await SETS.one(services.pool, realm=services.realm, id=key, after=UUID(int=0), limit=1)


async def _shared(services: Services) -> SetView:
    totals = await TOTALS.one(services.pool, realm=services.realm, id=SHARED_SET)
    return SetView(SHARED, _SHARED_WORDS, totals or ImageSetTotals(SHARED_SET))


async def picture_of(services: Services, viewer: UUID, key: UUID) -> PictureView | None:
    """The picture of an id; one that is not shown exists for moderators only."""
    picture = await PICTURES.one(services.pool, realm=services.realm, ids=[key])
    if picture is None:
        return None
    moderator = moderates(await ACCOUNTS.one(services.pool, realm=services.realm, id=viewer))
    if picture.state is not PictureState.OPEN and not moderator:
        return None
    if not moderator and not await _may_know(services, viewer, picture):
        return PictureView(picture, None)
    score = await SCORES.one(services.pool, realm=services.realm, ids=[key])
    return PictureView(picture, score or PictureScore(key))


async def _may_know(services: Services, viewer: UUID, picture: Picture) -> bool:
    """Whether what others say can move this viewer's rating no more."""
    if viewer == ANONYMOUS:
        return picture.ratings >= picture.target
    if viewer == picture.owner:
        return True
    if any(picture.id in (row.picture, row.other) for row in await in_hand(services, viewer)):
        return False
    own = await RATINGS.one(services.pool, realm=services.realm, ids=[rating_id(viewer, picture.id)])
    return picture.ratings >= picture.target or (own is not None and own.state is RatingState.DONE)


async def in_hand(services: Services, viewer: UUID) -> list[Rating]:
    """What a rater may still answer, those that end first before the others."""
    if viewer == ANONYMOUS:
        return []
    rater = await RATERS.one(services.pool, realm=services.realm, id=viewer)
    keys = [] if rater is None else [key for key, _ in rater.ahead]
    if not keys:
        return []
    rows = await RATINGS.all(services.pool, realm=services.realm, ids=keys)
    now = datetime.now(UTC)
    open_ = [row for row in rows if row.state is RatingState.ASSIGNED and row.expires_at > now]
    return sorted(open_, key=lambda row: (row.expires_at, row.id))
