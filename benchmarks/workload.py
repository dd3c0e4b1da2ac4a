"""What is asked of the server, drawn from a seed: people, models, jobs, workers. Knows no transport and no store.

The same seed gives the same workload in every run and process. Models are named with frequencies after Zipf, as on
the public horde: few are asked for by most. A `Mix` says what jobs are like besides. Look next: `benchmarks.commands`
(as the writer takes it), `benchmarks.load` (as HTTP takes it).
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
SHARED_SHARE = 0.5
#: (width, height) and how often it is asked for; none needs kudos upfront from a registered user
SIZES = (((512, 512), 60), ((512, 768), 15), ((768, 512), 15), ((448, 448), 10))
STEPS = ((20, 30), (30, 60), (40, 10))
#: the same with larger ones, as a long queue has them; these need kudos upfront
MIXED_SIZES = (
    *SIZES,
    ((640, 640), 15),
    ((768, 768), 15),
    ((1024, 1024), 25),
    ((832, 1216), 15),
    ((1216, 832), 10),
    ((896, 1152), 5),
)
#: pixels of the largest of `SIZES` and of `MIXED_SIZES`, and fewer than any of them has
LARGEST, LARGEST_MIXED, TOO_SMALL = 768 * 512, 1024 * 1024, 64 * 64

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
class Mix:
    """What jobs are like, besides their models."""

    sizes: tuple[tuple[tuple[int, int], int], ...] = SIZES
    #: share of jobs that may be not safe for work
    nsfw: float = 0.3
    #: what a job may require of a worker, each for itself, and which share of jobs does
    requirements: tuple[tuple[str, float], ...] = ()
    #: shares of jobs that only some workers may serve, or all but some; and of which workers
    allowing: float = 0.0
    denying: float = 0.0
    workers: tuple[UUID, ...] = ()
    #: workers that all jobs deny
    denied: tuple[UUID, ...] = ()


PLAIN = Mix()
LONG_QUEUE = Mix(sizes=MIXED_SIZES, nsfw=0.2)
#: requirements as in `projections.queue`: one job in ten has a source image
EVERY_RULE = (
    ("img2img", 0.07),
    ("painting", 0.03),
    ("lora", 0.2),
    ("textual_inversion", 0.05),
    ("controlnet", 0.05),
    ("post_processing", 0.1),
    ("hires_fix", 0.05),
    ("tiling", 0.02),
    ("clip_skip", 0.2),
    ("trusted_worker", 0.02),
    ("not_slow", 0.03),
    ("untrusted_requester", 0.5),
    ("not_covered", 0.2),
)
#: most workers that a job names
NAMED = 5
#: what a worker allows that says nothing of it; what it may allow besides; and what of it only some do
_STANDING = ("unsafe_address", "untrusted_requester", "not_covered", "not_extra_slow", "many_steps")
USUAL = frozenset(
    [
        "nsfw",
        "post_processing",
        "img2img",
        "painting",
        "hires_fix",
        "tiling",
        "clip_skip",
        "many_steps",
        "unsafe_address",
        "untrusted_requester",
        "not_covered",
        "not_extra_slow",
    ]
)
EVERYTHING = USUAL | {"lora", "textual_inversion", "controlnet", "sdxl_controlnet"}
VARIED = (
    "nsfw",
    "post_processing",
    "img2img",
    "painting",
    "lora",
    "textual_inversion",
    "controlnet",
    "not_covered",
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
    #: by the names in `projections.queue`, besides those that follow from the above
    requirements: tuple[str, ...] = ()
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Worker:
    """A worker as its owner sets it up; `max_pixels` is the largest picture it draws."""

    id: UUID
    owner: Person
    name: str
    models: tuple[str, ...]
    max_pixels: int
    #: the requirements of jobs that it allows, by the names in `projections.queue`
    allows: frozenset[str] = USUAL


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

    def jobs(self, stream: str, mix: Mix = PLAIN) -> Jobs:
        """An endless source of jobs; every stream is another, and the same in every run."""
        return Jobs(self._dice(f"jobs {stream}"), self.models, self._weights, mix)

    def worker(self, owner: Person, *, max_pixels: int = LARGEST, allows: frozenset[str] = USUAL) -> Worker:
        """The worker of a person: it has every model, so that a poll meets all classes of the queue."""
        dice = self._dice(f"worker {owner.name} {max_pixels}")
        name = f"worker of {owner.name} {max_pixels}"
        return Worker(_uuid(dice), owner, name, self.models, max_pixels, allows)

    def crowd(self, owners: Sequence[Person]) -> tuple[Worker, ...]:
        """A worker of each, unlike one another: some models, some sizes, some of what jobs may require."""
        dice = self._dice("crowd")
        return tuple(self._any_worker(dice, owner) for owner in owners)

    def _any_worker(self, dice: Random, owner: Person) -> Worker:
        models = dice.choices(self.models, cum_weights=self._weights, k=dice.choice((1, 3, 10, 40)))
        width, height = dice.choice(MIXED_SIZES)[0]
        return Worker(
            id=_uuid(dice),
            owner=owner,
            name=f"one of the crowd, of {owner.name}",
            models=tuple(sorted(set(models))),
            max_pixels=width * height,
            allows=EVERYTHING - {name for name in VARIED if dice.random() < 0.4},
        )


class Jobs:
    """Draws jobs one after the other."""

    def __init__(self, dice: Random, models: tuple[str, ...], weights: list[float], mix: Mix) -> None:
        self._dice = dice
        self._models = models
        self._weights = weights
        self._mix = mix

    def draw(self) -> Job:
        """The next job: one picture, one model in four of five jobs, else two."""
        dice = self._dice
        count = 1 if dice.random() < 0.8 else 2
        models = tuple(sorted(set(dice.choices(self._models, cum_weights=self._weights, k=count))))
        width, height = _one_of(dice, self._mix.sizes)
        return Job(
            prompt=" ".join(dice.choices(_WORDS, k=20)),
            models=models,
            width=width,
            height=height,
            steps=_one_of(dice, STEPS),
            nsfw=dice.random() < self._mix.nsfw,
            shared=dice.random() < SHARED_SHARE,
            requirements=tuple(n for n, share in self._mix.requirements if dice.random() < share),
            allowed_workers=self._named(self._mix.allowing),
            denied_workers=self._mix.denied or self._named(self._mix.denying),
        )

    def _named(self, share: float) -> tuple[UUID, ...]:
        """Some workers, in a share of all cases."""
        if not share or self._dice.random() >= share:
            return ()
        return tuple(self._dice.sample(self._mix.workers, self._dice.randint(1, NAMED)))


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
