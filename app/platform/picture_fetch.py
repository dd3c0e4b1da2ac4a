"""Fetching one picture from a stranger's server, which may be hostile, slow, or not where it says it is.

Each request is guarded by `app.platform.guarded`; after each redirect all its checks begin anew. Bytes and seconds are
bounded while they come in; what comes is judged by itself, not by what the server says of it. It logs nothing: a URL is
a word of its client's. Look next: `app.sources.fetching`, `app.images.mirroring`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp
from yarl import URL

from app.platform.guarded import Lookup, UnknownHostError, asked
from app.platform.objects import sniff_image
from app.platform.outside import ForbiddenUrlError, Outside
from app.platform.picture_header import HEADER_BYTES, read_header
from app.platform.sources import MAX_SOURCE_BYTES, fault_of
from events.jobs import SourceFault

#: seconds for a picture, with all redirects
TOTAL_SECONDS: Final = 20.0
MAX_REDIRECTS: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: the server itself says that it may be otherwise soon
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
#: what servers say of pictures that are to come into no index, or into no data set
_DECLINING: Final = frozenset({"noindex", "noimageindex", "noai", "noimageai"})
_CHUNK: Final = 64 * 1024
_MAGIC_BYTES: Final = 32
_HEADERS: Final = {
    "Accept": "image/webp,image/png,image/jpeg",
    "Accept-Encoding": "identity",
    "User-Agent": "Hoard",
}


class FetchError(Exception):
    """A picture could not be had; `passing` where it may be had a little later."""

    def __init__(self, cause: SourceFault, *, passing: bool = False) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.passing = passing


class DeclinedError(Exception):
    """A server asks that its picture be collected by nobody."""


async def fetch(
    text: str,
    outside: Outside,
    *,
    alpha: bool = False,
    lookup: Lookup,
    tls: ssl.SSLContext | None = None,
    seconds: float = TOTAL_SECONDS,
    most: int = MAX_SOURCE_BYTES,
    collecting: bool = False,
) -> bytes:
    """The file that a URL leads to: a still picture within the limits of sources; with `alpha`, one with an alpha channel.

    It has at most `most` bytes, which is never more than a source may have. Whoever is `collecting` pictures heeds what
    their servers say about that; who was sent a picture's URL to work on it need not.

    Raises:
        DeclinedError: its server asks not to collect it.
        FetchError: there is none, or it may not be asked for.
    """
    try:
        async with asyncio.timeout(seconds):
            data = await _followed(text, outside, lookup, tls, most, collecting=collecting)
    except TimeoutError:
        raise FetchError(SourceFault.TOO_SLOW) from None
    fault = fault_of(len(data), read_header(data[:HEADER_BYTES]), alpha=alpha)
    if fault is not None:
        raise FetchError(fault)
    return data


async def _followed(
    text: str, outside: Outside, lookup: Lookup, tls: ssl.SSLContext | None, most: int, *, collecting: bool
) -> bytes:
    try:
        url = outside.url(text)
        for _ in range(1 + MAX_REDIRECTS):
            async with asked("GET", url, outside, lookup, tls, headers=_HEADERS) as answer:
                if collecting and declines(answer.headers.getall("X-Robots-Tag", [])):
                    raise DeclinedError
                if answer.status not in _REDIRECTS:
                    return await _picture(answer, min(most, MAX_SOURCE_BYTES))
                url = url.join(URL(answer.headers.get("Location", ""))).with_fragment(None)
            outside.check(url)
    except ForbiddenUrlError:
        raise FetchError(SourceFault.FORBIDDEN_ADDRESS) from None
    except UnknownHostError as unknown:
        raise FetchError(SourceFault.UNREACHABLE, passing=unknown.passing) from None
    except ssl.SSLCertVerificationError:
        raise FetchError(SourceFault.UNREACHABLE) from None
    except (aiohttp.ClientError, OSError, ValueError):
        # Whatever a server may do wrong; the cause would name it.
        raise FetchError(SourceFault.UNREACHABLE, passing=True) from None
    raise FetchError(SourceFault.UNREACHABLE)


async def _picture(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """What an answer brings, as far as it looks like a picture and is not too large."""
    if answer.status != 200:
        raise FetchError(SourceFault.UNREACHABLE, passing=answer.status in _PASSING)
    if (answer.content_length or 0) > most:
        raise FetchError(SourceFault.TOO_LARGE)
    data = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > most:
            raise FetchError(SourceFault.TOO_LARGE)
        if len(data) >= _MAGIC_BYTES and sniff_image(bytes(data[:_MAGIC_BYTES])) is None:
            raise FetchError(SourceFault.NO_IMAGE)
    return bytes(data)


def declines(told: Sequence[str]) -> bool:
    """Whether headers `X-Robots-Tag` ask everybody, or us, to collect nothing; what they say to others is theirs."""
    for value in told:
        agent, colon, rest = value.partition(":")
        named = bool(colon) and "," not in agent
        if named and agent.strip().lower() != _HEADERS["User-Agent"].lower():
            continue
        words = (rest if named else value).split(",")
        if not _DECLINING.isdisjoint(word.strip().lower() for word in words):
            return True
    return False
