"""A table as the fields of a frozen struct: DDL, set-based select and upsert, and rows to structs and back.

Log, projections and vault all keep their rows this way, so that one place decides how a Python type is stored.
Every table has a leading `realm` column that the struct does not carry. May not hold business rules. Types:
UUID, int (bigint), bool, str, float, datetime (timestamptz), bytes, string enums (text), tuples and structs (jsonb), each
possibly None. Look next: `projections.store.tables`, `app.platform.vault`.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from events.store.arrays import PACK

R = TypeVar("R", bound=msgspec.Struct)

_SIMPLE: dict[type, str] = {
    UUID: "uuid",
    int: "bigint",
    bool: "boolean",
    str: "text",
    float: "double precision",
    datetime: "timestamptz",
    bytes: "bytea",
}


class Column:
    """One field of a row struct as a column."""

    __slots__ = ("_pack", "decode", "encode", "name", "nullable", "pg_type")

    def __init__(self, name: str, annotation: Any) -> None:
        self.name = name
        self.nullable = False
        if isinstance(annotation, types.UnionType):
            inner = [part for part in typing.get_args(annotation) if part is not type(None)]
            self.nullable = len(inner) < len(typing.get_args(annotation))
            (annotation,) = inner
        self.encode: Callable[[Any], Any] | None = None
        self.decode: Callable[[Any], Any] | None = None
        if typing.get_origin(annotation) is tuple or issubclass(annotation, msgspec.Struct):
            self.pg_type = "jsonb"
            self.encode = lambda value: msgspec.json.encode(value).decode()
            self.decode = lambda value, target=annotation: msgspec.convert(value, target)
        elif issubclass(annotation, enum.StrEnum):
            self.pg_type = "text"
            self.encode = lambda value: value.value
            self.decode = annotation
        else:
            self.pg_type = _SIMPLE[annotation]
        self._pack = PACK["text" if self.pg_type == "jsonb" else self.pg_type]

    @property
    def cast(self) -> str:
        """What turns an unpacked value into the column's type."""
        return "::jsonb" if self.pg_type == "jsonb" else ""

    @property
    def parameter(self) -> str:
        """The SQL array type in which values of this column travel."""
        return "text[]" if self.pg_type == "jsonb" else f"{self.pg_type}[]"

    def values(self, rows: Sequence[msgspec.Struct]) -> bytes:
        """This column of many rows, as one array parameter."""
        values = [getattr(row, self.name) for row in rows]
        if (encode := self.encode) is not None:
            values = [None if value is None else encode(value) for value in values]
        return self._pack(values)


class Table(Generic[R]):
    """A table whose rows are structs of type `row`, in a PostgreSQL schema named when statements are made."""

    def __init__(
        self, name: str, row: type[R], *, key: tuple[str, ...] = ("id",), indexes: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.row = row
        self.key = key
        #: bodies of CREATE INDEX after the table's name, for example "(realm, job)"
        self.indexes = indexes
        hints = typing.get_type_hints(row)
        self.columns = tuple(Column(field, hints[field]) for field in row.__struct_fields__)
        self._decoders = tuple((i, c.decode) for i, c in enumerate(self.columns) if c.decode is not None)
        self.column_list = ", ".join(c.name for c in self.columns)

    def ddl(self, schema: str) -> list[str]:
        """Statements that make the table, with its primary key only."""
        body = ", ".join(f"{c.name} {c.pg_type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)
        key = f"PRIMARY KEY (realm, {', '.join(self.key)})"
        return [f"CREATE TABLE {schema}.{self.name} (realm bigint NOT NULL, {body}, {key})"]

    def index_ddl(self, schema: str) -> list[str]:
        """Statements that make its other indexes."""
        return [f"CREATE INDEX ON {schema}.{self.name} {index}" for index in self.indexes]

    def select(self, schema: str, where: str) -> str:
        """A statement that reads whole rows; `where` may use %(realm)s and names of its own."""
        return f"SELECT {self.column_list} FROM {schema}.{self.name} WHERE realm = %(realm)s AND {where}"  # noqa: S608

    def upsert(self, schema: str) -> str:
        """A statement that writes many rows from one array a column (parameters: realm, then the columns)."""
        unpacked = ", ".join(f"%b::{c.parameter}" for c in self.columns)
        taken = ", ".join(f"t.{c.name}{c.cast}" for c in self.columns)
        changed = [c.name for c in self.columns if c.name not in self.key]
        action = f"UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in changed)}" if changed else "NOTHING"
        return (
            f"INSERT INTO {schema}.{self.name} (realm, {self.column_list}) "  # noqa: S608
            f"SELECT %b::bigint, {taken} FROM unnest({unpacked}) AS t({self.column_list}) "
            f"ON CONFLICT (realm, {', '.join(self.key)}) DO {action}"
        )

    def changed(self, before: R, after: R) -> list[str]:
        """The names of the columns in which two versions of a row differ."""
        return [c.name for c in self.columns if getattr(before, c.name) != getattr(after, c.name)]

    def update(self, schema: str, changed: Iterable[str]) -> str:
        """A statement that writes some columns of many rows that exist; parameters: `update_parameters`.

        The keys are named twice so that rows are looked up by them under any plan.
        """
        key, *others = self._written(changed)
        arrays = ", ".join(f"%b::{c.parameter}" for c in (key, *others))
        names = ", ".join(c.name for c in (key, *others))
        set_ = ", ".join(f"{c.name} = t.{c.name}{c.cast}" for c in others)
        return (
            f"UPDATE {schema}.{self.name} AS o SET {set_} FROM unnest({arrays}) AS t({names}) "  # noqa: S608
            f"WHERE o.realm = %b::bigint AND o.{key.name} = ANY(%b::{key.parameter}) AND o.{key.name} = t.{key.name}"
        )

    def update_parameters(self, realm: int, rows: Sequence[R], changed: Iterable[str]) -> list[Any]:
        """What `update` takes for these rows."""
        keys, *others = (column.values(rows) for column in self._written(changed))
        return [keys, *others, realm, keys]

    def _written(self, changed: Iterable[str]) -> list[Column]:
        names = {*self.key, *changed}
        return [column for column in self.columns if column.name in names]

    def parameters(self, realm: int, rows: Sequence[R]) -> list[Any]:
        """What `upsert` takes for these rows."""
        return [realm, *(column.values(rows) for column in self.columns)]

    def load(self, values: Sequence[Any]) -> R:
        """The struct of one fetched row."""
        if self._decoders:
            changed = list(values)
            for index, decode in self._decoders:
                if changed[index] is not None:
                    changed[index] = decode(changed[index])
            values = changed
        return self.row(*values)

    def load_all(self, fetched: Iterable[Sequence[Any]]) -> list[R]:
        """The structs of many fetched rows."""
        return [self.load(values) for values in fetched]
