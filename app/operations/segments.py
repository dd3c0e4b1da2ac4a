"""The exported log: Parquet segments and their manifest, written and read. Needs no database and no settings.

A segment holds consecutive events; the manifest lists the segments with their SHA-256 and the chain's hashes on
both sides of each, so that a copy can be proved complete and unaltered. The same events always give the same bytes
(with the same version of pyarrow). May import nothing that connects to anything: a researcher uses this module as
it is. Look next: `app.operations.export`, `app.operations.verify_log`, `app.operations.replay`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from events.base import Recorded

MANIFEST: Final = "manifest.json"
FORMAT: Final = "hoard-log-1"
#: Events in a segment, unless another number is asked for.
SEGMENT_EVENTS: Final = 100_000
#: Rows that are turned into Python objects at a time.
_BATCH_ROWS: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SCHEMA: Final = pa.schema(
    [
        pa.field("realm", pa.int64(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("event_id", pa.uuid(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("schema_version", pa.int64(), nullable=False),
        pa.field("subject", pa.uuid()),
        pa.field("occurred_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("data", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("hash", pa.binary(32), nullable=False),
    ]
)


class CopyError(Exception):
    """An exported copy is not what its manifest says, or not a copy at all."""

    def __init__(self, problem: str, *, position: int | None = None, file: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        #: the first position that cannot be trusted
        self.position = position
        self.file = file


class Segment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the copy. Hashes are hexadecimal."""

    file: str
    first: int
    last: int
    count: int
    #: of the file
    sha256: str
    #: the chain's hash before the first event of the segment, and at its last
    previous: str
    hash: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a copy consists of. It holds no time of day: the same log gives the same manifest."""

    format: str
    realm: int
    #: the chain's hash before the first event, hexadecimal
    genesis: str
    #: events in every segment but the last
    segment_events: int
    segments: tuple[Segment, ...]
    #: position of the last event in the copy
    exported_at: int


def segment_name(first: int, last: int) -> str:
    """The file name of a segment."""
    return f"events-{first}-{last}.parquet"


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def decode_manifest(content: bytes) -> Manifest:
    """The manifest in a file's text. Raises `CopyError`."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CopyError(f"not a manifest: {error}", file=MANIFEST) from None
    if manifest.format != FORMAT:
        raise CopyError(f"the format is {manifest.format!r}, this program knows {FORMAT!r}", file=MANIFEST)
    for segment in manifest.segments:
        # A name is no path: a copy from strangers must not lead anywhere else.
        if segment.file != segment_name(segment.first, segment.last):
            raise CopyError(
                "a segment has another name than its positions", position=segment.first, file=MANIFEST
            )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder. Raises `CopyError`."""
    try:
        return decode_manifest((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise CopyError(f"no manifest in {folder}: {error.strerror}", file=MANIFEST) from None


def encode_segment(realm: int, events: Sequence[Recorded]) -> bytes:
    """The Parquet file of consecutive events."""
    table = pa.table(
        {
            "realm": [realm] * len(events),
            "position": [event.position for event in events],
            "event_id": _uuids([event.event_id for event in events]),
            "stream": [event.stream for event in events],
            "type": [event.type for event in events],
            "schema_version": [event.schema_version for event in events],
            "subject": _uuids([event.subject for event in events]),
            "occurred_at": [event.occurred_at for event in events],
            "data": pa.array([event.data for event in events], pa.binary()).cast(pa.string()),
            "metadata": pa.array([event.metadata for event in events], pa.binary()).cast(pa.string()),
            "hash": [event.hash for event in events],
        },
        schema=SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        # Only these repeat; dictionaries of the others would be made and thrown away.
        use_dictionary=["realm", "stream", "type", "schema_version", "subject"],
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _uuids(values: Sequence[UUID | None]) -> Any:
    raw = pa.array([None if value is None else value.bytes for value in values], pa.binary(16))
    return pa.ExtensionArray.from_storage(pa.uuid(), raw)


def read_segment(source: Path | bytes, realm: int) -> Iterator[Recorded]:
    """The events in a Parquet file, in the order they stand there.

    Raises:
        CopyError: it is no Parquet file, lacks a column or belongs to another realm. Nothing else is checked.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else str(source)) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=SCHEMA.names):
                yield from _events(batch, realm)
    except (pa.ArrowException, KeyError, OSError, UnicodeDecodeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CopyError(f"cannot be read: {reason}") from None


def _events(batch: Any, realm: int) -> Iterator[Recorded]:
    if batch.schema.types != SCHEMA.types:
        raise CopyError("the columns have other types")
    if any(batch.column(name).null_count for name in SCHEMA.names if name != "subject"):
        raise CopyError("a value is missing")
    if set(batch.column("realm").to_pylist()) != {realm}:
        raise CopyError("holds events of another realm")
    # In the order of Recorded's fields; texts stay bytes, since most of them are only hashed.
    columns = (
        batch.column("position").to_pylist(),
        [UUID(bytes=raw) for raw in batch.column("event_id").storage.to_pylist()],
        batch.column("stream").to_pylist(),
        batch.column("type").to_pylist(),
        batch.column("schema_version").to_pylist(),
        [None if raw is None else UUID(bytes=raw) for raw in batch.column("subject").storage.to_pylist()],
        _instants(batch.column("occurred_at")),
        batch.column("data").cast(pa.binary()).to_pylist(),
        batch.column("metadata").cast(pa.binary()).to_pylist(),
        batch.column("hash").to_pylist(),
    )
    for position, event_id, stream, name, version, subject, occurred_at, data, metadata, digest in zip(
        *columns, strict=True
    ):
        yield Recorded(
            position=position,
            event_id=event_id,
            stream=stream,
            type=name,
            schema_version=version,
            subject=subject,
            occurred_at=occurred_at,
            data=data,
            metadata=metadata,
            hash=digest,
        )


def _instants(column: Any) -> list[datetime]:
    # Half the time of Arrow's own conversion, and no need of a time zone database.
    return [_EPOCH + timedelta(microseconds=value) for value in column.cast(pa.int64()).to_pylist()]


def read_copy(folder: Path, manifest: Manifest, upto: int | None = None) -> Iterator[Recorded]:
    """The events of a whole copy in order, to its end or to position `upto`, checked to be dense.

    Raises:
        CopyError: a segment is missing, unreadable or not the file that the manifest names, or a position is
            missing. The chain is `verify_log`'s business.
    """
    expected = 1
    for segment in manifest.segments:
        try:
            check_file(folder / segment.file, segment.sha256)
            for event in read_segment(folder / segment.file, manifest.realm):
                if upto is not None and event.position > upto:
                    return
                if event.position != expected:
                    raise CopyError(f"position {event.position} where {expected} should be")
                expected += 1
                yield event
        except CopyError as error:
            raise CopyError(error.problem, position=expected, file=segment.file) from None


def check_file(path: Path, sha256: str) -> None:
    """Raises `CopyError` unless a file is there and has a hexadecimal SHA-256."""
    try:
        altered = sha256_of(path) != sha256
    except OSError as error:
        raise CopyError("is missing or unreadable") from error
    if altered:
        raise CopyError("is not the file that the manifest names: its SHA-256 differs")


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
