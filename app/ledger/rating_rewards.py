"""What judging pictures earns, when it waits in escrow, and how much a day. Pure.

All of it is in the rows of account and rater, so that it is decided under the writer's lock without counting. Amounts
are hundredths of kudos. Look next: `app.ratings.decider`, `app.ledger.postings.rating`, docs/rating.md.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from app.ledger import postings
from events.base import Postings
from events.ratings import Standing
from projections.accounts import Account
from projections.raters import Rater

#: for a rating; as much again where it says how flawed the picture is
RATING: Final = 500
ARTIFACTS: Final = 500
#: for saying which of two pictures is better
COMPARISON: Final = 500
#: for naming the best picture of a job
BEST: Final = 1_500
#: judgements that are paid on one day (of UTC), for a rater who earned no trust yet, and for one who did
DAILY: Final = 200
DAILY_TRUSTED: Final = 1_000
#: what ratings of a job's pictures earn stays so far below what the job cost
BELOW_COST: Final = 100
#: what raters of these standings earn waits in escrow, whoever they are
HELD_BACK: Final = frozenset({Standing.WATCHED, Standing.SUSPECT})
_DAY: Final = 86_400


class Unpaid(StrEnum):
    """Why a judgement earned nothing, or less than others."""

    ANONYMOUS = "ANONYMOUS"
    #: as many were paid on this day as are
    DAILY_LIMIT = "DAILY_LIMIT"
    #: the pictures cost their requester no more than this
    JOB_COST = "JOB_COST"


class Reward(msgspec.Struct, frozen=True, kw_only=True):
    """What one judgement moves."""

    amount: int
    #: how much of it waits in escrow
    escrowed: int
    postings: Postings
    unpaid: Unpaid | None


def believed(account: Account, rater: Rater) -> bool:
    """Whether what a rater earns is paid at once."""
    return (account.trusted or rater.trusted) and rater.standing not in HELD_BACK


def of_rating(artifacts: int | None) -> int:
    """What a rating is worth."""
    return RATING if artifacts is None else RATING + ARTIFACTS


def daily_limit(account: Account, rater: Rater) -> int:
    """Judgements that are paid on one day."""
    return DAILY_TRUSTED if believed(account, rater) else DAILY


def paid_on(rater: Rater, now: datetime) -> int:
    """Judgements that were paid on the day of an instant."""
    return rater.paid_today if rater.day == int(now.timestamp()) // _DAY else 0


def reward(account: Account, rater: Rater, worth: int, now: datetime, *, left: int | None = None) -> Reward:
    """What a judgement earns its rater. What it is worth is more where the day's number, or `left`, is used up.

    Args:
        account: the rater's.
        rater: as it stood before.
        worth: what such a judgement earns.
        now: the batch's instant.
        left: what the job that the picture is of may still earn its requester; None for others' pictures.
    """
    if account.anonymous:
        return _nothing(Unpaid.ANONYMOUS)
    if paid_on(rater, now) >= daily_limit(account, rater):
        return _nothing(Unpaid.DAILY_LIMIT)
    amount = worth if left is None else min(worth, max(0, left))
    if not amount:
        return _nothing(Unpaid.JOB_COST)
    escrowed = 0 if believed(account, rater) else amount
    return Reward(
        amount=amount,
        escrowed=escrowed,
        postings=postings.rating(account.id, amount, escrowed),
        unpaid=Unpaid.JOB_COST if amount < worth else None,
    )


def _nothing(why: Unpaid) -> Reward:
    return Reward(amount=0, escrowed=0, postings=(), unpaid=why)
