"""Asks a Stable Diffusion WebUI to look at pictures: captions by its interrogator, and its post-processors.

Palette, aesthetic and vector drawing are reckoned here, as `statistics.py` does.
"""

import asyncio
import io

from PIL import Image

from clients.worker.backends.a1111 import WebUIBackend
from clients.worker.tellers import Telling
from clients.worker.tellers.statistics import reckoned

#: The WebUI's post-processors: the API's names -> those that workers know.
POST_PROCESSORS = {
    "GFPGAN": "GFPGAN",
    "GFPGAN_V1_3": "GFPGANv1.3",
    "CODEFORMERS": "CodeFormers",
    "REALESRGAN_X2PLUS": "RealESRGAN_x2plus",
    "REALESRGAN_X4PLUS": "RealESRGAN_x4plus",
    "REALESRGAN_X4PLUS_ANIME_6B": "RealESRGAN_x4plus_anime_6B",
}


class WebUITeller:
    """The teller that has a WebUI look."""

    confession = (
        "captions and post-processing are made by the Stable Diffusion WebUI at the given address; palette, aesthetic "
        "and vector drawing are reckoned from colours"
    )
    forms: tuple[str, ...] = ("CAPTION", "PALETTE", "AESTHETIC", "VECTORIZE", *POST_PROCESSORS)

    def __init__(self, url: str) -> None:
        """`url` is the WebUI's base address. Raises ValueError if it is no http(s) address."""
        self._webui = WebUIBackend(url)

    async def prepare(self) -> None:
        """The first picture tells whether it is there."""

    async def tell(self, form: str, picture: Image.Image) -> Telling:
        """Have it told."""
        if form == "CAPTION":
            return Telling(told=await self._webui.caption(await asyncio.to_thread(_png, picture)))
        if form in POST_PROCESSORS:
            image = await asyncio.to_thread(_png, picture)
            return Telling(picture=await self._webui.post_process(image, POST_PROCESSORS[form]))
        return await asyncio.to_thread(reckoned, form, picture)

    async def close(self) -> None:
        """Close the connections to the WebUI."""
        await self._webui.close()


def _png(picture: Image.Image) -> bytes:
    body = io.BytesIO()
    picture.save(body, "PNG", compress_level=1)
    return body.getvalue()
