"""What follows from how far a rater is believed: standing, marks, rewards that go back or are paid again, trust. Pure.

Nothing is ever deleted: a mark is an event, and so is its end. A rater never falls below zero: what of a reward is gone
already is recorded, not owed. Look next: `app.raters.assessing`, `projections.raters`, docs/raters.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.ledger import postings
from app.ledger.rating_rewards import HELD_BACK, believed
from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.picture_words import AppealWords
from app.platform.rows import Draft, Rows
from events.base import ANONYMOUS
from events.ratings import (
    AppealMade,
    RaterAssessed,
    RaterCause,
    RaterJudged,
    RaterScores,
    RaterVerdict,
    RatingEscrowReleased,
    RatingMark,
    RatingRewardsRestored,
    RatingRewardsReversed,
    RatingsMarked,
    Standing,
)
from projections.accounts import Account
from projections.raters import Rater
from projections.ratings import Rating, RatingState

#: ratings that one command marks
MARKED_AT_ONCE: Final = 500
#: an assessment that says the same is recorded again once there are so many percent more ratings
MORE_PERCENT: Final = 25
#: what earns a rater trust: so many ratings that count, from an account so old, of a standing that is good
TRUST_RATINGS: Final = 100
TRUST_AGE: Final = timedelta(days=7)
#: characters of an appeal
MAX_NOTE: Final = 2_000
#: after a decision a rater may appeal again
APPEAL_AGAIN: Final = timedelta(days=7)


class AssessRater(Command, frozen=True, kw_only=True):
    """Record what an assessment of all ratings up to a position says of one rater."""

    rater: UUID
    up_to: int
    scores: RaterScores
    standing: Standing
    causes: tuple[RaterCause, ...]


class MarkRatings(Command, frozen=True, kw_only=True):
    """Mark ratings of a suspect rater, or lift the marks of one that is not any more; money follows."""

    rater: UUID
    #: at most `MARKED_AT_ONCE`
    ratings: tuple[UUID, ...]
    #: what was rated
    pictures: tuple[UUID, ...]
    suspect: bool


class JudgeRater(Command, frozen=True, kw_only=True):
    """A moderator decides of a rater; `by` None: an operator at the command line."""

    rater: UUID
    verdict: RaterVerdict
    by: UUID | None


class AppealStanding(Command, frozen=True, kw_only=True):
    """A rater asks moderators to look at its standing again."""

    rater: UUID
    appeal: UUID
    #: 1 to `MAX_NOTE` characters; kept in the vault until it is erased
    note: str


class RaterStands(Result, frozen=True, kw_only=True):
    """How a rater stands."""

    rater: UUID
    standing: Standing
    #: ratings that are marked
    marked: int


def assess_rater(command: AssessRater, rows: Rows) -> Decision | Rejection:
    """What a moderator decided stands against it: who was cleared is watched at most, who was confirmed stays suspect."""
    rater = rows.rater(command.rater)
    if rater is None:
        return _nobody()
    draft = rows.draft()
    standing = command.standing
    if rater.verdict is RaterVerdict.CLEARED and standing is Standing.SUSPECT:
        standing = Standing.WATCHED
    if rater.verdict is RaterVerdict.CONFIRMED:
        standing = Standing.SUSPECT
    if _news(rater, standing, command):
        draft.add(
            RaterAssessed(
                rater=rater.id,
                up_to=command.up_to,
                scores=command.scores,
                standing=standing,
                causes=command.causes,
            )
        )
    _trust_if_worthy(draft, rater.id)
    return Decision(draft.events, _stands(draft, rater.id))


def mark_ratings(command: MarkRatings, rows: Rows) -> Decision | Rejection:
    """Only ratings that count: neither own ones nor repeats, each once. Marks need a suspect, lifting them one who is not."""
    rater, account = rows.rater(command.rater), rows.account(command.rater)
    if rater is None or account is None:
        return _nobody()
    if (rater.standing is Standing.SUSPECT) is not command.suspect:
        return Rejection(code="INVALID_INPUT", message=f"the rater is {rater.standing.lower()}")
    found = [rows.rating(key) for key in command.ratings]
    meant = [each for each in found if each is not None and _counts(each, rater.id, command)]
    draft = rows.draft()
    if meant:
        marks = tuple(RatingMark(r.id, r.picture, r.value or 0, r.artifacts) for r in meant)
        draft.add(RatingsMarked(rater=rater.id, suspect=command.suspect, marks=marks))
        earned = sum(rating.reward for rating in meant)
        if command.suspect:
            _reverse(draft, account, earned, len(meant))
        else:
            _restore(draft, account, rater, earned)
    return Decision(draft.events, _stands(draft, rater.id))


def judge_rater(command: JudgeRater, rows: Rows) -> Decision | Rejection:
    """A decision may be changed; saying it again changes nothing."""
    if command.by is not None and not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators decide of raters")
    rater = rows.rater(command.rater)
    if rater is None:
        return _nobody()
    draft = rows.draft()
    if rater.verdict is not command.verdict or rater.appeal is not None:
        draft.add(RaterJudged(rater=rater.id, verdict=command.verdict))
    cleared = command.verdict is RaterVerdict.CLEARED
    standing = Standing.GOOD if cleared else Standing.SUSPECT
    if rater.standing is not standing and rater.scores is not None:
        causes = () if cleared else rater.causes
        draft.add(
            RaterAssessed(
                rater=rater.id, up_to=rater.assessed, scores=rater.scores, standing=standing, causes=causes
            )
        )
    return Decision(draft.events, _stands(draft, rater.id))


def appeal_standing(command: AppealStanding, rows: Rows) -> Decision | Rejection:
    """One appeal at a time, against a standing that costs something; again a while after moderators have decided."""
    if not command.note.strip() or len(command.note) > MAX_NOTE or "\0" in command.note:
        message = f"an appeal's note has 1 to {MAX_NOTE} characters, and no NUL"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "note"))
    rater = rows.rater(command.rater)
    if rater is None or rater.id == ANONYMOUS or rater.standing not in HELD_BACK:
        message = "only who is watched or suspect can appeal"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    if rater.appeal is not None:
        message = "your appeal is open: moderators have not decided yet"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    draft = rows.draft()
    if rater.judged_at is not None and draft.now < (again := rater.judged_at + APPEAL_AGAIN):
        message = (
            f"moderators have decided; you may appeal again from {again.isoformat(timespec='seconds')} on"
        )
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    draft.add(AppealMade(rater=rater.id, appeal=command.appeal))
    words = AppealWords(command.appeal, rater.id, command.note)
    return Decision(draft.events, _stands(draft, rater.id), (words,))


def _news(rater: Rater, standing: Standing, command: AssessRater) -> bool:
    if (standing, command.causes) != (rater.standing, rater.causes):
        return True
    known = rater.scores.ratings if rater.scores is not None else 0
    return command.scores.ratings * 100 > known * (100 + MORE_PERCENT)


def _counts(rating: Rating, rater: UUID, command: MarkRatings) -> bool:
    return (
        rating.rater == rater
        and rating.state is RatingState.DONE
        and rating.value is not None
        and not rating.own
        and not rating.again
        and rating.suspect is not command.suspect
    )


def _reverse(draft: Draft, account: Account, earned: int, ratings: int) -> None:
    """Out of what waits first, then out of what is available."""
    escrowed = min(earned, account.rating_escrow)
    amount = escrowed + min(earned - escrowed, max(0, account.available))
    if amount:
        draft.add(
            RatingRewardsReversed(
                rater=account.id,
                amount=amount,
                escrowed=escrowed,
                uncovered=earned - amount,
                ratings=ratings,
                postings=postings.ratings_reversed(account.id, amount, escrowed),
            )
        )


def _restore(draft: Draft, account: Account, rater: Rater, earned: int) -> None:
    """Never more than went back."""
    amount = min(earned, rater.reversed - rater.restored)
    if amount > 0:
        escrowed = 0 if believed(account, rater) else amount
        moved = postings.rating(rater.id, amount, escrowed)
        draft.add(RatingRewardsRestored(rater=rater.id, amount=amount, escrowed=escrowed, postings=moved))


def _trust_if_worthy(draft: Draft, key: UUID) -> None:
    """What ratings earned is paid out once their rater is trusted, by rating or as an account."""
    rater, account = draft.rater(key), draft.account(key)
    assert rater is not None, "it was assessed"
    if account is None or account.anonymous or rater.standing is not Standing.GOOD:
        return
    earned = sum(rater.values) >= TRUST_RATINGS and draft.now - account.registered_at >= TRUST_AGE
    if account.rating_escrow and (earned or rater.trusted or account.trusted):
        moved = postings.release_escrow(key, account.rating_escrow)
        draft.add(RatingEscrowReleased(rater=key, amount=account.rating_escrow, postings=moved))


def _stands(draft: Draft, key: UUID) -> RaterStands:
    rater = draft.rater(key)
    assert rater is not None, "it was there before"
    return RaterStands(rater=key, standing=rater.standing, marked=rater.marked)


def _nobody() -> Rejection:
    return Rejection(code="NOT_FOUND", message="no such rater", path=("input", "rater"))


def _needs(rater: UUID, by: UUID | None = None) -> Needs:
    accounts = (rater,) if by is None else (rater, by)
    return Needs(raters=(rater,), accounts=accounts)


def _marking(command: MarkRatings) -> Needs:
    return Needs(
        raters=(command.rater,),
        accounts=(command.rater,),
        ratings=command.ratings,
        pictures=command.pictures,
    )


RULES = (
    Rule(AssessRater, RaterStands, lambda c: _needs(c.rater), assess_rater),
    Rule(MarkRatings, RaterStands, _marking, mark_ratings),
    Rule(JudgeRater, RaterStands, lambda c: _needs(c.rater, by=c.by), judge_rater),
    Rule(AppealStanding, RaterStands, lambda c: _needs(c.rater), appeal_standing),
)
