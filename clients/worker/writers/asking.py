"""Speaking JSON to a text server. Anything it cannot do or does not answer is a BackendError."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from clients.worker.backends import BackendError

CONNECT_SECONDS = 10
WRITING_SECONDS = 1800


class TextServer:
    """One server at its base address."""

    def __init__(self, url: str, key: str = "") -> None:
        """`key`, if there is one, is sent as a bearer token. Raises ValueError if it is no http(s) address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"not an http(s) address: {url}")
        self._base = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, path: str, request: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer. Raises BackendError, whose words hold nothing of request or answer."""
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=WRITING_SECONDS, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=limit, headers=self._headers)
        try:
            async with self._session.request(method, self._base + path, json=request) as answer:
                if answer.status >= 400:
                    raise BackendError(f"the text server answered {answer.status}")
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise BackendError(f"the text server did not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        self._session = None


def first(answer: object, key: str) -> Mapping[str, Any]:
    """The first of the answer's list `key`. Raises BackendError if there is none."""
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise BackendError("the text server answered without a text")
    return found[0]
