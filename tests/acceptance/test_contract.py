"""A client written against the core contract finds all of it: every type, field, argument and value."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    build_schema,
    get_introspection_query,
    is_non_null_type,
    is_specified_scalar_type,
)

from tests.acceptance.horde import Horde

CONTRACT = build_schema((Path(__file__).parent / "contract.graphql").read_text())
NAMES = sorted(
    name
    for name, kind in CONTRACT.type_map.items()
    if not name.startswith("__") and not is_specified_scalar_type(kind)
)


@pytest.fixture(scope="module")
def served(horde: Horde) -> GraphQLSchema:
    """The schema as the server tells it."""
    return build_client_schema(horde.anonymous.ask(get_introspection_query(descriptions=True)))


def gives(ours: Any, theirs: Any) -> bool:
    """Whether a client that expects the output type `theirs` can read `ours`: never null where none is expected."""
    if is_non_null_type(theirs):
        return is_non_null_type(ours) and gives(ours.of_type, theirs.of_type)
    if is_non_null_type(ours):
        return gives(ours.of_type, theirs)
    if hasattr(theirs, "of_type"):
        return hasattr(ours, "of_type") and gives(ours.of_type, theirs.of_type)
    return not hasattr(ours, "of_type") and ours.name == theirs.name


def takes(ours: Any, theirs: Any) -> bool:
    """Whether what a client sends as the input type `theirs` is accepted as `ours`."""
    return gives(theirs, ours)


@pytest.mark.parametrize("name", NAMES)
def test_every_type_of_the_contract_is_served(served: GraphQLSchema, name: str) -> None:
    theirs, ours = CONTRACT.type_map[name], served.get_type(name)
    assert ours is not None, "missing"
    assert type(ours) is type(theirs)
    faults: list[str] = []
    if isinstance(theirs, GraphQLObjectType | GraphQLInterfaceType):
        faults += fields(theirs, ours)
        faults += [
            f"is no {i.name}" for i in theirs.interfaces if i.name not in {o.name for o in ours.interfaces}
        ]
    elif isinstance(theirs, GraphQLInputObjectType):
        faults += inputs(theirs, ours)
    elif isinstance(theirs, GraphQLEnumType):
        assert isinstance(ours, GraphQLEnumType)
        faults += [f"has no {value}" for value in theirs.values if value not in ours.values]
    elif isinstance(theirs, GraphQLUnionType):
        assert isinstance(ours, GraphQLUnionType)
        known = {member.name for member in ours.types}
        faults += [f"has no {member.name}" for member in theirs.types if member.name not in known]
    assert not faults


def fields(theirs: Any, ours: Any) -> list[str]:
    faults = []
    for name, field in theirs.fields.items():
        if name not in ours.fields:
            faults.append(f"{name} is missing")
            continue
        found = ours.fields[name]
        if not gives(found.type, field.type):
            faults.append(f"{name}: {found.type} is not {field.type}")
        faults += [f"{name}: {fault}" for fault in arguments(field.args, found.args)]
    return faults


def inputs(theirs: Any, ours: Any) -> list[str]:
    return arguments(theirs.fields, ours.fields)


def arguments(theirs: Any, ours: Any) -> list[str]:
    faults = []
    for name, argument in theirs.items():
        if name not in ours:
            faults.append(f"{name} is missing")
        elif not takes(ours[name].type, argument.type):
            faults.append(f"{name}: {ours[name].type} does not take {argument.type}")
        elif argument.default_value not in ({}, ours[name].default_value):
            faults.append(
                f"{name}: the default is {ours[name].default_value!r}, not {argument.default_value!r}"
            )
    faults += [
        f"{name} must be given, which the contract does not know"
        for name, argument in ours.items()
        if name not in theirs and isinstance(argument.type, GraphQLNonNull) and argument.default_value is None
    ]
    return faults


def test_every_refusal_of_a_mutation_can_be_read_through_the_interface(served: GraphQLSchema) -> None:
    mutation = served.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        union = field.type.of_type
        assert isinstance(union, GraphQLUnionType), name
        success = f"{name[0].upper()}{name[1:]}Success"
        known = {member.name: [i.name for i in member.interfaces] for member in union.types}
        assert "InvalidInput" in known, name
        refusals = {kind for kind, interfaces in known.items() if "UserError" in interfaces}
        kinds = {"ImageAssignment", "TextAssignment", "InterrogationAssignment"}
        assert set(known) - refusals <= {success, "NoJob", "NoImageToRate", *kinds}, name


def test_everything_is_described(served: GraphQLSchema) -> None:
    silent = [
        f"{name}.{field}"
        for name, kind in served.type_map.items()
        if not name.startswith("__") and hasattr(kind, "fields")
        for field, definition in kind.fields.items()
        if not definition.description
    ]
    silent += [n for n, k in served.type_map.items() if not n.startswith("__") and not k.description]
    assert not [name for name in silent if name not in ("Query", "Mutation", "Subscription")]


def test_the_difference_is_found() -> None:
    """The comparison itself can fail."""
    theirs = build_schema("type A { a: Int! b(c: Int = 1): [Int!]! } type Query { a: A }").type_map["A"]
    ours = build_schema("type A { a: Int b(c: Int! = 2): [Int]! } type Query { a: A }").type_map["A"]
    assert len(fields(theirs, ours)) == 3
