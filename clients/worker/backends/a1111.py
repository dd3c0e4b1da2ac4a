"""Asks a Stable Diffusion WebUI (or anything that speaks its `/sdapi/v1`) to draw.

The WebUI draws with the checkpoint it has loaded, unless it knows one by the very name of the job's model. It has no
censor, so `use_nsfw_censor` cannot be honoured here: offer such a worker as one that takes nsfw work, or not at all.
Anything the WebUI cannot do or does not answer is a BackendError.
"""

import asyncio
import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from clients.worker.backends import BackendError, Picture, Task, Wish, numeric_seed

#: The WebUI's names for our samplers.
SAMPLERS: Mapping[str, str] = {
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_euler": "Euler",
    "k_euler_a": "Euler a",
    "k_dpm_2": "DPM2",
    "k_dpm_2_a": "DPM2 a",
    "k_dpm_fast": "DPM fast",
    "k_dpm_adaptive": "DPM adaptive",
    "k_dpmpp_2s_a": "DPM++ 2S a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_sde": "DPM++ SDE",
    # The multistep solver of that name is the second-order one.
    "dpmsolver": "DPM++ 2M",
    "ddim": "DDIM",
    "lcm": "LCM",
}
#: Samplers that older WebUIs, which have no schedulers, also offer as "... Karras".
KARRAS_BY_NAME = frozenset({"LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE"})
#: Our post-processors in the words of `/sdapi/v1/extra-single-image`.
POST_PROCESSORS: Mapping[str, Mapping[str, Any]] = {
    "GFPGAN": {"gfpgan_visibility": 1},
    "GFPGANv1.3": {"gfpgan_visibility": 1},
    "CodeFormers": {"codeformer_visibility": 1, "codeformer_weight": 0.5},
    "RealESRGAN_x4plus": {"upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 4},
    "RealESRGAN_x2plus": {"upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 2},
    "RealESRGAN_x4plus_anime_6B": {"upscaler_1": "R-ESRGAN 4x+ Anime6B", "upscaling_resize": 4},
}
#: The side in pixels that the first pass of a hires fix keeps to.
FIRST_PASS_SIDE = 512
WEBP_QUALITY = 90
CONNECT_SECONDS = 10
DRAWING_SECONDS = 1800


class WebUIBackend:
    """The backend that has a WebUI draw."""

    confession = "pictures are drawn by the Stable Diffusion WebUI at the given address"

    def __init__(self, url: str) -> None:
        """`url` is the WebUI's base address. Raises ValueError if it is no http(s) address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"not an http(s) address: {url}")
        self._base = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._schedulers: bool | None = None
        self._checkpoints: frozenset[str] | None = None

    async def generate(self, task: Task) -> Picture:
        """Have it drawn, then post-processed in the order asked for."""
        seed = numeric_seed(task.seed)
        request = _request(task.wish, seed, schedulers=await self._has_schedulers())
        if task.model in await self._known_checkpoints():
            request["override_settings"]["sd_model_checkpoint"] = task.model
        answer = await self._ask("POST", "/sdapi/v1/txt2img", request)
        image = _first_image(answer)
        for name in task.wish.post_processing:
            image = await self._post_processed(image, name)
        return Picture(body=await asyncio.to_thread(_webp, image), seed=str(seed))

    async def close(self) -> None:
        """Close the connections to the WebUI."""
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def _post_processed(self, image: str, name: str) -> str:
        """The base64 image after one post-processor."""
        settings = POST_PROCESSORS.get(name)
        if settings is None:
            raise BackendError("a post-processor that the WebUI does not have was asked for")
        request = {"image": image, "resize_mode": 0, "upscaling_resize": 1, **settings}
        answer = await self._ask("POST", "/sdapi/v1/extra-single-image", request)
        processed = answer.get("image") if isinstance(answer, dict) else None
        if not isinstance(processed, str):
            raise BackendError("the WebUI answered without an image")
        return processed

    async def _has_schedulers(self) -> bool:
        """Whether this WebUI takes the scheduler apart from the sampler; asked once."""
        if self._schedulers is None:
            self._schedulers = await self._ask("GET", "/sdapi/v1/schedulers", optional=True) is not None
        return self._schedulers

    async def _known_checkpoints(self) -> frozenset[str]:
        """The names of the checkpoints the WebUI can load; asked once."""
        if self._checkpoints is None:
            rows = await self._ask("GET", "/sdapi/v1/sd-models", optional=True) or []
            names = {
                str(row.get(key)) for row in rows if isinstance(row, dict) for key in ("title", "model_name")
            }
            self._checkpoints = frozenset(names)
        return self._checkpoints

    async def _ask(
        self, method: str, path: str, request: Mapping[str, Any] | None = None, *, optional: bool = False
    ) -> Any:
        """The JSON answer; None if the path is unknown there and `optional`. Raises BackendError."""
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=DRAWING_SECONDS, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=limit)
        try:
            async with self._session.request(method, self._base + path, json=request) as answer:
                if answer.status == 404 and optional:
                    return None
                if answer.status >= 400:
                    raise BackendError(f"the WebUI answered {answer.status}")
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise BackendError(f"the WebUI did not answer ({type(error).__name__})") from error


def _request(wish: Wish, seed: int, *, schedulers: bool) -> dict[str, Any]:
    """The body of a `txt2img` request."""
    sampler = SAMPLERS.get(wish.sampler_name.lower())
    if sampler is None:
        raise BackendError("a sampler that the WebUI does not have was asked for")
    request: dict[str, Any] = {
        "prompt": wish.prompt,
        "negative_prompt": wish.negative_prompt,
        "seed": seed,
        "steps": wish.steps,
        "cfg_scale": wish.cfg_scale,
        "width": wish.width,
        "height": wish.height,
        "sampler_name": sampler,
        "tiling": wish.tiling,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "override_settings": {"CLIP_stop_at_last_layers": wish.clip_skip},
        "override_settings_restore_afterwards": True,
    }
    if schedulers:
        request["scheduler"] = "Karras" if wish.karras else "Automatic"
    elif wish.karras and sampler in KARRAS_BY_NAME:
        request["sampler_name"] = f"{sampler} Karras"
    if wish.hires_fix and min(wish.width, wish.height) > FIRST_PASS_SIDE:
        request |= _hires(wish)
    return request


def _hires(wish: Wish) -> dict[str, Any]:
    """A small first pass, then up to the asked size."""
    shrink = FIRST_PASS_SIDE / min(wish.width, wish.height)
    return {
        "enable_hr": True,
        "hr_upscaler": "Latent",
        "hr_resize_x": wish.width,
        "hr_resize_y": wish.height,
        "denoising_strength": 0.65,
        "width": max(64, round(wish.width * shrink / 8) * 8),
        "height": max(64, round(wish.height * shrink / 8) * 8),
    }


def _first_image(answer: object) -> str:
    images = answer.get("images") if isinstance(answer, dict) else None
    if not isinstance(images, list) or not images or not isinstance(images[0], str):
        raise BackendError("the WebUI answered without an image")
    return images[0]


def _webp(image: str) -> bytes:
    """The base64 image as WebP. What the WebUI wrote into its file (prompts, paths) does not come along."""
    try:
        raw = base64.b64decode(image.rpartition(",")[2], validate=True)
        with Image.open(io.BytesIO(raw)) as opened:
            picture = opened.convert("RGB")
    except (binascii.Error, OSError, ValueError) as error:
        raise BackendError("the WebUI answered with something that is no image") from error
    body = io.BytesIO()
    picture.save(body, "WEBP", quality=WEBP_QUALITY, exif=b"", xmp=b"")
    return body.getvalue()
