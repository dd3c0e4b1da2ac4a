"""What is asked of the server, drawn from a seed: people, models, jobs, workers. Knows no transport and no store.

The same seed gives the same workload in every run and process. Models are named with frequencies after Zipf, as on
the public horde: few are asked for by most. Look next: `benchmarks.commands` (as the writer takes it),
`benchmarks.load` (as HTTP takes it).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TypeVar
from uuid import UUID

from PIL import Image

T = TypeVar("T")

#: exponent of the models' frequencies
ZIPF = 1.1
MODELS = 50
#: share of jobs that may be not safe for work
NSFW_SHARE = 0.3
SHARED_SHARE = 0.5
#: (width, height) and how often it is asked for; none needs kudos upfront from a registered user
SIZES = (((512, 512), 60), ((512, 768), 15), ((768, 512), 15), ((448, 448), 10))
STEPS = ((20, 30), (30, 60), (40, 10))
#: pixels of the largest of `SIZES`, and fewer than any of them has
LARGEST, TOO_SMALL = 768 * 512, 64 * 64

_WORDS = (
    "castle",
    "river",
    "fox",
    "lantern",
    "storm",
    "harbour",
    "glass",
    "forest",
    "copper",
    "moon",
    "portrait",
)


@dataclass(frozen=True)
class Person:
    """A registered user; `number` is that of the alias."""

    id: UUID
    key_id: UUID
    api_key: str
    name: str
    number: int


@dataclass(frozen=True)
class Job:
    """An image job as its client thinks of it."""

    prompt: str
    models: tuple[str, ...]
    width: int
    height: int
    steps: int
    nsfw: bool
    shared: bool


@dataclass(frozen=True)
class Worker:
    """A worker as its owner sets it up; `max_pixels` is the largest picture it draws."""

    id: UUID
    owner: Person
    name: str
    models: tuple[str, ...]
    max_pixels: int


class Workload:
    """Everything drawn from one seed."""

    def __init__(self, seed: int, people: int) -> None:
        self._seed = seed
        self.models = tuple(f"model {number:02d}" for number in range(MODELS))
        self._weights = list(accumulate(1 / rank**ZIPF for rank in range(1, MODELS + 1)))
        dice = self._dice("people")
        self.people = tuple(_person(dice, number) for number in range(people))

    def _dice(self, stream: str) -> Random:
        return Random(f"{self._seed} {stream}")

    def jobs(self, stream: str) -> Jobs:
        """An endless source of jobs; every stream is another, and the same in every run."""
        return Jobs(self._dice(f"jobs {stream}"), self.models, self._weights)

    def worker(self, owner: Person, *, max_pixels: int = LARGEST) -> Worker:
        """The worker of a person: it has every model, so that a poll meets all classes of the queue."""
        dice = self._dice(f"worker {owner.name} {max_pixels}")
        return Worker(_uuid(dice), owner, f"worker of {owner.name} {max_pixels}", self.models, max_pixels)


class Jobs:
    """Draws jobs one after the other."""

    def __init__(self, dice: Random, models: tuple[str, ...], weights: list[float]) -> None:
        self._dice = dice
        self._models = models
        self._weights = weights

    def draw(self) -> Job:
        """The next job: one picture, one model in four of five jobs, else two."""
        dice = self._dice
        count = 1 if dice.random() < 0.8 else 2
        models = tuple(sorted(set(dice.choices(self._models, cum_weights=self._weights, k=count))))
        width, height = _one_of(dice, SIZES)
        return Job(
            prompt=" ".join(dice.choices(_WORDS, k=20)),
            models=models,
            width=width,
            height=height,
            steps=_one_of(dice, STEPS),
            nsfw=dice.random() < NSFW_SHARE,
            shared=dice.random() < SHARED_SHARE,
        )


def picture(size: int = 40_000) -> bytes:
    """A real WebP file of noise, the smallest of its series with at least `size` bytes."""
    dice = Random("picture")
    for side in range(64, 1024, 8):
        image = Image.frombytes("RGB", (side, side), dice.randbytes(3 * side * side))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=80)
        if file.tell() >= size:
            return file.getvalue()
    message = f"no picture of {size} bytes"
    raise ValueError(message)


def _person(dice: Random, number: int) -> Person:
    api_key = base64.urlsafe_b64encode(dice.randbytes(16)).decode().rstrip("=")
    return Person(_uuid(dice), _uuid(dice), api_key, f"bench{number}", 100_000 + number)


def _uuid(dice: Random) -> UUID:
    return UUID(bytes=dice.randbytes(16), version=4)


def _one_of(dice: Random, weighted: Sequence[tuple[T, int]]) -> T:
    (chosen,) = dice.choices([value for value, _ in weighted], [weight for _, weight in weighted])
    return chosen
