"""Source images: what clients may give, where they lie, how uploads are checked, and the links that workers get.

An upload lies under its uploader's id, so that nobody can name another's. A job gets a copy under a key of its own to
which no link for writing exists: what was checked is what workers are given, whatever is uploaded later. URLs are only
looked at here; an actor fetches them. Look next: `app.sources.fetching`, `app.platform.outside`, docs/sources.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from app.platform.commands import Rejection
from app.platform.handling import parse_id
from app.platform.ids import new_id
from app.platform.objects import Missing, ObjectChangedError
from app.platform.outside import ForbiddenUrlError, Outside
from app.platform.picture_header import HEADER_BYTES, Header, read_header
from app.platform.services import Services
from app.platform.storage_errors import ObjectMissingError, StorageUnavailableError
from app.platform.vault import JobSource, SourceRole
from events.jobs import SourceFault

#: pixels of each side of the squares that some work is counted by
TILE: Final = 512
#: bytes of a source image
MAX_SOURCE_BYTES: Final = 10 * 1024 * 1024
#: its pixels, and those of each of its sides: decoded at four bytes each this is 64 MB for a worker
MAX_SOURCE_PIXELS: Final = 4096 * 4096
MAX_SOURCE_SIDE: Final = 8192

_COPY_SECONDS: Final = 10.0
_FAULTS: Final = {
    SourceFault.NO_IMAGE: "this is no still WebP, PNG or JPEG picture",
    SourceFault.TOO_LARGE: f"a source has at most {MAX_SOURCE_BYTES} bytes, {MAX_SOURCE_PIXELS} pixels and "
    f"{MAX_SOURCE_SIDE} pixels a side",
    SourceFault.NO_MASK: "inpainting needs a mask, or a source with an alpha channel",
}


class GivenSource(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that a client gave with a job, unchecked: an upload of its own, or a URL."""

    role: SourceRole
    #: where in the input it was given, from the argument's name on
    path: tuple[str, ...]
    upload_id: str | None = None
    url: str | None = None
    #: among those of its role
    ordinal: int = 0
    strength: float = 1.0
    #: it must have an alpha channel: there is no mask
    alpha: bool = False
    #: its URL is to be known again
    remembered: bool = False


class ResolvedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that is there and was checked, or a URL that may be asked for one."""

    role: SourceRole
    ordinal: int
    strength: float
    #: in the bucket of sources; empty for a URL
    key: str = ""
    url: str = ""
    alpha: bool = False
    #: by what its URL is known again, if it is to be
    digest: UUID | None = None
    #: squares of 512 x 512 pixels that it takes up; 0 while it is to be fetched
    tiles: int = 0

    def row(self, job: UUID) -> JobSource:
        """What the vault keeps of it."""
        return JobSource(
            job, self.role, self.ordinal, self.strength, self.key, self.url, self.alpha, self.digest
        )


def uploads_of(subject: UUID) -> str:
    """What the keys of all uploads of a caller begin with, in the bucket of sources."""
    return f"uploads/{subject}/"


def upload_key(subject: UUID, upload: UUID) -> str:
    """Where in the bucket of sources a caller's upload lies."""
    return f"{uploads_of(subject)}{upload}"


def new_source_key() -> str:
    """A place in the bucket of sources for a job's own picture."""
    return f"jobs/{new_id()}"


def tiles_of(header: Header) -> int:
    """Squares of 512 x 512 pixels that a picture takes up, each that is begun."""
    return -(-header.width // TILE) * -(-header.height // TILE)


def digest_of(pepper: str, url: str) -> UUID:
    """What a URL makes under the pepper: it is known again by that, and nobody without the pepper can try URLs out."""
    return UUID(bytes=hmac.digest(pepper.encode(), f"source:{url}".encode(), hashlib.sha256)[:16])


def fetching(sources: Sequence[ResolvedSource]) -> bool:
    """Whether something is still to be fetched, so that the job may not be queued yet."""
    return any(source.url for source in sources)


def fault_of(size: int, header: Header | None, *, alpha: bool = False) -> SourceFault | None:
    """Why a file of so many bytes with such a beginning is no source; with `alpha`, it must have an alpha channel."""
    if size > MAX_SOURCE_BYTES:
        return SourceFault.TOO_LARGE
    if header is None:
        return SourceFault.NO_IMAGE
    if header.width * header.height > MAX_SOURCE_PIXELS or max(header.width, header.height) > MAX_SOURCE_SIDE:
        return SourceFault.TOO_LARGE
    return SourceFault.NO_MASK if alpha and not header.alpha else None


async def resolve(
    services: Services, actor: UUID, given: Sequence[GivenSource]
) -> tuple[ResolvedSource, ...] | Rejection:
    """Check what a client gave, and copy its uploads to where only the job's workers are led to.

    The first fault is answered: INVALID_INPUT, OBJECT_MISSING or STORAGE_UNAVAILABLE.
    """
    outside = Outside.of(services.settings.source_networks)
    for source in given:
        if (refusal := _malformed(source, outside)) is not None:
            return refusal
    found = await asyncio.gather(*(_resolved(services, actor, source) for source in given))
    resolved: list[ResolvedSource] = []
    for each in found:
        if isinstance(each, Rejection):
            return each
        resolved.append(each)
    return tuple(resolved)


def _malformed(source: GivenSource, outside: Outside) -> Rejection | None:
    if (source.upload_id is None) == (source.url is None):
        message = "give exactly one of uploadId and url"
        return Rejection(code="INVALID_INPUT", message=message, path=source.path)
    if source.url is not None:
        try:
            outside.url(source.url)
        except ForbiddenUrlError as forbidden:
            return Rejection(code="INVALID_INPUT", message=str(forbidden), path=(*source.path, "url"))
    return None


async def tiles_of_upload(services: Services, actor: UUID, source: GivenSource) -> int | Rejection:
    """The tiles of an upload, which stays where it is; 0 for a URL. The same refusals as `resolve`."""
    outside = Outside.of(services.settings.source_networks)
    if (refusal := _malformed(source, outside)) is not None:
        return refusal
    if source.upload_id is None:
        return 0
    try:
        found = await _upload(services, actor, source, source.upload_id)
    except StorageUnavailableError:
        return _storage_away(source)
    return found if isinstance(found, Rejection) else tiles_of(found.header)


async def _resolved(services: Services, actor: UUID, source: GivenSource) -> ResolvedSource | Rejection:
    key, tiles = "", 0
    if source.upload_id is not None:
        try:
            copied = await _copy_of_upload(services, actor, source, source.upload_id)
        except StorageUnavailableError:
            return _storage_away(source)
        if isinstance(copied, Rejection):
            return copied
        key, tiles = copied
    remembered = source.url if source.remembered else None
    return ResolvedSource(
        role=source.role,
        ordinal=source.ordinal,
        strength=source.strength,
        key=key,
        url=source.url or "",
        alpha=source.alpha,
        digest=None if remembered is None else digest_of(services.settings.pepper, remembered),
        tiles=tiles,
    )


def _storage_away(source: GivenSource) -> Rejection:
    message = "the object storage does not answer: nothing was decided, try again"
    return Rejection(code="STORAGE_UNAVAILABLE", message=message, path=source.path)


class _Upload(msgspec.Struct, frozen=True):
    """An upload that is there and is a picture: where, which version of it, and what its beginning says."""

    key: str
    etag: str
    header: Header


async def _upload(services: Services, actor: UUID, source: GivenSource, text: str) -> _Upload | Rejection:
    """An upload, checked. Raises `StorageUnavailableError`."""
    path = (*source.path, "uploadId")
    missing = Rejection(code="OBJECT_MISSING", message="you have uploaded nothing with this id", path=path)
    upload, bucket = parse_id(text), services.settings.bucket_sources
    if upload is None:
        return missing
    at = upload_key(actor, upload)
    head = await services.objects.head_of_object(services.http, bucket, at, first=HEADER_BYTES)
    if isinstance(head, Missing):
        return missing
    header = read_header(head.magic)
    fault = fault_of(head.size, header, alpha=source.alpha)
    if fault is not None or header is None:
        return Rejection(code="INVALID_INPUT", message=_FAULTS[fault or SourceFault.NO_IMAGE], path=path)
    return _Upload(at, head.etag, header)


async def _copy_of_upload(
    services: Services, actor: UUID, source: GivenSource, text: str
) -> tuple[str, int] | Rejection:
    """The key of the copy of an upload that was checked, and its tiles. Raises `StorageUnavailableError`."""
    upload, bucket = await _upload(services, actor, source, text), services.settings.bucket_sources
    if isinstance(upload, Rejection):
        return upload
    key = new_source_key()
    try:
        async with asyncio.timeout(_COPY_SECONDS):
            await asyncio.to_thread(
                services.objects.copy, (bucket, upload.key), (bucket, key), etag=upload.etag
            )
    except TimeoutError:
        raise StorageUnavailableError("object storage does not copy") from None
    except (ObjectMissingError, ObjectChangedError):
        path = (*source.path, "uploadId")
        return Rejection(code="OBJECT_MISSING", message="the upload was replaced meanwhile", path=path)
    return key, tiles_of(upload.header)
