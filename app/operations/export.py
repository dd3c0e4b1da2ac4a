"""Exporting the log: Parquet segments and a manifest, into a folder or the datasets bucket.

The log's chain is checked on the way, so a copy of a broken log is never made. May be stopped at any moment and
run again: complete segments are kept, damaged ones written again, and the last, which may be short, is replaced by
a longer one when the log has grown. Look next: `app.operations.segments` (the format), `verify_log` (the proof).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace
from psycopg import Connection

from app.operations.segments import (
    FORMAT,
    MANIFEST,
    SEGMENT_EVENTS,
    CopyError,
    Manifest,
    Segment,
    decode_manifest,
    encode_manifest,
    encode_segment,
    segment_name,
)
from app.platform.objects import ObjectStore
from app.platform.storage_errors import ObjectMissingError
from events.base import Recorded
from events.chain import genesis, link_of
from events.store import log

#: Where copies stand in the datasets bucket.
BUCKET_PREFIX: Final = "log/"
#: Bytes of the largest object that is read back; segments are far smaller.
_OBJECT_LIMIT: Final = 4 * 1024**3

Progress = Callable[[int, int], None]


class ExportError(Exception):
    """The copy that is there is of another log or was cut otherwise, or the log itself is broken."""


class Target(Protocol):
    """Where a copy goes. A write is seen whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file, replacing what is there."""

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""


class FolderTarget:
    """A copy in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder, which is made if needed. Raises `OSError`."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """See `Target`."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Target`. It is on disk when this returns."""
        temporary = self._folder / f".{name}.part"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / name)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """See `Target`."""
        (self._folder / name).unlink(missing_ok=True)


class BucketTarget:
    """A copy in object storage, under a prefix."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str = BUCKET_PREFIX) -> None:
        """Name the place; nothing is contacted."""
        self._store = store
        self._bucket = bucket
        self._prefix = prefix

    def read(self, name: str) -> bytes | None:
        """See `Target`. Raises `StorageError`."""
        try:
            return self._store.get(self._bucket, self._prefix + name, limit=_OBJECT_LIMIT)
        except ObjectMissingError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Target`. Raises `StorageError`."""
        kind = "application/json" if name == MANIFEST else "application/vnd.apache.parquet"
        self._store.put(self._bucket, self._prefix + name, content, kind)

    def remove(self, name: str) -> None:
        """See `Target`. Raises `StorageError`."""
        self._store.remove(self._bucket, self._prefix + name)


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did: names of segments that were kept, added, and written again because they were damaged."""

    manifest: Manifest
    kept: tuple[str, ...]
    added: tuple[str, ...]
    repaired: tuple[str, ...]


def export(
    connection: Connection[Any],
    realm: int,
    target: Target,
    segment_events: int | None = None,
    progress: Progress | None = None,
    *,
    sealed: bool = False,
) -> Exported:
    """Copy the log as it stands now, adding to the copy that is already there.

    Args:
        connection: in autocommit; may be the application's role or a replica.
        realm: whose log.
        target: where to.
        segment_events: events in a segment; None for what the copy has, or 100,000.
        progress: told (position, last position).
        sealed: add whole segments only, which are never replaced, and trust those that are there to be sound.

    Raises:
        ExportError: the copy there is of another log or was cut otherwise, or the log's chain is broken.
        OSError, StorageError, psycopg.Error: as their names say.
    """
    row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
    last = int(row[0]) if row else 0
    manifest = _present(target, realm, segment_events)
    _same_log(connection, realm, manifest, last)
    if sealed:
        last -= last % manifest.segment_events
    run = _Run(connection, target, manifest, progress or (lambda _done, _total: None), last)
    if not sealed:
        run.check_present()
    run.extend()
    return run.outcome()


def _present(target: Target, realm: int, segment_events: int | None) -> Manifest:
    content = target.read(MANIFEST)
    if content is None:
        return Manifest(
            format=FORMAT,
            realm=realm,
            genesis=genesis(realm).hex(),
            segment_events=segment_events or SEGMENT_EVENTS,
            segments=(),
            exported_at=0,
        )
    try:
        manifest = decode_manifest(content)
    except CopyError as error:
        raise ExportError(f"what is there cannot be added to: {error}") from None
    if manifest.realm != realm:
        raise ExportError(f"the copy there is of realm {manifest.realm}, not {realm}")
    if segment_events not in (None, manifest.segment_events):
        raise ExportError(f"the copy there has {manifest.segment_events} events in a segment")
    return manifest


def _same_log(connection: Connection[Any], realm: int, manifest: Manifest, last: int) -> None:
    """Refuse to add to the copy of a log that is not this one's beginning."""
    if not manifest.segments:
        return
    end = manifest.segments[-1]
    there = next(log.read_all(connection, realm, end.last - 1, end.last), None) if end.last <= last else None
    if there is None or there.hash.hex() != end.hash:
        raise ExportError(f"the copy there is of another log: position {end.last} has another hash")


class _Run:
    """One export under way."""

    def __init__(
        self, connection: Connection[Any], target: Target, manifest: Manifest, progress: Progress, last: int
    ) -> None:
        self._connection = connection
        self._target = target
        self._manifest = manifest
        self._progress = progress
        self._last = last
        self._kept: list[str] = []
        self._added: list[str] = []
        self._repaired: list[str] = []

    def check_present(self) -> None:
        """Compare the segments that are there with the manifest, and write those again that are damaged."""
        for index, segment in enumerate(self._manifest.segments):
            content = self._target.read(segment.file)
            if content is not None and hashlib.sha256(content).hexdigest() == segment.sha256:
                self._kept.append(segment.file)
            elif segment.count == self._manifest.segment_events or segment.last == self._last:
                again = self._write(bytes.fromhex(segment.previous), segment.first, segment.last)
                segments = list(self._manifest.segments)
                segments[index] = again
                self._save(tuple(segments))
                self._repaired.append(segment.file)
            self._progress(segment.last, self._last)

    def extend(self) -> None:
        """Write the segments that are missing; a short last one gives way to a longer one."""
        segments = list(self._manifest.segments)
        short = None
        if segments and segments[-1].count < self._manifest.segment_events and segments[-1].last < self._last:
            short = segments.pop()
        previous = bytes.fromhex(segments[-1].hash if segments else self._manifest.genesis)
        first = segments[-1].last + 1 if segments else 1
        while first <= self._last:
            last = min(first + self._manifest.segment_events - 1, self._last)
            segments.append(self._write(previous, first, last))
            self._added.append(segments[-1].file)
            # After each segment, so that a stopped export goes on from there.
            self._save(tuple(segments))
            if short is not None:
                self._target.remove(short.file)
                self._kept = [name for name in self._kept if name != short.file]
                short = None
            previous, first = bytes.fromhex(segments[-1].hash), last + 1
        if not segments:
            self._save(())

    def outcome(self) -> Exported:
        """What was done."""
        return Exported(
            manifest=self._manifest,
            kept=tuple(self._kept),
            added=tuple(self._added),
            repaired=tuple(self._repaired),
        )

    def _write(self, previous: bytes, first: int, last: int) -> Segment:
        events = list(self._linked(previous, first, last))
        if len(events) != last - first + 1:
            raise ExportError(f"the log ends at {first + len(events) - 1}, before {last}")
        content = encode_segment(self._manifest.realm, events)
        name = segment_name(first, last)
        self._target.write(name, content)
        return Segment(
            file=name,
            first=first,
            last=last,
            count=len(events),
            sha256=hashlib.sha256(content).hexdigest(),
            previous=previous.hex(),
            hash=events[-1].hash.hex(),
        )

    def _linked(self, previous: bytes, first: int, last: int) -> Iterator[Recorded]:
        """The events from `first` to `last`, each checked against the hash before it."""
        events = log.read_all(self._connection, self._manifest.realm, first - 1, last)
        for position, event in enumerate(islice(events, last - first + 1), first):
            if event.position != position:
                raise ExportError(f"the log is broken: position {position} is missing")
            if link_of(previous, event) != event.hash:
                raise ExportError(
                    f"the log is broken: the hash of position {position} is not that of its content"
                )
            previous = event.hash
            if position % 1000 == 0:
                self._progress(position, self._last)
            yield event
        self._progress(last, self._last)

    def _save(self, segments: tuple[Segment, ...]) -> None:
        exported_at = segments[-1].last if segments else 0
        self._manifest = replace(self._manifest, segments=segments, exported_at=exported_at)
        self._target.write(MANIFEST, encode_manifest(self._manifest))
