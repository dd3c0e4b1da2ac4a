"""The exported log: Parquet segments and their manifest, written and read. Needs no database and no settings.

A segment holds consecutive events; the manifest lists the segments with their SHA-256 and the chain's hashes on
both sides of each, so that a copy can be proved complete and unaltered. The same events always give the same bytes
(with the same version of pyarrow). May import nothing that connects to anything: a researcher uses this module as
it is. Look next: `app.operations.export`, `app.operations.verify_log`, `app.operations.replay`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
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


class Files(Protocol):
    """Where the files of a copy are had, if not in a folder."""

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none."""


#: a copy: its folder, or whatever else has its files
Copy = Path | Files


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


def read_manifest(copy: Copy) -> Manifest:
    """The manifest of a copy. Raises `CopyError`."""
    if isinstance(copy, Path):
        try:
            return decode_manifest((copy / MANIFEST).read_bytes())
        except OSError as error:
            raise CopyError(f"no manifest in {copy}: {error.strerror}", file=MANIFEST) from None
    if (content := copy.read(MANIFEST)) is None:
        raise CopyError("there is no manifest", file=MANIFEST)
    return decode_manifest(content)


def segment_of(copy: Copy, segment: Segment) -> Path | bytes | None:
    """The file of a segment: where it stands, or its content; None where it is missing."""
    if isinstance(copy, Path):
        path = copy / segment.file
        return path if path.is_file() else None
    return copy.read(segment.file)


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
    for batch in _batches(source, SCHEMA.names):
        yield from _events(batch, realm)


def _batches(source: Path | bytes, columns: Sequence[str]) -> Iterator[Any]:
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else str(source)) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns))
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


def read_copy(copy: Copy, manifest: Manifest, upto: int | None = None) -> Iterator[Recorded]:
    """The events of a whole copy in order, to its end or to position `upto`, checked to be dense.

    One segment is held at a time where the copy is no folder, and some thousand events where it is one.

    Raises:
        CopyError: a segment is missing, unreadable or not the file that the manifest names, or a position is
            missing. The chain is `verify_log`'s business.
    """
    expected = 1
    for segment in manifest.segments:
        if upto is not None and segment.first > upto:
            return
        try:
            for event in read_segment(_checked(copy, segment), manifest.realm):
                if upto is not None and event.position > upto:
                    return
                if event.position != expected:
                    raise CopyError(f"position {event.position} where {expected} should be")
                expected += 1
                yield event
        except CopyError as error:
            raise CopyError(error.problem, position=expected, file=segment.file) from None


def find(
    copy: Copy, manifest: Manifest, *, streams: Sequence[str] | None = None, text: str | None = None
) -> Iterator[Recorded]:
    """The events of some streams, or in whose body a text stands, in order. Raises `CopyError`, as `read_copy` does."""
    for segment in manifest.segments:
        try:
            for batch in _batches(_checked(copy, segment), SCHEMA.names):
                if streams is not None:
                    chosen = batch.filter(
                        pc.is_in(batch.column("stream"), pa.array(list(streams), pa.string()))
                    )
                else:
                    chosen = batch.filter(pc.match_substring(batch.column("data"), text))
                if chosen.num_rows:
                    yield from _events(chosen, manifest.realm)
        except CopyError as error:
            raise CopyError(error.problem, position=segment.first, file=segment.file) from None


def position_at(copy: Copy, manifest: Manifest, instant: datetime) -> int:
    """The position of the last event at an instant, 0 before the first: instants never run backwards in the log.

    Raises:
        CopyError: a segment that must be looked at is missing or not the file that the manifest names.
    """

    def instants(segment: Segment) -> list[datetime]:
        try:
            found = _batches(_checked(copy, segment), ["occurred_at"])
            return [each for batch in found for each in _instants(batch.column("occurred_at"))]
        except CopyError as error:
            raise CopyError(error.problem, position=segment.first, file=segment.file) from None

    after = bisect_right(manifest.segments, instant, key=lambda segment: instants(segment)[0])
    if after == 0:
        return 0
    segment = manifest.segments[after - 1]
    return segment.first - 1 + bisect_right(instants(segment), instant)


def _checked(copy: Copy, segment: Segment) -> Path | bytes:
    file = segment_of(copy, segment)
    check_file(file, segment.sha256)
    assert file is not None
    return file


def check_file(file: Path | bytes | None, sha256: str) -> None:
    """Raises `CopyError` unless a file is there and has a hexadecimal SHA-256."""
    try:
        altered = sha256_of(file) != sha256
    except OSError as error:
        raise CopyError("is missing or unreadable") from error
    if altered:
        raise CopyError("is not the file that the manifest names: its SHA-256 differs")


def sha256_of(file: Path | bytes | None) -> str:
    """The hexadecimal SHA-256 of a file. Raises `OSError`, where there is none, too."""
    if file is None:
        raise FileNotFoundError
    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
