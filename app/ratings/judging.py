"""What every judgement of a picture has in common: who gives it, what is known of them, what it earns. Pure.

Look next: `app.ratings.decider`, `app.ratings.job_decider`; `app.ledger.rating_rewards` for the amounts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from app.ledger.rating_rewards import Unpaid
from app.platform.commands import Rejection
from app.platform.picture_words import RatingNote, RatingOrigin
from app.platform.rows import Rows
from events.accounts import Role
from events.ratings import AccountKind, RaterContext
from projections.accounts import Account
from projections.raters import Rater

#: what a rating may be, and how flawed a picture
LOWEST, HIGHEST = 1, 10
FLAWLESS, GARBAGE = 0, 5
#: characters of a note
MAX_NOTE: Final = 500
_KINDS: Final = (
    (Role.OPERATOR, AccountKind.OPERATOR),
    (Role.MODERATOR, AccountKind.MODERATOR),
    (Role.SERVICE, AccountKind.SERVICE),
)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a judgement comes from: the client program, and the network as far as nobody is known by it."""

    client: str = ""
    client_version: str = ""
    network: UUID | None = None


class Earned(msgspec.Struct, frozen=True, kw_only=True):
    """What a judgement earned, in hundredths; `escrowed` is None where it was given before, and nothing is new."""

    reward: int
    escrowed: int | None
    unpaid: Unpaid | None = None


def kind_of(account: Account) -> AccountKind:
    """What kind of account it is."""
    if account.anonymous:
        return AccountKind.ANONYMOUS
    return next((kind for role, kind in _KINDS if role in account.roles), AccountKind.REGISTERED)


def context_of(
    account: Account, rater: Rater, source: Source, now: datetime, took: timedelta | None
) -> RaterContext:
    """What is known of a rater at the moment of a rating."""
    return RaterContext(
        generated=account.generated,
        given=rater.given,
        account_age=int((now - account.registered_at).total_seconds()),
        balance=account.balance,
        trusted=account.trusted,
        kind=kind_of(account),
        client=source.client,
        client_version=source.client_version,
        took=None if took is None else took // timedelta(milliseconds=1),
    )


def who(rows: Rows, rater: UUID) -> tuple[Account, Rater]:
    """The account and the record of a rater, empty for one who was never handed anything."""
    account = rows.account(rater)
    assert account is not None, "whoever asks exists"
    return account, rows.rater(rater) or Rater(rater)


def words(rating: UUID, rater: UUID, source: Source, note: str, now: datetime) -> tuple[msgspec.Struct, ...]:
    """What the vault keeps of a judgement."""
    noted: tuple[msgspec.Struct, ...] = (RatingNote(rating, rater, note),) if note else ()
    if source.network is None:
        return noted
    return (*noted, RatingOrigin(rating, rater, source.network, now))


def check_values(value: int, artifacts: int | None, path: tuple[str, ...]) -> Rejection | None:
    """What is wrong with a rating."""
    if not LOWEST <= value <= HIGHEST:
        message = f"a rating is from {LOWEST}, worst, to {HIGHEST}, best"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "rating"))
    if artifacts is not None and not FLAWLESS <= artifacts <= GARBAGE:
        message = f"artifacts are from {FLAWLESS}, flawless, to {GARBAGE}, garbage"
        return Rejection(code="INVALID_INPUT", message=message, path=(*path, "artifacts"))
    return None


def check_note(note: str) -> Rejection | None:
    """What is wrong with a note."""
    if len(note) <= MAX_NOTE and "\0" not in note:
        return None
    message = f"a note has at most {MAX_NOTE} characters, and no NUL"
    return Rejection(code="INVALID_INPUT", message=message, path=("input", "note"))
