"""Checks what a client asks of an image job and names every fault at once.

Pure. It knows bounds, not people: who may ask for how much is decided in `app.jobs.decider` and
`app.ledger.upfront`. Look next: `app.jobs.image_params` for the bounds of the parameters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from app.jobs import image_params as bounds
from app.jobs.image_params import UPSCALERS, ImageParams, PostProcessor, Sampler

MAX_PROMPT_CHARS: Final = 20_000
MAX_PROMPT_WORDS: Final = 7_500
MAX_MODELS: Final = 20
MAX_MODEL_CHARS: Final = 100

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:#()\[\]/-]*")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_POST_PROCESSORS: Final = frozenset(name.casefold() for name in PostProcessor)
_MAX_KUDOS: Final = 2**63 - 1

_T = TypeVar("_T")
_D = TypeVar("_D")
_E = TypeVar("_E", bound=StrEnum)
_Path = tuple[str, ...]


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request. The message gives the bound and never repeats the client's text."""

    #: GraphQL's names, from the argument on; a place in a list is its index
    path: _Path
    message: str


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image job that a client may ask for, its parameters checked and filled."""

    prompt: str
    negative_prompt: str | None = None
    #: any of these will do; none means any model at all
    models: tuple[str, ...] = ()
    params: ImageParams = ImageParams()
    #: None: the user's default
    share: bool | None = None
    nsfw: bool = False
    #: the most the client will pay, in hundredths of kudos
    max_kudos: int | None = None


def validate_image_request(raw: Mapping[str, object]) -> ImageRequest | tuple[Fault, ...]:
    """The request that `raw` makes, or every fault in it.

    Args:
        raw: the fields of `ImageRequest` by their names, `params` a mapping of those of `ImageParams`. What
            is missing or None takes its default. Enumerations may be members, their names or their values.
    """
    fields = _Fields(raw, ("input",))
    nested = _Fields(fields.take("params", _mapping, {}), ("input", "params"))
    request = ImageRequest(
        prompt=fields.require("prompt", _prompt),
        negative_prompt=fields.take("negative_prompt", _words, None),
        models=fields.take("models", _models, ()),
        params=_params(nested),
        share=fields.take("share", _boolean, None),
        nsfw=fields.take("nsfw", _boolean, default=False),
        max_kudos=fields.take("max_kudos", _integer(0, _MAX_KUDOS), None),
    )
    return (*fields.faults, *nested.faults) or request


def _params(fields: "_Fields") -> ImageParams:
    default = ImageParams()
    return ImageParams(
        width=fields.take("width", _side, default.width),
        height=fields.take("height", _side, default.height),
        steps=fields.take("steps", _integer(*bounds.STEPS), default.steps),
        cfg_scale=fields.take("cfg_scale", _cfg_scale, default.cfg_scale),
        sampler=fields.take("sampler", _member(Sampler), default.sampler),
        n=fields.take("n", _integer(*bounds.N), default.n),
        seed=fields.take("seed", _seed, None),
        seed_variation=fields.take("seed_variation", _integer(*bounds.SEED_VARIATION), None),
        karras=fields.take("karras", _boolean, default.karras),
        tiling=fields.take("tiling", _boolean, default.tiling),
        hires_fix=fields.take("hires_fix", _boolean, default.hires_fix),
        hires_fix_denoising_strength=fields.take(
            "hires_fix_denoising_strength", _number(*bounds.DENOISING), None
        ),
        clip_skip=fields.take("clip_skip", _integer(*bounds.CLIP_SKIP), default.clip_skip),
        post_processing=fields.take("post_processing", _post_processing, ()),
        facefixer_strength=fields.take("facefixer_strength", _number(*bounds.STRENGTH), None),
    )


class _RefusedError(Exception):
    """A value breaks its bound; `faults` are paths below the field, and messages."""

    def __init__(self, *faults: tuple[_Path, str]) -> None:
        super().__init__()
        self.faults = faults


class _Fields:
    """Takes checked fields out of a mapping and collects the faults instead of stopping at the first."""

    def __init__(self, raw: Mapping[str, object], path: _Path) -> None:
        self._raw = raw
        self._path = path
        self.faults: list[Fault] = []

    def take(self, name: str, check: Callable[[object], _T], default: _D) -> _T | _D:
        """The checked field; the default where it is missing, None or faulty."""
        value = self._raw.get(name)
        if value is None:
            return default
        try:
            return check(value)
        except _RefusedError as refused:
            path = (*self._path, _camel(name))
            self.faults += [Fault((*path, *below), message) for below, message in refused.faults]
            return default

    def require(self, name: str, check: Callable[[object], str]) -> str:
        """The checked text; missing is as bad as empty."""
        value = self._raw.get(name)
        return self.take(name, check, "") if value is not None else self._missing(name)

    def _missing(self, name: str) -> str:
        self.faults.append(Fault((*self._path, _camel(name)), "is required"))
        return ""


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _refuse(message: str) -> _RefusedError:
    return _RefusedError(((), message))


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _refuse("must be an object")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _refuse("must be true or false")
    return value


def _integer(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        # A boolean is an int to Python and to nobody else.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _refuse(f"must be a whole number from {low} to {high}")
        return value

    return check


def _number(low: float, high: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise _refuse(f"must be a number from {low:g} to {high:g}")
        return float(value) + 0.0  # -0.0 becomes 0.0: one way to write each number

    return check


def _side(value: object) -> int:
    low, high = bounds.SIDE
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or not low <= value <= high
        or value % bounds.SIDE_MULTIPLE
    ):
        raise _refuse(f"must be a multiple of {bounds.SIDE_MULTIPLE} from {low} to {high}")
    return value


def _cfg_scale(value: object) -> float:
    scale = _number(*bounds.CFG_SCALE)(value)
    # The shortest decimal that reads back as this number is what the client wrote.
    exponent = Decimal(repr(scale)).normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -bounds.CFG_SCALE_DECIMALS:
        raise _refuse(f"must have at most {bounds.CFG_SCALE_DECIMALS} decimals")
    return scale


def _member(kind: type[_E]) -> Callable[[object], _E]:
    def check(value: object) -> _E:
        if isinstance(value, kind):
            return value
        for member in kind:
            if value in (member.value, member.name):
                return member
        raise _refuse(f"must be one of {', '.join(member.name for member in kind)}")

    return check


def _text(value: object, most: int) -> str:
    if not isinstance(value, str):
        raise _refuse("must be text")
    if len(value) > most:
        raise _refuse(f"must have at most {most} characters")
    if "\0" in value:
        raise _refuse("must not contain a NUL character")
    if _SURROGATE.search(value):
        raise _refuse("must be valid Unicode text")
    return value


def _words(value: object) -> str:
    text = _text(value, MAX_PROMPT_CHARS)
    if len(text.split()) > MAX_PROMPT_WORDS:
        raise _refuse(f"must have at most {MAX_PROMPT_WORDS} words")
    return text


def _prompt(value: object) -> str:
    text = _words(value)
    if not text.strip():
        raise _refuse("must not be empty")
    return text


def _seed(value: object) -> str:
    return _text(value, bounds.MAX_SEED_CHARS)


def _list(value: object) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _refuse("must be a list")
    return value


def _each(value: object, check: Callable[[object], _T]) -> tuple[_T, ...]:
    """Every item checked; the faults of all items together, or one for each repeated item."""
    found: list[_T] = []
    faults: list[tuple[_Path, str]] = []
    for index, item in enumerate(_list(value)):
        try:
            checked = check(item)
        except _RefusedError as refused:
            faults += [((str(index), *below), message) for below, message in refused.faults]
            continue
        if checked in found:
            faults.append(((str(index),), "must not be repeated"))
        found.append(checked)
    if faults:
        raise _RefusedError(*faults)
    return tuple(found)


def _model(value: object) -> str:
    name = _text(value, MAX_MODEL_CHARS)
    if not _MODEL.fullmatch(name):
        raise _refuse("may hold letters, digits, spaces and ._+:#()[]/- and starts with a letter or digit")
    if name.casefold() in _POST_PROCESSORS:
        raise _refuse("is a post-processor, not a model")
    return name


def _models(value: object) -> tuple[str, ...]:
    if len(_list(value)) > MAX_MODELS:
        raise _refuse(f"must have at most {MAX_MODELS} items")
    return _each(value, _model)


def _post_processing(value: object) -> tuple[PostProcessor, ...]:
    # No list of distinct names is longer; a longer one is refused before it is looked at.
    if len(_list(value)) > len(PostProcessor):
        raise _refuse(f"must have at most {len(PostProcessor)} items")
    names = _each(value, _member(PostProcessor))
    if sum(name in UPSCALERS for name in names) > 1:
        raise _refuse("must hold at most one upscaler")
    return names
