"""Links for uploading source images. Nothing is recorded: an upload is an object under its uploader's id, or is not.

Look next: `app.platform.sources`, where a job's submission looks for it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec

from app.platform.commands import Idempotency, Rejection
from app.platform.handling import idempotency
from app.platform.services import Services
from app.platform.sources import MAX_SOURCE_BYTES, upload_key

#: how long a link for an upload is good, in seconds
LINK_SECONDS: Final = 1_800


class Upload(msgspec.Struct, frozen=True):
    """Where a client may put a picture, and by what id it names it afterwards."""

    id: UUID
    url: str
    expires_at: datetime


def create_upload(
    services: Services, actor: UUID, content_length: int | None, key: str | None
) -> Upload | Rejection:
    """A fresh link; with the same idempotency key for the same upload as before."""
    if content_length is not None and not 1 <= content_length <= MAX_SOURCE_BYTES:
        message = f"a source image has 1 to {MAX_SOURCE_BYTES} bytes"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "contentLength"))
    promise = idempotency(actor, "createUpload", key, None)
    if isinstance(promise, Rejection):
        return promise
    upload = uuid4() if promise is None else _promised(services.settings.pepper, promise)
    url = services.objects.presign_put(
        services.settings.bucket_sources, upload_key(actor, upload), LINK_SECONDS
    )
    return Upload(upload, url, datetime.now(UTC) + timedelta(seconds=LINK_SECONDS))


def _promised(pepper: str, promise: Idempotency) -> UUID:
    """The id that follows from a caller's key, and that nobody else can guess."""
    told = f"upload:{promise.scope}:{promise.key}".encode()
    return UUID(bytes=hmac.digest(pepper.encode(), told, hashlib.sha256)[:16], version=4)
