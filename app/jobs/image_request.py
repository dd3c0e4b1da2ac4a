"""Checks what a client asks of an image job, field by field, and names every fault at once.

Pure. It knows bounds, neither people nor models: what goes together is checked by `app.jobs.image_rules`, who may ask
for how much is decided in `app.jobs.decider` and `app.ledger.upfront`. Look next: `app.jobs.image_params` for the bounds
of the parameters, `app.jobs.fields` for how values are taken.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from app.jobs import image_params as bounds
from app.jobs.fields import (
    Fault,
    Fields,
    boolean,
    each,
    integer,
    mapping,
    member,
    number,
    record,
    refusal,
    text,
    words,
)
from app.jobs.image_params import (
    UPSCALERS,
    ControlType,
    ExtraText,
    ImageParams,
    Injection,
    Lora,
    Sampler,
    TextualInversion,
    Workflow,
)
from app.platform.post_processors import PostProcessor
from events.jobs import SourceProcessing

MAX_PROMPT_CHARS: Final = 20_000
MAX_PROMPT_WORDS: Final = 7_500
MAX_MODELS: Final = 20
MAX_MODEL_CHARS: Final = 100
MAX_WORKERS: Final = 5
MAX_WORKER_CHARS: Final = 100
MAX_EXTRA_SOURCES: Final = 5
MAX_URL_CHARS: Final = 2_000
MAX_PROXIED_CHARS: Final = 255
#: what divides a prompt from its negative in one text, as Horde clients write it
NEGATIVE_MARK: Final = "###"

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:#()\[\]/-]*")
_POST_PROCESSORS: Final = frozenset(name.casefold() for name in PostProcessor)
_MAX_KUDOS: Final = 2**63 - 1


class PictureGiven(msgspec.Struct, frozen=True):
    """A picture that a client gives: one of the two."""

    upload_id: str | None
    url: str | None


class ExtraGiven(msgspec.Struct, frozen=True):
    """A further source of a remix, and how much of it is taken, from 0 to 1."""

    image: PictureGiven
    strength: float


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image job that a client may ask for, its parameters checked and filled."""

    prompt: str
    negative_prompt: str | None = None
    #: any of these will do; none means any model at all
    models: tuple[str, ...] = ()
    params: ImageParams = ImageParams()
    source: PictureGiven | None = None
    source_mask: PictureGiven | None = None
    extra_sources: tuple[ExtraGiven, ...] = ()
    #: None: the user's default
    share: bool | None = None
    nsfw: bool = False
    #: workers by id or name: only these, or with `deny_workers` all but these
    workers: tuple[str, ...] = ()
    deny_workers: bool = False
    trusted_workers: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    #: whether a worker may draw several of its pictures at once
    batching: bool = True
    #: make it smaller rather than refuse it
    allow_downgrade: bool = False
    #: for whom a service asks, by a name of its own
    proxied_account: str | None = None
    #: the most the client will pay, in hundredths of kudos
    max_kudos: int | None = None


def validate_image_request(raw: Mapping[str, object]) -> ImageRequest | tuple[Fault, ...]:
    """The request that `raw` makes, or every fault in it.

    Args:
        raw: the fields of `ImageRequest` by their names, `params` a mapping of those of `ImageParams`, and beside them
            `source_processing`. What is missing or None takes its default. Enumerations may be members, their names or
            their values.
    """
    fields = Fields(raw, ("input",))
    nested = Fields(fields.take("params", mapping, {}), ("input", "params"))
    source = fields.take("source", _PICTURE, None)
    mask = fields.take("source_mask", _PICTURE, None)
    extras = fields.take("extra_sources", _extra_sources, ())
    processing = fields.take("source_processing", _SOURCE_PROCESSING, SourceProcessing.IMG2IMG)
    params = msgspec.structs.replace(
        _params(nested),
        # The default stands for nothing where there is no source.
        source_processing=None if source is None and processing is SourceProcessing.IMG2IMG else processing,
        source_mask=mask is not None,
        extra_sources=len(extras),
    )
    prompt, negative = _prompts(fields)
    request = ImageRequest(
        prompt=prompt,
        negative_prompt=negative,
        models=fields.take("models", _models, ()),
        params=params,
        source=source,
        source_mask=mask,
        extra_sources=extras,
        share=fields.take("share", boolean, None),
        nsfw=fields.take("nsfw", boolean, default=False),
        workers=fields.take("workers", _workers, ()),
        deny_workers=fields.take("deny_workers", boolean, default=False),
        trusted_workers=fields.take("trusted_workers", boolean, default=False),
        slow_workers=fields.take("slow_workers", boolean, default=True),
        extra_slow_workers=fields.take("extra_slow_workers", boolean, default=False),
        batching=fields.take("batching", boolean, default=True),
        allow_downgrade=fields.take("allow_downgrade", boolean, default=False),
        proxied_account=fields.take("proxied_account", _PROXIED, None),
        max_kudos=fields.take("max_kudos", _MAX_KUDOS_CHECK, None),
    )
    return (*fields.faults, *nested.faults) or request


def _prompts(fields: Fields) -> tuple[str, str | None]:
    """Prompt and negative prompt; a client that gives no negative one may have written both as one text."""
    prompt = fields.require("prompt", _prompt)
    negative = fields.take("negative_prompt", _words, None)
    if negative is None and NEGATIVE_MARK in prompt:
        before, _, after = prompt.partition(NEGATIVE_MARK)
        if before.strip():
            return before.rstrip(), after.lstrip()
    return prompt, negative


def _params(fields: Fields) -> ImageParams:
    default = ImageParams()
    control = fields.take("control_type", _CONTROL_TYPE, None)
    return ImageParams(
        width=fields.take("width", _side, default.width),
        height=fields.take("height", _side, default.height),
        steps=fields.take("steps", _STEPS, default.steps if control is None else bounds.CONTROL_STEPS),
        cfg_scale=fields.take("cfg_scale", _cfg_scale, default.cfg_scale),
        sampler=fields.take("sampler", _SAMPLER, default.sampler),
        n=fields.take("n", _N, default.n),
        seed=fields.take("seed", _SEED, None),
        seed_variation=fields.take("seed_variation", _SEED_VARIATION, None),
        karras=fields.take("karras", boolean, default.karras),
        tiling=fields.take("tiling", boolean, default.tiling),
        hires_fix=fields.take("hires_fix", boolean, default.hires_fix),
        hires_fix_denoising_strength=fields.take("hires_fix_denoising_strength", _DENOISING, None),
        clip_skip=fields.take("clip_skip", _CLIP_SKIP, default.clip_skip),
        post_processing=fields.take("post_processing", _post_processing, ()),
        facefixer_strength=fields.take("facefixer_strength", _STRENGTH, None),
        denoising_strength=fields.take("denoising_strength", _DENOISING, None),
        control_type=control,
        image_is_control=fields.take("image_is_control", boolean, default=False),
        return_control_map=fields.take("return_control_map", boolean, default=False),
        loras=fields.take("loras", _loras, ()),
        tis=fields.take("tis", _tis, ()),
        workflow=fields.take("workflow", _WORKFLOW, None),
        transparent=fields.take("transparent", boolean, default=False),
        extra_texts=fields.take("extra_texts", _extra_texts, ()),
    )


def _side(value: object) -> int:
    low, high = bounds.SIDE
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or not low <= value <= high
        or value % bounds.SIDE_MULTIPLE
    ):
        raise refusal(f"must be a multiple of {bounds.SIDE_MULTIPLE} from {low} to {high}")
    return value


def _cfg_scale(value: object) -> float:
    scale = _CFG_SCALE(value)
    # The shortest decimal that reads back as this number is what the client wrote.
    exponent = Decimal(repr(scale)).normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -bounds.CFG_SCALE_DECIMALS:
        raise refusal(f"must have at most {bounds.CFG_SCALE_DECIMALS} decimals")
    return scale


def _words(value: object) -> str:
    found = text(value, MAX_PROMPT_CHARS)
    if len(found.split()) > MAX_PROMPT_WORDS:
        raise refusal(f"must have at most {MAX_PROMPT_WORDS} words")
    return found


def _prompt(value: object) -> str:
    found = _words(value)
    if not found.strip():
        raise refusal("must not be empty")
    return found


def _model(value: object) -> str:
    name = text(value, MAX_MODEL_CHARS)
    if not _MODEL.fullmatch(name):
        raise refusal("may hold letters, digits, spaces and ._+:#()[]/- and starts with a letter or digit")
    if name.casefold() in _POST_PROCESSORS:
        raise refusal("is a post-processor, not a model")
    return name


def _models(value: object) -> tuple[str, ...]:
    return each(value, _model, MAX_MODELS)


def _workers(value: object) -> tuple[str, ...]:
    return each(value, _WORKER, MAX_WORKERS)


def _post_processing(value: object) -> tuple[PostProcessor, ...]:
    names = each(value, _POST_PROCESSOR, len(PostProcessor))
    if sum(name in UPSCALERS for name in names) > 1:
        raise refusal("must hold at most one upscaler")
    return names


def _picture(fields: Fields) -> PictureGiven:
    return PictureGiven(fields.take("upload_id", _UPLOAD, None), fields.take("url", _URL, None))


def picture_given(value: object) -> PictureGiven:
    """A check for pictures that clients give."""
    given = record(_picture)(value)
    if (given.upload_id is None) == (given.url is None):
        raise refusal("must have exactly one of uploadId and url")
    return given


def _extra_source(fields: Fields) -> ExtraGiven:
    image = fields.take("image", _PICTURE, PictureGiven(None, None))
    return ExtraGiven(image, fields.take("strength", _STRENGTH, 1.0))


def _extra_sources(value: object) -> tuple[ExtraGiven, ...]:
    return each(value, record(_extra_source), MAX_EXTRA_SOURCES)


def _lora(fields: Fields) -> Lora:
    made = Lora(
        name=fields.require("name", _NAME),
        model=fields.take("model", _WEIGHT, 1.0),
        clip=fields.take("clip", _WEIGHT, 1.0),
        inject_trigger=fields.take("inject_trigger", _TRIGGER, None),
        is_version=fields.take("is_version", boolean, default=False),
    )
    if made.is_version and not (made.name.isascii() and made.name.isdigit()):
        fields.faults.append(Fault(("name",), "must be a number in digits, as isVersion is true"))
    return made


def _loras(value: object) -> tuple[Lora, ...]:
    return each(value, record(_lora), bounds.MAX_LORAS)


def _ti(fields: Fields) -> TextualInversion:
    inject = fields.take("inject_ti", _INJECTION, None)
    return TextualInversion(
        name=fields.require("name", _NAME),
        inject_ti=None if inject is None else inject.value,
        strength=fields.take("strength", _WEIGHT, 1.0),
    )


def _tis(value: object) -> tuple[TextualInversion, ...]:
    return each(value, record(_ti), bounds.MAX_TIS)


def _extra_text(fields: Fields) -> ExtraText:
    return ExtraText(
        text=fields.require("text", _EXTRA_TEXT), reference=fields.require("reference", _REFERENCE)
    )


def _extra_texts(value: object) -> tuple[ExtraText, ...]:
    return each(value, record(_extra_text), bounds.MAX_EXTRA_TEXTS)


# Made once: a request is checked by some fifty of them.
_PICTURE: Final[Callable[[object], PictureGiven]] = picture_given
_SOURCE_PROCESSING: Final = member(SourceProcessing)
_CONTROL_TYPE: Final = member(ControlType)
_WORKFLOW: Final = member(Workflow)
_INJECTION: Final = member(Injection)
_SAMPLER: Final = member(Sampler)
_POST_PROCESSOR: Final = member(PostProcessor)
_STEPS: Final = integer(*bounds.STEPS)
_CFG_SCALE: Final = number(*bounds.CFG_SCALE)
_N: Final = integer(*bounds.N)
_SEED: Final = words(bounds.MAX_SEED_CHARS)
_SEED_VARIATION: Final = integer(*bounds.SEED_VARIATION)
_DENOISING: Final = number(*bounds.DENOISING)
_CLIP_SKIP: Final = integer(*bounds.CLIP_SKIP)
_STRENGTH: Final = number(*bounds.STRENGTH)
_WEIGHT: Final = number(*bounds.WEIGHT)
_NAME: Final = words(bounds.MAX_NAME_CHARS, 1)
_TRIGGER: Final = words(bounds.MAX_TRIGGER_CHARS, 1)
_EXTRA_TEXT: Final = words(bounds.MAX_EXTRA_TEXT_CHARS, 1)
_REFERENCE: Final = words(*reversed(bounds.REFERENCE_CHARS))
_UPLOAD: Final = words(MAX_WORKER_CHARS, 1)
_URL: Final = words(MAX_URL_CHARS, 1)
_WORKER: Final = words(MAX_WORKER_CHARS, 1)
_PROXIED: Final = words(MAX_PROXIED_CHARS, 1)
_MAX_KUDOS_CHECK: Final = integer(0, _MAX_KUDOS)
