"""What may be handed out to whom, and what becomes of it: rated, compared or skipped. Pure.

Which pictures are proposed is chosen outside the lock (`app.ratings.handout`); here it is confirmed that each may still
be shown to this rater. A judgement under an assignment that has not ended is always taken, whatever became of its
picture. Look next: `app.ratings.job_decider`, `app.ratings.case_decider`, docs/rating.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.ledger import rating_rewards
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.ratings.identity import rating_id
from app.ratings.judging import Earned, Source, check_note, check_values, context_of, who, words
from events.ratings import (
    Assigned,
    ImageRated,
    PicturesCompared,
    PictureSkipped,
    Preference,
    RatingsAssigned,
    RatingTag,
    Standing,
)
from projections.pictures import Picture, PictureState
from projections.raters import Rater
from projections.ratings import Rating, RatingState

#: how long an assignment may be answered
LASTS: Final = timedelta(minutes=30)
#: assignments that one registered rater may have open
MAX_AHEAD: Final = 10
#: tags of one rating
MAX_TAGS: Final = 8
#: how long raters of these standings wait between two assignments
PAUSES: Final = {Standing.WATCHED: timedelta(seconds=10), Standing.SUSPECT: timedelta(seconds=60)}
_PATH: Final = ("input", "assignment")


class Candidate(Command, frozen=True, kw_only=True):
    """A picture, or two, that might be handed out."""

    assigned: Assigned
    #: raters are still wanted for it: else it was chosen for another reason, whatever its count
    wanted: bool


class RequestRatings(Command, frozen=True, kw_only=True):
    """Hand out the first `amount` of these that may be."""

    rater: UUID
    amount: int
    candidates: tuple[Candidate, ...]


class RateImage(Command, frozen=True, kw_only=True):
    """Rate what was handed out."""

    rating: UUID
    rater: UUID
    #: the assignment's; None where there is no such assignment
    picture: UUID | None
    value: int
    artifacts: int | None
    tags: tuple[RatingTag, ...] = ()
    note: str = ""
    source: Source = Source()


class RateComparison(Command, frozen=True, kw_only=True):
    """Say which of the two pictures that were handed out is better."""

    rating: UUID
    rater: UUID
    #: the assignment's
    pictures: tuple[UUID, ...]
    preference: Preference
    source: Source = Source()


class SkipImage(Command, frozen=True, kw_only=True):
    """Give an assignment back for good."""

    rating: UUID
    rater: UUID


class Handed(Result, frozen=True, kw_only=True):
    """What was handed out; none where nothing of what was proposed may be, or the rater has enough."""

    assignments: tuple[Assigned, ...]
    expires_at: datetime
    #: as many are open as may be
    enough: bool = False


class Judged(Result, frozen=True, kw_only=True):
    """What a judgement came to."""

    rating: UUID
    earned: Earned


class Skipped(Result, frozen=True, kw_only=True):
    """It is not handed out to that rater again."""

    rating: UUID


def request_ratings(command: RequestRatings, rows: Rows) -> Decision | Rejection:
    """As many as are asked for, and may be open at once; one at a time, and slowly, to who is not believed."""
    account, rater = who(rows, command.rater)
    if (early := _too_early(rater, rows.now)) is not None:
        return early
    until = rows.now + LASTS
    room = command.amount
    if not account.anonymous:
        room = min(room, MAX_AHEAD - sum(ends > rows.now for _, ends in rater.ahead))
    if rater.standing in PAUSES:
        room = min(room, 1)
    if room <= 0:
        return Decision((), Handed(assignments=(), expires_at=until, enough=True))
    chosen: dict[UUID, Assigned] = {}
    for candidate in command.candidates:
        if len(chosen) < room and _may_be_handed(candidate, command.rater, rows):
            chosen.setdefault(candidate.assigned.id, candidate.assigned)
    if not chosen:
        return Decision((), Handed(assignments=(), expires_at=until))
    handed = tuple(chosen.values())
    event = RatingsAssigned(rater=command.rater, assignments=handed, expires_at=until)
    return Decision((event,), Handed(assignments=handed, expires_at=until))


def _too_early(rater: Rater, now: datetime) -> Rejection | None:
    pause = PAUSES.get(rater.standing)
    if pause is None or rater.assigned_at is None or now >= rater.assigned_at + pause:
        return None
    message = f"your ratings are looked into: one picture in {pause.seconds} seconds until then"
    left = (rater.assigned_at + pause - now).total_seconds()
    return Rejection(code="TRY_AGAIN", message=message, detail={"retry_after_seconds": round(left, 1)})


def _may_be_handed(candidate: Candidate, rater: UUID, rows: Rows) -> bool:
    """Shown to everybody, not the rater's own, not judged by them (or judged once, and asked again), not in hand."""
    assigned = candidate.assigned
    keys = [assigned.picture] if assigned.other is None else [assigned.picture, assigned.other]
    if not all(_shown(rows.picture(key), rater) for key in keys):
        return False
    picture = rows.picture(assigned.picture)
    if candidate.wanted and (picture is None or not picture.wanted):
        return False
    if assigned.again:
        before = rows.rating(rating_id(rater, assigned.picture))
        if before is None or before.state is not RatingState.DONE or before.own:
            return False
    return _free(rows.rating(assigned.id), rows.now)


def _shown(picture: Picture | None, rater: UUID) -> bool:
    return picture is not None and picture.state is PictureState.OPEN and picture.owner != rater


def _free(row: Rating | None, now: datetime) -> bool:
    """Never handed out, or not answered in time: only what was judged or skipped never comes again."""
    return row is None or (row.state is RatingState.ASSIGNED and row.expires_at <= now)


def rate_image(command: RateImage, rows: Rows) -> Decision | Rejection:
    """Once: the same again changes nothing, another rating is refused."""
    path = ("input",)
    if (
        fault := check_values(command.value, command.artifacts, path) or check_note(command.note)
    ) is not None:
        return fault
    if len(set(command.tags)) != len(command.tags) or len(command.tags) > MAX_TAGS:
        message = f"at most {MAX_TAGS} tags, each once"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "tags"))
    row = rows.rating(command.rating)
    if row is None or row.rater != command.rater or row.own:
        return _no_assignment()
    if row.other is not None:
        message = "two pictures were handed out to be compared: use rateComparison"
        return Rejection(code="INVALID_INPUT", message=message, path=_PATH)
    if row.state is RatingState.DONE and (row.value, row.artifacts) == (command.value, command.artifacts):
        return Decision((), Judged(rating=row.id, earned=Earned(reward=row.reward, escrowed=None)))
    if (over := _over(row, rows.now)) is not None:
        return over
    account, rater = who(rows, command.rater)
    picture = rows.picture(row.picture)
    assert picture is not None, "pictures are never deleted from the log"
    reward = rating_rewards.reward(account, rater, rating_rewards.of_rating(command.artifacts), rows.now)
    event = ImageRated(
        rater=row.rater,
        context=context_of(account, rater, command.source, rows.now, rows.now - row.assigned_at),
        reward=reward.amount,
        escrowed=reward.escrowed,
        postings=reward.postings,
        rating=row.id,
        picture=row.picture,
        image_set=row.image_set,
        job=picture.job,
        value=command.value,
        artifacts=command.artifacts,
        tags=tuple(sorted(command.tags)),
        own=False,
        again=row.again,
    )
    earned = Earned(reward=reward.amount, escrowed=reward.escrowed, unpaid=reward.unpaid)
    kept = words(row.id, row.rater, command.source, command.note, rows.now)
    return Decision((event,), Judged(rating=row.id, earned=earned), kept)


def rate_comparison(command: RateComparison, rows: Rows) -> Decision | Rejection:
    """Once, like a rating."""
    row = rows.rating(command.rating)
    if row is None or row.rater != command.rater:
        return _no_assignment()
    if row.other is None:
        message = "one picture was handed out to be rated: use rateImage"
        return Rejection(code="INVALID_INPUT", message=message, path=_PATH)
    if row.state is RatingState.DONE and row.preference is command.preference:
        return Decision((), Judged(rating=row.id, earned=Earned(reward=row.reward, escrowed=None)))
    if (over := _over(row, rows.now)) is not None:
        return over
    account, rater = who(rows, command.rater)
    first, second = rows.picture(row.picture), rows.picture(row.other)
    assert first is not None, "pictures are never deleted from the log"
    assert second is not None, "pictures are never deleted from the log"
    reward = rating_rewards.reward(account, rater, rating_rewards.COMPARISON, rows.now)
    event = PicturesCompared(
        rater=row.rater,
        context=context_of(account, rater, command.source, rows.now, rows.now - row.assigned_at),
        reward=reward.amount,
        escrowed=reward.escrowed,
        postings=reward.postings,
        rating=row.id,
        picture=row.picture,
        other=row.other,
        image_set=row.image_set,
        job=first.job if first.job == second.job else None,
        preference=command.preference,
    )
    earned = Earned(reward=reward.amount, escrowed=reward.escrowed, unpaid=reward.unpaid)
    kept = words(row.id, row.rater, command.source, "", rows.now)
    return Decision((event,), Judged(rating=row.id, earned=earned), kept)


def skip_image(command: SkipImage, rows: Rows) -> Decision | Rejection:
    """Skipping what was skipped changes nothing; what ended unanswered is skipped all the same, so that it stays away."""
    row = rows.rating(command.rating)
    if row is None or row.rater != command.rater or row.own:
        return _no_assignment()
    if row.state is RatingState.SKIPPED:
        return Decision((), Skipped(rating=row.id))
    if row.state is RatingState.DONE:
        return _ended("it was judged")
    event = PictureSkipped(rater=row.rater, rating=row.id, picture=row.picture, other=row.other)
    return Decision((event,), Skipped(rating=row.id))


def _over(row: Rating, now: datetime) -> Rejection | None:
    """Why an assignment cannot be answered any more."""
    if row.state is RatingState.DONE:
        return _ended("it was judged, and a judgement stands")
    if row.state is RatingState.SKIPPED:
        return _ended("it was skipped")
    return _ended("its time is over: ask for another") if row.expires_at <= now else None


def _ended(why: str) -> Rejection:
    return Rejection(code="ASSIGNMENT_ENDED", message=f"the assignment has ended: {why}", path=_PATH)


def _no_assignment() -> Rejection:
    return Rejection(code="NOT_FOUND", message="you were handed no such assignment", path=_PATH)


def _handing(command: RequestRatings) -> Needs:
    assigned = [candidate.assigned for candidate in command.candidates]
    before = [rating_id(command.rater, each.picture) for each in assigned if each.again]
    return Needs(
        accounts=(command.rater,),
        raters=(command.rater,),
        pictures=(*(a.picture for a in assigned), *(a.other for a in assigned if a.other is not None)),
        ratings=(*(each.id for each in assigned), *before),
    )


def _judging(command: RateImage | RateComparison, pictures: tuple[UUID, ...]) -> Needs:
    return Needs(
        accounts=(command.rater,), raters=(command.rater,), ratings=(command.rating,), pictures=pictures
    )


RULES = (
    Rule(RequestRatings, Handed, _handing, request_ratings),
    Rule(
        RateImage,
        Judged,
        lambda c: _judging(c, () if c.picture is None else (c.picture,)),
        rate_image,
    ),
    Rule(RateComparison, Judged, lambda c: _judging(c, c.pictures), rate_comparison),
    Rule(SkipImage, Skipped, lambda c: Needs(ratings=(c.rating,), raters=(c.rater,)), skip_image),
)
