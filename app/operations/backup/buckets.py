"""Buckets in a backup: lists of their objects, on request the objects, and what a restore finds of them.

Object storage has no snapshot: lists are made after the database's, so that they hold whatever its log names; an object
that vanishes meanwhile had expired. Look next: `app.operations.backup.take`, `app.platform.objects`.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from app.operations.backup.form import BackupError, BucketCopy, NewBackup, Part, Writing, unpacked
from app.platform.objects import ObjectEntry, ObjectStore, sniff_image
from app.platform.settings import Settings
from app.platform.storage_errors import ObjectMissingError

#: objects of these expire: that some are gone is no fault
EXPIRING: Final = frozenset({"results", "sources"})
#: bytes of the largest object that is copied
_LIMIT: Final = 1 << 30
#: names that a report shows of each kind
SHOWN: Final = 20


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a list. The SHA-256 is known where the object itself is in the backup."""

    key: str
    size: int
    etag: str
    sha256: str | None = None


class BucketFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket compared with its list. Names are the first few."""

    bucket: str
    listed: int
    missing: int
    changed: int
    put_back: int
    missing_keys: tuple[str, ...]
    changed_keys: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether something is gone that should have stayed."""
        return bool((self.missing and self.bucket not in EXPIRING) or self.changed)


def bucket_names(settings: Settings) -> dict[str, str]:
    """The names of the buckets by what they are for."""
    return {
        "results": settings.bucket_results,
        "sources": settings.bucket_sources,
        "shared": settings.bucket_shared,
        "datasets": settings.bucket_datasets,
    }


def store_of(settings: Settings) -> ObjectStore:
    """The object storage of the settings."""
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)


def copy_buckets(settings: Settings, new: NewBackup, *, objects: bool) -> tuple[BucketCopy, ...]:
    """List all buckets, and with `objects` copy what is in them. Raises `StorageError`, `OSError`."""
    store = store_of(settings)
    made = []
    for kind, name in bucket_names(settings).items():
        archive: Part | None = None
        with new.write(f"bucket.{kind}.jsonl.gz", packed=True) as listing:
            if objects:
                with new.write(f"bucket.{kind}.tar", packed=False) as tar:
                    size = _write_list(listing, _archived(store, name, tar))
                archive = tar.done()
            else:
                entries = (Listed(e.key, e.size, e.etag) for e in store.entries(name))
                size = _write_list(listing, entries)
        made.append(BucketCopy(bucket=kind, bytes=size, listing=listing.done(), archive=archive))
    return tuple(made)


def _write_list(listing: Writing, entries: Iterator[Listed]) -> int:
    size = 0
    for entry in entries:
        listing.file.write(msgspec.json.encode(entry) + b"\n")
        listing.rows += 1
        size += entry.size
    return size


def _archived(store: ObjectStore, bucket: str, tar: Writing) -> Iterator[Listed]:
    with tarfile.open(fileobj=tar.file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in store.entries(bucket):
            try:
                content = store.get(bucket, entry.key, limit=_LIMIT)
            except ObjectMissingError:
                continue
            member = tarfile.TarInfo(entry.key)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            tar.rows += 1
            yield Listed(entry.key, len(content), entry.etag, hashlib.sha256(content).hexdigest())


def check_bucket(settings: Settings, folder: Path, copy: BucketCopy) -> BucketFinding:
    """Compare a bucket with its list, and put back what is missing and in the backup. Raises `BackupError`, `StorageError`."""
    store, name = store_of(settings), bucket_names(settings)[copy.bucket]
    present = {entry.key: entry for entry in store.entries(name)}
    listed = {entry.key: entry for entry in read_list(folder, copy.listing)}
    missing = {key: entry for key, entry in listed.items() if key not in present}
    changed = [key for key, entry in listed.items() if key in present and not _same(entry, present[key])]
    put_back = 0
    if copy.archive is not None and missing:
        for key in _put_back(store, name, folder / copy.archive.file, missing):
            del missing[key]
            put_back += 1
    return BucketFinding(
        bucket=copy.bucket,
        listed=len(listed),
        missing=len(missing),
        changed=len(changed),
        put_back=put_back,
        missing_keys=tuple(missing)[:SHOWN],
        changed_keys=tuple(changed[:SHOWN]),
    )


def read_list(folder: Path, part: Part) -> Iterator[Listed]:
    """The lines of a bucket's list. Raises `BackupError`."""
    rest = b""
    for piece in unpacked(folder, part):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=Listed)
            except msgspec.MsgspecError as error:
                raise BackupError(f"{part.file} cannot be read: {error}") from None


def _same(listed: Listed, present: ObjectEntry) -> bool:
    """Whether it is the object of the list; the tag of one that came in parts says nothing about its content."""
    in_parts = "-" in listed.etag or "-" in present.etag
    return listed.size == present.size and (in_parts or listed.etag == present.etag)


def _put_back(store: ObjectStore, bucket: str, archive: Path, wanted: dict[str, Listed]) -> Iterator[str]:
    try:
        with tarfile.open(archive, mode="r|") as members:
            for member in members:
                listed = wanted.get(member.name)
                file = members.extractfile(member)
                if listed is None or file is None:
                    continue
                content = file.read()
                if hashlib.sha256(content).hexdigest() != listed.sha256:
                    raise BackupError(f"{archive.name}: {member.name} is not the object of the list")
                store.put(bucket, member.name, content, _kind(member.name, content))
                yield member.name
    except tarfile.TarError as error:
        raise BackupError(f"{archive.name} cannot be read: {error}") from None


def _kind(key: str, content: bytes) -> str:
    """The media type of an object that this program stored."""
    image = sniff_image(content[:32])
    if image is not None:
        return f"image/{image}"
    ends = {".json": "application/json", ".parquet": "application/vnd.apache.parquet"}
    return next((kind for end, kind in ends.items() if key.endswith(end)), "application/octet-stream")
