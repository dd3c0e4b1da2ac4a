"""Asks a Stable Diffusion WebUI (or anything that speaks its `/sdapi/v1`) to draw.

The WebUI draws with the checkpoint it has loaded, unless it knows one by the very name of the job's model. It has no
censor, so `use_nsfw_censor` cannot be honoured here: offer such a worker as one that takes nsfw work, or not at all.
Anything the WebUI cannot do or does not answer is a BackendError. What it is asked is in `a1111_requests.py`.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from clients.worker.backends import Abilities, BackendError, Picture, Task, numeric_seed
from clients.worker.backends.a1111_requests import drawing, post_processing
from clients.worker.backends.images import webp

CONNECT_SECONDS = 10
DRAWING_SECONDS = 1800


class WebUIBackend:
    """The backend that has a WebUI draw."""

    confession = "pictures are drawn by the Stable Diffusion WebUI at the given address"
    abilities = Abilities(
        post_processing=True,
        img2img=True,
        painting=True,
        lora=True,
        features=frozenset({"HIRES_FIX", "TILING", "CLIP_SKIP", "LCM"}),
    )

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
        loras = await self._known_loras() if task.wish.loras else frozenset()
        schedulers = await self._has_schedulers()
        path, request = drawing(task, seed, schedulers=schedulers, loras=loras)
        if task.model in await self._known_checkpoints():
            request["override_settings"]["sd_model_checkpoint"] = task.model
        answer = await self._ask("POST", path, request)
        image = _first_image(answer)
        for name in task.wish.post_processing:
            image = await self._post_processed(image, name, task.wish.facefixer_strength)
        return Picture(body=await asyncio.to_thread(_webp, image), seed=str(seed))

    async def close(self) -> None:
        """Close the connections to the WebUI."""
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def caption(self, image: bytes) -> str:
        """What the picture shows, in words (`/sdapi/v1/interrogate`). Raises BackendError."""
        request = {"image": base64.b64encode(image).decode(), "model": "clip"}
        answer = await self._ask("POST", "/sdapi/v1/interrogate", request)
        caption = answer.get("caption") if isinstance(answer, dict) else None
        # A WebUI whose interrogator failed says so in the caption.
        if not isinstance(caption, str) or not caption.strip() or "<error>" in caption:
            raise BackendError("the WebUI answered without a caption")
        return caption.strip()

    async def post_process(self, image: bytes, name: str) -> bytes:
        """The picture after one post-processor, by the name that workers know, as WebP. Raises BackendError."""
        processed = await self._post_processed(base64.b64encode(image).decode(), name, None)
        return await asyncio.to_thread(_webp, processed)

    async def _post_processed(self, image: str, name: str, facefixer_strength: float | None) -> str:
        """The base64 image after one post-processor."""
        request = post_processing(image, name, facefixer_strength)
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

    async def _known_loras(self) -> frozenset[str]:
        """The names of the LoRAs the WebUI has."""
        rows = await self._ask("GET", "/sdapi/v1/loras", optional=True) or []
        return frozenset(str(row.get("name")) for row in rows if isinstance(row, dict))

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


def _first_image(answer: object) -> str:
    images = answer.get("images") if isinstance(answer, dict) else None
    if not isinstance(images, list) or not images or not isinstance(images[0], str):
        raise BackendError("the WebUI answered without an image")
    return images[0]


def _webp(image: str) -> bytes:
    """The base64 image as WebP."""
    try:
        return webp(base64.b64decode(image.rpartition(",")[2], validate=True))
    except (binascii.Error, ValueError) as error:
        raise BackendError("the WebUI answered with something that is no image") from error
