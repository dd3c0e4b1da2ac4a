"""Pictures inside answers, in base64, for clients that cannot follow a link to the storage: a few, and bounded.

Whoever can takes the link. Look next: `app.jobs.pictures` for results, `app.workers.graphql` for sources.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Final

import msgspec

from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.objects import ObjectTooLargeError
from app.platform.services import Info, Services, services_of
from app.platform.storage_errors import ObjectMissingError, StorageUnavailableError

#: pictures that one operation may have inline
MAX_INLINE: Final = 4
#: pictures that a process reads at a time: what they take of its memory is bounded
READS_AT_ONCE: Final = 4
READ_SECONDS: Final = 10.0


class Place(msgspec.Struct, frozen=True):
    """Where a picture lies; the version is empty where any will do."""

    bucket: str
    key: str
    version: str = ""


async def inline(info: Info, place: Place, *, limit: int) -> str | None:
    """A picture of at most `limit` bytes in base64; None if it was deleted meanwhile.

    Raises:
        ApiError: LIMIT_PICTURES, or TRY_AGAIN if storage does not answer.
    """
    loaders = info.context.loaders
    loaders["inline"] = loaders.get("inline", 0) + 1
    if loaders["inline"] > MAX_INLINE:
        message = f"at most {MAX_INLINE} pictures in one operation: use the links"
        raise ApiError(message, code=TopLevelCode.LIMIT_PICTURES)
    services = services_of(info)
    try:
        async with _reads(services), asyncio.timeout(READ_SECONDS):
            data = await asyncio.to_thread(
                services.objects.get, place.bucket, place.key, version=place.version, limit=limit
            )
    except ObjectMissingError:
        return None
    except ObjectTooLargeError:
        message = f"this picture has more than {limit} bytes: use the link"
        raise ApiError(message, code=TopLevelCode.LIMIT_PICTURES) from None
    except (StorageUnavailableError, TimeoutError):
        message = "the object storage does not answer: try again"
        raise ApiError(message, code=TopLevelCode.TRY_AGAIN, retry_after=1.0) from None
    return b64encode(data).decode()


def _reads(services: Services) -> asyncio.Semaphore:
    found: asyncio.Semaphore = services.caches.setdefault("inline", asyncio.Semaphore(READS_AT_ONCE))
    return found
