"""Input types built from coerced values by converters that are made once.

strawberry resolves the type of every field of an input anew for each value it converts (an eighth of what a busy API
process did); its definitions let a type say how it is built. What a value is converted to is the same, but for an
explicit null: `width: Int = 512` is nullable in GraphQL, and `width: null` means the default, everywhere. Look next:
`app.platform.graphql.execution`, which has a schema prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, cast

import strawberry
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    StrawberryType,
    has_object_definition,
)
from strawberry.types.lazy_type import LazyType

#: from a coerced value that is not null; None for values that stay as they are
_Convert = Callable[[Any], Any] | None


def compile_inputs(schema: strawberry.Schema) -> None:
    """Give every input type of a schema its converter. Raises `TypeError` for kinds of types that no input has."""
    for concrete in schema.schema_converter.type_map.values():
        definition = concrete.definition
        if isinstance(definition, StrawberryObjectDefinition) and definition.is_input:
            _compiled(schema, definition)


def _compiled(schema: strawberry.Schema, definition: StrawberryObjectDefinition) -> Callable[..., Any]:
    """The converter of an input type, with those of the types in it."""
    if definition.from_input is None:
        fields: list[tuple[str, str, _Convert]] = []
        definition.from_input = _builder(
            fields, _nulls(definition)
        )  # before its fields: a type may hold itself
        for field in definition.fields:
            name = schema.config.name_converter.from_field(field)
            convert = _converter(schema, field.resolve_type(type_definition=definition))
            fields.append((name, field.python_name, convert))
    return definition.from_input


def _nulls(definition: StrawberryObjectDefinition) -> dict[str, Any]:
    """What fields without a default are when they are left out."""
    return {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }


def _builder(fields: list[tuple[str, str, _Convert]], nulls: dict[str, Any]) -> Callable[..., Any]:
    def build(type_: type, value: Mapping[str, Any], _: InputContext | None = None) -> Any:
        given = dict(nulls)
        for name, python_name, convert in fields:
            if name in value:
                field = value[name]
                if field is not None:
                    given[python_name] = field if convert is None else convert(field)
        return type_(**given)

    return build


def _converter(schema: strawberry.Schema, type_: StrawberryType | type) -> _Convert:
    if isinstance(type_, StrawberryOptional):
        return _converter(schema, type_.of_type)
    if isinstance(type_, StrawberryList):
        each = _converter(schema, type_.of_type)
        if each is None:
            return list  # a copy: graphql-core gives the same default to every request
        return lambda values: [None if value is None else each(value) for value in values]
    if has_object_definition(type_):
        build = _compiled(schema, type_.__strawberry_definition__)
        return lambda value: build(cast("type", type_), value)
    if isinstance(type_, StrawberryMaybe | LazyType):
        message = f"inputs of this kind are not built here: {type_}"
        raise TypeError(message)
    return None
