"""What scores say of a rater, finding by finding, with what would be expected; and the standing that follows. Pure.

Everything follows from the scores in the event, so that whoever reads the log can check it, and moderator and rater are
shown the same. Look next: `app.estimation.measures`, docs/raters.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import comb
from typing import Final

from events.ratings import RaterCause, RaterScores, Standing


class Weight(IntEnum):
    """How much a finding says against a rater."""

    NOTHING = 0
    #: it may be chance, or a habit
    ODD = 1
    #: it is neither
    CLEAR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Numbers are in the unit of the score that is named."""

    cause: RaterCause
    observed: int
    #: what honest raters come to; None: no limit
    lowest: int | None
    highest: int | None
    #: how many ratings, known answers, repeats or pictures it rests on
    evidence: int
    weight: Weight


#: an honest rater misses a known answer with this chance, at most
MISS: Final = 0.2
#: chances that an honest one misses so many
MISS_ODD: Final = 0.01
MISS_CLEAR: Final = 0.000_5
LEAST_KNOWN: Final = 5
#: thousandths of a point between two ratings of a picture, from so many repeats on; never clear by itself
REPEATS_ODD: Final = 2_800
LEAST_REPEATS: Final = 12
#: thousandths of ratings faster than one can look
HASTY_ODD: Final = 300
HASTY_CLEAR: Final = 600
#: ratings within an hour
PACE_ODD: Final = 1_000
PACE_CLEAR: Final = 2_000
#: thousandths of a bit, from so many ratings on
ENTROPY_ODD: Final = 900
ENTROPY_CLEAR: Final = 500
LEAST_VALUES: Final = 40
#: thousandths of a correlation: whose reliability is surely below them says nothing of pictures
RELIABILITY_ODD: Final = 350
RELIABILITY_CLEAR: Final = 330
#: how many standard errors are sure
SURE_ODD: Final = 2.0
SURE_CLEAR: Final = 2.33
LEAST_AGREEMENT: Final = 40
#: thousandths of ratings that are the mean of those before
ECHO_ODD: Final = 650
ECHO_CLEAR: Final = 800
#: raters whose errors it shares
ACCOMPLICES_CLEAR: Final = 2
#: ratings before an unsuspicious rater is called a good one, and known answers among them, where there are any
GOOD_RATINGS: Final = 50


def findings_of(scores: RaterScores) -> list[Finding]:
    """Everything that can be said of a rater, good and bad; nothing of what there is too little evidence for."""
    checks = (_known, _repeats, _hasty, _pace, _entropy, _reliability, _echo, _copying, _colluding)
    return [finding for check in checks if (finding := check(scores)) is not None]


def standing_of(scores: RaterScores, findings: Iterable[Finding]) -> Standing:
    """SUSPECT by one clear finding, or two odd ones of different causes; WATCHED by one odd one."""
    odd = {finding.cause for finding in findings if finding.weight is not Weight.NOTHING}
    if any(finding.weight is Weight.CLEAR for finding in findings) or len(odd) > 1:
        return Standing.SUSPECT
    if odd:
        return Standing.WATCHED
    return Standing.GOOD if scores.ratings >= GOOD_RATINGS else Standing.NEW


def causes_of(findings: Iterable[Finding]) -> tuple[RaterCause, ...]:
    """What speaks against a rater."""
    return tuple(sorted({finding.cause for finding in findings if finding.weight is not Weight.NOTHING}))


def chance_of(missed: int, known: int) -> float:
    """The chance that an honest rater misses so many known answers, or more."""
    return sum(comb(known, k) * MISS**k * (1 - MISS) ** (known - k) for k in range(missed, known + 1))


def _weight(*, odd: bool, clear: bool) -> Weight:
    if clear:
        return Weight.CLEAR
    return Weight.ODD if odd else Weight.NOTHING


def _known(scores: RaterScores) -> Finding | None:
    if scores.known < LEAST_KNOWN:
        return None
    chance = chance_of(scores.known_missed, scores.known)
    usual = max(k for k in range(scores.known + 1) if chance_of(k, scores.known) >= MISS_ODD)
    weight = _weight(odd=chance < MISS_ODD, clear=chance < MISS_CLEAR)
    return Finding(RaterCause.KNOWN_ANSWERS, scores.known_missed, 0, usual, scores.known, weight)


def _repeats(scores: RaterScores) -> Finding | None:
    if scores.repeat_error is None or scores.repeats < LEAST_REPEATS:
        return None
    weight = _weight(odd=scores.repeat_error > REPEATS_ODD, clear=False)
    return Finding(RaterCause.INCONSISTENT, scores.repeat_error, 0, REPEATS_ODD, scores.repeats, weight)


def _hasty(scores: RaterScores) -> Finding | None:
    if scores.hasty is None:
        return None
    weight = _weight(odd=scores.hasty > HASTY_ODD, clear=scores.hasty > HASTY_CLEAR)
    return Finding(RaterCause.HASTY, scores.hasty, 0, HASTY_ODD, scores.ratings, weight)


def _pace(scores: RaterScores) -> Finding | None:
    if scores.pace is None:
        return None
    weight = _weight(odd=scores.pace > PACE_ODD, clear=scores.pace > PACE_CLEAR)
    return Finding(RaterCause.PACE, scores.pace, 0, PACE_ODD, scores.ratings, weight)


def _entropy(scores: RaterScores) -> Finding | None:
    if scores.entropy is None or scores.ratings < LEAST_VALUES:
        return None
    weight = _weight(odd=scores.entropy < ENTROPY_ODD, clear=scores.entropy < ENTROPY_CLEAR)
    return Finding(RaterCause.MONOTONOUS, scores.entropy, ENTROPY_ODD, None, scores.ratings, weight)


def _reliability(scores: RaterScores) -> Finding | None:
    value, error = scores.reliability, scores.reliability_error
    if value is None or error is None or scores.ratings < LEAST_AGREEMENT:
        return None
    odd = value + SURE_ODD * error < RELIABILITY_ODD
    clear = value + SURE_CLEAR * error < RELIABILITY_CLEAR
    lowest = max(0, round(RELIABILITY_ODD - SURE_ODD * error))
    return Finding(RaterCause.UNRELIABLE, value, lowest, 1_000, scores.ratings, _weight(odd=odd, clear=clear))


def _echo(scores: RaterScores) -> Finding | None:
    if scores.echo is None:
        return None
    weight = _weight(odd=scores.echo > ECHO_ODD, clear=scores.echo > ECHO_CLEAR)
    return Finding(RaterCause.COPYING, scores.echo, 0, ECHO_ODD, scores.echoes, weight)


def _copying(scores: RaterScores) -> Finding | None:
    if scores.copying is None:
        return None
    return Finding(RaterCause.COPYING, scores.copying, 0, 350, scores.shared, Weight.CLEAR)


def _colluding(scores: RaterScores) -> Finding | None:
    if not scores.accomplices:
        return None
    weight = _weight(odd=True, clear=scores.accomplices >= ACCOMPLICES_CLEAR)
    return Finding(RaterCause.COLLUDING, scores.accomplices, 0, 0, scores.ratings, weight)
