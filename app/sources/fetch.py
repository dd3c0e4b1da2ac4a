"""Fetching one picture from a stranger's server, which may be hostile, slow, or not where it says it is.

A name is resolved here, every address it leads to must be allowed (`app.platform.outside`), and the connection goes to
one of these very addresses, with the name kept for TLS and the Host header; after each redirect all this begins anew. Bytes
and seconds are bounded while they come in; what comes is judged by itself, not by what the server says of it. No proxy, no
cookie, no compression. It logs nothing: a URL is a word of its client's. Look next: `app.sources.fetching`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.platform.objects import sniff_image
from app.platform.outside import ForbiddenUrlError, Outside
from app.platform.picture_header import HEADER_BYTES, read_header
from app.platform.sources import MAX_SOURCE_BYTES, fault_of
from events.jobs import SourceFault

#: seconds for a picture, with all redirects; for a name; for a connection
TOTAL_SECONDS: Final = 20.0
LOOKUP_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 5.0
MAX_REDIRECTS: Final = 3

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: the server itself says that it may be otherwise soon
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK: Final = 64 * 1024
_MAGIC_BYTES: Final = 32
_HEADERS: Final = {
    "Accept": "image/webp,image/png,image/jpeg",
    "Accept-Encoding": "identity",
    "User-Agent": "Hoard",
}

#: all addresses of a name, as texts
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchError(Exception):
    """A picture could not be had; `passing` where it may be had a little later."""

    def __init__(self, cause: SourceFault, *, passing: bool = False) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.passing = passing


class Names:
    """The system's resolver on threads of its own: names whose servers are slow must hold up nothing but names."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a name. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses, host, port)
        return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


def _addresses(host: str, port: int) -> Any:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def fetch(
    text: str,
    outside: Outside,
    *,
    alpha: bool = False,
    lookup: Lookup,
    tls: ssl.SSLContext | None = None,
    seconds: float = TOTAL_SECONDS,
) -> bytes:
    """The file that a URL leads to: a still picture within the limits of sources; with `alpha`, one with an alpha channel.

    Raises:
        FetchError: there is none, or it may not be asked for.
    """
    try:
        async with asyncio.timeout(seconds):
            data = await _followed(text, outside, lookup, tls)
    except TimeoutError:
        raise FetchError(SourceFault.TOO_SLOW) from None
    fault = fault_of(len(data), read_header(data[:HEADER_BYTES]), alpha=alpha)
    if fault is not None:
        raise FetchError(fault)
    return data


async def _followed(text: str, outside: Outside, lookup: Lookup, tls: ssl.SSLContext | None) -> bytes:
    try:
        url = outside.url(text)
        for _ in range(1 + MAX_REDIRECTS):
            async with _asked(url, outside, lookup, tls) as answer:
                if answer.status not in _REDIRECTS:
                    return await _picture(answer)
                url = url.join(URL(answer.headers.get("Location", ""))).with_fragment(None)
            outside.check(url)
    except ForbiddenUrlError:
        raise FetchError(SourceFault.FORBIDDEN_ADDRESS) from None
    except ssl.SSLCertVerificationError:
        raise FetchError(SourceFault.UNREACHABLE) from None
    except (aiohttp.ClientError, OSError, ValueError):
        # Whatever a server may do wrong; the cause would name it.
        raise FetchError(SourceFault.UNREACHABLE, passing=True) from None
    raise FetchError(SourceFault.UNREACHABLE)


@asynccontextmanager
async def _asked(
    url: URL, outside: Outside, lookup: Lookup, tls: ssl.SSLContext | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to one request, on a connection of its own."""
    connector = aiohttp.TCPConnector(
        resolver=_Guarded(url, outside, lookup),
        use_dns_cache=False,
        force_close=True,
        ssl=True if tls is None else tls,
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=timeout,
        ) as session,
        session.get(url, headers=_HEADERS, allow_redirects=False) as answer,
    ):
        yield answer


async def _picture(answer: aiohttp.ClientResponse) -> bytes:
    """What an answer brings, as far as it looks like a picture and is not too large."""
    if answer.status != 200:
        raise FetchError(SourceFault.UNREACHABLE, passing=answer.status in _PASSING)
    if (answer.content_length or 0) > MAX_SOURCE_BYTES:
        raise FetchError(SourceFault.TOO_LARGE)
    data = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > MAX_SOURCE_BYTES:
            raise FetchError(SourceFault.TOO_LARGE)
        if len(data) >= _MAGIC_BYTES and sniff_image(bytes(data[:_MAGIC_BYTES])) is None:
            raise FetchError(SourceFault.NO_IMAGE)
    return bytes(data)


class _Guarded(AbstractResolver):
    """Resolves the host of one URL, to addresses that are all allowed for it. One that is not refuses the name."""

    def __init__(self, url: URL, outside: Outside, lookup: Lookup) -> None:
        self._url = url
        self._outside = outside
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - all of them
    ) -> list[ResolveResult]:
        """The addresses to connect to. Raises `FetchError`, `ForbiddenUrlError`."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(host, port)
        except TimeoutError:
            raise FetchError(SourceFault.UNREACHABLE, passing=True) from None
        except (OSError, UnicodeError) as error:
            unknown = isinstance(error, UnicodeError) or error.args[:1] == (socket.EAI_NONAME,)
            raise FetchError(SourceFault.UNREACHABLE, passing=not unknown) from None
        if not found:
            raise FetchError(SourceFault.UNREACHABLE)
        if not all(self._outside.allows(address, self._url) for address in found):
            raise ForbiddenUrlError("the name leads inside")
        return [_result(host, port, address) for address in dict.fromkeys(found)]

    async def close(self) -> None:
        """Nothing is kept open."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    family: Any = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
