"""What the API shows of pictures that are rated, of assignments and of ratings.

Only shapes and how they are made of rows. Look next: `app.ratings.graphql`, `app.ratings.links`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import strawberry

from app.ledger import rating_rewards
from app.platform.graphql.enums import described_enum
from app.platform.graphql.scalars import Kudos
from app.ratings import handout
from app.ratings.decider import MAX_AHEAD
from app.ratings.judging import FLAWLESS, HIGHEST, LOWEST, Earned
from events import ratings
from events.ratings import Assigned
from projections import pictures

RatingTask = described_enum(
    handout.Task,
    "RatingTask",
    "What a rater is asked to do.",
    lambda task: {
        "RATE": "Rate one picture, from 1 to 10.",
        "COMPARE": "Say which of two pictures is better.",
    }[task.value],
)
Preference = described_enum(
    ratings.Preference,
    "PicturePreference",
    "Which of two pictures is better.",
    lambda preference: {
        "FIRST": "`picture` of the assignment.",
        "SECOND": "`other` of the assignment.",
        "TIE": "Neither.",
    }[preference.value],
)
PictureState = described_enum(
    pictures.PictureState,
    "PictureState",
    "Whether a picture is handed out to be rated.",
    lambda state: {
        "OPEN": "It is, as long as raters are wanted for it.",
        "HIDDEN": "It was reported, and nobody has decided yet.",
        "UPHELD": "It was reported rightly, and is being taken down.",
        "REMOVED": "It was withdrawn, taken down, or could not be had: it is shown to nobody.",
    }[state.value],
)
_TAGS = {
    "WATERMARK": "There is a watermark in it.",
    "TEXT": "There is writing in it.",
    "BLURRY": "It is blurry.",
    "NOISY": "It is noisy.",
    "CROPPED": "What it shows is cut off.",
    "DEFORMED": "Bodies or things are deformed.",
    "OVEREXPOSED": "It is too bright.",
    "DULL": "It is dull.",
    "BEAUTIFUL": "It is beautiful.",
    "ORIGINAL": "It is original.",
    "PHOTO": "It looks like a photograph.",
    "ARTWORK": "It looks like a drawing or painting.",
    "NSFW": "It is not safe for work.",
}
RatingTag = described_enum(
    ratings.RatingTag,
    "RatingTag",
    "What a rater saw in a picture. Clients must expect new values.",
    lambda tag: _TAGS[tag.value],
)
Unpaid = described_enum(
    rating_rewards.Unpaid,
    "RatingUnpaid",
    "Why a judgement earned nothing, or less than others.",
    lambda why: {
        "ANONYMOUS": "Without an account nobody can be paid.",
        "DAILY_LIMIT": "As many judgements of yours were paid on this day (of UTC) as are.",
        "JOB_COST": "What your own pictures earn stays below what they cost you.",
    }[why.value],
)
NoImageReason = described_enum(
    handout.Nothing,
    "NoImageReason",
    "Why there is no picture for you.",
    lambda why: {
        "NOTHING_LEFT": "Nothing that you may judge wants raters now.",
        "TOO_MANY_OPEN": f"You have {MAX_AHEAD} assignments open: answer or skip some, or let them end. They are in "
        "`viewer.ratingAssignments`.",
    }[why.value],
)

#: what degrees of artifacts are called by clients, from 0 on
DEGREES = (
    ("FLAWLESS", "No flaws at all."),
    ("LITTLE_FLAWS", "Barely visible flaws."),
    ("SOME_FLAWS", "Visible flaws that do no harm."),
    ("OBVIOUS_FLAWS", "Obvious flaws that do mild harm."),
    ("HARMFUL_FLAWS", "Obvious flaws that do great harm."),
    ("GARBAGE", "Flaws that make it unusable."),
)


@strawberry.type(description="A degree of flaws, as clients may show it to raters.")
class ArtifactDegree:
    """One of six."""

    artifacts: int = strawberry.field(description="What `artifacts` is then.")
    name: str = strawberry.field(description="A word for it, as clients have long used it.")
    description: str = strawberry.field(description="What it means.")


@strawberry.type(description="What is to be judged, and how.")
class RatingCriteria:
    """The same for all pictures."""

    question: str = strawberry.field(description="What a rater is asked, to be shown as it is.")
    lowest: int = strawberry.field(description="The worst rating.")
    highest: int = strawberry.field(description="The best rating.")
    artifacts: list[ArtifactDegree] = strawberry.field(
        description="How flawed a picture may be, best first; saying so is voluntary, and earns more. None for "
        "comparisons."
    )


@strawberry.type(description="A picture that you were handed.")
class PictureToRate:
    """One picture of an assignment."""

    id: strawberry.ID = strawberry.field(description="The picture, by which it may be reported.")
    image_set_id: strawberry.ID = strawberry.field(description="The set it is of.")
    url: str | None = strawberry.field(
        description="Where to get it, a while longer than it may be judged; null if its address was erased meanwhile."
    )


@strawberry.type(description="A picture to rate, or two to compare, until a time.")
class RatingAssignment:
    """What was handed out."""

    id: strawberry.ID = strawberry.field(description="By this you rate, compare, skip or report.")
    task: RatingTask = strawberry.field(description="What to do.")  # type: ignore[valid-type]
    criteria: RatingCriteria = strawberry.field(description="What to judge.")
    expires_at: datetime = strawberry.field(
        description="Until when it may be answered; what is not, may be handed to you again."
    )
    picture: PictureToRate = strawberry.field(description="The picture; of two, the first.")
    other: PictureToRate | None = strawberry.field(description="What to compare it with.")


@strawberry.type(description="What a judgement earned.")
class RatingReward:
    """Kudos out of the treasury."""

    amount: Kudos = strawberry.field(description="All of it; 0.00 if it is not paid.")
    escrowed: Kudos | None = strawberry.field(
        description="What of it you may spend once your ratings are trusted; null if this only repeats what you did "
        "before."
    )
    unpaid: Unpaid | None = strawberry.field(  # type: ignore[valid-type]
        description="Why it is nothing, or less than it could be."
    )


_RATE = RatingCriteria(
    question="How good does this picture look, whatever it shows and whoever made it?",
    lowest=LOWEST,
    highest=HIGHEST,
    artifacts=[
        ArtifactDegree(artifacts=FLAWLESS + degree, name=name, description=description)
        for degree, (name, description) in enumerate(DEGREES)
    ],
)
_COMPARE = RatingCriteria(
    question="Which of these pictures looks better, whatever they show and whoever made them?",
    lowest=LOWEST,
    highest=HIGHEST,
    artifacts=[],
)


def assignment_of(assigned: Assigned, expires_at: datetime, links: Mapping[UUID, str]) -> RatingAssignment:
    """An assignment; nothing in it says why its picture was chosen."""
    return RatingAssignment(
        id=strawberry.ID(str(assigned.id)),
        task=RatingTask("RATE" if assigned.other is None else "COMPARE"),
        criteria=_RATE if assigned.other is None else _COMPARE,
        expires_at=expires_at,
        picture=_to_rate(assigned.picture, assigned.image_set, links),
        other=None if assigned.other is None else _to_rate(assigned.other, assigned.image_set, links),
    )


def _to_rate(picture: UUID, image_set: UUID, links: Mapping[UUID, str]) -> PictureToRate:
    return PictureToRate(
        id=strawberry.ID(str(picture)),
        image_set_id=strawberry.ID(str(image_set)),
        url=links.get(picture),
    )


def reward_of(earned: Earned) -> RatingReward:
    """What a judgement earned, as the API shows it."""
    return RatingReward(
        amount=Kudos(earned.reward),
        escrowed=None if earned.escrowed is None else Kudos(earned.escrowed),
        unpaid=None if earned.unpaid is None else Unpaid(earned.unpaid.value),
    )
