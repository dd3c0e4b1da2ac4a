"""What speaks for or against each rater, in numbers: known answers, repeats, haste, pace, entropy, agreement, copies.

Each number is missing where there is too little to say anything. What follows from them is decided elsewhere
(`app.raters.findings`). Pure. Look next: `app.estimation.model`, `app.estimation.pairs`, docs/raters.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import numpy as np

from app.estimation.model import Fit, fit
from app.estimation.pairs import FIRST_SHARE, Pairs, pairs_of
from app.estimation.table import UNKNOWN, Flags, Floats, Table, share, total
from events.ratings import RaterScores

#: milliseconds in which nobody has looked at a picture
FLOOR_MS: Final = 1_500
_HOUR: Final = 3_600.0
#: ratings before the entropy of values, the share of hasty ones and the agreement with others say anything
LEAST_RATINGS: Final = 20
LEAST_TIMED: Final = 20
#: repeats before their error says anything
LEAST_REPEATS: Final = 3
#: pictures with two ratings before, before echoes say anything
LEAST_ECHOES: Final = 15
#: errors are shared from this correlation on, if it is so many standard deviations above none
SHARED_EFFECT: Final = 0.35
SHARED_STRENGTH: Final = 6.0
#: the same for two who came from one network
NEAR_STRENGTH: Final = 4.5
#: it is a copy from this correlation on, or from this share of equal values
COPY_EFFECT: Final = 0.7
COPY_EQUAL: Final = 0.85

#: by picture: the lowest and the highest right value
Known = Mapping[UUID, tuple[int, int]]


def measure(table: Table, known: Known, trusted: Flags | None = None) -> tuple[dict[UUID, RaterScores], Fit]:
    """Measure every rater, by what those in `trusted` say of pictures; and what all was estimated. Needs a rating.

    Args:
        table: all ratings, repeats too.
        known: pictures of which it is known how they are to be rated.
        trusted: by rater; None: all of them.
    """
    first = table.where(~table.again)
    model = fit(first, trusted)
    n = first.by_rater()
    answers, missed = _known(first, known)
    repeats, repeat_error = _repeats(table)
    hasty, timed = _hasty(table)
    pace = _pace(table)
    entropy = _entropy(first)
    reliability, doubt = _agreement(first, model)
    echo, echoes = _echo(first)
    copying, shared, accomplices = _together(first, pairs_of(first, fit(first)))
    found: dict[UUID, RaterScores] = {}
    for at, rater in enumerate(table.raters):
        enough = n[at] >= LEAST_RATINGS
        found[rater] = RaterScores(
            ratings=int(n[at]),
            known=int(answers[at]),
            known_missed=int(missed[at]),
            repeats=int(repeats[at]),
            repeat_error=_thousandths(repeat_error[at], known=repeats[at] >= LEAST_REPEATS),
            hasty=_thousandths(hasty[at], known=timed[at] >= LEAST_TIMED),
            pace=int(pace[at]),
            entropy=_thousandths(entropy[at], known=enough),
            bias=_thousandths(model.bias[at], known=enough),
            spread=_thousandths(model.spread[at], known=enough),
            reliability=_thousandths(reliability[at], known=enough),
            reliability_error=_thousandths(doubt[at], known=enough),
            copying=_thousandths(copying[at], known=shared[at] > 0),
            echo=_thousandths(echo[at], known=echoes[at] >= LEAST_ECHOES),
            echoes=int(echoes[at]),
            shared=int(shared[at]),
            accomplices=int(accomplices[at]),
        )
    return found, model


def _thousandths(value: float, *, known: bool | np.bool_) -> int | None:
    return round(float(value) * 1_000) if known else None


def _known(table: Table, known: Known) -> tuple[Floats, Floats]:
    """Known answers met, and those missed, by rater."""
    lowest = np.array([known.get(picture, (0, 0))[0] for picture in table.pictures], dtype=np.int64)
    highest = np.array([known.get(picture, (0, 0))[1] for picture in table.pictures], dtype=np.int64)
    met = highest[table.picture] > 0
    wrong = met & ((table.value < lowest[table.picture]) | (table.value > highest[table.picture]))
    return table.by_rater(met.astype(np.float64)), table.by_rater(wrong.astype(np.float64))


def _repeats(table: Table) -> tuple[Floats, Floats]:
    """Pictures rated again, and the mean difference, by rater."""
    again = np.flatnonzero(table.again)
    pair = table.rater * len(table.pictures) + table.picture
    before = np.flatnonzero(~table.again)
    order = before[np.argsort(pair[before], kind="stable")]
    place = np.searchsorted(pair[order], pair[again])
    place = np.minimum(place, max(len(order) - 1, 0))
    has = pair[order][place] == pair[again] if len(order) else np.zeros(len(again), dtype=np.bool_)
    again, earlier = again[has], order[place[has]]
    apart = np.abs(table.value[again] - table.value[earlier]).astype(np.float64)
    many = total(table.rater[again], None, len(table.raters))
    return many, share(total(table.rater[again], apart, len(table.raters)), many)


def _hasty(table: Table) -> tuple[Floats, Floats]:
    """The share of ratings faster than one can look, and how many were timed, by rater."""
    timed = (table.took != UNKNOWN).astype(np.float64)
    fast = ((table.took != UNKNOWN) & (table.took < FLOOR_MS)).astype(np.float64)
    many = table.by_rater(timed)
    return share(table.by_rater(fast), many), many


def _pace(table: Table) -> Floats:
    """Most ratings within any hour, by rater."""
    order = np.lexsort((table.position, table.at, table.rater))
    rater, at = table.rater[order], table.at[order]
    # one axis for all: nobody's last hour reaches the next one's first
    origin = float(at.min())
    width = float(at.max()) - origin + 2 * _HOUR
    axis = rater * width + (at - origin)
    until = np.searchsorted(axis, axis + _HOUR, side="left")
    most = np.zeros(len(table.raters))
    np.maximum.at(most, rater, (until - np.arange(len(axis))).astype(np.float64))
    return most


def _entropy(table: Table) -> Floats:
    """Of the values, in bits, by rater."""
    counts = total(table.rater * 10 + table.value - 1, None, len(table.raters) * 10).reshape(-1, 10)
    part = share(counts, np.repeat(table.by_rater()[:, None], 10, axis=1))
    bits = np.where(part > 0, -part * np.log2(np.where(part > 0, part, 1.0)), 0.0)
    result: Floats = np.add.accumulate(bits, axis=1)[:, -1]
    return result


def _agreement(table: Table, model: Fit) -> tuple[Floats, Floats]:
    """Correlation with what pictures are worth, by all others, and its standard error, by rater.

    The others' estimate varies less than the worth of pictures does: the correlation is divided by that.
    """
    n = np.maximum(table.by_rater(), 1.0)
    x, y = model.others, table.value.astype(np.float64)
    dx = x - (table.by_rater(x) / n)[table.rater]
    dy = y - (table.by_rater(y) / n)[table.rater]
    vx, vy = table.by_rater(dx**2) / n, table.by_rater(dy**2) / n
    correlation = share(table.by_rater(dx * dy) / n, np.sqrt(vx * vy))
    known = np.sqrt(np.clip(share(vx, vx + table.by_rater(model.others_variance) / n), 0.05, 1.0))
    doubt = (1 - correlation**2) / np.sqrt(np.maximum(n - 3, 1.0))
    return np.clip(correlation / known, 0.0, 1.0), doubt / known


def _echo(table: Table) -> tuple[Floats, Floats]:
    """The share of ratings that are the rounded mean of those before, and how many had two before, by rater."""
    count = len(table.value)
    starts = np.flatnonzero(np.r_[True, table.picture[1:] != table.picture[:-1]])
    begin = np.repeat(starts, np.diff(np.r_[starts, count]))
    before = np.arange(count) - begin
    sums = np.concatenate([[0], np.cumsum(table.value)])
    sum_before = sums[np.arange(count)] - sums[begin]
    mean = np.floor(2 * sum_before + before) // np.maximum(2 * before, 1)
    had = before >= 2
    many = table.by_rater(had.astype(np.float64))
    return share(table.by_rater((had & (mean == table.value)).astype(np.float64)), many), many


def _together(table: Table, pairs: Pairs) -> tuple[Floats, Floats, Floats]:
    """By rater: how much it copies one other, on how many pictures, and with how many raters it shares errors."""
    raters = len(table.raters)
    near = _networks(table)
    limit = np.array(
        [
            NEAR_STRENGTH if near.get(a, set()) & near.get(b, set()) else SHARED_STRENGTH
            for a, b in zip(pairs.one.tolist(), pairs.other.tolist(), strict=True)
        ]
    )
    together = (pairs.effect >= SHARED_EFFECT) & (pairs.strength >= limit)
    copy = (pairs.effect >= COPY_EFFECT) | (pairs.equal >= COPY_EQUAL)
    copying, shared, accomplices = np.zeros(raters), np.zeros(raters), np.zeros(raters)
    for at in np.flatnonzero(together).tolist():
        for who, came_first in (
            (pairs.one[at], pairs.one_first[at]),
            (pairs.other[at], 1 - pairs.one_first[at]),
        ):
            if came_first >= FIRST_SHARE:
                continue  # whose ratings others follow has done nothing
            accomplices[who] += 1
            if copy[at] and pairs.effect[at] > copying[who]:
                copying[who], shared[who] = pairs.effect[at], pairs.common[at]
    return copying, shared, accomplices


def _networks(table: Table) -> dict[int, set[int]]:
    """Networks of each rater, as far as they are known."""
    found: dict[int, set[int]] = {}
    known = table.network != UNKNOWN
    for rater, network in zip(table.rater[known].tolist(), table.network[known].tolist(), strict=True):
        found.setdefault(rater, set()).add(network)
    return found
