"""The upfront rule for texts: beyond a number of tokens a job's whole quote must be in hand.

Pure. Within the free length nothing is required, whoever asks; the floor covers what the balance cannot. The free
length depends on who asks and on how much waits for how many workers. A job that is beyond may be shortened instead of
refused, if its client allows that. Look next: `app.ledger.upfront` for pictures, `app.ledger.standing` for who counts
as established, `docs/kudos.md`.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from app.ledger.text_quote import TextQuote, TextShape, TextTerms, least_total, quote_text
from app.ledger.upfront import Load

#: tokens up to which a text is free: for newcomers, and by the load
FREE_LENGTH: Final = 256
MOST_LENGTH: Final = 512
#: the shortest text that may be asked for
MIN_LENGTH: Final = 16
LENGTH_PER_THREAD: Final = 5
LENGTH_PER_TEN_QUEUED: Final = 9


class TextUpfront(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was rejected: it is beyond the free length and not affordable. Kudos in hundredths."""

    #: tokens that may be asked for without kudos in hand
    limit_tokens: int
    required: int
    available: int
    missing: int
    #: the most tokens with which the same job would be accepted; None where none would do
    largest_length: int | None


class Shorter(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a job that is shortened because the kudos are short: slow workers are refused no longer."""

    max_length: int


def free_length(*, established: bool, load: Load | None) -> int:
    """Tokens up to which a text needs no kudos in hand.

    An established account: 512 + 5 for each thread of the text workers - 0.9 for each text that is queued, at least
    256 and at most 512. Any other account 256, whatever the load.
    """
    if not established:
        return FREE_LENGTH
    if load is None:
        return MOST_LENGTH
    # Whole numbers: 0.9 x queued, rounded half up.
    busy = (LENGTH_PER_TEN_QUEUED * load.queued + 5) // 10
    return min(MOST_LENGTH, max(FREE_LENGTH, MOST_LENGTH + LENGTH_PER_THREAD * load.threads - busy))


def free(shape: TextShape, terms: TextTerms, limit: int) -> bool:
    """Whether a job needs no kudos in hand."""
    return shape.max_length <= limit and not terms.choice.slow_refused


def check_text_upfront(
    shape: TextShape, quote: TextQuote, *, limit: int, available: int
) -> TextUpfront | None:
    """None if the job may be submitted, else what is missing and how long it could be.

    Args:
        shape: the job.
        quote: made of `shape`. Classes that a job which names no model need not have are left out of account.
        limit: by `free_length`.
        available: hundredths not held for other jobs; negative for the anonymous user.
    """
    required = least_total(shape, quote.terms)
    if free(shape, quote.terms, limit) or required <= available:
        return None
    return TextUpfront(
        limit_tokens=limit,
        required=required,
        available=available,
        missing=required - available,
        largest_length=_longest(shape, quote.terms, limit, available),
    )


def text_within_reach(shape: TextShape, quote: TextQuote, *, limit: int, available: int) -> TextQuote:
    """The quote of a job that must be in hand, without the classes that it need not have and that are too dear."""
    terms = quote.terms
    if quote.total <= available or terms.models or free(shape, terms, limit):
        return quote
    most = available if terms.max_kudos is None else min(terms.max_kudos, available)
    within = quote_text(shape, msgspec.structs.replace(terms, max_kudos=most))
    if len(within.offers) > len(
        quote.offers
    ):  # being short of kudos offers it to no dearer class than before
        return quote
    return within


def shorten(shape: TextShape, quote: TextQuote, *, limit: int, available: int) -> Shorter | None:
    """What a job that would be rejected becomes so that it is accepted; None if it is accepted.

    Slow workers are no longer refused; if that is not enough, it becomes as long as its kudos or its free length allow.
    """
    if check_text_upfront(shape, quote, limit=limit, available=available) is None:
        return None
    length = _longest(shape, patient(quote.terms), limit, available)
    return None if length is None else Shorter(max_length=length)


def patient(terms: TextTerms) -> TextTerms:
    """The same terms, with slow workers welcome."""
    choice = msgspec.structs.replace(terms.choice, slow_refused=False)
    return msgspec.structs.replace(terms, choice=choice)


def _longest(shape: TextShape, terms: TextTerms, limit: int, available: int) -> int | None:
    """The most tokens, at most those asked for, with which a job would be accepted."""

    def refused(length: int) -> bool:
        shorter = msgspec.structs.replace(shape, max_length=length)
        return not (free(shorter, terms, limit) or least_total(shorter, terms) <= available)

    # The shorter, the sooner it is accepted: count how many of 16, 17, 18, … are.
    choices = range(MIN_LENGTH, shape.max_length + 1)
    count = bisect_right(choices, 0, key=refused)
    return choices[count - 1] if count else None
