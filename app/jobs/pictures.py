"""Where the picture of a generation lies, why there is none, and the picture itself for those who want it inline.

Look next: `app.jobs.types`, `app.platform.objects`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from enum import StrEnum
from typing import Final

import msgspec

from app.jobs.queries import GenerationView
from app.platform.graphql.errors import ApiError, TopLevelCode
from app.platform.objects import (
    ObjectMissingError,
    ObjectTooLargeError,
    StorageUnavailableError,
    result_key,
    shared_keys,
)
from app.platform.services import Info, Services, services_of
from app.platform.settings import Settings
from projections.generations import HIDING, GenerationState

#: pictures that one operation may have inline, and bytes of each
MAX_INLINE: Final = 4
MAX_INLINE_BYTES: Final = 5 * 1024 * 1024
#: pictures that this process reads at a time: what they take of its memory is bounded
READS_AT_ONCE: Final = 4
READ_SECONDS: Final = 10.0


class Absence(StrEnum):
    """Why there is no picture."""

    NOT_DELIVERED = "NOT_DELIVERED"
    REPORTED = "REPORTED"
    EXPIRED = "EXPIRED"


class Place(msgspec.Struct, frozen=True):
    """Where a picture lies; the version is empty where any will do."""

    bucket: str
    key: str
    version: str


def absence_of(view: GenerationView) -> Absence | None:
    """Why a generation has no picture to show; None if it has one."""
    if view.state is not GenerationState.DONE or view.lease is None:
        return Absence.NOT_DELIVERED
    if view.report in HIDING:
        return Absence.REPORTED
    return Absence.EXPIRED if view.erased and view.sha256 is None else None


def place_of(settings: Settings, view: GenerationView) -> Place | None:
    """Where its picture lies: as the worker uploaded it, and once that is erased, as it was published."""
    if absence_of(view) is not None or view.lease is None:
        return None
    if view.erased:
        return Place(settings.bucket_shared, shared_keys(view.id)[0], "")
    return Place(settings.bucket_results, result_key(view.lease, view.id), view.version or "")


async def inline(info: Info, place: Place) -> str | None:
    """A picture in base64; None if it was deleted meanwhile.

    Raises:
        ApiError: LIMIT_PICTURES, or TRY_AGAIN if storage does not answer.
    """
    loaders = info.context.loaders
    loaders["inline"] = loaders.get("inline", 0) + 1
    if loaders["inline"] > MAX_INLINE:
        message = f"at most {MAX_INLINE} pictures in one operation: use imageUrl"
        raise ApiError(message, code=TopLevelCode.LIMIT_PICTURES)
    services = services_of(info)
    try:
        async with _reads(services), asyncio.timeout(READ_SECONDS):
            data = await asyncio.to_thread(
                services.objects.get, place.bucket, place.key, version=place.version, limit=MAX_INLINE_BYTES
            )
    except ObjectMissingError:
        return None
    except ObjectTooLargeError:
        message = f"this picture has more than {MAX_INLINE_BYTES} bytes: use imageUrl"
        raise ApiError(message, code=TopLevelCode.LIMIT_PICTURES) from None
    except (StorageUnavailableError, TimeoutError):
        message = "the object storage does not answer: try again"
        raise ApiError(message, code=TopLevelCode.TRY_AGAIN, retry_after=1.0) from None
    return b64encode(data).decode()


def _reads(services: Services) -> asyncio.Semaphore:
    found: asyncio.Semaphore = services.caches.setdefault("inline", asyncio.Semaphore(READS_AT_ONCE))
    return found
