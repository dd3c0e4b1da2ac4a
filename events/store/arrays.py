"""Lists as PostgreSQL arrays in their binary form, packed in one go.

psycopg dumps a list element by element with a look-up each; the writer sends a few dozen of them with every batch.
The form is PostgreSQL's `array_send`: dimensions, whether there are nulls, element type, length, lower bound, then
each element with its length (-1 for null). May not know tables, nor import a driver: `events.store.dumpers` makes these
known to psycopg. Look next: `events.store.columns`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

_HEADER = struct.Struct(">iiiii")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Packed(bytes):
    """An array in binary form; subclasses say of which type, by the oids of PostgreSQL's catalogue."""

    element: ClassVar[int]
    array: ClassVar[int]


class PackedBool(Packed):
    """boolean[]."""

    element, array = 16, 1000


class PackedBytea(Packed):
    """bytea[]."""

    element, array = 17, 1001


class PackedInt8(Packed):
    """bigint[]."""

    element, array = 20, 1016


class PackedText(Packed):
    """text[]."""

    element, array = 25, 1009


class PackedFloat8(Packed):
    """double precision[]."""

    element, array = 701, 1022


class PackedTimestamptz(Packed):
    """timestamptz[]."""

    element, array = 1184, 1185


class PackedUuid(Packed):
    """uuid[]."""

    element, array = 2950, 2951


@lru_cache(1024)
def _fixed(element: str, count: int) -> struct.Struct:
    return struct.Struct(">" + ("i" + element) * count)


def _body(values: Sequence[Any], code: str, size: int) -> tuple[bytes, bool]:
    """Elements of a fixed size."""
    if None not in values:
        flat = [part for value in values for part in (size, value)]
        return _fixed(code, len(values)).pack(*flat), False
    one = _fixed(code, 1)
    return b"".join(_NULL if value is None else one.pack(size, value) for value in values), True


def _joined(elements: Sequence[bytes | None]) -> tuple[bytes, bool]:
    """Elements of any size."""
    pack = _LENGTH.pack
    parts = [_NULL if element is None else pack(len(element)) + element for element in elements]
    return b"".join(parts), None in elements


def _packed(kind: type[Packed], count: int, body: tuple[bytes, bool]) -> Packed:
    content, nulls = body
    if not count:
        return kind(struct.pack(">iii", 0, 0, kind.element))
    return kind(_HEADER.pack(1, nulls, kind.element, count, 1) + content)


def int8s(values: Sequence[int | None]) -> bytes:
    """bigint[]. Raises `struct.error` for a number beyond 64 bits."""
    return _packed(PackedInt8, len(values), _body(values, "q", 8))


def bools(values: Sequence[bool | None]) -> bytes:
    """boolean[]."""
    return _packed(PackedBool, len(values), _body(values, "?", 1))


def float8s(values: Sequence[float | None]) -> bytes:
    """`double precision[]`."""
    return _packed(PackedFloat8, len(values), _body(values, "d", 8))


def instants(values: Sequence[datetime | None]) -> bytes:
    """timestamptz[]: microseconds since 2000."""
    since = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
    return _packed(PackedTimestamptz, len(values), _body(since, "q", 8))


def uuids(values: Sequence[UUID | None]) -> bytes:
    """uuid[]."""
    return _packed(
        PackedUuid, len(values), _joined([None if value is None else value.bytes for value in values])
    )


def texts(values: Sequence[str | None]) -> bytes:
    """text[]."""
    return _packed(
        PackedText, len(values), _joined([None if value is None else value.encode() for value in values])
    )


def byteas(values: Sequence[bytes | None]) -> bytes:
    """bytea[]."""
    return _packed(PackedBytea, len(values), _joined(values))


#: how a list travels, by the SQL type of its elements
PACK: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "uuid": uuids,
    "bigint": int8s,
    "boolean": bools,
    "text": texts,
    "double precision": float8s,
    "timestamptz": instants,
    "bytea": byteas,
}
