"""The schema as text: printed, compared with the committed file, checked for breaks and descriptions.

For the command line and tests; at run time only `core_schema` is used. Everything here is pure but for the one
function that reads the committed file.
"""

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    is_introspection_type,
    is_specified_scalar_type,
    lexicographic_sort_schema,
    print_schema,
)


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """graphql-core's schema inside strawberry's, with strawberry's resolvers on its fields."""
    return schema._schema  # noqa: SLF001  (strawberry has no public name for it)


def print_sdl(schema: strawberry.Schema) -> str:
    """The schema in SDL, sorted, with a newline at its end: the content of `schema.graphql`."""
    # By way of strawberry's own printer: graphql-core cannot print strawberry's enum defaults.
    return print_schema(lexicographic_sort_schema(build_schema(schema.as_str()))) + "\n"


def difference(schema: strawberry.Schema, committed: Path) -> str:
    """A unified diff from the committed file to the schema; empty when they agree.

    A missing file counts as an empty one.
    """
    before = committed.read_text(encoding="utf-8") if committed.exists() else ""
    lines = unified_diff(
        before.splitlines(keepends=True),
        print_sdl(schema).splitlines(keepends=True),
        fromfile=committed.name,
        tofile="code",
    )
    return "".join(lines)


def breaking_changes(old: str, new: str) -> list[str]:
    """What in the new SDL breaks a client of the old one, one sentence each."""
    return [change.description for change in find_breaking_changes(build_schema(old), build_schema(new))]


def undescribed(schema: strawberry.Schema | GraphQLSchema) -> list[str]:
    """Coordinates of every type, field, argument, input field and enum value without a description."""
    inner = core_schema(schema) if isinstance(schema, strawberry.Schema) else schema
    missing: list[str] = []
    for name, type_ in sorted(inner.type_map.items()):
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        if not type_.description:
            missing.append(name)
        missing += (f"{name}.{member}" for member, text in _members(type_) if not text)
    return missing


def _members(type_: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in type_.fields.items():
            yield name, field.description
            for argument, definition in field.args.items():
                yield f"{name}({argument}:)", definition.description
    elif isinstance(type_, GraphQLInputObjectType):
        for name, input_field in type_.fields.items():
            yield name, input_field.description
    elif isinstance(type_, GraphQLEnumType):
        for name, value in type_.values.items():
            yield name, value.description
