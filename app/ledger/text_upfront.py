"""The upfront rule for texts: beyond a number of tokens written or read a job's whole quote must be in hand.

Pure. Within the free limits nothing is required, whoever asks; the floor covers what the balance cannot. The free
length depends on who asks and on how much waits for how many workers; what may be read free on who asks, since a long
prompt makes each token dearer. A job that is beyond may be shortened instead of
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
#: tokens of a prompt up to which it is free
FREE_PROMPT: Final = 1_024
ESTABLISHED_PROMPT: Final = 2_048


class FreeTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What a text job may be without the kudos for it in hand, in tokens."""

    length: int
    prompt: int


class TextUpfront(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was rejected: it is beyond the free limits and not affordable. Kudos in hundredths."""

    #: tokens that may be asked for, and those of a prompt, without kudos in hand
    limit_tokens: int
    limit_prompt_tokens: int
    required: int
    available: int
    missing: int
    #: the most tokens with which the same job would be accepted; None where none would do
    largest_length: int | None


class Shorter(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a job that is shortened because the kudos are short: slow workers are refused no longer."""

    max_length: int


def free_texts(*, established: bool, load: Load | None) -> FreeTexts:
    """Up to where a text needs no kudos in hand.

    An established account may have 512 tokens + 5 for each thread of the text workers - 0.9 for each text that is
    queued, at least 256 and at most 512, after a prompt of 2,048. Any other account 256 after 1,024, whatever the load.
    """
    if not established:
        return FreeTexts(length=FREE_LENGTH, prompt=FREE_PROMPT)
    length = MOST_LENGTH
    if load is not None:
        # Whole numbers: 0.9 x queued, rounded half up.
        busy = (LENGTH_PER_TEN_QUEUED * load.queued + 5) // 10
        length = min(MOST_LENGTH, max(FREE_LENGTH, MOST_LENGTH + LENGTH_PER_THREAD * load.threads - busy))
    return FreeTexts(length=length, prompt=ESTABLISHED_PROMPT)


def free(shape: TextShape, terms: TextTerms, limits: FreeTexts) -> bool:
    """Whether a job needs no kudos in hand."""
    within = shape.max_length <= limits.length and shape.prompt_tokens <= limits.prompt
    return within and not terms.choice.slow_refused


def check_text_upfront(
    shape: TextShape, quote: TextQuote, *, limits: FreeTexts, available: int
) -> TextUpfront | None:
    """None if the job may be submitted, else what is missing and how long it could be.

    Args:
        shape: the job.
        quote: made of `shape`. Classes that a job which names no model need not have are left out of account.
        limits: by `free_texts`.
        available: hundredths not held for other jobs; negative for the anonymous user.
    """
    required = least_total(shape, quote.terms)
    if free(shape, quote.terms, limits) or required <= available:
        return None
    return TextUpfront(
        limit_tokens=limits.length,
        limit_prompt_tokens=limits.prompt,
        required=required,
        available=available,
        missing=required - available,
        largest_length=_longest(shape, quote.terms, limits, available),
    )


def text_within_reach(shape: TextShape, quote: TextQuote, *, limits: FreeTexts, available: int) -> TextQuote:
    """The quote of a job that must be in hand, without the classes that it need not have and that are too dear."""
    terms = quote.terms
    if quote.total <= available or terms.models or free(shape, terms, limits):
        return quote
    most = available if terms.max_kudos is None else min(terms.max_kudos, available)
    return quote_text(shape, msgspec.structs.replace(terms, max_kudos=most))


def shorten(shape: TextShape, quote: TextQuote, *, limits: FreeTexts, available: int) -> Shorter | None:
    """What a job that would be rejected becomes so that it is accepted; None if it is accepted.

    Slow workers are no longer refused; if that is not enough, it becomes as long as its kudos or the free limits allow.
    """
    if check_text_upfront(shape, quote, limits=limits, available=available) is None:
        return None
    length = _longest(shape, patient(quote.terms), limits, available)
    return None if length is None else Shorter(max_length=length)


def patient(terms: TextTerms) -> TextTerms:
    """The same terms, with slow workers welcome."""
    choice = msgspec.structs.replace(terms.choice, slow_refused=False)
    return msgspec.structs.replace(terms, choice=choice)


def _longest(shape: TextShape, terms: TextTerms, limits: FreeTexts, available: int) -> int | None:
    """The most tokens, at most those asked for, with which a job would be accepted."""

    def refused(length: int) -> bool:
        shorter = msgspec.structs.replace(shape, max_length=length)
        return not (free(shorter, terms, limits) or least_total(shorter, terms) <= available)

    # The shorter, the sooner it is accepted: count how many of 16, 17, 18, … are.
    choices = range(MIN_LENGTH, shape.max_length + 1)
    count = bisect_right(choices, 0, key=refused)
    return choices[count - 1] if count else None
