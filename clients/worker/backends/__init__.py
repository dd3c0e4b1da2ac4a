"""What draws the pictures. A backend gets a `Task` and answers a `Picture`; it knows nothing of servers and leases.

`procedural.py` draws patterns by itself, `a1111.py` asks a Stable Diffusion WebUI, `comfyui.py` asks ComfyUI.
"""

import hashlib
from typing import Any, Protocol

import msgspec


class BackendError(Exception):
    """This picture cannot be made here. The message holds nothing of the prompt."""


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA by its name, with the strengths for the model and for the text encoder."""

    name: str
    model: float = 1.0
    clip: float = 1.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the requester asked for: sizes in pixels, the sampler by its lower-case name.

    Keys that are missing or null get these defaults; keys not known here are ignored.
    """

    prompt: str = ""
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    steps: int = 30
    cfg_scale: float = 5.0
    sampler_name: str = "k_euler_a"
    karras: bool = False
    tiling: bool = False
    hires_fix: bool = False
    clip_skip: int = 1
    post_processing: tuple[str, ...] = ()
    use_nsfw_censor: bool = False
    denoising_strength: float | None = None
    hires_fix_denoising_strength: float | None = None
    facefixer_strength: float | None = None
    control_type: str | None = None
    workflow: str | None = None
    transparent: bool = False
    loras: tuple[Lora, ...] = ()
    tis: tuple[dict[str, Any], ...] = ()

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> "Wish":
        """The wish in an assignment's payload. Raises BackendError if a value makes no sense."""
        given = {key: value for key, value in payload.items() if value is not None}
        try:
            wish = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BackendError(f"the payload makes no sense: {error}") from error
        if wish.width < 1 or wish.height < 1:
            raise BackendError("the payload asks for a picture without size")
        return wish


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture starts from: whole images as PNG.

    `processing` is img2img, inpainting, outpainting or remix. In `mask`, of the size of `image`, white is painted
    anew and black stays; there is one whenever something is to be painted.
    """

    processing: str
    image: bytes
    mask: bytes | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to draw."""

    generation_id: str
    model: str
    seed: str
    wish: Wish
    sources: Sources | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn picture: WebP bytes, the seed that was used, whether it was blanked out as not safe."""

    body: bytes
    seed: str
    censored: bool = False


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend can do: a worker offers no more than this, whatever its settings say."""

    #: Models it answers to if the settings name none.
    models: tuple[str, ...] = ("stable_diffusion",)
    post_processing: bool = False
    img2img: bool = False
    painting: bool = False
    lora: bool = False
    controlnet: bool = False
    #: Names of the API's `ImageFeature`.
    features: frozenset[str] = frozenset()


class Backend(Protocol):
    """Draws pictures, possibly several at a time."""

    #: One plain sentence about what this backend is, shown when the worker starts.
    confession: str
    abilities: Abilities

    async def generate(self, task: Task) -> Picture:
        """Draw one picture. Raises BackendError; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


def numeric_seed(seed: str) -> int:
    """A seed as a number of 32 bits: numbers keep their value (modulo 2**32), other text is spread over the range."""
    if seed.strip().isdecimal():
        return int(seed) % 2**32
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4])
