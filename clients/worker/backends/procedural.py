"""Draws a pattern from prompt and seed. No diffusion model: it exists to try a server out, and to be pleasant.

The same task gives the same bytes, always; the prompt's words choose colours and motif (`palettes.py`), the rest of
the task seeds the randomness of `motifs.py`. Post-processors are imitated: upscalers resize, others change nothing.
"""

import asyncio
import hashlib
import io
import math
import re

import msgspec
import numpy as np
from PIL import Image

from clients.worker.backends import Abilities, Picture, Sources, Task, Wish
from clients.worker.backends.motifs import DRAWN_BY
from clients.worker.backends.palettes import chosen, stops

#: Pixels actually computed; a larger picture is an enlarged one, so that no size takes long.
COMPUTED_PIXELS = 768 * 768
WEBP_QUALITY = 90
#: WebP can hold no longer side.
LONGEST_SIDE = 16383
#: The factor in names like "RealESRGAN_x4plus" and "4x_AnimeSharp".
FACTOR = re.compile(r"_x([24])|^([24])x")


class ProceduralBackend:
    """The backend that needs nothing but this machine."""

    confession = "the procedural backend draws patterns from prompt and seed; it is no diffusion model"
    abilities = Abilities(
        models=("procedural", "stable_diffusion"),
        post_processing=True,
        img2img=True,
        painting=True,
        features=frozenset({"HIRES_FIX", "TILING", "CLIP_SKIP"}),
    )

    async def generate(self, task: Task) -> Picture:
        """Draw it on a thread: what it computes in lets go of the interpreter."""
        body = await asyncio.to_thread(draw, task.wish, task.seed, task.sources)
        return Picture(body=body, seed=task.seed)

    async def close(self) -> None:
        """Nothing to give up."""


def draw(wish: Wish, seed: str, sources: Sources | None = None) -> bytes:
    """The picture as WebP, `wish.width` by `wish.height` pixels before upscaling.

    A source shines through as far as the denoising strength lets it, and is whole where its mask is black.
    """
    words = f"{wish.prompt}\0{wish.negative_prompt}"
    palette, motif = chosen(wish.prompt, hashlib.sha256(words.encode()).digest())
    everything = msgspec.json.encode((seed, wish))
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(everything).digest())))
    width, height = _computed_size(wish.width, wish.height)
    canvas = DRAWN_BY[motif](rng, stops(palette), width, height)
    pixels = (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    picture = Image.fromarray(pixels, "RGB")
    if sources is not None:
        picture = _over(
            picture, sources, 0.75 if wish.denoising_strength is None else wish.denoising_strength
        )
    size = _final_size(wish)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    body = io.BytesIO()
    picture.save(body, "WEBP", quality=WEBP_QUALITY, method=2)
    return body.getvalue()


def _over(pattern: Image.Image, sources: Sources, strength: float) -> Image.Image:
    """The pattern over its source."""
    with Image.open(io.BytesIO(sources.image)) as opened:
        source = opened.convert("RGB").resize(pattern.size, Image.Resampling.LANCZOS)
    blended = Image.blend(source, pattern, min(1.0, max(0.0, strength)))
    if sources.mask is None:
        return blended
    with Image.open(io.BytesIO(sources.mask)) as opened:
        mask = opened.convert("L").resize(pattern.size)
    return Image.composite(blended, source, mask)


def _computed_size(width: int, height: int) -> tuple[int, int]:
    shrink = min(1.0, math.sqrt(COMPUTED_PIXELS / (width * height)))
    return max(2, round(width * shrink)), max(2, round(height * shrink))


def _final_size(wish: Wish) -> tuple[int, int]:
    """The asked size, times the factor of the upscaler asked for, as far as WebP can hold it."""
    factor = max((_factor(name) for name in wish.post_processing), default=1)
    factor = max(1, min(factor, LONGEST_SIDE // max(wish.width, wish.height)))
    return wish.width * factor, wish.height * factor


def _factor(post_processor: str) -> int:
    """How much an upscaler enlarges, by its name; 1 for any other post-processor."""
    if post_processor == "NMKD_Siax":
        return 4
    found = FACTOR.search(post_processor)
    return int(found[1] or found[2]) if found else 1
