"""How good each picture is and how far each rater is to be believed, estimated together. Pure.

Each rating is modelled as `value = mean + bias + spread * quality + error`, with a bias, a spread and a variance of
errors for each rater, and a quality for each picture:

- Raykar et al., "Learning from crowds", JMLR 11 (2010), section 5.2: raters' precisions and the truth, by expectation
  and maximisation in turns.
- Li, Bampis, Krasula, Janowski, Le Callet, "A simple model for subject behavior in subjective experiments", HVEI 2020
  (ITU-T P.910, annex E; SUREAL): a bias and an inconsistency of each subject, by alternating projection.

Here the spread is estimated, too, so that somebody who always says the same counts for nothing. Each rater is compared
with what *the others* say of a picture, since with five ratings a picture one's own is a fifth of it; what the others
leave uncertain is taken out of the rater's errors. Priors, worth a few ratings each, hold those who rated little near
the common rater. Nobody counts for more than twice the common rater. Look next: `app.estimation.measures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.estimation.table import Flags, Floats, Table, share

#: a fixed number, so that the last one does not depend on how numbers are rounded
ROUNDS: Final = 40
#: how many ratings each prior is worth: of the bias, of the spread, and of the variance of errors
BIAS_PRIOR: Final = 3.0
SPREAD_PRIOR: Final = 10.0
ERROR_PRIOR: Final = 8.0
#: variances are at least that, in points squared; and at least this part of the common rater's
LEAST_VARIANCE: Final = 0.25
LEAST_OF_COMMON: Final = 0.5
_MOST_SPREAD: Final = 3.0


@dataclass(frozen=True, slots=True)
class Fit:
    """What was estimated. Points are those of the scale from 1 to 10."""

    #: of all ratings
    mean: float
    #: variance of pictures' quality
    variety: float
    #: by rater: points above others; points for each point of quality; variance of errors
    bias: Floats
    spread: Floats
    variance: Floats
    #: by picture: the score on the scale from 1 to 10, and its standard error
    score: Floats
    error: Floats
    #: by rating: the quality by all others' ratings, and its variance
    others: Floats
    others_variance: Floats
    #: by picture: sum of weighted ratings, and of weights with the prior's
    weighted: Floats
    weight: Floats


def fit(table: Table, trusted: Flags | None = None) -> Fit:
    """Estimate everything from ratings without repeats.

    Args:
        table: at least one rating.
        trusted: by rater: whose ratings say anything of pictures; the others are measured by them. None: everybody's.
    """
    believed = np.ones(len(table.raters), dtype=np.bool_) if trusted is None else trusted
    counts = believed[table.rater].astype(np.float64)
    raters = len(table.raters)
    mean = _mean(table.value.astype(np.float64), counts)
    spread_of_values = max(_mean(np.square(table.value.astype(np.float64) - mean), counts), 1.0)
    variety = spread_of_values / 2
    bias, spread = np.zeros(raters), np.ones(raters)
    variance = np.full(raters, spread_of_values / 2)
    step = _project(table, counts, mean, variety, bias, spread, variance)
    for _ in range(ROUNDS):
        bias, spread, variance = _raters(table, believed, mean, variety, spread, step)
        middle = float(np.median(bias[believed])) if believed.any() else 0.0
        mean, bias = mean + middle, bias - middle
        step = _project(table, counts, mean, variety, bias, spread, variance)
        rated = table.by_picture(counts) > 0
        quality = step.weighted / step.weight
        variety = max(_mean(quality**2 + 1 / step.weight, rated.astype(np.float64)), 0.1)
    quality = step.weighted / step.weight
    return Fit(
        mean=mean,
        variety=variety,
        bias=bias,
        spread=spread,
        variance=variance,
        score=np.clip(mean + quality, 1.0, 10.0),
        error=np.sqrt(1 / step.weight),
        others=step.others,
        others_variance=step.others_variance,
        weighted=step.weighted,
        weight=step.weight,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    weighted: Floats
    weight: Floats
    others: Floats
    others_variance: Floats


def parts(
    table: Table, counts: Floats, mean: float, bias: Floats, spread: Floats, variance: Floats
) -> tuple[Floats, Floats]:
    """By rating: what it adds to its picture's weighted sum, and to its weight."""
    scale = spread[table.rater] / variance[table.rater] * counts
    return scale * (table.value - mean - bias[table.rater]), scale * spread[table.rater]


def _project(
    table: Table,
    counts: Floats,
    mean: float,
    variety: float,
    bias: Floats,
    spread: Floats,
    variance: Floats,
) -> _Step:
    """Pictures from raters: everybody's quality of each picture, and everybody else's for each rating."""
    own, own_weight = parts(table, counts, mean, bias, spread, variance)
    weighted = table.by_picture(own)
    weight = table.by_picture(own_weight) + 1 / variety
    left = np.maximum(weight[table.picture] - own_weight, 1 / variety)
    return _Step(weighted, weight, (weighted[table.picture] - own) / left, 1 / left)


def _raters(
    table: Table, believed: Flags, mean: float, variety: float, spread: Floats, step: _Step
) -> tuple[Floats, Floats, Floats]:
    """Raters from pictures: a regression of each one's ratings on what the others say, with priors."""
    n = table.by_rater()
    above, quality = table.value - mean, step.others
    x, y = table.by_rater(quality), table.by_rater(above)
    bias = (y - spread * x) / (n + BIAS_PRIOR)
    rest = above - bias[table.rater]
    prior = SPREAD_PRIOR * variety / 2
    spread = (table.by_rater(rest * quality) + prior) / (table.by_rater(quality**2) + prior)
    spread = np.clip(spread, 0.0, _MOST_SPREAD)
    errors = rest - spread[table.rater] * quality
    unexplained = table.by_rater(errors**2 - spread[table.rater] ** 2 * step.others_variance)
    known = believed & (n >= ERROR_PRIOR)
    raw = np.maximum(share(unexplained, n), LEAST_VARIANCE)
    common = float(np.median(raw[known])) if known.any() else variety
    variance = (np.maximum(unexplained, 0.0) + ERROR_PRIOR * common) / (n + ERROR_PRIOR)
    least = max(LEAST_VARIANCE, LEAST_OF_COMMON * common)
    return bias, spread, np.maximum(variance, least)


def _mean(values: Floats, weights: Floats) -> float:
    where = np.zeros(len(values), dtype=np.int64)
    whole = float(np.bincount(where, weights, minlength=1)[0])
    return float(np.bincount(where, values * weights, minlength=1)[0]) / whole if whole else 0.0
