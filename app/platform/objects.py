"""Object storage through the S3 API: presigned links, the check of a delivered object, access for actors.

Presigning only computes. `head_of_object` is the one call for the request loop; everything else blocks and
belongs in actors and threads. It logs nothing: a presigned link is a key. Nothing here knows jobs or
pictures. Look next: `app.embedded.seaweed` for the server of a development machine, `app.platform.pictures.clean`.
"""

import contextlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import msgspec
import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, CopySource, Filter
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.versioningconfig import VersioningConfig

from app.platform import metrics
from app.platform.storage_errors import ObjectMissingError, StorageError, StorageUnavailableError

#: The largest object that a worker may deliver, in bytes.
MAX_OBJECT_BYTES: Final = 20 * 1024 * 1024

#: how long a failed check of an object tells that storage is not well, in seconds
LATELY_SECONDS: Final = 300.0

_MAGIC_BYTES: Final = 32
_ERROR_BYTES: Final = 1024
_CHECK_SECONDS: Final = 2.0
_CHECK_LINK_SECONDS: Final = 60
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchVersion", "ResourceNotFound"})
_OWN_BUCKET: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})

ImageKind = Literal["webp", "png", "jpeg"]


class ObjectChangedError(StorageError):
    """The object is not, or no longer, the one with the entity tag asked for."""


class ObjectTooLargeError(StorageError):
    """The object has more bytes than the caller takes."""


class ObjectHead(msgspec.Struct, frozen=True):
    """What is known of an object without reading it."""

    #: bytes
    size: int
    #: entity tag without quotes; may be empty for an empty object
    etag: str
    #: the first bytes, as many as were asked for
    magic: bytes = b""
    #: of a bucket that keeps versions: names these very bytes for ever; else empty
    version: str = ""


class ObjectEntry(msgspec.Struct, frozen=True):
    """One line of a bucket's list: bytes, and the entity tag without quotes."""

    key: str
    size: int
    etag: str


class Missing(msgspec.Struct, frozen=True):
    """There is no such object (yet)."""


def result_key(lease: UUID, generation: UUID) -> str:
    """Where in the results bucket a lease's delivery of a generation lies."""
    return f"{lease}/{generation}"


def shared_keys(generation: UUID) -> tuple[str, str]:
    """Where in the shared bucket a picture and its metadata lie."""
    return f"{generation}.webp", f"{generation}.json"


def imported_prefix(picture: UUID) -> str:
    """How the names of all copies of an imported picture begin, in the bucket of data sets."""
    return f"imported/{picture}/"


def imported_key(picture: UUID, sha256: str) -> str:
    """Where the copy of an imported picture lies: another file never takes its place, whoever comes late."""
    return f"{imported_prefix(picture)}{sha256}.webp"


def sniff_image(magic: bytes) -> ImageKind | None:
    """Which of the accepted image formats the first bytes of a file promise, whatever its name says."""
    if magic[:4] == b"RIFF" and magic[8:12] == b"WEBP":
        return "webp"
    if magic.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if magic.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return None


class ObjectStore:
    """One S3 endpoint. Safe to share between threads and tasks."""

    def __init__(self, url: str, access_key: str, secret_key: str, region: str) -> None:
        """Name the endpoint; nothing is contacted.

        Args:
            url: scheme, host and port as clients reach it; links are presigned with it.
            access_key: of an identity that may read and write all buckets.
            secret_key: its secret.
            region: must be given, or the first link would cost a blocking request.
        """
        self._failed_at: float | None = None
        #: of the storage
        self.url = url
        parts = urlsplit(url)
        self._client = Minio(
            parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            secure=parts.scheme == "https",
            http_client=urllib3.PoolManager(
                maxsize=8,
                timeout=urllib3.Timeout(connect=2.0, read=30.0),
                retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
            ),
        )

    @property
    def failed_lately(self) -> bool:
        """Whether a check of an object got no answer within the last minutes: uploads fail then, too."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < LATELY_SECONDS

    def presign_put(self, bucket: str, key: str, seconds: int) -> str:
        """A link that lets anyone PUT the object for `seconds`; without a Content-Type header."""
        return self._client.presigned_put_object(bucket, key, timedelta(seconds=seconds))

    def presign_get(
        self, bucket: str, key: str, seconds: int, content_type: str | None = None, *, version: str = ""
    ) -> str:
        """A link that lets anyone GET the object for `seconds`; not good for HEAD.

        With a `content_type` the answer says so, whatever type the uploader gave it. With a `version` it leads to
        these bytes, whatever was put there since.
        """
        said: dict[str, str | list[str] | tuple[str]] = {}
        if content_type is not None:
            said["response-content-type"] = content_type
        return self._client.presigned_get_object(
            bucket, key, timedelta(seconds=seconds), response_headers=said, version_id=version or None
        )

    async def head_of_object(
        self, session: aiohttp.ClientSession, bucket: str, key: str, *, first: int = _MAGIC_BYTES
    ) -> ObjectHead | Missing:
        """Size, entity tag, version and `first` bytes of an object, by one ranged GET that takes at most two seconds.

        Raises:
            StorageUnavailableError: storage did not answer in time, or not as it should.
        """
        link = self.presign_get(bucket, key, _CHECK_LINK_SECONDS)
        # A compressed answer would have another size.
        headers = {"Range": f"bytes=0-{first - 1}", "Accept-Encoding": "identity"}
        timeout = aiohttp.ClientTimeout(total=_CHECK_SECONDS)
        began, outcome = time.perf_counter(), "failed"
        try:
            async with session.get(link, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                head = await _read_head(answer, first)
            outcome = "missing" if isinstance(head, Missing) else "there"
            return head
        except (aiohttp.ClientError, OSError):
            self._failed_at = time.monotonic()
            # The cause would name the link, which is a key.
            raise StorageUnavailableError("no answer from object storage") from None
        finally:
            seconds = time.perf_counter() - began
            metrics.child(metrics.STORAGE_CHECK_SECONDS, outcome).observe(seconds)

    def put(self, bucket: str, key: str, data: bytes, content_type: str) -> str:
        """Store an object, replacing what is there; returns its entity tag. Blocks."""
        with _translated():
            result = self._client.put_object(bucket, key, io.BytesIO(data), len(data), content_type)
            return _plain_etag(result.etag)

    def get(
        self,
        bucket: str,
        key: str,
        *,
        etag: str | None = None,
        version: str = "",
        limit: int = MAX_OBJECT_BYTES,
    ) -> bytes:
        """The bytes of an object, or of a version of it, if it is the one with `etag`. Blocks.

        Raises:
            ObjectMissingError: there is none.
            ObjectChangedError: it has another entity tag.
            ObjectTooLargeError: it has more than `limit` bytes.
            StorageUnavailableError: storage fails.
        """
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'} if etag else {}
        with _translated():
            response = self._client.get_object(
                bucket, key, request_headers=headers, version_id=version or None
            )
            try:
                data = response.read(limit + 1)
            finally:
                response.close()
                response.release_conn()
        if len(data) > limit:
            raise ObjectTooLargeError(f"more than {limit} bytes")
        return data

    def stat(self, bucket: str, key: str) -> ObjectHead | Missing:
        """Size and entity tag of an object. Blocks.

        Raises:
            StorageUnavailableError: storage fails.
        """
        try:
            with _translated():
                found = self._client.stat_object(bucket, key)
        except ObjectMissingError:
            return Missing()
        return ObjectHead(found.size or 0, _plain_etag(found.etag))

    def copy(self, source: tuple[str, str], target: tuple[str, str], *, etag: str | None = None) -> str:
        """Copy (bucket, key) to (bucket, key) inside storage, if it is the one with `etag`. Blocks.

        Returns:
            The entity tag of the copy.

        Raises:
            ObjectMissingError: there is nothing to copy.
            ObjectChangedError: it has another entity tag.
            StorageUnavailableError: storage fails.
        """
        with _translated():
            result = self._client.copy_object(*target, CopySource(*source, match_etag=etag))
            return _plain_etag(result.etag)

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object with all of its versions; deleting what is not there is fine. Blocks."""
        with _translated():
            # A plain deletion in a bucket with versions only hides the newest.
            found = self._client.list_objects(bucket, prefix=key, include_version=True)
            versions = [each.version_id for each in found if each.object_name == key]
        for version in versions:
            with contextlib.suppress(ObjectMissingError), _translated():
                self._client.remove_object(bucket, key, version_id=version)

    def keep_versions(self, bucket: str) -> bool:
        """Let a bucket keep each upload of a key as a version of its own; False if storage has none. Blocks.

        Raises:
            StorageUnavailableError: storage fails.
        """
        with _translated():
            try:
                self._client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
            except S3Error as error:
                if error.code != "NotImplemented":
                    raise
                return False
        return True

    def put_file(self, bucket: str, key: str, path: Path, content_type: str) -> None:
        """Store a file, however large, replacing what is there. Blocks."""
        with _translated():
            self._client.fput_object(bucket, key, str(path), content_type)

    def entries(self, bucket: str, prefix: str = "") -> Iterator[ObjectEntry]:
        """All objects of a bucket whose keys begin so, in order. Blocks. Raises `StorageUnavailableError`."""
        with _translated():
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True):
                if not found.is_dir:
                    yield ObjectEntry(found.object_name or "", found.size or 0, _plain_etag(found.etag))

    def remove_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are fine. Blocks.

        Raises:
            StorageUnavailableError: storage fails; some may be deleted.
        """
        with _translated():
            faults = list(self._client.remove_objects(bucket, [DeleteObject(key) for key in keys]))
        if any(fault.code not in _MISSING for fault in faults):
            raise StorageUnavailableError("object storage deleted not everything")

    def ensure_buckets(self, buckets: Mapping[str, int | None]) -> None:
        """Create the buckets that are missing; may be repeated, by several processes at once. Blocks.

        Args:
            buckets: names, each with the days after which storage deletes its objects, or None to keep them.
                This is a second net: what must be forgotten in time is deleted by the application.
        """
        with _translated():
            present = {bucket.name for bucket in self._client.list_buckets()}
            for name, days in buckets.items():
                if name not in present:
                    self._make_bucket(name)
                if days is not None:
                    self._client.set_bucket_lifecycle(name, _expire_after(days))

    def _make_bucket(self, name: str) -> None:
        try:
            self._client.make_bucket(name)
        except S3Error as error:
            if error.code not in _OWN_BUCKET:
                raise


async def _read_head(answer: aiohttp.ClientResponse, first: int) -> ObjectHead | Missing:
    if answer.status == 404:
        # A missing bucket is a fault of ours: no worker must be told that it delivered nothing.
        if b"NoSuchBucket" in await answer.content.read(_ERROR_BYTES):
            raise StorageUnavailableError("the bucket is missing")
        return Missing()
    etag = _plain_etag(answer.headers.get("ETag"))
    if answer.status == 416:  # an empty object has no first byte
        return ObjectHead(0, etag)
    if answer.status not in (200, 206):
        raise StorageUnavailableError(f"object storage answered {answer.status}")
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    size = int(total) if total.isdigit() else answer.content_length
    if size is None or not etag:
        raise StorageUnavailableError("object storage told no size or no entity tag")
    magic = bytearray()
    while len(magic) < first and (part := await answer.content.read(first - len(magic))):
        magic += part
    version = answer.headers.get("X-Amz-Version-Id", "")
    # What was put before the bucket kept versions is called "null", and can be replaced.
    return ObjectHead(size, etag, bytes(magic), "" if version == "null" else version)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The errors of the SDK and of its HTTP client as ours."""
    try:
        yield
    except S3Error as error:
        status = getattr(error.response, "status", None)
        if error.code in _MISSING:
            raise ObjectMissingError from None
        if error.code == "PreconditionFailed" or status == 412:
            raise ObjectChangedError from None
        metrics.STORAGE_FAILURES.inc()
        raise StorageUnavailableError(f"object storage answered {error.code}") from None
    except (MinioException, urllib3.exceptions.HTTPError, OSError):
        metrics.STORAGE_FAILURES.inc()
        raise StorageUnavailableError("no answer from object storage") from None


def _plain_etag(etag: str | None) -> str:
    return (etag or "").strip('"')


def _expire_after(days: int) -> LifecycleConfig:
    rule = Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id="expire",
        expiration=Expiration(days=days),
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=1),
    )
    return LifecycleConfig([rule])
