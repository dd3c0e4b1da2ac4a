"""What findings and standings mean, in words that moderator and rater read alike. Pure; English, as all of the API.

Look next: `app.raters.findings` for the numbers, docs/raters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from app.raters.findings import SURE_ODD, Finding, Weight
from events.ratings import RaterCause, Standing

_SAID: Final[Mapping[RaterCause, Callable[[Finding], str]]] = {
    RaterCause.KNOWN_ANSWERS: lambda f: (
        f"{f.observed} of {f.evidence} pictures whose answer is known were rated otherwise; up to {f.highest} is usual"
    ),
    RaterCause.INCONSISTENT: lambda f: (
        f"the same picture, rated again, got {_points(f.observed)} more or fewer in the mean of {f.evidence} repeats; "
        f"up to {_points(f.highest)} is usual"
    ),
    RaterCause.HASTY: lambda f: (
        f"{_percent(f.observed)} of {f.evidence} ratings came faster than one can look; up to {_percent(f.highest)} is usual"
    ),
    RaterCause.PACE: lambda f: f"{f.observed} ratings within an hour; up to {f.highest} is usual",
    RaterCause.MONOTONOUS: lambda f: (
        f"{f.evidence} ratings of nearly the same value: they say {_thousandths(f.observed)} bits each; "
        f"{_thousandths(f.lowest)} is the least that is usual"
    ),
    RaterCause.UNRELIABLE: lambda f: (
        f"{f.evidence} ratings agree with what all others say by a correlation of {_thousandths(f.observed)}; "
        f"{_thousandths(f.lowest)} is the least that is usual, {SURE_ODD:g} standard errors allowed for"
    ),
    RaterCause.COPYING: lambda f: (
        f"{_percent(f.observed)} agreement, over {f.evidence} pictures, with what was said of them before, errors and all; "
        f"up to {_percent(f.highest)} is usual"
    ),
    RaterCause.COLLUDING: lambda f: (
        f"{f.observed} other raters err where this one errs, over {f.evidence} ratings; none is usual"
    ),
}
_FOLLOWS: Final[Mapping[Standing, str]] = {
    Standing.NEW: "Ratings count. What they earn waits until the rater is trusted.",
    Standing.GOOD: "Ratings count. What they earn waits until the rater is trusted, and is paid at once from then on.",
    Standing.WATCHED: "Ratings count. What they earn waits, and pictures are handed out one in 10 seconds.",
    Standing.SUSPECT: "Ratings are kept but count for no picture, what they earned goes back, and pictures are handed out one "
    "a minute. The rater may appeal, and moderators decide.",
}


def explained(finding: Finding) -> str:
    """What was found, what is usual, and how much it weighs, as one sentence."""
    weighs = {
        Weight.NOTHING: "as usual",
        Weight.ODD: "odd: with another such finding the rater is suspect",
        Weight.CLEAR: "enough by itself for being suspect",
    }[finding.weight]
    return f"{_SAID[finding.cause](finding)} ({weighs})."


def what_follows(standing: Standing) -> str:
    """What a standing means for hand-outs, ratings and rewards."""
    return _FOLLOWS[standing]


def _thousandths(value: int | None) -> str:
    assert value is not None, "such findings have that limit"
    return f"{value / 1000:.2f}"


def _points(value: int | None) -> str:
    return f"{_thousandths(value)} points"


def _percent(value: int | None) -> str:
    assert value is not None, "such findings have that limit"
    return f"{value / 10:.0f} %"
