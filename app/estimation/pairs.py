"""Which raters err together: copies of one another, and groups that lift or sink the same pictures. Pure.

Two honest raters agree because both look at the picture; what is left of their ratings, once what *all but the two* say
of the picture is taken out, has nothing in common. Of who copies the other nearly everything is common, of colluding
raters the pictures they were told of. Shared taste is some of it, too, hence the least effect. Look next:
`app.estimation.measures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.estimation.model import Fit, parts
from app.estimation.table import Floats, Ints, Table, total

#: errors count for at most so many standard deviations, so that one picture makes no pair
CLIP: Final = 3.0
#: two raters are compared when they rated so many of the same pictures
LEAST_COMMON: Final = 12
#: ratings of one picture that are paired with each other at most, from the first on
MOST_A_PICTURE: Final = 40
#: where one of two came first on so many of the pictures, it is the other one that follows
FIRST_SHARE: Final = 0.8
#: of a normal distribution, deviation by median of what is off
_OF_MEDIAN: Final = 1.4826
_LEAST_SCALE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Pairs:
    """Raters who rated at least `LEAST_COMMON` of the same pictures; each pair once."""

    one: Ints
    other: Ints
    #: pictures that both rated
    common: Floats
    #: correlation of what is left of their ratings, about 0 for honest ones
    effect: Floats
    #: by how many standard deviations that is above none
    strength: Floats
    #: on which part of the pictures the first one of the pair came first
    one_first: Floats
    #: on which part both gave the same value
    equal: Floats


def pairs_of(table: Table, model: Fit) -> Pairs:
    """Compare everybody with everybody else; work grows with ratings times ratings of a picture."""
    first, second = _rows(table)
    own, own_weight = parts(
        table, np.ones(len(table.value)), model.mean, model.bias, model.spread, model.variance
    )
    left = model.weight[table.picture[first]] - own_weight[first] - own_weight[second]
    left = np.maximum(left, 1 / model.variety)
    quality = (model.weighted[table.picture[first]] - own[first] - own[second]) / left
    product, chance = _product(table, model, first, second, quality, 1 / left)
    swap = table.rater[first] > table.rater[second]
    one = np.where(swap, table.rater[second], table.rater[first])
    other = np.where(swap, table.rater[first], table.rater[second])
    keys, group = np.unique(one * len(table.raters) + other, return_inverse=True)
    common = total(group, None, len(keys))
    enough = common >= LEAST_COMMON
    effect = total(group, product - chance, len(keys))
    strength = effect / np.sqrt(np.maximum(total(group, 1 + chance**2, len(keys)), 1.0))
    same = (table.value[first] == table.value[second]).astype(np.float64)
    whole = np.maximum(common, 1.0)
    return Pairs(
        one=keys[enough] // len(table.raters),
        other=keys[enough] % len(table.raters),
        common=common[enough],
        effect=(effect / whole)[enough],
        strength=strength[enough],
        one_first=(total(group, (~swap).astype(np.float64), len(keys)) / whole)[enough],
        equal=(total(group, same, len(keys)) / whole)[enough],
    )


def _rows(table: Table) -> tuple[Ints, Ints]:
    """Every two ratings of a picture, the earlier one first."""
    count = len(table.value)
    found: list[tuple[Ints, Ints]] = []
    at = np.arange(count, dtype=np.int64)
    for step in range(1, MOST_A_PICTURE):
        earlier = at[: max(count - step, 0)]
        earlier = earlier[table.picture[earlier] == table.picture[earlier + step]]
        if not len(earlier):
            break
        found.append((earlier, earlier + step))
    if not found:
        return at[:0], at[:0]
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _product(
    table: Table, model: Fit, first: Ints, second: Ints, quality: Floats, uncertain: Floats
) -> tuple[Floats, Floats]:
    """Product of two raters' standardised errors, and how much of it is only the uncertainty both are held against."""
    scale = _scale(table, model)
    sides: list[Floats] = []
    chance: Floats = uncertain
    for rows in (first, second):
        who = table.rater[rows]
        spread = model.spread[who]
        error = table.value[rows] - model.mean - model.bias[who] - spread * quality
        sides.append(np.clip(error / scale[who], -CLIP, CLIP))
        chance = chance * spread / scale[who]
    return sides[0] * sides[1], np.minimum(chance, 1.0)


def _scale(table: Table, model: Fit) -> Floats:
    """By rater: how far off it usually is, by the median, so that a few boosted pictures do not hide themselves."""
    quality = model.others
    error = table.value - model.mean - model.bias[table.rater] - model.spread[table.rater] * quality
    order = np.lexsort((np.abs(error), table.rater))
    count = table.by_rater().astype(np.int64)
    middle = np.cumsum(count) - count + count // 2
    median = np.abs(error)[order][np.minimum(middle, len(error) - 1)]
    scale: Floats = np.maximum(_OF_MEDIAN * median, _LEAST_SCALE)
    return scale
