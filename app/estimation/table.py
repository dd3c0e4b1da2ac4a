"""Ratings as arrays: one row a rating, in one order, so that the same ratings always come to the same numbers.

Sums are made by `numpy.bincount`, which adds in the order of the rows; numpy's own sums and products of matrices take
another order on another processor. Look next: `app.estimation.model`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: stands for "not known" among whole numbers
UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Given:
    """One rating, as it was given. Neither anonymous users' nor those of pictures' owners belong here."""

    rater: UUID
    picture: UUID
    #: from 1 to 10
    value: int
    #: position in the log
    position: int
    #: seconds since 1970
    at: float
    #: milliseconds since it was handed out; None where that is not known
    took: int | None = None
    #: the rater had rated the picture before
    again: bool = False
    #: stands for the network that it came from; None where that is not known any more
    network: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Ratings by picture and position. `rater` and `picture` are places in `raters` and `pictures`."""

    raters: tuple[UUID, ...]
    pictures: tuple[UUID, ...]
    rater: Ints
    picture: Ints
    value: Ints
    position: Ints
    at: Floats
    #: milliseconds, or UNKNOWN
    took: Ints
    again: Flags
    network: Ints

    def where(self, chosen: Flags) -> Table:
        """Some of the rows, of the same raters and pictures."""
        columns = {name: getattr(self, name)[chosen] for name in _COLUMNS}
        return Table(self.raters, self.pictures, **columns)

    def by_rater(self, weights: NDArray[Any] | None = None) -> Floats:
        """A sum of something for each rater."""
        return total(self.rater, weights, len(self.raters))

    def by_picture(self, weights: NDArray[Any] | None = None) -> Floats:
        """A sum of something for each picture."""
        return total(self.picture, weights, len(self.pictures))


_COLUMNS: Final = ("rater", "picture", "value", "position", "at", "took", "again", "network")


def total(group: Ints, weights: NDArray[Any] | None, groups: int) -> Floats:
    """Sums by group, added in the order of the rows; without weights: how many there are."""
    return np.bincount(group, weights, minlength=groups).astype(np.float64)


def share(part: Floats, whole: Floats) -> Floats:
    """Part of whole; 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def table_of(ratings: Iterable[Given]) -> Table:
    """All ratings as arrays, whatever order they come in."""
    rows = sorted(ratings, key=lambda each: (each.picture, each.position))
    raters, rater = _places([each.rater for each in rows])
    pictures, picture = _places([each.picture for each in rows])

    def ints(values: Sequence[int | None]) -> Ints:
        return np.array([UNKNOWN if value is None else value for value in values], dtype=np.int64)

    return Table(
        raters,
        pictures,
        rater=rater,
        picture=picture,
        value=ints([each.value for each in rows]),
        position=ints([each.position for each in rows]),
        at=np.array([each.at for each in rows], dtype=np.float64),
        took=ints([each.took for each in rows]),
        again=np.array([each.again for each in rows], dtype=np.bool_),
        network=ints([each.network for each in rows]),
    )


def table_of_values(
    raters: tuple[UUID, ...], pictures: tuple[UUID, ...], rater: Ints, picture: Ints, value: Ints
) -> Table:
    """Ratings of which nothing else matters, in the order of their pictures: enough to estimate, not to assess raters.

    What is not known takes no memory, however many they are.
    """
    many = len(value)
    unknown = np.broadcast_to(np.int64(UNKNOWN), many)
    return Table(
        raters,
        pictures,
        rater=rater,
        picture=picture,
        value=value,
        position=unknown,
        at=np.broadcast_to(np.float64(0), many),
        took=unknown,
        again=np.broadcast_to(np.False_, many),
        network=unknown,
    )


def _places(keys: list[UUID]) -> tuple[tuple[UUID, ...], Ints]:
    order = tuple(sorted(set(keys)))
    place = {key: at for at, key in enumerate(order)}
    return order, np.array([place[key] for key in keys], dtype=np.int64)
