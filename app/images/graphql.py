"""The API of takedowns, for moderators. Nothing here shows a picture.

Resolvers only parse, call and map. Look next: `app.images.handlers`, docs/image-sets.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import strawberry

from app.images import handlers
from app.platform.commands import Done, Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, First
from app.platform.services import Info, services_of
from projections import takedowns as rows


@strawberry.type(
    description="A hash whose pictures are neither shared nor rated nor released: those there are, and those to come."
)
class Takedown:
    """A takedown."""

    id: strawberry.ID = strawberry.field(description="Its id.")
    sha256: str | None = strawberry.field(description="Of the file, hexadecimal.")
    perceptual_hash: str | None = strawberry.field(description="Of the picture, hexadecimal.")
    distance: int = strawberry.field(description="In how many of 64 bits a perceptual hash may differ.")
    ordered_at: datetime = strawberry.field(description="When it was ordered.")
    lifted: bool = strawberry.field(
        description="Such pictures may come again; what it took does not come back."
    )
    taken: int = strawberry.field(description="How many pictures it took down.")
    complete: bool = strawberry.field(description="All there were are gone from storage.")


@strawberry.type(description="An edge of a page of takedowns.")
class TakedownEdge:
    """A takedown and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Takedown = strawberry.field(description="The takedown.")


@strawberry.type(description="A page of takedowns, newest first.")
class TakedownConnection:
    """Takedowns."""

    edges: list[TakedownEdge] = strawberry.field(description="The takedowns.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="What to take down: a file by its SHA-256, whatever looks like it, or both.")
class OrderTakedownInput:
    """Input of orderTakedown."""

    sha256: str | None = strawberry.field(
        default=None, description="Of the file, 64 hexadecimal digits in lower case."
    )
    perceptual_hash: str | None = strawberry.field(
        default=None, description="Of the picture (phash-dct-64), 16 hexadecimal digits in lower case."
    )
    distance: int = strawberry.field(
        default=6, description="In how many of 64 bits a perceptual hash may differ: 0 to 6."
    )


@strawberry.input(description="Which takedown is lifted.")
class LiftTakedownInput:
    """Input of liftTakedown."""

    takedown: strawberry.ID = strawberry.field(description="The takedown.")


@strawberry.type(description="The takedown is ordered; actors carry it out within seconds.")
class OrderTakedownSuccess:
    """Result of orderTakedown."""

    takedown: Takedown = strawberry.field(description="The takedown.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The takedown is lifted.")
class LiftTakedownSuccess:
    """Result of liftTakedown."""

    takedown: Takedown = strawberry.field(description="The takedown.")
    position: Position = strawberry.field(description="The log position at which it stands.")


OrderTakedownResult = Annotated[
    OrderTakedownSuccess | errors.InvalidInput | errors.Forbidden | errors.TryAgain,
    strawberry.union("OrderTakedownResult", description="What came of orderTakedown."),
]
LiftTakedownResult = Annotated[
    LiftTakedownSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("LiftTakedownResult", description="What came of liftTakedown."),
]


@strawberry.type
class TakedownQueries:
    """Queries about takedowns."""

    @strawberry.field(description="Takedowns, newest first. For moderators and operators.")
    async def takedowns(self, info: Info, first: First = 20, after: After = None) -> TakedownConnection:
        """A page of the takedowns."""
        size = page_size(first)
        before = 2**62 if after is None else decode_cursor(after, tuple[int])[0]
        viewer = info.context.viewer.subject
        found = await handlers.page_of_takedowns(services_of(info), viewer, before, size + 1)
        edges, page = build_page(
            found,
            size,
            key=lambda row: (row.ordered,),
            edge=lambda cursor, row: TakedownEdge(cursor=cursor, node=_takedown(row)),
            after=after,
        )
        return TakedownConnection(edges=edges, page_info=page)


@strawberry.type
class TakedownMutations:
    """Mutations about takedowns."""

    @strawberry.mutation(
        description="Take pictures down by a hash, now and ever. For moderators and operators.",
        graphql_type=OrderTakedownResult,
    )
    async def order_takedown(
        self,
        info: Info,
        input: Annotated[OrderTakedownInput, strawberry.argument(description="What is taken down.")],
    ) -> Any:
        """Actors carry it out."""
        outcome = await handlers.order_takedown(
            services_of(info),
            info.context.viewer.subject,
            input.sha256,
            input.perceptual_hash,
            input.distance,
        )
        return _told(outcome, OrderTakedownSuccess)

    @strawberry.mutation(
        description="Let pictures of a takedown come again. For moderators and operators.",
        graphql_type=LiftTakedownResult,
    )
    async def lift_takedown(
        self,
        info: Info,
        input: Annotated[LiftTakedownInput, strawberry.argument(description="Which one.")],
    ) -> Any:
        """What it took stays gone."""
        outcome = await handlers.lift_takedown(services_of(info), info.context.viewer.subject, input.takedown)
        return _told(outcome, LiftTakedownSuccess)


def _told(outcome: tuple[Done, rows.Takedown] | Rejection, success: type[Any]) -> Any:
    if isinstance(outcome, Rejection):
        return error_of(outcome)
    done, takedown = outcome
    return success(takedown=_takedown(takedown), position=Position(done.position))


def _takedown(row: rows.Takedown) -> Takedown:
    return Takedown(
        id=strawberry.ID(str(row.id)),
        sha256=row.sha256,
        perceptual_hash=row.perceptual_hash,
        distance=row.distance,
        ordered_at=row.ordered_at,
        lifted=row.lifted,
        taken=row.taken,
        complete=row.complete,
    )
