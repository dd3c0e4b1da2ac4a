"""Brings a picture to the object storage through a presigned link.

The link carries its own permission: no key is sent, and no Content-Type, which the signature does not cover.
"""

import aiohttp

#: Statuses that say the link itself is no longer good.
STALE = frozenset({400, 401, 403, 410})
UPLOAD_SECONDS = 120


class StaleLinkError(Exception):
    """The storage no longer accepts this link; a fresh one may be accepted."""


class StorageError(Exception):
    """The storage did not take the picture now; it may take it later."""


async def put(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    """PUT `body` to the link. Raises StaleLinkError or StorageError."""
    limit = aiohttp.ClientTimeout(total=UPLOAD_SECONDS)
    try:
        async with session.put(
            url, data=body, skip_auto_headers={"Content-Type"}, timeout=limit, allow_redirects=False
        ) as answer:
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise StorageError(f"no connection to the storage ({type(error).__name__})") from error
    if status in STALE:
        raise StaleLinkError(f"the storage answered {status}")
    if status >= 300:
        raise StorageError(f"the storage answered {status}")
