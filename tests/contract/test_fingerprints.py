"""What clients sent comes to the same fingerprint for ever, so that a repeat is known at a newer program, too.

`fingerprints.json` holds inputs as clients send them, each with its fingerprint. A line is never changed: if one fails,
a field got into what a client of before has said (`app.platform.graphql.said`). Fields of a new release are tried in new
lines.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql.utilities import coerce_input_value

from app.platform.graphql.conversion import compile_inputs
from app.platform.graphql.said import said
from app.platform.graphql.schema_tools import core_schema
from app.platform.handling import fingerprint
from app.schema import schema

_LINES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("fingerprints.json").read_text("utf-8"))


def converted(name: str, given: dict[str, Any]) -> Any:
    """An input as a resolver gets it."""
    compile_inputs(schema)
    type_: Any = core_schema(schema).type_map[name]
    definition: Any = schema.schema_converter.type_map[name].definition
    return definition.from_input(definition.origin, coerce_input_value(given, type_))


@pytest.mark.parametrize("line", _LINES, ids=lambda line: f"{line['type']}: {line['about']}")
def test_what_was_sent_is_the_same_for_ever(line: dict[str, Any]):
    assert fingerprint(said(converted(line["type"], line["input"]))).hex() == line["fingerprint"]


def test_other_input_has_another_fingerprint():
    assert len({line["fingerprint"] for line in _LINES}) == len(_LINES)


@pytest.mark.parametrize("line", _LINES, ids=lambda line: f"{line['type']}: {line['about']}")
def test_what_tells_how_to_answer_and_nulls_are_not_said(line: dict[str, Any]):
    fields = core_schema(schema).type_map[line["type"]].fields
    nulls = {name: None for name in fields if name not in line["input"]} | {"idempotencyKey": "another"}
    if "waitSeconds" in fields:
        nulls["waitSeconds"] = 60
    again = converted(line["type"], line["input"] | nulls)
    assert fingerprint(said(again)).hex() == line["fingerprint"]


@strawberry.input
class Before:
    what: str
    how: str | None = "well"


@strawberry.input
class Inner:
    size: int | None = 7


@strawberry.input
class Later(Before):
    often: int | None = 1
    inner: Inner | None = strawberry.field(default_factory=Inner)
    names: list[str] | None = strawberry.field(default_factory=list)
    none: Inner | None = None


def test_a_field_with_a_default_that_a_release_adds_was_not_said():
    assert said(Before(what="this")) == said(Later(what="this")) == {"what": "this"}
    assert said(Later(what="this", how="well", often=1, names=[])) == {"what": "this"}


def test_what_is_no_default_is_said():
    assert said(Before(what="this", how=None)) == {"what": "this", "how": None}
    assert said(Later(what="this", inner=Inner(size=8))) == {"what": "this", "inner": {"size": 8}}
    assert said(Later(what="this", none=Inner())) == {"what": "this", "none": {}}
