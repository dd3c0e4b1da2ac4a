"""The API of requesters who rate their own pictures.

Resolvers only parse, call and map. Look next: `app.ratings.own_handlers`, docs/rating.md.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Position
from app.platform.services import Info, services_of
from app.ratings import own_handlers
from app.ratings.graphql import AGENT, KEY, too_often
from app.ratings.handlers import source_of
from app.ratings.job_decider import JobRated
from app.ratings.types import RatingReward, reward_of

#: pictures of one call
MAX_RATINGS = 100


@strawberry.input(description="What you say of one of your pictures.")
class GenerationRatingInput:
    """One rating of rateJob."""

    generation: strawberry.ID = strawberry.field(description="A generation of the job.")
    rating: int = strawberry.field(description="How good it is: 1, worst, to 10, best.")
    artifacts: int | None = strawberry.field(
        default=None, description="How flawed it is: 0, flawless, to 5, garbage; see rateImage."
    )


@strawberry.input(description="What you say of the pictures of a job of yours.")
class RateJobInput:
    """Input of rateJob."""

    job: strawberry.ID = strawberry.field(description="The job, which has ended and is shared.")
    access_key: str | None = strawberry.field(
        default=None, description="Needed unless you are the job's owner, who earns the reward."
    )
    ratings: list[GenerationRatingInput] | None = strawberry.field(
        default=None, description=f"Each picture once; at most {MAX_RATINGS}."
    )
    best: strawberry.ID | None = strawberry.field(
        default=None,
        description="The generation that is the best: one of those that you rate highest. If you name none, it is the "
        "one that you rate above all others, if there is one.",
    )
    client_agent: str | None = strawberry.field(default=None, description=AGENT)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.type(description="Your pictures are rated.")
class RateJobSuccess:
    """Result of rateJob."""

    rated: int = strawberry.field(description="Ratings that are new.")
    best: strawberry.ID | None = strawberry.field(description="The best picture of the job, if one is known.")
    derived: bool = strawberry.field(description="Whether nobody named it: it is rated above all others.")
    reward: RatingReward = strawberry.field(description="What this earned the job's owner.")
    position: Position = strawberry.field(description="The log position at which it stands.")


RateJobResult = Annotated[
    RateJobSuccess | errors.InvalidInput | errors.NotFound | errors.IdempotencyConflict | errors.TryAgain,
    strawberry.union("RateJobResult", description="What came of rateJob."),
]


@strawberry.type
class OwnRatingMutations:
    """Mutations of requesters who rate."""

    @strawberry.mutation(
        description="Rate the shared pictures of a job of yours once it has ended, and name the best. What it earns "
        "stays below what the job cost.",
        graphql_type=RateJobResult,
    )
    async def rate_job(
        self,
        info: Info,
        input: Annotated[RateJobInput, strawberry.argument(description="What you say of them.")],
    ) -> Any:
        """All of it is taken or nothing."""
        if (limited := await too_often(info, "rating")) is not None:
            return limited
        rated = input.ratings or []
        if len(rated) > MAX_RATINGS:
            message = f"at most {MAX_RATINGS} ratings at once"
            return errors.InvalidInput(message=message, path=["input", "ratings"])
        outcome = await own_handlers.rate_job(
            services_of(info),
            info.context.viewer.subject,
            input.job,
            input.access_key,
            [(each.generation, each.rating, each.artifacts) for each in rated],
            input.best,
            source_of(info.context, input.client_agent),
            input.idempotency_key,
            said(input),
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: JobRated = outcome.result
        return RateJobSuccess(
            rated=result.ratings,
            best=None if result.best is None else strawberry.ID(str(result.best)),
            derived=result.derived,
            reward=reward_of(result.earned),
            position=Position(outcome.position),
        )
