"""Compiled converters build what strawberry itself builds, for every input type of the schema; nulls are defaults."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    is_list_type,
    is_non_null_type,
)
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

from app.platform.graphql.conversion import compile_inputs
from app.platform.graphql.schema_tools import core_schema
from app.schema import schema


def definitions() -> Iterator[StrawberryObjectDefinition]:
    for concrete in schema.schema_converter.type_map.values():
        if isinstance(concrete.definition, StrawberryObjectDefinition) and concrete.definition.is_input:
            yield concrete.definition


INPUTS = sorted(definition.name for definition in definitions())
SCALARS: dict[str, Any] = {"Int": 7, "Float": 1.5, "Boolean": True, "String": "text", "ID": "id"}


def sample(type_: GraphQLInputType, *, least: bool) -> Any:
    """A coerced value: with as little as is allowed, or with everything."""
    if is_non_null_type(type_):
        return sample(type_.of_type, least=least)
    if is_list_type(type_):
        return [sample(type_.of_type, least=least)] * 2
    if isinstance(type_, GraphQLInputObjectType):
        return {
            name: sample(field.type, least=least)
            for name, field in type_.fields.items()
            if not least or is_non_null_type(field.type)
        }
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values.values())).value
    return SCALARS.get(type_.name, "scalar")


def values(name: str) -> list[dict[str, Any]]:
    type_ = core_schema(schema).type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    return [sample(type_, least=True), sample(type_, least=False)]


def with_nulls(name: str) -> dict[str, Any]:
    """The least value with every other field null."""
    type_ = core_schema(schema).type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    least: dict[str, Any] = sample(type_, least=True)
    return dict.fromkeys(type_.fields) | least


def converted(definition: StrawberryObjectDefinition, value: Any) -> Any:
    return convert_argument(value, definition.origin, schema.schema_converter.scalar_registry, schema.config)


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_built_is_what_strawberry_builds(name: str, monkeypatch: pytest.MonkeyPatch):
    for definition in definitions():
        monkeypatch.setattr(definition, "from_input", None)
    (definition,) = (each for each in definitions() if each.name == name)
    plain = [converted(definition, value) for value in values(name)]
    compile_inputs(schema)
    assert definition.from_input is not None
    assert [converted(definition, value) for value in values(name)] == plain
    assert all(type(built) is definition.origin for built in plain)


@pytest.mark.parametrize("name", INPUTS)
def test_an_explicit_null_is_the_default(name: str):
    compile_inputs(schema)
    (definition,) = (each for each in definitions() if each.name == name)
    least, _ = values(name)
    assert converted(definition, with_nulls(name)) == converted(definition, least)
