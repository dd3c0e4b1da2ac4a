"""Why a job is refused that was asked for rightly, whatever its kind: rejections as clients are told them. Pure.

Look next: `app.jobs.wish` and its like, which decide.
"""

from __future__ import annotations

import msgspec

from app.ledger.quote import decimal_text
from app.ledger.standing import TooMany
from app.platform.commands import Rejection
from projections.accounts import Account


def too_dear(total: int, most: int | None) -> Rejection | None:
    """A quote above the client's own limit; both in hundredths."""
    if most is None or total <= most:
        return None
    message = f"the quote is {decimal_text(total)} kudos, more than maxKudos {decimal_text(most)}"
    return Rejection(code="INVALID_INPUT", message=message, path=("input", "maxKudos"))


def forbidden(message: str, field: str) -> Rejection:
    """Only some may ask for this."""
    return Rejection(code="FORBIDDEN", message=message, path=("input", field))


def too_many_jobs(too_many: TooMany, account: Account, path: tuple[str, ...]) -> Rejection:
    """More would wait than may of one requester; `path` leads to the field that says how many."""
    whose = "all anonymous users together" if account.anonymous else "you"
    message = f"{too_many.would_wait} generations of {whose} would wait, and {too_many.limit} may; {too_many.waiting} wait now"
    return Rejection(
        code="TOO_MANY_JOBS",
        message=message,
        path=path,
        detail=msgspec.structs.asdict(too_many),
    )
