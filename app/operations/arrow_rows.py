"""Rows of structs as Arrow columns: types from the structs' annotations, values from their fields.

Ids are text, instants are UTC with microseconds, enumerations are their values, tuples are lists, pairs and structs are
structs. Nothing else occurs in a projection; a new kind of field fails loudly. Look next: `app.operations.log_tables`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import inspect as msi

Convert = Callable[[Any], Any]

_PLAIN: dict[type[msi.Type], Any] = {
    msi.IntType: pa.int64(),
    msi.BoolType: pa.bool_(),
    msi.StrType: pa.string(),
    msi.EnumType: pa.string(),
    msi.UUIDType: pa.string(),
    msi.DateTimeType: pa.timestamp("us", tz="UTC"),
}


class Columns:
    """How the rows of one kind of struct become columns."""

    def __init__(self, row: type[msgspec.Struct]) -> None:
        """Look at a struct. Raises `TypeError` for a field that has no Arrow type."""
        described = msi.type_info(row)
        assert isinstance(described, msi.StructType), "rows are structs"
        made = [(field.name, *_column(field.type)) for field in described.fields]
        self.schema = pa.schema([(name, type_) for name, type_, _ in made])
        self._fields = [(name, convert) for name, _, convert in made]

    def batch(self, rows: list[Any]) -> Any:
        """A record batch of rows."""
        columns = [[convert(getattr(row, name)) for row in rows] for name, convert in self._fields]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.record_batch(arrays, schema=self.schema)


def _column(type_: msi.Type) -> tuple[Any, Convert]:
    """The Arrow type of a field's type, and how a value becomes one of it."""
    match type_:
        case msi.UnionType(types=types) if any(isinstance(each, msi.NoneType) for each in types):
            (known,) = (each for each in types if not isinstance(each, msi.NoneType))
            arrow, convert = _column(known)
            return arrow, lambda value: None if value is None else convert(value)
        case msi.VarTupleType(item_type=item):
            arrow, convert = _column(item)
            return pa.list_(arrow), lambda value: [convert(each) for each in value]
        case msi.TupleType(item_types=items):
            return _structured([(f"f{at}", each) for at, each in enumerate(items)], lambda value: value)
        case msi.StructType(fields=fields):
            names = [field.name for field in fields]
            return _structured(
                [(field.name, field.type) for field in fields],
                lambda value: [getattr(value, name) for name in names],
            )
        case msi.EnumType():
            return pa.string(), lambda value: value.value
        case msi.UUIDType():
            return pa.string(), str
        case _ if type(type_) in _PLAIN:
            return _PLAIN[type(type_)], lambda value: value
    message = f"no Arrow type for {type_!r}"
    raise TypeError(message)


def _structured(fields: list[tuple[str, msi.Type]], values: Convert) -> tuple[Any, Convert]:
    made = [(name, *_column(type_)) for name, type_ in fields]
    arrow = pa.struct([(name, type_) for name, type_, _ in made])
    return arrow, lambda value: {
        name: convert(each) for (name, _, convert), each in zip(made, values(value), strict=True)
    }
