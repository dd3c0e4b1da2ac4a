"""The API of rating: pictures handed out, rated, compared and skipped.

Resolvers only parse, call and map. Look next: `app.ratings.handlers`, docs/rating.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import strawberry

from app.platform.commands import Done, Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.said import said
from app.platform.graphql.scalars import Position
from app.platform.handling import parse_id
from app.platform.rates import ANONYMOUS_RATINGS
from app.platform.services import Info, services_of
from app.ratings import handlers
from app.ratings.decider import Handed, Judged, Skipped
from app.ratings.handout import Nothing, Task, Wish
from app.ratings.links import links_of
from app.ratings.types import (
    NoImageReason,
    Preference,
    RatingAssignment,
    RatingReward,
    RatingTag,
    RatingTask,
    assignment_of,
    reward_of,
)
from events import ratings
from events.base import ANONYMOUS

AGENT: Final = (
    "Your client, as `name:version:contact`, if it cannot send the header Client-Agent. Only name and version are kept, "
    "with the rating."
)
KEY: Final = "With the same key the first outcome is given again. Without an account: a UUID."
_ASSIGNMENT: Final = "What you were handed."


@strawberry.input(description="What you want to judge.")
class RequestImageToRateInput:
    """Input of requestImageToRate."""

    image_set: strawberry.ID | None = strawberry.field(
        default=None, description="Only pictures of this set; see `imageSets`."
    )
    nsfw: bool | None = strawberry.field(
        default=False, description="Whether pictures that may be not safe for work may be among them."
    )
    task: RatingTask | None = strawberry.field(default=RatingTask.RATE, description="What you want to do.")
    amount: int | None = strawberry.field(
        default=1, description="How many, to have some ahead: 1 to 10, and as many may be open at once."
    )
    model: str | None = strawberry.field(
        default=None, description="Only shared pictures that this model drew."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input(description="What you say of a picture.")
class RateImageInput:
    """Input of rateImage."""

    assignment: strawberry.ID = strawberry.field(description=_ASSIGNMENT)
    rating: int = strawberry.field(description="How good it is: 1, worst, to 10, best.")
    artifacts: int | None = strawberry.field(
        default=None,
        description="How flawed it is: 0 flawless, 1 barely visible flaws, 2 visible but harmless, 3 obvious with mild "
        "harm, 4 obvious with great harm, 5 garbage. Voluntary, and earns as much as the rating.",
    )
    tags: list[RatingTag] | None = strawberry.field(
        default=None, description="What you see in it; at most 8, each once."
    )
    note: str | None = strawberry.field(
        default=None,
        description="What you want to say besides; at most 500 characters. It is not public, and can be erased.",
    )
    client_agent: str | None = strawberry.field(default=None, description=AGENT)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input(description="Which of two pictures is better.")
class RateComparisonInput:
    """Input of rateComparison."""

    assignment: strawberry.ID = strawberry.field(description=_ASSIGNMENT)
    preference: Preference = strawberry.field(description="Which is better.")
    client_agent: str | None = strawberry.field(default=None, description=AGENT)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input(description="What you do not want to judge.")
class SkipImageInput:
    """Input of skipImage."""

    assignment: strawberry.ID = strawberry.field(description=_ASSIGNMENT)


@strawberry.type(description="Pictures are yours to judge.")
class RequestImageToRateSuccess:
    """Result of requestImageToRate."""

    assignments: list[RatingAssignment] = strawberry.field(
        description="As many as you asked for, or fewer if there are no more."
    )
    position: Position = strawberry.field(description="The log position at which they are yours.")


@strawberry.type(description="There is no picture for you now.")
class NoImageToRate:
    """Nothing was handed out."""

    reason: NoImageReason = strawberry.field(description="Why.")


@strawberry.type(description="The picture is rated.")
class RateImageSuccess:
    """Result of rateImage."""

    rating_id: strawberry.ID = strawberry.field(description="The rating; the assignment's id.")
    reward: RatingReward = strawberry.field(description="What it earned.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The pictures are compared.")
class RateComparisonSuccess:
    """Result of rateComparison."""

    rating_id: strawberry.ID = strawberry.field(description="The comparison; the assignment's id.")
    reward: RatingReward = strawberry.field(description="What it earned.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="You are not handed it again.")
class SkipImageSuccess:
    """Result of skipImage."""

    assignment_id: strawberry.ID = strawberry.field(description="What was skipped.")
    position: Position = strawberry.field(description="The log position at which it stands.")


RequestImageToRateResult = Annotated[
    RequestImageToRateSuccess
    | NoImageToRate
    | errors.InvalidInput
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("RequestImageToRateResult", description="What came of requestImageToRate."),
]
_JUDGED = (
    errors.InvalidInput
    | errors.NotFound
    | errors.AssignmentEnded
    | errors.IdempotencyConflict
    | errors.TryAgain
)
RateImageResult = Annotated[
    RateImageSuccess | _JUDGED,
    strawberry.union("RateImageResult", description="What came of rateImage."),
]
RateComparisonResult = Annotated[
    RateComparisonSuccess | _JUDGED,
    strawberry.union("RateComparisonResult", description="What came of rateComparison."),
]
SkipImageResult = Annotated[
    SkipImageSuccess | errors.InvalidInput | errors.NotFound | errors.AssignmentEnded | errors.TryAgain,
    strawberry.union("SkipImageResult", description="What came of skipImage."),
]


@strawberry.type
class RatingMutations:
    """Mutations of raters."""

    @strawberry.mutation(
        description="Be handed pictures to judge: those that want raters most, none twice, none of your own. Some may be "
        "there to see how well you judge.",
        graphql_type=RequestImageToRateResult,
    )
    async def request_image_to_rate(
        self,
        info: Info,
        input: Annotated[RequestImageToRateInput, strawberry.argument(description="What you want to judge.")],
    ) -> Any:
        """Without an account limited by address."""
        services, actor = services_of(info), info.context.viewer.subject
        if (limited := await too_often(info, "hand-out")) is not None:
            return limited
        image_set = None if input.image_set is None else parse_id(input.image_set)
        if input.image_set is not None and image_set is None:
            message = "no id of a set: see `imageSets`"
            return errors.InvalidInput(message=message, path=["input", "imageSet"])
        wish = Wish(
            rater=actor,
            task=Task.RATE if input.task is None else Task(input.task.value),
            amount=1 if input.amount is None else input.amount,
            image_set=image_set,
            nsfw=bool(input.nsfw),
            model=input.model,
        )
        outcome = await handlers.request(services, wish, input.idempotency_key, said(input))
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        handed: Handed = outcome.result
        if not handed.assignments:
            why = Nothing.TOO_MANY_OPEN if handed.enough else Nothing.NOTHING_LEFT
            return NoImageToRate(reason=NoImageReason(why.value))
        shown = [(a.picture, a.image_set) for a in handed.assignments]
        shown += [(a.other, a.image_set) for a in handed.assignments if a.other is not None]
        links = await links_of(services, shown)
        return RequestImageToRateSuccess(
            assignments=[assignment_of(each, handed.expires_at, links) for each in handed.assignments],
            position=Position(outcome.position),
        )

    @strawberry.mutation(description="Rate what you were handed.", graphql_type=RateImageResult)
    async def rate_image(
        self,
        info: Info,
        input: Annotated[RateImageInput, strawberry.argument(description="What you say of it.")],
    ) -> Any:
        """Repeating the same rating changes nothing; another one is refused."""
        if (limited := await too_often(info, "rating")) is not None:
            return limited
        outcome = await handlers.rate(
            services_of(info),
            info.context.viewer.subject,
            input.assignment,
            input.rating,
            input.artifacts,
            tuple(ratings.RatingTag(tag.value) for tag in input.tags or ()),
            input.note or "",
            handlers.source_of(info.context, input.client_agent),
            input.idempotency_key,
            said(input),
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return RateImageSuccess(**_judged(outcome))

    @strawberry.mutation(
        description="Say which of two pictures that you were handed is better.",
        graphql_type=RateComparisonResult,
    )
    async def rate_comparison(
        self,
        info: Info,
        input: Annotated[RateComparisonInput, strawberry.argument(description="Which is better.")],
    ) -> Any:
        """Repeating the same changes nothing; another preference is refused."""
        if (limited := await too_often(info, "rating")) is not None:
            return limited
        outcome = await handlers.compare(
            services_of(info),
            info.context.viewer.subject,
            input.assignment,
            ratings.Preference(input.preference.value),
            handlers.source_of(info.context, input.client_agent),
            input.idempotency_key,
            said(input),
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return RateComparisonSuccess(**_judged(outcome))

    @strawberry.mutation(
        description="Give back what you do not want to judge: it is not handed to you again. It earns nothing.",
        graphql_type=SkipImageResult,
    )
    async def skip_image(
        self, info: Info, input: Annotated[SkipImageInput, strawberry.argument(description="What to skip.")]
    ) -> Any:
        """Skipping twice changes nothing."""
        if (limited := await too_often(info, "rating")) is not None:
            return limited
        outcome = await handlers.skip(services_of(info), info.context.viewer.subject, input.assignment)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Skipped = outcome.result
        return SkipImageSuccess(
            assignment_id=strawberry.ID(str(result.rating)), position=Position(outcome.position)
        )


async def too_often(info: Info, what: str) -> errors.TryAgain | None:
    """Whether somebody without an account did too much in this minute; counted by address."""
    if info.context.viewer.subject != ANONYMOUS:
        return None
    delay = await services_of(info).rates.delay(ANONYMOUS_RATINGS, what, info.context.address)
    if delay is None:
        return None
    message = "too much in this minute without an account"
    return errors.TryAgain(message=message, path=[], retry_after_seconds=delay)


def _judged(done: Done) -> dict[str, Any]:
    result: Judged = done.result
    return {
        "rating_id": strawberry.ID(str(result.rating)),
        "reward": reward_of(result.earned),
        "position": Position(done.position),
    }
