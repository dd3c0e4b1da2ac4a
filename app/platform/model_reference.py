"""The model reference: what is known of the models that workers draw with, as checks, prices and warnings need it.

A JSON file: the small one beside this module, or an operator's (`HOARD_MODEL_REFERENCE`), which has the form of the
references that the Horde's programs share, so that such a file can be used as it is; fields that are not named here
are not looked at. A model that is said to have `parameters` writes texts; every other one draws and has a baseline. Read once when a process starts and never changed. No decider reads it: what a decision needs of it
comes in the command. Look next: `app.jobs.image_rules`, `app.jobs.advice`, `app.ledger.families`,
`app.ledger.text_classes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from app.platform.settings import SettingsError
from events.jobs import JobKind

#: the reference that Hoard brings along
SHIPPED: Final = Path(__file__).with_name("models.json")
#: larger files are no references
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_STEPS: Final = 500
MAX_CFG: Final = 100.0

#: parameters of a text model
PARAMETERS: Final = (1_000_000, 100_000_000_000_000)

#: what names of text models end with that says how the same model is packed, not which one it is
_PACKING: Final = re.compile(
    r"[-._ ](?:gguf|ggml|gptq|awq|exl[23]|hqq|fp16|bf16|fp8|fp4|nvfp4|mxfp4|int[48]|bnb|[2-8]-?bit|"
    r"i?q[1-8](?:_[0-9a-z]+)*|[0-9]+(?:[.][0-9]+)?bpw|h[68]|w[48]a(?:8|16))$",
    re.IGNORECASE,
)

_N = TypeVar("_N", int | None, float | None)


class Baseline(StrEnum):
    """What a model was trained from, by the names that references use."""

    SD1 = "stable diffusion 1"
    SD2 = "stable diffusion 2"
    SD2_512 = "stable diffusion 2 512"
    SDXL = "stable_diffusion_xl"
    CASCADE = "stable_cascade"
    FLUX = "flux_1"
    QWEN = "qwen_image"
    Z_IMAGE = "z_image_turbo"


#: what a name says of a model that is not in the reference; the first that it holds counts
NAME_MARKS: Final = (
    ("[SDXL]", Baseline.SDXL),
    ("[Flux]", Baseline.FLUX),
    ("[Qwen]", Baseline.QWEN),
    ("[ZModel]", Baseline.Z_IMAGE),
    ("[ZImage]", Baseline.Z_IMAGE),
)


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """With which parameters a model draws well. None and empty: it does not care."""

    min_steps: int | None = None
    max_steps: int | None = None
    #: the only scale that does
    cfg_scale: float | None = None
    min_cfg_scale: float | None = None
    max_cfg_scale: float | None = None
    #: wire names
    samplers: tuple[str, ...] = ()
    #: of "karras", "normal" and "simple"; all but the first mean: without the Karras schedule
    schedulers: tuple[str, ...] = ()
    clip_skip: int | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What the reference says of one model."""

    name: str
    baseline: Baseline = Baseline.SD1
    #: it only fills in: it serves inpainting and outpainting and nothing else
    inpainting: bool = False
    #: it was made for pictures that are not safe for work
    nsfw: bool = False
    requirements: Requirements = Requirements()


class ModelReference:
    """All known models by name: those that draw, and of those that write texts their parameters."""

    def __init__(self, models: Mapping[str, Model], texts: Mapping[str, int] | None = None) -> None:
        self.models = dict(models)
        self.texts = dict(texts or {})
        self._texts = {plain_name(name): parameters for name, parameters in self.texts.items()}

    @classmethod
    def load(cls, path: str | None = None) -> ModelReference:
        """The reference of a file; without one the shipped one.

        Raises:
            SettingsError: the file cannot be read or does not make a reference; every fault is listed.
        """
        file = Path(path) if path else SHIPPED
        try:
            with file.open("rb") as opened:
                text = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise SettingsError((_fault(f"cannot be read: {type(error).__name__}"),)) from error
        return cls(*_parsed(text))

    def get(self, name: str) -> Model | None:
        """What is known of a model; None of one that nobody described."""
        return self.models.get(name)

    def knows(self, kind: JobKind, name: str) -> bool:
        """Whether it describes a model of a kind."""
        match kind:
            case JobKind.IMAGE:
                return name in self.models
            case JobKind.TEXT:
                return self.parameters(name) is not None
            case JobKind.INTERROGATION:
                return False

    def baseline(self, name: str) -> str:
        """A model's baseline; of an unknown one what its name says, and Stable Diffusion 1 if it says nothing."""
        known = self.models.get(name)
        if known is not None:
            return known.baseline
        return next((baseline for mark, baseline in NAME_MARKS if mark in name), Baseline.SD1)

    def inpainting(self, name: str) -> bool:
        """Whether a model only fills in."""
        known = self.models.get(name)
        return known is not None and known.inpainting

    def parameters(self, name: str) -> int | None:
        """How many parameters a text model has, however it is packed and whoever serves it; None where nobody knows."""
        exact = self.texts.get(name)
        return self._texts.get(plain_name(name)) if exact is None else exact


def plain_name(name: str) -> str:
    """The name of a text model without who made or serves it (`owner/`, `::user#7`) and how it is packed (`-Q4_K_M`)."""
    plain = name.partition("::")[0].rpartition("/")[2]
    while (shorter := _PACKING.sub("", plain)) != plain:
        plain = shorter
    return plain.casefold()


def _parsed(text: bytes) -> tuple[dict[str, Model], dict[str, int]]:
    if len(text) > MAX_BYTES:
        raise SettingsError((_fault(f"must have at most {MAX_BYTES} bytes"),))
    try:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError((_fault(f"must be a JSON object of models by name: {error}"),)) from error
    models: dict[str, Model] = {}
    texts: dict[str, int] = {}
    faults: list[str] = []
    for name, given in raw.items():
        try:
            parameters = msgspec.json.decode(given, type=_GivenText).parameters
            if parameters is None:
                models[name] = msgspec.json.decode(given, type=_Given).model(name)
            else:
                _within("parameters", parameters, *PARAMETERS)
                texts[name] = int(parameters)
        except (msgspec.DecodeError, ValueError) as error:
            faults.append(_fault(f"model {name!r}: {error}"))
    if faults:
        raise SettingsError(tuple(faults))
    return models, texts


class _GivenText(msgspec.Struct, frozen=True):
    """A text model as a file has it; references also write numbers such as 7e9."""

    parameters: float | None = None


class _Given(msgspec.Struct, frozen=True):
    """A model as a file has it. Null stands for what is missing."""

    baseline: Baseline
    inpainting: bool | None = None
    nsfw: bool | None = None
    requirements: _GivenRequirements | None = None

    def model(self, name: str) -> Model:
        """The model, its numbers within their bounds. Raises `ValueError`."""
        given = self.requirements or _GivenRequirements()
        return Model(
            name=name,
            baseline=self.baseline,
            inpainting=bool(self.inpainting),
            nsfw=bool(self.nsfw),
            requirements=Requirements(
                min_steps=_within("min_steps", given.min_steps, 1, MAX_STEPS),
                max_steps=_within("max_steps", given.max_steps, given.min_steps or 1, MAX_STEPS),
                cfg_scale=_within("cfg_scale", given.cfg_scale, 0.0, MAX_CFG),
                min_cfg_scale=_within("min_cfg_scale", given.min_cfg_scale, 0.0, MAX_CFG),
                max_cfg_scale=_within(
                    "max_cfg_scale", given.max_cfg_scale, given.min_cfg_scale or 0, MAX_CFG
                ),
                samplers=tuple(given.samplers or ()),
                schedulers=tuple(given.schedulers or ()),
                clip_skip=_within("clip_skip", given.clip_skip, 1, 12),
            ),
        )


class _GivenRequirements(msgspec.Struct, frozen=True):
    """Requirements as a file has them."""

    min_steps: int | None = None
    max_steps: int | None = None
    cfg_scale: float | None = None
    min_cfg_scale: float | None = None
    max_cfg_scale: float | None = None
    samplers: list[str] | None = None
    schedulers: list[str] | None = None
    clip_skip: int | None = None


def _within(field: str, value: _N, low: float, high: float) -> _N:
    if value is not None and not low <= value <= high:
        raise ValueError(f"{field} must be from {low:g} to {high:g}")
    return value


def _fault(problem: str) -> str:
    return f"HOARD_MODEL_REFERENCE {problem}"
