"""One attempt to tell a webhook something: a signed POST to a stranger's server, and what it answered.

The request is guarded by `app.platform.guarded`: every attempt resolves and checks anew. Redirects are not followed, ten
seconds are all there are, and of an answer's body at most a few KB are read, and thrown away. It logs nothing. Look
next: `app.webhooks.delivering`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import aiohttp
import msgspec

from app.platform.guarded import Lookup, UnknownHostError, asked
from app.platform.outside import ForbiddenUrlError, Outside
from app.platform.vault import WebhookFault
from app.webhooks.signature import signed_headers

#: seconds for an attempt, from the name to the status
TOTAL_SECONDS: Final = 10.0
#: seconds and bytes that the body of an answer is given: nobody reads it, but some servers want it taken
BODY_SECONDS: Final = 1.0
BODY_BYTES: Final = 4_096

_GONE: Final = 410
_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "Hoard-Webhooks",
}


class Answer(msgspec.Struct, frozen=True):
    """What came of an attempt."""

    status: int | None
    #: None: it was heard
    fault: WebhookFault | None


async def post(
    url: str,
    outside: Outside,
    *,
    delivery: UUID,
    body: bytes,
    secrets: Sequence[bytes],
    lookup: Lookup,
    tls: ssl.SSLContext | None = None,
    seconds: float = TOTAL_SECONDS,
) -> Answer:
    """Send a body, signed now."""
    headers = _HEADERS | signed_headers(str(delivery), int(time.time()), body, secrets)
    try:
        async with asyncio.timeout(seconds):
            status = await _status(url, outside, headers, body, lookup, tls)
    except TimeoutError:
        return Answer(None, WebhookFault.TOO_SLOW)
    except ForbiddenUrlError:
        return Answer(None, WebhookFault.FORBIDDEN_ADDRESS)
    except (UnknownHostError, aiohttp.ClientError, OSError, ValueError):
        # Whatever a server may do wrong; the cause would name it.
        return Answer(None, WebhookFault.UNREACHABLE)
    if status == _GONE:
        return Answer(status, WebhookFault.GONE)
    return Answer(status, None if 200 <= status < 300 else WebhookFault.REFUSED)


async def _status(
    text: str,
    outside: Outside,
    headers: dict[str, str],
    body: bytes,
    lookup: Lookup,
    tls: ssl.SSLContext | None,
) -> int:
    url = outside.url(text)
    if url.scheme != "https":
        raise ForbiddenUrlError("webhooks are told over https only")
    async with asked("POST", url, outside, lookup, tls, headers=headers, body=body) as answer:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(BODY_SECONDS):
                await answer.content.read(BODY_BYTES)
        return answer.status
