"""What draws the pictures. A backend gets a `Task` and answers a `Picture`; it knows nothing of servers and leases.

`procedural.py` draws patterns by itself, `a1111.py` asks a Stable Diffusion WebUI.
"""

import hashlib
from typing import Any, Protocol

import msgspec


class BackendError(Exception):
    """This picture cannot be made here. The message holds nothing of the prompt."""


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


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to draw."""

    generation_id: str
    model: str
    seed: str
    wish: Wish


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn picture: WebP bytes, the seed that was used, whether it was blanked out as not safe."""

    body: bytes
    seed: str
    censored: bool = False


class Backend(Protocol):
    """Draws pictures, possibly several at a time."""

    #: One plain sentence about what this backend is, shown when the worker starts.
    confession: str

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
