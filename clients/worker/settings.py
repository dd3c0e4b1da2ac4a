"""The worker's settings: what they are, their limits and defaults, and what is wrong with a set of them.

The descriptions here are the comments of the file that `hoard worker init` writes. Reading and changing that file is
in `settings_file.py`, what holds while the worker runs in `live.py`.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from clients.api import endpoint

Word = Annotated[str, Meta(min_length=1, max_length=100)]
Friend = Annotated[str, Meta(pattern=r"^.+#[0-9]+$", max_length=100)]
Feature = Literal[
    "HIRES_FIX",
    "TILING",
    "CLIP_SKIP",
    "LCM",
    "TEXTUAL_INVERSION",
    "EXTRA_SOURCES",
    "CONTROL_MAP",
    "QR_CODE",
    "TRANSPARENT",
    "CASCADE_2PASS",
    "MODERN_POST_PROCESSING",
]
#: The forms of interrogation, by the API's names.
Form = Literal[
    "CAPTION",
    "INTERROGATION",
    "NSFW",
    "DESCRIBE",
    "PALETTE",
    "AESTHETIC",
    "VECTORIZE",
    # From here on those that make a picture.
    "GFPGAN",
    "GFPGAN_V1_3",
    "CODEFORMERS",
    "RESTOREFORMER",
    "STRIP_BACKGROUND",
    "REALESRGAN_X2PLUS",
    "REALESRGAN_X4PLUS",
    "REALESRGAN_X4PLUS_ANIME_6B",
    "NMKD_SIAX",
    "ANIMESHARP_X4",
    "LSDIRPLUS_X4",
    "MODERNSPANIMATIONV1_X2",
    "NOMOS2_HQ_DAT2_X4",
    "NOMOS2_REALPLKSR_DYSAMPLE_X4",
    "NOMOS8KSC_X4",
    "NOMOSWEBPHOTO_REALPLKSR_X4",
]
Kind = Literal["image", "text", "interrogation"]
#: What can do the work of each kind.
BACKENDS: Mapping[str, tuple[str, ...]] = {
    "image": ("procedural", "a1111", "comfyui"),
    "text": ("procedural", "koboldcpp", "openai", "local"),
    "interrogation": ("procedural", "a1111", "local"),
}


def _about(words: str, **limits: Any) -> Meta:
    return Meta(description=words, **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be settled about one worker. Sizes in pixels, times in seconds."""

    name: Annotated[str, _about("The worker's name, unique on the server.", min_length=1, max_length=100)]
    url: Annotated[str, _about("The server's address.")] = "http://127.0.0.1:8000"
    key: Annotated[str, _about("Its owner's key. Better: $HOARD_API_KEY, or a file of its own.")] = ""
    key_file: Annotated[str, _about("A file that holds nothing but the key.")] = ""
    control: Annotated[
        str, _about("Where the running worker can be spoken to; by default beside this file.")
    ] = ""

    kind: Annotated[Kind, _about("What it does: image, text or interrogation.")] = "image"
    backend: Annotated[
        Literal["procedural", "a1111", "comfyui", "koboldcpp", "openai", "local"],
        _about(
            "What does the work: procedural (no model at all), or a program or model; see clients/README.md."
        ),
    ] = "procedural"
    a1111_url: Annotated[str, _about("The Stable Diffusion WebUI's address.")] = "http://127.0.0.1:7860"
    comfyui_url: Annotated[str, _about("ComfyUI's address.")] = "http://127.0.0.1:8188"
    comfyui_workflows: Annotated[
        str, _about("A folder with workflows of your own (txt2img.json, img2img.json, inpainting.json).")
    ] = ""
    comfyui_checkpoint: Annotated[
        str, _about("The checkpoint for models that ComfyUI does not know by name; by default its first.")
    ] = ""

    koboldcpp_url: Annotated[str, _about("KoboldCpp's address.")] = "http://127.0.0.1:5001"
    openai_url: Annotated[str, _about("The OpenAI-compatible server's address, before /v1.")] = (
        "http://127.0.0.1:8080"
    )
    openai_key_file: Annotated[str, _about("A file that holds nothing but that server's key.")] = ""
    openai_model: Annotated[str, _about("That server's name of the model; by default its first.")] = ""
    openai_samplers: Annotated[
        bool, _about("Send that server the samplers, too, that OpenAI's own does not know.")
    ] = True
    gguf: Annotated[
        str, _about("The GGUF file that the backend local runs; by default the optional packages' SmolLM2.")
    ] = ""
    cpu_threads: Annotated[
        int, _about("Processors that the backend local works with; 0: half of them.", ge=0, le=256)
    ] = 0

    threads: Annotated[int, _about("Pieces of work done at a time.", ge=1, le=50)] = 1
    queue_ahead: Annotated[int, _about("Leases taken ahead, so that no thread waits.", ge=0, le=20)] = 0
    amount: Annotated[int, _about("Pieces of one job asked for at a time.", ge=1, le=20)] = 1
    wait_seconds: Annotated[int, _about("How long a poll waits for a job to come.", ge=0, le=60)] = 20

    forms: Annotated[
        Annotated[tuple[Form, ...], Meta(min_length=1)] | None,
        _about("The forms it tells; left out: what the backend can."),
    ] = None
    max_tiles: Annotated[
        int, _about("The largest picture to look at, in squares of 512 x 512 pixels.", ge=1, le=256)
    ] = 16
    models: Annotated[
        tuple[Word, ...], _about("The models it serves; none: what the backend offers.", max_length=300)
    ] = ()
    max_pixels: Annotated[int, _about("The largest picture, width x height.", ge=64 * 64, le=3072 * 3072)] = (
        1024 * 1024
    )
    max_length: Annotated[int, _about("The longest text it writes, in tokens.", ge=1, le=65_536)] = 512
    max_context_length: Annotated[
        int, _about("The most it reads and writes, in tokens.", ge=80, le=1_048_576)
    ] = 2048
    nsfw: Annotated[bool, _about("Take work that may be not safe for work.")] = True
    blacklist: Annotated[
        tuple[Word, ...], _about("Prompts with one of these words are not taken.", max_length=200)
    ] = ()
    post_processing: Annotated[bool, _about("Take work with post-processing.")] = True
    img2img: Annotated[bool, _about("Take work that starts from a picture.")] = True
    painting: Annotated[bool, _about("Take inpainting and outpainting.")] = True
    lora: Annotated[bool, _about("Take work with LoRAs.")] = False
    controlnet: Annotated[bool, _about("Take work with ControlNet.")] = False
    sdxl_controlnet: Annotated[bool, _about("Take work with ControlNet for SDXL.")] = False
    features: Annotated[
        tuple[Feature, ...] | None, _about("What else it can do; left out: what the backend can.")
    ] = None
    unsafe_addresses: Annotated[bool, _about("Take work from VPNs, proxies and the like.")] = True
    trusted_requesters_only: Annotated[bool, _about("Take work of trusted users only.")] = False
    require_upfront_kudos: Annotated[bool, _about("Take only work whose price is covered.")] = False
    limit_max_steps: Annotated[bool, _about("Take no work with unusually many steps.")] = False
    extra_slow: Annotated[bool, _about("This worker is very slow; only patient jobs come.")] = False
    priority_users: Annotated[
        tuple[Friend, ...], _about('Served before others, as "name#number".', max_length=20)
    ] = ()
    test_mode: Annotated[bool, _about("Take only its owner's own jobs.")] = False

    source_seconds: Annotated[float, _about("How long fetching a source may take.", gt=0, le=600)] = 30.0
    source_megabytes: Annotated[int, _about("How large a source may be.", ge=1, le=200)] = 20


#: Needed before anything is asked, or built once: a change of these holds from the next start on.
AT_START = frozenset(
    {"name", "url", "key", "key_file", "control", "backend", "a1111_url", "comfyui_url"}
    | {"comfyui_workflows", "comfyui_checkpoint", "source_seconds", "source_megabytes"}
    | {"kind", "koboldcpp_url", "openai_url", "openai_key_file", "openai_model", "openai_samplers"}
    | {"gguf", "cpu_threads"}
)
#: Settings that only some kinds of workers have.
_DRAWN = frozenset({"image"})
_WRITTEN = frozenset({"text"})
_TOLD = frozenset({"interrogation"})
_OF_KINDS: Mapping[str, frozenset[str]] = {
    "a1111_url": _DRAWN | _TOLD,
    "models": _DRAWN | _WRITTEN,
    "source_seconds": _DRAWN | _TOLD,
    "source_megabytes": _DRAWN | _TOLD,
    "cpu_threads": _WRITTEN | _TOLD,
    **dict.fromkeys(("forms", "max_tiles"), _TOLD),
    **dict.fromkeys(("comfyui_url", "comfyui_workflows", "comfyui_checkpoint", "max_pixels"), _DRAWN),
    **dict.fromkeys(("post_processing", "img2img", "painting", "lora", "controlnet"), _DRAWN),
    **dict.fromkeys(("sdxl_controlnet", "features", "limit_max_steps"), _DRAWN),
    **dict.fromkeys(("koboldcpp_url", "openai_url", "openai_key_file", "openai_model"), _WRITTEN),
    **dict.fromkeys(("openai_samplers", "gguf", "max_length", "max_context_length"), _WRITTEN),
}
_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
KEYS = tuple(_FIELDS)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: where, and what."""

    key: str
    message: str


class SettingsError(Exception):
    """The settings cannot be used; every fault is listed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "\n".join(f"{each.key}: {each.message}" if each.key else each.message for each in self.faults)
        )


def checked(given: Mapping[str, object]) -> Settings:
    """The settings that these values make. Raises SettingsError with every fault there is."""
    faults: list[Fault] = []
    good: dict[str, object] = {}
    for key, value in given.items():
        try:
            good[key] = value_of(key, value)
        except SettingsError as error:
            faults += error.faults
    if not faults and "name" not in good:
        faults.append(Fault(key="name", message="a worker needs a name"))
    faults += _of_another_kind(good)
    try:
        endpoint(str(good.get("url", "localhost")))
    except ValueError as error:
        faults.append(Fault(key="url", message=str(error)))
    if faults:
        raise SettingsError(faults)
    return Settings(**cast(Any, good))


def keys_of(kind: str) -> tuple[str, ...]:
    """The settings that a worker of this kind has."""
    return tuple(key for key in KEYS if kind in _OF_KINDS.get(key, (kind,)))


def _of_another_kind(good: Mapping[str, object]) -> list[Fault]:
    """What is set of other kinds of workers."""
    kind = str(good.get("kind", "image"))
    keys = keys_of(kind)
    faults = [
        Fault(
            key=key,
            message=f"is for workers of kind {' or '.join(sorted(_OF_KINDS[key]))}; this one's is {kind}",
        )
        for key in good
        if key not in keys
    ]
    if (backend := good.get("backend", "procedural")) not in BACKENDS[kind]:
        message = f"{backend} does not do the work of kind {kind}; {', '.join(BACKENDS[kind])} do"
        faults.append(Fault(key="backend", message=message))
    return faults


def value_of(key: str, value: object, *, strict: bool = True) -> object:
    """The value as the setting's type; not `strict`, text will do. Raises SettingsError."""
    if key not in _FIELDS:
        near = difflib.get_close_matches(key, KEYS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError([Fault(key=key, message=f"there is no such setting{hint}")])
    try:
        return msgspec.convert(value, _FIELDS[key].type, strict=strict)
    except msgspec.ValidationError as error:
        raise SettingsError([Fault(key=key, message=str(error))]) from error


def from_text(key: str, text: str) -> object:
    """The value that somebody typed: lists are comma-separated. Raises SettingsError."""
    if key in ("models", "blacklist", "priority_users", "features", "forms"):
        return value_of(key, words(text))
    return value_of(key, text, strict=False)


def words(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def description(key: str) -> str:
    """What a setting is, in one sentence."""
    for part in getattr(_FIELDS[key].type, "__metadata__", ()):
        if isinstance(part, Meta) and part.description:
            return part.description
    raise KeyError(key)
