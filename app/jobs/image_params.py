"""What an image job may ask for: samplers, post-processors, parameters and their bounds, seeds, lease length.

Pure: no I/O, clock or random. The names of samplers and post-processors are those that workers know; GraphQL
shows the members' names. Look next: `app.jobs.image_request`, which checks wishes against these bounds.
"""

from enum import StrEnum
from typing import Final

import msgspec

from app.ledger.work import accurate_steps as accurate_steps_of
from app.platform.post_processors import PostProcessor
from events.jobs import SourceProcessing


class Sampler(StrEnum):
    """How noise becomes a picture."""

    K_LMS = "k_lms"
    K_HEUN = "k_heun"
    K_EULER = "k_euler"
    K_EULER_A = "k_euler_a"
    K_DPM_2 = "k_dpm_2"
    K_DPM_2_A = "k_dpm_2_a"
    K_DPM_FAST = "k_dpm_fast"
    K_DPM_ADAPTIVE = "k_dpm_adaptive"
    K_DPMPP_2S_A = "k_dpmpp_2s_a"
    K_DPMPP_2M = "k_dpmpp_2m"
    K_DPMPP_SDE = "k_dpmpp_sde"
    DPMSOLVER = "dpmsolver"
    DDIM = "DDIM"
    LCM = "lcm"


class ControlType(StrEnum):
    """What of its source a ControlNet holds fast."""

    CANNY = "canny"
    HED = "hed"
    DEPTH = "depth"
    NORMAL = "normal"
    OPENPOSE = "openpose"
    SEG = "seg"
    SCRIBBLE = "scribble"
    FAKESCRIBBLES = "fakescribbles"
    HOUGH = "hough"


class Workflow(StrEnum):
    """A chain of steps that workers know by name."""

    QR_CODE = "qr_code"


class Injection(StrEnum):
    """Where a worker puts a textual inversion."""

    PROMPT = "prompt"
    NEGATIVE_PROMPT = "negprompt"


#: Post-processors that enlarge the picture, and by how much each side. A job may use one of them.
UPSCALERS: Final = {
    PostProcessor.REALESRGAN_X4PLUS: 4,
    PostProcessor.REALESRGAN_X2PLUS: 2,
    PostProcessor.REALESRGAN_X4PLUS_ANIME_6B: 4,
    PostProcessor.NMKD_SIAX: 4,
    PostProcessor.ANIMESHARP_X4: 4,
    PostProcessor.NOMOS8KSC_X4: 4,
    PostProcessor.LSDIRPLUS_X4: 4,
    PostProcessor.NOMOSWEBPHOTO_REALPLKSR_X4: 4,
    PostProcessor.NOMOS2_REALPLKSR_DYSAMPLE_X4: 4,
    PostProcessor.NOMOS2_HQ_DAT2_X4: 4,
    PostProcessor.MODERNSPANIMATIONV1_X2: 2,
}

#: What older workers do not know.
MODERN_POST_PROCESSORS: Final = frozenset(
    {
        PostProcessor.GFPGAN_V1_3,
        PostProcessor.RESTOREFORMER,
        PostProcessor.NOMOS8KSC_X4,
        PostProcessor.LSDIRPLUS_X4,
        PostProcessor.NOMOSWEBPHOTO_REALPLKSR_X4,
        PostProcessor.NOMOS2_REALPLKSR_DYSAMPLE_X4,
        PostProcessor.NOMOS2_HQ_DAT2_X4,
        PostProcessor.MODERNSPANIMATIONV1_X2,
    }
)

#: Bounds, both inclusive.
SIDE: Final = (64, 3072)
SIDE_MULTIPLE: Final = 64
STEPS: Final = (1, 500)
CFG_SCALE: Final = (0.0, 100.0)
CFG_SCALE_DECIMALS: Final = 2
N: Final = (1, 20)
SEED_VARIATION: Final = (1, 1000)
CLIP_SKIP: Final = (1, 12)
DENOISING: Final = (0.01, 1.0)
STRENGTH: Final = (0.0, 1.0)
MAX_SEED_CHARS: Final = 100
#: of LoRAs and textual inversions; less than 0 works against what they were made for
WEIGHT: Final = (-5.0, 5.0)
MAX_LORAS: Final = 5
MAX_TIS: Final = 20
MAX_NAME_CHARS: Final = 255
MAX_TRIGGER_CHARS: Final = 30
MAX_EXTRA_TEXTS: Final = 10
MAX_EXTRA_TEXT_CHARS: Final = 2_000
REFERENCE_CHARS: Final = (3, 100)
#: steps with a ControlNet: the default, and the most
CONTROL_STEPS: Final = 20
MAX_CONTROL_STEPS: Final = 40

_SEED_BITS: Final = 32
_SEED_RANGE: Final = 1 << _SEED_BITS
_LEASE_BASE: Final = 30
_LEASE_MIN: Final = 150
_LEASE_PIXELS: Final = 512 * 512


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA, and how strongly it works."""

    #: its name or id, or the id of a version
    name: str
    model: float = 1.0
    clip: float = 1.0
    inject_trigger: str | None = None
    is_version: bool = False


class TextualInversion(msgspec.Struct, frozen=True, kw_only=True):
    """A textual inversion, and where it goes."""

    name: str
    #: "prompt" or "negprompt": where the worker puts it; none: the prompt names it
    inject_ti: str | None = None
    strength: float = 1.0


class ExtraText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that a workflow draws with."""

    text: str
    reference: str


class ImageParams(msgspec.Struct, frozen=True, kw_only=True):
    """The checked parameters of an image job, with the defaults that apply where the client says nothing."""

    #: pixels, multiples of 64
    width: int = 512
    height: int = 512
    steps: int = 30
    cfg_scale: float = 5.0
    sampler: Sampler = Sampler.K_EULER_A
    #: how many pictures
    n: int = 1
    #: None: drawn at submission
    seed: str | None = None
    #: by how much the seed grows from one picture to the next; None: by 1
    seed_variation: int | None = None
    karras: bool = True
    tiling: bool = False
    hires_fix: bool = False
    #: None: the worker's choice; only of use with `hires_fix`
    hires_fix_denoising_strength: float | None = None
    clip_skip: int = 1
    post_processing: tuple[PostProcessor, ...] = ()
    #: None: the worker's choice; only of use with a post-processor that mends faces
    facefixer_strength: float | None = None
    #: how far from its source a picture may go; none: the worker's choice
    denoising_strength: float | None = None
    #: what is done with the source image; none without one
    source_processing: SourceProcessing | None = None
    source_mask: bool = False
    #: how many source images beside the first
    extra_sources: int = 0
    control_type: ControlType | None = None
    #: the source is a control map already
    image_is_control: bool = False
    #: the control map is wanted instead of a picture
    return_control_map: bool = False
    loras: tuple[Lora, ...] = ()
    tis: tuple[TextualInversion, ...] = ()
    workflow: Workflow | None = None
    transparent: bool = False
    extra_texts: tuple[ExtraText, ...] = ()


def accurate_steps(params: ImageParams) -> int:
    """Evaluations of the model for one picture."""
    return accurate_steps_of(params.steps, params.sampler)


def upscale_factor(post_processing: tuple[PostProcessor, ...]) -> int:
    """By how much each side of the delivered picture exceeds what was asked for."""
    return max((UPSCALERS.get(name, 1) for name in post_processing), default=1)


def lease_seconds(params: ImageParams, generations: int, *, slow_models: bool = False) -> int:
    """How long a worker may take for `generations` pictures of a job.

    A ControlNet doubles it, and models that are known to be slow (`slow_models`) take three times as long.
    """
    work = 2 * accurate_steps(params) * params.width * params.height
    one = _LEASE_BASE + -(-work // _LEASE_PIXELS)
    one *= (2 if params.control_type is not None else 1) * (3 if slow_models else 1)
    return generations * max(_LEASE_MIN, one)


def resolve_seeds(seed: str | None, n: int, seed_variation: int | None, random: int) -> tuple[int, ...]:
    """The seed of each of `n` pictures, each below 2**32.

    A number stands for itself and other text for the number its bytes make, little end first; what is too
    large loses its lowest 32 bits until it fits.

    Args:
        seed: as the client gave it.
        n: how many pictures.
        seed_variation: what is added from one picture to the next; 1 if None.
        random: used where `seed` is None or empty.
    """
    first = _fit(_seed_number(seed) if seed else random)
    step = 1 if seed_variation is None else seed_variation
    return tuple((first + step * index) % _SEED_RANGE for index in range(n))


def _seed_number(seed: str) -> int:
    if seed.isascii() and seed.isdigit():
        return int(seed)
    return int.from_bytes(seed.encode(), "little")


def _fit(number: int) -> int:
    while number >= _SEED_RANGE:
        number >>= _SEED_BITS
    return number
