"""The API of raters: how far one is believed and why, appeals, and for moderators the list and the decision.

Resolvers only parse, call and map. Look next: `app.raters.handlers`, docs/raters.md.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.platform.commands import Done, Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, First
from app.platform.services import Info, Services, services_of
from app.raters import handlers
from app.raters.decider import APPEAL_AGAIN, MAX_NOTE
from app.raters.types import (
    Rater,
    RaterConnection,
    RaterEdge,
    RaterStanding,
    RaterVerdict,
    rater_of,
)
from events import ratings
from projections import raters as rows


@strawberry.input(description="A rater and what is decided of it.")
class JudgeRaterInput:
    """Input of judgeRater."""

    rater: strawberry.ID = strawberry.field(description="The user's id.")
    verdict: RaterVerdict = strawberry.field(description="It may be changed.")


@strawberry.input(description="Why moderators should look at your standing.")
class AppealStandingInput:
    """Input of appealStanding."""

    note: str = strawberry.field(
        description=f"1 to {MAX_NOTE} characters, for moderators only; never in the log."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key with the same input has the same outcome, for a day or more."
    )


@strawberry.type(description="It is decided; marks and rewards follow within seconds.")
class JudgeRaterSuccess:
    """Result of judgeRater."""

    rater: Rater = strawberry.field(description="The rater.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="Moderators see the appeal until they decide.")
class AppealStandingSuccess:
    """Result of appealStanding."""

    rater: Rater = strawberry.field(description="You as a rater.")
    position: Position = strawberry.field(description="The log position at which it stands.")


JudgeRaterResult = Annotated[
    JudgeRaterSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("JudgeRaterResult", description="What came of judgeRater."),
]
AppealStandingResult = Annotated[
    AppealStandingSuccess | errors.InvalidInput | errors.IdempotencyConflict | errors.TryAgain,
    strawberry.union("AppealStandingResult", description="What came of appealStanding."),
]


@strawberry.type
class RaterQueries:
    """Queries about raters."""

    @strawberry.field(
        description="How far a rater is believed: you, or for moderators and operators anybody by id. Null without an account, "
        "and for what is another's."
    )
    async def rater(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID | None, strawberry.argument(description="A user's id; null: yourself.")
        ] = None,
    ) -> Rater | None:
        """By the projection's row; findings are computed from the assessment's numbers."""
        services = services_of(info)
        row = await handlers.rater_of(services, info.context.viewer.subject, id)
        return None if row is None else rater_of(row, await handlers.words_of(services, [row]))

    @strawberry.field(
        description="Whoever was ever handed a picture to rate, by id. For moderators and operators."
    )
    async def raters(
        self,
        info: Info,
        *,
        standing: Annotated[
            RaterStanding | None,
            strawberry.argument(description="Only of this standing."),
        ] = None,
        appealed: Annotated[
            bool, strawberry.argument(description="Only those whose appeal nobody has decided.")
        ] = False,
        first: First = 20,
        after: After = None,
    ) -> RaterConnection:
        """A page of raters."""
        services, size = services_of(info), page_size(first)
        start = UUID(int=0) if after is None else decode_cursor(after, tuple[UUID])[0]
        chosen: Any = standing
        named = None if chosen is None else ratings.Standing(chosen.value)
        viewer = info.context.viewer.subject
        found = await handlers.page_of_raters(services, viewer, named, start, size + 1, appealed=appealed)
        words = await handlers.words_of(services, found)
        edges, page = build_page(
            found,
            size,
            key=lambda row: (row.id,),
            edge=lambda cursor, row: RaterEdge(cursor=cursor, node=rater_of(row, words)),
            after=after,
        )
        return RaterConnection(edges=edges, page_info=page)


@strawberry.type
class RaterMutations:
    """Mutations about raters."""

    @strawberry.mutation(
        description="Clear a rater, or confirm what the assessment says. It closes an appeal. For moderators and operators.",
        graphql_type=JudgeRaterResult,
    )
    async def judge_rater(
        self,
        info: Info,
        input: Annotated[JudgeRaterInput, strawberry.argument(description="Who, and what is decided.")],
    ) -> Any:
        """Deciding the same again changes nothing."""
        given: Any = input.verdict
        verdict = ratings.RaterVerdict(given.value)
        services = services_of(info)
        outcome = await handlers.judge(services, info.context.viewer.subject, input.rater, verdict)
        return await _told(services, outcome, JudgeRaterSuccess)

    @strawberry.mutation(
        description="Ask moderators to look at your standing again, if you are WATCHED or SUSPECT: one appeal at a time, and "
        f"again {APPEAL_AGAIN.days} days after they decided.",
        graphql_type=AppealStandingResult,
    )
    async def appeal_standing(
        self, info: Info, input: Annotated[AppealStandingInput, strawberry.argument(description="Why.")]
    ) -> Any:
        """The words are in the vault."""
        services = services_of(info)
        outcome = await handlers.appeal(
            services, info.context.viewer.subject, input.note, input.idempotency_key, said(input)
        )
        return await _told(services, outcome, AppealStandingSuccess)


async def _told(services: Services, outcome: tuple[Done, rows.Rater] | Rejection, made: Any) -> Any:
    if isinstance(outcome, Rejection):
        return error_of(outcome)
    done, row = outcome
    words = await handlers.words_of(services, [row])
    return made(rater=rater_of(row, words), position=Position(done.position))
