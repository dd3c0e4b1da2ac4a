"""Requesters rate the pictures of a job of theirs, and name the best. Pure.

Only of jobs that have ended and are shared, only pictures that are published, each once. The best must be among those
that are rated highest; where none is named it follows, if one stands above all others. What ratings of a job earn stays
below what it cost. Look next: `app.ratings.decider` for others' pictures, docs/rating.md.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from app.ledger import rating_rewards
from app.ledger.rating_rewards import BELOW_COST, BEST, Reward, Unpaid
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Draft, Rows
from app.ratings.identity import rating_id
from app.ratings.judging import Earned, Source, check_values, context_of, who, words
from events.jobs import JobKind
from events.ratings import BestNamed, ImageRated
from projections.generations import Generation, GenerationState
from projections.jobs import Job
from projections.pictures import Picture, PictureState
from projections.ratings import Rating

#: from this rating on a picture that alone is rated is the best of its job
GOOD: Final = 7
#: seconds after which a picture that is still to be published may be there
_SOON: Final = 2.0


class OwnRating(msgspec.Struct, frozen=True, kw_only=True):
    """What a requester says of one picture."""

    picture: UUID
    value: int
    artifacts: int | None = None


class RateJob(Command, frozen=True, kw_only=True):
    """Rate pictures of a job, for its requester."""

    job: UUID
    rater: UUID
    #: all of its generations, so that what was said of them before is known
    generations: tuple[UUID, ...]
    ratings: tuple[OwnRating, ...]
    best: UUID | None
    source: Source = Source()


class JobRated(Result, frozen=True, kw_only=True):
    """What stands: the best of the job, if any is, and what was earned by this, in hundredths."""

    best: UUID | None
    #: nobody named it: it follows from the ratings
    derived: bool
    #: ratings that are new
    ratings: int
    earned: Earned


def rate_job(command: RateJob, rows: Rows) -> Decision | Rejection:
    """All of it or nothing; what was said before in the same way changes nothing."""
    job = rows.job(command.job)
    if job is None or job.requester != command.rater:
        return Rejection(code="NOT_FOUND", message="no such job", path=("input", "job"))
    if (fault := _of_job(job) or _of_input(command, rows)) is not None:
        return fault
    pictures = {key: rows.picture(key) for key in command.generations}
    shown = [key for key, picture in pictures.items() if picture is not None and _shown(picture)]
    said = {key: row for key in command.generations if (row := rows.rating(rating_id(job.requester, key)))}
    if (fault := _said_before(command, said)) is not None:
        return fault
    values = {key: row.value or 0 for key, row in said.items()} | {
        rating.picture: rating.value for rating in command.ratings
    }
    before = next((key for key, picture in pictures.items() if picture is not None and picture.best), None)
    if (fault := _of_best(command, values, shown, before)) is not None:
        return fault
    return _rated(command, job, rows, shown, said, values, before)


def _rated(
    command: RateJob,
    job: Job,
    rows: Rows,
    shown: list[UUID],
    said: dict[UUID, Rating],
    values: dict[UUID, int],
    before: UUID | None,
) -> Decision:
    draft = rows.draft()
    paid = sum(row.reward for row in said.values()) + (BEST if before is not None else 0)
    left = job.charged - BELOW_COST - paid
    rewards: list[Reward] = []
    kept: list[msgspec.Struct] = []
    new = [rating for rating in command.ratings if rating.picture not in said]
    for rating in new:
        rewards.append(_rate(draft, command, job, rating, left))
        left -= rewards[-1].amount
        key = rating_id(command.rater, rating.picture)
        kept += words(key, command.rater, command.source, "", draft.now)
    best = before or command.best
    derived = False
    if best is None and (best := _highest(values, shown)) is not None:
        derived = True
    if before is None and best is not None:
        others = tuple(key for key in shown if key != best)
        rewards.append(_name(draft, command, job, best, others, derived=derived, left=left))
    earned = _sum_of(rewards)
    result = JobRated(best=best, derived=derived, ratings=len(new), earned=earned)
    return Decision(draft.events, result, kept)


def _rate(draft: Draft, command: RateJob, job: Job, rating: OwnRating, left: int) -> Reward:
    account, rater = who(draft, command.rater)
    worth = rating_rewards.of_rating(rating.artifacts)
    reward = rating_rewards.reward(account, rater, worth, draft.now, left=left)
    picture = draft.picture(rating.picture)
    assert picture is not None, "it was looked at"
    draft.add(
        ImageRated(
            rater=command.rater,
            context=context_of(account, rater, command.source, draft.now, None),
            reward=reward.amount,
            escrowed=reward.escrowed,
            postings=reward.postings,
            rating=rating_id(command.rater, rating.picture),
            picture=rating.picture,
            image_set=picture.image_set,
            job=job.id,
            value=rating.value,
            artifacts=rating.artifacts,
            tags=(),
            own=True,
            again=False,
        )
    )
    return reward


def _name(
    draft: Draft,
    command: RateJob,
    job: Job,
    best: UUID,
    others: tuple[UUID, ...],
    *,
    derived: bool,
    left: int,
) -> Reward:
    account, rater = who(draft, command.rater)
    reward = (
        Reward(amount=0, escrowed=0, postings=(), unpaid=None)
        if derived  # what follows from the ratings was paid with them
        else rating_rewards.reward(account, rater, BEST, draft.now, left=left)
    )
    draft.add(
        BestNamed(
            rater=command.rater,
            context=context_of(account, rater, command.source, draft.now, None),
            reward=reward.amount,
            escrowed=reward.escrowed,
            postings=reward.postings,
            job=job.id,
            best=best,
            others=others,
            derived=derived,
        )
    )
    return reward


def _sum_of(rewards: list[Reward]) -> Earned:
    why: Unpaid | None = next((reward.unpaid for reward in rewards if reward.unpaid is not None), None)
    return Earned(
        reward=sum(reward.amount for reward in rewards),
        escrowed=sum(reward.escrowed for reward in rewards),
        unpaid=why,
    )


def _of_job(job: Job) -> Rejection | None:
    """Why pictures of a job cannot be rated."""
    path = ("input", "job")
    if job.kind is not JobKind.IMAGE:
        return Rejection(code="INVALID_INPUT", message="only pictures are rated", path=path)
    if job.ended_at is None:
        return Rejection(code="JOB_NOT_ENDED", message="the job has not ended yet", path=path)
    if not job.shared or job.unshared is not None:
        return Rejection(
            code="NOT_SHARED", message="the pictures of this job are not shared, or not any more", path=path
        )
    return None


def _of_input(command: RateJob, rows: Rows) -> Rejection | None:
    """What is wrong with the pictures that are named, and what is said of them."""
    if not command.ratings and command.best is None:
        message = "nothing to say: rate pictures, or name the best"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    generations = {row.id: row for row in rows.generations_of(command.job)}
    seen: set[UUID] = set()
    for index, rating in enumerate(command.ratings):
        path = ("input", "ratings", str(index))
        if rating.picture in seen:
            message = "this picture is rated twice"
            return Rejection(code="INVALID_INPUT", message=message, path=(*path, "generation"))
        seen.add(rating.picture)
        fault = _of_picture(generations.get(rating.picture), rows, (*path, "generation"))
        if fault is None:
            fault = check_values(rating.value, rating.artifacts, path)
        if fault is not None:
            return fault
    if command.best is None:
        return None
    return _of_picture(generations.get(command.best), rows, ("input", "best"))


def _of_picture(generation: Generation | None, rows: Rows, path: tuple[str, ...]) -> Rejection | None:
    """Why a picture cannot be rated."""
    if generation is None:
        return Rejection(code="NOT_FOUND", message="the job has no such generation", path=path)
    picture = rows.picture(generation.id)
    if picture is not None and _shown(picture):
        return None
    pending = generation.sha256 is None and generation.withheld is None
    if generation.state is GenerationState.DONE and pending and generation.report is None:
        message = "the picture is still to be published: try again in a moment"
        detail = {"retry_after_seconds": _SOON}
        return Rejection(code="TRY_AGAIN", message=message, path=path, detail=detail)
    message = "this picture was not published, or is not any more"
    return Rejection(code="NOT_SHARED", message=message, path=path)


def _shown(picture: Picture) -> bool:
    return picture.state is PictureState.OPEN


def _said_before(command: RateJob, said: dict[UUID, Rating]) -> Rejection | None:
    for index, rating in enumerate(command.ratings):
        row = said.get(rating.picture)
        if row is not None and (row.value, row.artifacts) != (rating.value, rating.artifacts):
            message = "you rated this picture otherwise before, and a rating stands"
            path = ("input", "ratings", str(index), "rating")
            return Rejection(code="ALREADY_RATED", message=message, path=path)
    return None


def _of_best(
    command: RateJob, values: dict[UUID, int], shown: list[UUID], before: UUID | None
) -> Rejection | None:
    """Why a picture cannot be the best."""
    best, path = command.best, ("input", "best")
    if best is None or best == before:
        return None
    if before is not None:
        message = f"{before} is the best of this job, by what you said before, and that stands"
        return Rejection(code="ALREADY_RATED", message=message, path=path)
    if len(shown) < 2:
        message = "the best is named among two pictures or more"
        return Rejection(code="INVALID_INPUT", message=message, path=path)
    least = values.get(best, GOOD - 1)  # one that is not rated may be better than bad ones
    if values and least < max(values.values()):
        message = "another picture is rated higher than the one that you name the best"
        return Rejection(code="BEST_NOT_HIGHEST", message=message, path=path)
    return None


def _highest(values: dict[UUID, int], shown: list[UUID]) -> UUID | None:
    """The best by the ratings: above all others, or rated alone and good. A tie has none."""
    if not values or len(shown) < 2:
        return None
    highest = max(values.values())
    found = [key for key, value in values.items() if value == highest and key in shown]
    if len(found) != 1 or (len(values) == 1 and highest < GOOD):
        return None
    return found[0]


def _needs(command: RateJob) -> Needs:
    return Needs(
        jobs=(command.job,),
        galleries=(command.job,),
        accounts=(command.rater,),
        raters=(command.rater,),
        pictures=command.generations,
        ratings=tuple(rating_id(command.rater, key) for key in command.generations),
    )


RULES = (Rule(RateJob, JobRated, _needs, rate_job),)
