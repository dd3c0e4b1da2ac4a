"""One request to a stranger's server, which may be hostile, slow, or not where its name says it is.

A name is resolved here, every address it leads to must be allowed (`app.platform.outside`), and the connection goes to
one of these very addresses, with the name kept for TLS and the Host header. No proxy, no cookie, no compression, no
redirect followed. Whoever asks bounds the seconds and the bytes. It logs nothing: a URL is a word of its client's. Look
next: `app.platform.picture_fetch` for pictures, `app.webhooks.post` for webhooks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app.platform.outside import ForbiddenUrlError, Outside

#: seconds for a name; for a connection
LOOKUP_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 5.0

#: all addresses of a name, as texts
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class UnknownHostError(Exception):
    """A name leads nowhere; `passing` where it may lead somewhere a little later."""

    def __init__(self, *, passing: bool) -> None:
        super().__init__("the name leads nowhere")
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


@asynccontextmanager
async def asked(
    method: str,
    url: URL,
    outside: Outside,
    lookup: Lookup,
    tls: ssl.SSLContext | None,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to one request, on a connection of its own; a redirect is an answer like any other.

    Raises:
        ForbiddenUrlError: the name leads to an address that is not allowed.
        UnknownHostError: it leads nowhere.
        aiohttp.ClientError, OSError, ValueError: whatever a server may do wrong.
    """
    sockets = _Sockets()
    connector = aiohttp.TCPConnector(
        resolver=_Guarded(url, outside, lookup),
        use_dns_cache=False,
        force_close=True,
        ssl=True if tls is None else tls,
        socket_factory=sockets.make,
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with (
        sockets,
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=timeout,
        ) as session,
        session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer,
    ):
        yield answer


class _Sockets:
    """The sockets of one request, all ended with it: TLS would wait half a minute for a goodbye that never comes."""

    def __init__(self) -> None:
        self._made: list[socket.socket] = []

    def make(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for an address."""
        family, kind, proto, *_ = info
        made = socket.socket(family, kind, proto)
        self._made.append(made)
        return made

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        for each in self._made:
            with contextlib.suppress(OSError):  # it is closed, or was never connected
                each.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(0)


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
        """The addresses to connect to. Raises `UnknownHostError`, `ForbiddenUrlError`."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(host, port)
        except TimeoutError:
            raise UnknownHostError(passing=True) from None
        except (OSError, UnicodeError) as error:
            unknown = isinstance(error, UnicodeError) or error.args[:1] == (socket.EAI_NONAME,)
            raise UnknownHostError(passing=not unknown) from None
        if not found:
            raise UnknownHostError(passing=False)
        if not all(self._outside.allows(address, self._url) for address in found):
            raise ForbiddenUrlError("the name leads inside")
        return [_result(host, port, address) for address in dict.fromkeys(found)]

    async def close(self) -> None:
        """Nothing is kept open."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    family: Any = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
