"""Fetching finished pictures from their links into a folder, and drawings with them."""

import asyncio
import hashlib
import re
from pathlib import Path

import aiohttp

from clients.api import Backoff
from clients.shapes import Generation

FETCH_SECONDS = 60
ATTEMPTS = 5
_MD5 = re.compile("[0-9a-f]{32}")
PAUSES = Backoff(first=0.3, ceiling=5.0)


class FetchError(Exception):
    """The picture could not be fetched whole."""


def makes_file(kind: str, generation: Generation) -> bool:
    """Whether what was made is a file: a picture, or a drawing. Texts and most forms are told instead."""
    result = generation.result
    if kind == "INTERROGATION":
        return result is not None and (result.image_url is not None or result.svg is not None)
    return kind == "IMAGE"


async def save(session: aiohttp.ClientSession, generation: Generation, folder: Path) -> Path:
    """Write the picture as `<folder>/<generation id>.webp`, or the drawing as `.svg`; the path.

    Raises FetchError when it cannot be had, or is not what the server says the worker delivered.
    """
    result = generation.result
    if result is not None and result.svg is not None:
        path = folder / f"{generation.id}.svg"
        await asyncio.to_thread(_write, path, result.svg.encode())
        return path
    url, etag = (result or generation).image_url, (result or generation).etag
    if url is None:
        raise FetchError("the server gives no link to the picture")
    body = await _fetched(session, url)
    if etag and _MD5.fullmatch(etag) and not _is(body, etag):
        raise FetchError("the picture differs from the one that was delivered")
    path = folder / f"{generation.id}.webp"
    await asyncio.to_thread(_write, path, body)
    return path


def _is(body: bytes, etag: str) -> bool:
    """Whether these are the bytes that were accepted: the tag of a simple upload is their MD5."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest() == etag


async def _fetched(session: aiohttp.ClientSession, url: str) -> bytes:
    trouble = "no attempt was made"
    for attempt in range(ATTEMPTS):
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS)) as answer:
                if answer.status == 200:
                    return await answer.read()
                trouble = f"the storage answered {answer.status}"
                if answer.status < 500 and answer.status not in (404, 429):
                    break
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble = f"no connection to the storage ({type(error).__name__})"
        await asyncio.sleep(PAUSES.delay(attempt))
    raise FetchError(trouble)


def _write(path: Path, body: bytes) -> None:
    """Write it beside and move it in place, so that a picture is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(body)
    partial.replace(path)
