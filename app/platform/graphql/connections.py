"""Keyset connections: opaque cursors, bounded pages, one PageInfo.

A slice reads `page_size(first) + 1` rows after `decode_cursor(after)` and hands them to `build_page`.
Cursors hold the key of the row they stand on, never an offset. No SQL here.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import strawberry

from app.platform.graphql.top_level import ApiError, TopLevelCode

#: The largest page anyone may ask for.
MAX_PAGE = 100

Row = TypeVar("Row")
Edge = TypeVar("Edge")
Key = TypeVar("Key", bound=tuple[Any, ...])


@strawberry.type(description="Where a page of a connection stands.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(description="Whether more follow after `endCursor`.")
    has_previous_page: bool = strawberry.field(
        description="Whether the page was asked for after a cursor, so that something stands before it."
    )
    start_cursor: str | None = strawberry.field(
        default=None, description="Cursor of the first edge, or null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        default=None, description="Cursor of the last edge, or null on an empty page."
    )


def page_size(first: int | None, default: int = 20) -> int:
    """The number of rows to show. Null means the default.

    Raises ApiError INVALID_ARGUMENT outside 1..100.
    """
    size = default if first is None else first
    if not 1 <= size <= MAX_PAGE:
        raise ApiError(f"`first` must be from 1 to {MAX_PAGE}, not {size}.", TopLevelCode.INVALID_ARGUMENT)
    return size


def encode_cursor(key: object) -> str:
    """An opaque cursor for a row's key: anything msgspec can write, for example `(position,)`."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, key_type: type[Key]) -> Key:
    """The key inside a cursor, checked against its type, for example `tuple[int]`.

    Raises ApiError INVALID_ARGUMENT when it is not one of this connection's cursors.
    """
    try:
        raw = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        key: Key = msgspec.json.decode(raw, type=key_type)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise _no_cursor() from None
    if not all(_storable(part) for part in key):
        raise _no_cursor()
    return key


def _storable(part: object) -> bool:
    """Whether the database could hold a cursor's part: a 64-bit number, or text without NUL."""
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return not (isinstance(part, str) and "\0" in part)


def _no_cursor() -> ApiError:
    return ApiError("`after` is not a cursor of this connection.", TopLevelCode.INVALID_ARGUMENT)


def build_page(
    rows: Sequence[Row],
    size: int,
    *,
    key: Callable[[Row], object],
    edge: Callable[[str, Row], Edge],
    after: str | None = None,
) -> tuple[list[Edge], PageInfo]:
    """Edges and PageInfo from up to `size + 1` rows in the connection's order.

    `key` gives what a row's cursor holds, `edge` makes the edge of (cursor, row).
    """
    shown = rows[:size]
    cursors = [encode_cursor(key(row)) for row in shown]
    info = PageInfo(
        has_next_page=len(rows) > size,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
    return [edge(cursor, row) for cursor, row in zip(cursors, shown, strict=True)], info
