"""Ridge regression, folds without leaks, and how well a prediction does. Pure.

The penalty is chosen by folds inside the training part, never by the part that is judged. Source: Hoerl and Kennard,
"Ridge regression: biased estimation for nonorthogonal problems" (1970); one singular value decomposition gives the
solutions for all penalties. Look next: `app.aesthetics.training`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: penalties to choose from, in units of the features' own variance
PENALTIES: Final = tuple(float(10.0**power) for power in np.arange(-1.0, 5.5, 0.5))
FOLDS: Final = 5


class Ridge(msgspec.Struct, frozen=True):
    """A fitted line through standardised features."""

    mean: Array
    scale: Array
    #: points a standard deviation of each feature
    weights: Array
    #: points
    middle: float
    penalty: float

    def predict(self, features: Array) -> Array:
        """Points for each row of features."""
        return ((features - self.mean) / self.scale) @ self.weights + self.middle


class Quality(msgspec.Struct, frozen=True):
    """How far predictions are from what raters said, in points of the rating scale."""

    n: int
    rmse: float
    mae: float
    #: share of the variance that is explained; 0 for the mean, below 0 for worse than the mean
    r2: float
    #: Spearman's rank correlation; 0 where nothing is ordered
    spearman: float


def fit(features: Array, points: Array, groups: Sequence[int]) -> Ridge:
    """A line with the penalty that does best on folds of these rows; rows of one group never part."""
    errors = np.zeros(len(PENALTIES))
    for train, judged in folds(groups):
        for i, line in enumerate(_lines(features[train], points[train])):
            errors[i] += np.square(line.predict(features[judged]) - points[judged]).sum()
    return _lines(features, points)[int(np.argmin(errors))]


def folds(groups: Sequence[int], count: int = FOLDS) -> Iterator[tuple[Rows, Rows]]:
    """(training rows, judged rows), such that each row is judged once and no group is in both.

    Groups are dealt out largest first to the emptiest fold, in a fixed order. Raises `ValueError` for fewer than two.
    """
    ids, sizes = np.unique(np.asarray(groups), return_counts=True)
    if len(ids) < 2:
        raise ValueError("folds need at least two groups")
    count = min(count, len(ids))
    filled = [0] * count
    fold_of: dict[int, int] = {}
    for i in np.lexsort((ids, -sizes)):
        emptiest = filled.index(min(filled))
        fold_of[int(ids[i])] = emptiest
        filled[emptiest] += int(sizes[i])
    places = np.array([fold_of[int(group)] for group in groups])
    for fold in range(count):
        yield np.flatnonzero(places != fold), np.flatnonzero(places == fold)


def quality(predicted: Array, points: Array) -> Quality:
    """How well predictions do."""
    off = predicted - points
    spread = float(np.square(points - points.mean()).sum())
    return Quality(
        n=len(points),
        rmse=float(np.sqrt(np.square(off).mean())),
        mae=float(np.abs(off).mean()),
        r2=1.0 - float(np.square(off).sum()) / spread if spread > 0 else 0.0,
        spearman=_correlation(ranks(predicted), ranks(points)),
    )


def ranks(values: Array) -> Array:
    """Ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse].astype(np.float64)


def _correlation(one: Array, other: Array) -> float:
    spread = float(one.std() * other.std())
    if spread < 1e-12:
        return 0.0
    return float(((one - one.mean()) * (other - other.mean())).mean()) / spread


def _lines(features: Array, points: Array) -> list[Ridge]:
    """One line for each penalty."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    middle = float(points.mean())
    left, size, right = np.linalg.svd((features - mean) / scale, full_matrices=False)
    shares = left.T @ (points - middle)
    return [
        Ridge(mean, scale, right.T @ (size / (size**2 + penalty) * shares), middle, penalty)
        for penalty in PENALTIES
    ]
