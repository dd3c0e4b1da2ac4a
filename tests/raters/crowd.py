"""A crowd that rates pictures: honest people of many tastes, and seven kinds of those who are not.

Everything follows from the seed. The truth is a quality of each picture on the scale from 1 to 10; pictures differ by
1.6 points, honest raters err by 0.9 to 2. Look next: `tests.raters.simulation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np

from app.estimation.table import Given

#: kinds of raters who are not honest, and how many of a hundred raters are of each kind
LIARS: Final = {
    "lazy, always the same": 4,
    "lazy, two values in turn": 3,
    "script, uniform": 4,
    "script, values as people give them": 4,
    "slow script, values as people give them": 4,
    "copycat of the mean": 3,
    "copycat of another rater": 3,
    "colluding group": 5,
}
HONEST: Final = (
    "honest",
    "honest, careless at times",
    "honest, fast",
    "honest, harsh or narrow",
    "honest, own taste",
)
#: who reads what others said, and so comes after them
FOLLOWERS: Final = ("copycat of the mean", "copycat of another rater")


@dataclass
class Crowd:
    """What was rated by whom, and what is true."""

    given: list[Given] = field(default_factory=list)
    #: by rater
    kind: dict[UUID, str] = field(default_factory=dict)
    truth: dict[UUID, float] = field(default_factory=dict)
    known: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    boosted: set[UUID] = field(default_factory=set)


class _Rater:
    """One of the crowd: a manner of rating."""

    def __init__(self, rng: np.random.Generator, kind: str, tastes: np.ndarray) -> None:
        self.kind = kind
        self.rng = rng
        self.bias = float(rng.normal(0, 0.8))
        self.spread = float(np.clip(rng.normal(1, 0.2), 0.5, 1.5))
        self.noise = float(rng.uniform(0.7, 1.4))
        self.taste = rng.normal(0, 0.5, tastes.shape[1])
        self.careless = 0.0
        self.seconds = float(rng.uniform(4, 12))
        if kind == "honest, careless at times":
            self.careless = float(rng.uniform(0.05, 0.15))
        elif kind == "honest, fast":
            self.seconds = 2.6
        elif kind == "honest, harsh or narrow":
            self.bias, self.spread, self.noise = float(rng.choice([-1.5, 0.0, 1.5])), 0.55, 0.8
        elif kind == "honest, own taste":
            self.taste = rng.normal(0, 0.9, tastes.shape[1])
        self.constant = int(rng.choice([1, 5, 6, 7, 8, 10]))

    def took(self) -> int:
        if self.kind == "script, uniform":
            return int(self.rng.uniform(200, 1_200))
        return int(1_000 * self.seconds * self.rng.lognormal(0, 0.35))

    def honest(self, quality: float, style: np.ndarray) -> int:
        if self.rng.random() < self.careless:
            return int(self.rng.integers(1, 11))
        seen = 5.5 + self.bias + self.spread * (quality - 5.5) + float(self.taste @ style)
        return _whole(seen + self.rng.normal(0, self.noise))

    def value(
        self, quality: float, style: np.ndarray, before: list[int], copied: int | None, boosted: bool
    ) -> int:
        match self.kind:
            case "lazy, always the same":
                return self.constant if self.rng.random() > 0.03 else _whole(self.constant + 1)
            case "lazy, two values in turn":
                return min(9, self.constant) + int(self.rng.integers(0, 2))
            case "script, uniform":
                return int(self.rng.integers(1, 11))
            case "script, values as people give them" | "slow script, values as people give them":
                return _whole(self.rng.normal(5.5, 2.0))
            case "copycat of the mean" if before:
                return int(np.floor(np.mean(before) + 0.5))
            case "copycat of another rater" if copied is not None:
                return copied
            case "colluding group" if boosted:
                return 10
            case "copycat of the mean" | "copycat of another rater":
                return _whole(self.rng.normal(5.5, 2.0))  # nothing to copy
            case _:
                return self.honest(quality, style)


def _whole(value: float) -> int:
    return int(np.clip(np.floor(value + 0.5), 1, 10))


def crowd(seed: int, *, raters: int = 100, pictures: int = 1_500, each: int = 150) -> Crowd:
    """A crowd of `raters`, a third of whom are not honest; each rates about `each` pictures."""
    rng = np.random.default_rng(seed)
    made = Crowd()
    keys = [UUID(int=1_000_000 + at) for at in range(pictures)]
    quality = np.clip(rng.normal(5.5, 1.6, pictures), 1, 10)
    style = rng.normal(0, 1, (pictures, 2))
    made.truth = {key: float(q) for key, q in zip(keys, quality, strict=True)}
    clear = [at for at in range(pictures) if quality[at] <= 3 or quality[at] >= 8]
    for at in rng.choice(clear, min(len(clear), pictures // 12), replace=False).tolist():
        made.known[keys[at]] = (1, 5) if quality[at] <= 3 else (6, 10)
    poor = [at for at in range(pictures) if quality[at] < 5.5 and keys[at] not in made.known]
    chosen = rng.choice(poor, pictures // 40, replace=False).tolist()
    made.boosted = {keys[at] for at in chosen}
    liars = [kind for kind, share in LIARS.items() for _ in range(round(share * raters / 100))]
    kinds = [HONEST[at % len(HONEST)] for at in range(raters - len(liars))] + liars
    people = {UUID(int=1 + at): _Rater(rng, kind, style) for at, kind in enumerate(kinds)}
    made.kind = {key: person.kind for key, person in people.items()}
    _rate(made, rng, people, keys, quality, style, each, chosen)
    return made


def _rate(
    made: Crowd,
    rng: np.random.Generator,
    people: dict[UUID, _Rater],
    keys: list[UUID],
    quality: np.ndarray,
    style: np.ndarray,
    each: int,
    chosen: list[int],
) -> None:
    """Everybody in turn is handed pictures at random, one in twelve a known answer; copycats come last."""
    known = [at for at, key in enumerate(keys) if key in made.known]
    before: dict[int, list[int]] = {}
    others: dict[int, dict[UUID, int]] = {}
    model = next(key for key, person in people.items() if person.kind == "honest")
    turns: list[tuple[float, UUID, int, bool]] = []
    for key, person in people.items():
        picked = set(rng.choice(len(keys), each, replace=False).tolist())
        picked |= set(rng.choice(known, min(len(known), each // 12), replace=False).tolist())
        if person.kind == "colluding group":
            picked |= {at for at in chosen if rng.random() < 0.6}
        if person.kind == "copycat of another rater":
            picked = {at for at in picked if rng.random() < 0.3} | {
                turn[2] for turn in turns if turn[1] == model and rng.random() < 0.8
            }
        late = 1.0 if person.kind in FOLLOWERS else 0.0
        turns += [(late + float(rng.random()), key, at, False) for at in sorted(picked)]
        turns += [(3.0, key, at, True) for at in sorted(picked)[:: max(1, len(picked) // 12)]]
    clock = dict.fromkeys(people, 0.0)
    for position, (_, key, at, again) in enumerate(sorted(turns)):
        person = people[key]
        told = others.setdefault(at, {})
        value = person.value(
            quality[at], style[at], before.get(at, []), told.get(model), keys[at] in made.boosted
        )
        if not again:
            before.setdefault(at, []).append(value)
            told[key] = value
        took = person.took()
        clock[key] += took / 1_000 + 1
        made.given.append(Given(key, keys[at], value, position, clock[key], took, again=again))
