"""Fetches what work starts from: small enough, soon enough, and really an image, or not at all.

The links are the server's own and short-lived. Of an image only its pixels are handed on: what else its file says stays
here.
"""

import asyncio
import io
import time

import aiohttp
import msgspec
from PIL import Image

from clients.api import Backoff
from clients.shapes import Assignment
from clients.worker.backends import Sources

#: What paints needs a mask.
PAINTING = frozenset({"inpainting", "outpainting"})
#: An image of more pixels is not decoded.
LARGEST_PIXELS = 50_000_000
_CHUNK = 2**16
#: Between two attempts at a storage that is away.
_RETRY = Backoff(first=0.25, ceiling=3.0)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long fetching one source may take, in seconds, and how large it may be, in bytes."""

    seconds: float = 30.0
    size: int = 20 * 2**20


class _AwayError(Exception):
    """The storage cannot be reached, or says that it cannot now."""


class SourceError(Exception):
    """A source cannot be had. `role` is source_image or source_mask, `value` download_failed or parse_failed."""

    def __init__(self, role: str, value: str, why: str) -> None:
        super().__init__(f"{role}: {why}")
        self.role = role
        self.value = value


async def fetch(session: aiohttp.ClientSession, assignment: Assignment, limits: Limits) -> Sources | None:
    """What the assignment's pictures start from, None if from nothing. Raises SourceError."""
    if assignment.source_image_url is None:
        return None
    raw_image = await _got(session, assignment.source_image_url, "source_image", limits)
    raw_mask = None
    if assignment.source_mask_url is not None:
        raw_mask = await _got(session, assignment.source_mask_url, "source_mask", limits)
    processing = (assignment.source_processing or "img2img").lower()
    return await asyncio.to_thread(_prepared, processing, raw_image, raw_mask)


async def fetch_picture(session: aiohttp.ClientSession, url: str | None, limits: Limits) -> Image.Image:
    """The picture to look at, RGB or RGBA. Raises SourceError, also if it was erased."""
    if url is None:
        raise SourceError("source_image", "download_failed", "it was erased")
    raw = await _got(session, url, "source_image", limits)
    return await asyncio.to_thread(_opened, raw, "source_image")


async def _got(session: aiohttp.ClientSession, url: str, role: str, limits: Limits) -> bytes:
    """What is at a link. A storage that is away for a moment is asked again, for as long as the limit allows.

    Raises SourceError. A job whose source three workers in a row give up on at once would be lost to its requester.
    """
    deadline = time.monotonic() + limits.seconds
    turn = 0
    while True:
        try:
            return await _once(session, url, role, limits, deadline - time.monotonic())
        except _AwayError as away:
            pause = _RETRY.delay(turn)
            if time.monotonic() + pause >= deadline:
                raise SourceError(role, "download_failed", str(away)) from away
        await asyncio.sleep(pause)
        turn += 1


async def _once(session: aiohttp.ClientSession, url: str, role: str, limits: Limits, seconds: float) -> bytes:
    limit = aiohttp.ClientTimeout(total=seconds)
    body = bytearray()
    try:
        async with session.get(url, timeout=limit, allow_redirects=False) as answer:
            if answer.status >= 500:
                raise _AwayError(f"the storage answered {answer.status}")
            if answer.status != 200:
                raise SourceError(role, "download_failed", f"the storage answered {answer.status}")
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > limits.size:
                    raise SourceError(role, "download_failed", f"larger than {limits.size} bytes")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _AwayError(f"no connection ({type(error).__name__})") from error
    return bytes(body)


def _prepared(processing: str, raw_image: bytes, raw_mask: bytes | None) -> Sources:
    """The sources as PNG. Without a mask, what is transparent is painted."""
    image = _opened(raw_image, "source_image")
    mask = None
    if processing in PAINTING:
        if raw_mask is not None:
            mask = _opened(raw_mask, "source_mask").convert("L").resize(image.size)
        elif "A" in image.getbands():
            mask = image.getchannel("A").point([255 - level for level in range(256)])
        else:
            raise SourceError("source_mask", "parse_failed", "neither a mask nor transparency")
    return Sources(
        processing=processing,
        image=_png(image.convert("RGB")),
        mask=None if mask is None else _png(mask),
    )


def _opened(raw: bytes, role: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise SourceError(role, "parse_failed", f"more than {LARGEST_PIXELS} pixels")
            see_through = "A" in opened.getbands() or "transparency" in opened.info
            return opened.convert("RGBA" if see_through else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(role, "parse_failed", "no image that can be read") from error


def _png(image: Image.Image) -> bytes:
    body = io.BytesIO()
    image.save(body, "PNG", compress_level=1)
    return body.getvalue()
