"""The API of what raters may read: sets, pictures, what they gave, what they have in hand.

Resolvers only parse, call and map. Look next: `app.ratings.library`.
"""

from __future__ import annotations

import math
from typing import Annotated
from uuid import UUID

import strawberry

from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.scalars import Kudos, Position
from app.platform.graphql.shared import After, First, Node
from app.platform.handling import parse_id
from app.platform.services import Info, services_of
from app.ratings import library
from app.ratings.links import links_of
from app.ratings.queries import GIVEN, SetView
from app.ratings.types import PictureState, Preference, RatingAssignment, RatingTask, assignment_of
from events.base import ANONYMOUS
from events.ratings import Assigned
from projections.picture_scores import PictureScore
from projections.ratings import Rating


@strawberry.type(description="A named set of pictures.")
class ImageSet(Node):
    """A set."""

    name: str = strawberry.field(description="Its name.")
    licence: str = strawberry.field(description="Its licence, by the SPDX id.")
    description: str = strawberry.field(description="What it is.")
    target: int = strawberry.field(description="How many raters are wanted for each of its pictures.")
    pictures: int = strawberry.field(description="Pictures in it.")
    mirrored: int = strawberry.field(
        description="Imported pictures of which this house has made a copy. 0 for shared pictures, which are all here."
    )
    redistributed: bool = strawberry.field(
        description="Whether releases of data sets hold its pictures, or their addresses only."
    )
    ratings: int = strawberry.field(description="Ratings of its pictures, of all kinds.")
    comparisons: int = strawberry.field(description="Comparisons of its pictures.")


@strawberry.type(description="An edge of a page of sets.")
class ImageSetEdge:
    """A set and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: ImageSet = strawberry.field(description="The set.")


@strawberry.type(description="A page of sets, that of shared pictures first.")
class ImageSetConnection:
    """Sets."""

    edges: list[ImageSetEdge] = strawberry.field(description="The sets.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.type(
    description="What registered raters said of a picture, without its owner, repeats and marked ratings."
)
class PictureScores:
    """Counts, and what follows from them."""

    ratings: int = strawberry.field(description="How many rated it.")
    mean: float | None = strawberry.field(description="The mean rating; null without any.")
    deviation: float | None = strawberry.field(
        description="The standard deviation of the ratings; null for fewer than two."
    )
    values: list[int] = strawberry.field(description="How often it was rated 1, 2, … 10.")
    artifacts_mean: float | None = strawberry.field(description="The mean of artifacts, of who told them.")
    artifacts: list[int] = strawberry.field(description="How often artifacts were 0, 1, … 5.")
    won: int = strawberry.field(description="Comparisons in which it was better.")
    lost: int = strawberry.field(description="Comparisons in which the other was better.")
    tied: int = strawberry.field(description="Comparisons in which neither was.")


@strawberry.type(description="A picture that is rated.")
class Picture(Node):
    """A shared generation, by the same id, or an imported picture."""

    image_set_id: strawberry.ID = strawberry.field(description="The set it is of.")
    state: PictureState = strawberry.field(description="Whether it is shown.")
    nsfw: bool = strawberry.field(description="Whether it may be not safe for work.")
    model: str | None = strawberry.field(description="The model that drew it, where that is known.")
    ratings: int = strawberry.field(description="How many of the raters that are wanted have rated it.")
    target: int = strawberry.field(description="How many raters are wanted.")
    best: bool = strawberry.field(description="Whether its owner named it the best of its job.")
    scores: PictureScores | None = strawberry.field(
        description="What was said of it. Null while you have it in hand, and, unless it is your own, until you or as "
        "many as are wanted have rated it: what others say should move nobody's rating."
    )
    image_set: strawberry.Private[UUID]
    key: strawberry.Private[UUID]

    @strawberry.field(description="Where to get it, for half an hour; null if its address was erased.")
    async def url(self, info: Info) -> str | None:
        """A fresh link."""
        links = await links_of(services_of(info), [(self.key, self.image_set)])
        return links.get(self.key)


@strawberry.type(description="A rating or comparison of yours.")
class GivenRating:
    """What a rater gave."""

    id: strawberry.ID = strawberry.field(description="The rating.")
    task: RatingTask = strawberry.field(description="What you were asked to do.")
    picture_id: strawberry.ID = strawberry.field(description="The picture.")
    other_id: strawberry.ID | None = strawberry.field(description="What it was compared with.")
    rating: int | None = strawberry.field(description="From 1 to 10; null for a comparison.")
    artifacts: int | None = strawberry.field(description="From 0 to 5, if you told.")
    preference: Preference | None = strawberry.field(description="Which is better; null for a rating.")
    own: bool = strawberry.field(description="Whether the picture was made for you.")
    reward: Kudos = strawberry.field(description="What it earned, in escrow or not.")
    suspect: bool = strawberry.field(description="Whether it is marked, and left out of what is computed.")
    position: Position = strawberry.field(description="Its position in the log.")


@strawberry.type(description="An edge of a page of ratings.")
class GivenRatingEdge:
    """A rating and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: GivenRating = strawberry.field(description="The rating.")


@strawberry.type(description="A page of ratings, newest first.")
class GivenRatingConnection:
    """Ratings."""

    edges: list[GivenRatingEdge] = strawberry.field(description="The ratings.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.type
class RatingQueries:
    """Queries of raters."""

    @strawberry.field(description="Sets of pictures that may be rated.")
    async def image_sets(self, info: Info, first: First = 20, after: After = None) -> ImageSetConnection:
        """A page of the sets."""
        size = page_size(first)
        start = None if after is None else decode_cursor(after, tuple[UUID])[0]
        views = await library.sets(services_of(info), start, size + 1)
        edges, page = build_page(
            views,
            size,
            # the set of shared pictures stands before all ids
            key=lambda view: (UUID(int=0) if view.row is library.SHARED else view.row.id,),
            edge=lambda cursor, view: ImageSetEdge(cursor=cursor, node=_set(view)),
            after=after,
        )
        return ImageSetConnection(edges=edges, page_info=page)

    @strawberry.field(
        description="A picture that is rated, with what was said of it as far as you may know; null if it is not shown."
    )
    async def picture(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The picture's id.")],
    ) -> Picture | None:
        """Shared generations have the same id here."""
        key = parse_id(id)
        return None if key is None else await load_picture(info, key)


async def load_picture(info: Info, key: UUID) -> Picture | None:
    """The picture of an id, for `node` too."""
    view = await library.picture_of(services_of(info), info.context.viewer.subject, key)
    if view is None:
        return None
    picture = view.picture
    return Picture(
        id=strawberry.ID(str(picture.id)),
        image_set_id=strawberry.ID(str(picture.image_set)),
        state=PictureState(picture.state.value),
        nsfw=picture.nsfw,
        model=picture.model or None,
        ratings=picture.ratings,
        target=picture.target,
        best=picture.best,
        scores=None if view.score is None else _scores(view.score),
        image_set=picture.image_set,
        key=picture.id,
    )


async def load_image_set(info: Info, key: UUID) -> ImageSet | None:
    """The set of an id, for `node`."""
    view = await library.set_of(services_of(info), key)
    return None if view is None else _set(view)


async def ratings_of(info: Info, user: UUID, first: int | None, after: str | None) -> GivenRatingConnection:
    """A page of a user's ratings; anonymous raters are many, so theirs are not listed."""
    services, size = services_of(info), page_size(first)
    before = 2**62 if after is None else decode_cursor(after, tuple[int])[0]
    rows: list[Rating] = []
    if user != ANONYMOUS:
        rows = await GIVEN.all(services.pool, realm=services.realm, rater=user, before=before, limit=size + 1)
    edges, page = build_page(
        rows,
        size,
        key=lambda row: (row.settled,),
        edge=lambda cursor, row: GivenRatingEdge(cursor=cursor, node=_given(row)),
        after=after,
    )
    return GivenRatingConnection(edges=edges, page_info=page)


async def assignments_of(info: Info, user: UUID) -> list[RatingAssignment]:
    """What a user has in hand, with fresh links."""
    services = services_of(info)
    rows = await library.in_hand(services, user)
    shown = [(key, row.image_set) for row in rows for key in (row.picture, row.other) if key is not None]
    links = await links_of(services, shown)
    return [
        assignment_of(
            Assigned(id=row.id, picture=row.picture, other=row.other, image_set=row.image_set),
            row.expires_at,
            links,
        )
        for row in rows
    ]


def _set(view: SetView) -> ImageSet:
    row, totals = view.row, view.totals
    return ImageSet(
        id=strawberry.ID(str(row.id)),
        name=row.name,
        licence=row.licence,
        description=view.description,
        target=row.target,
        mirrored=view.totals.mirrored,
        redistributed=row.redistributed,
        pictures=totals.pictures - totals.removed,
        ratings=totals.ratings,
        comparisons=totals.comparisons,
    )


def _scores(score: PictureScore) -> PictureScores:
    n = sum(score.values)
    mean = sum((value + 1) * count for value, count in enumerate(score.values)) / n if n else None
    deviation = None
    if mean is not None and n > 1:
        squares = sum(count * (value + 1 - mean) ** 2 for value, count in enumerate(score.values))
        deviation = math.sqrt(squares / (n - 1))
    told = sum(score.artifacts)
    flawed = sum(degree * count for degree, count in enumerate(score.artifacts))
    return PictureScores(
        ratings=n,
        mean=mean,
        deviation=deviation,
        values=list(score.values),
        artifacts_mean=flawed / told if told else None,
        artifacts=list(score.artifacts),
        won=score.won,
        lost=score.lost,
        tied=score.tied,
    )


def _given(row: Rating) -> GivenRating:
    assert row.settled is not None, "only what was given is listed"
    return GivenRating(
        id=strawberry.ID(str(row.id)),
        task=RatingTask("RATE" if row.other is None else "COMPARE"),
        picture_id=strawberry.ID(str(row.picture)),
        other_id=None if row.other is None else strawberry.ID(str(row.other)),
        rating=row.value,
        artifacts=row.artifacts,
        preference=None if row.preference is None else Preference(row.preference.value),
        own=row.own,
        reward=Kudos(row.reward),
        suspect=row.suspect,
        position=Position(row.settled),
    )
