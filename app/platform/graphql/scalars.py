"""The scalars of the API and what they are inside: kudos, log positions, instants, JSON.

Pure. Give `SCALAR_MAP` to `StrawberryConfig(scalar_map=...)` and annotate with `Kudos`, `Position`,
`datetime` and `JSON`. Refusals are `GraphQLError`s: a bad value in a request is the client's fault.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, ValueNode, print_ast
from graphql.language import FloatValueNode, IntValueNode, StringValueNode
from strawberry.types.scalar import ScalarDefinition

#: An amount of kudos in hundredths.
Kudos = NewType("Kudos", int)

#: A position in the event log: dense, 1-based, in commit order.
Position = NewType("Position", int)

#: Any JSON value: what `json.loads` may return.
JSON = NewType("JSON", object)

#: Largest amount either way, in hundredths: 9,000,000,000,000.00 kudos.
MAX_KUDOS = 900_000_000_000_000

_AMOUNT = re.compile(r"(-?)([0-9]{1,13})(?:\.([0-9]{1,2}))?", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_MAX_POSITION = 2**63 - 1
_KUDOS_RULE = (
    "Kudos must be a decimal number with at most two places between -9000000000000.00 and 9000000000000.00"
)


def format_kudos(amount: int) -> str:
    """Hundredths as a decimal string with two places, for example -5000 as "-50.00"."""
    whole, hundredths = divmod(abs(amount), 100)
    return f"{'-' if amount < 0 else ''}{whole}.{hundredths:02d}"


def parse_kudos(value: object) -> Kudos:
    """A decimal string, int, float or Decimal as hundredths.

    Raises GraphQLError when there are more than two places or the bound is passed.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise GraphQLError(f"{_KUDOS_RULE}.")
    # repr() of a float is the shortest text that reads back as it: 0.1 stays "0.1".
    text = repr(value) if isinstance(value, float) else str(value)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise GraphQLError(f"{_KUDOS_RULE}.")
    sign, whole, places = match.groups()
    amount = int(whole) * 100 + int((places or "").ljust(2, "0"))
    if amount > MAX_KUDOS:
        raise GraphQLError(f"{_KUDOS_RULE}.")
    return Kudos(-amount if sign else amount)


def parse_position(value: object) -> Position:
    """A string of digits or an int as a position. Raises GraphQLError for anything else."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if _DIGITS.fullmatch(text) is None or int(text) > _MAX_POSITION:
        raise GraphQLError("Position must be a string of digits.")
    return Position(int(text))


def format_datetime(value: datetime) -> str:
    """An aware instant as ISO 8601 with offset, in UTC. Raises ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the API")
    return value.astimezone(UTC).isoformat()


def parse_datetime(value: object) -> datetime:
    """ISO 8601 with offset as an aware instant. Raises GraphQLError for anything else."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise GraphQLError("DateTime must be ISO 8601 with an offset, for example 2030-01-31T12:00:00+00:00.")
    return instant


def _serialize_kudos(value: Any) -> str:
    if type(value) is not int:
        raise TypeError("Kudos are an int of hundredths inside the server")
    return format_kudos(value)


def _parse_kudos_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Kudos:
    # The literal's text, not its float: 0.10 in a document is exact.
    if isinstance(node, IntValueNode | FloatValueNode | StringValueNode):
        return parse_kudos(node.value)
    raise GraphQLError(f"{_KUDOS_RULE}, not {print_ast(node)}.")


SCALAR_MAP: dict[object, ScalarDefinition] = {
    Kudos: strawberry.scalar(
        name="Kudos",
        description='Kudos as a decimal string with two places, for example "12.34" or "-50.00".',
        serialize=_serialize_kudos,
        parse_value=parse_kudos,
        parse_literal=_parse_kudos_literal,
    ),
    Position: strawberry.scalar(
        name="Position",
        description="A position in the event log as a string of digits: dense, 1-based, in commit order.",
        serialize=str,
        parse_value=parse_position,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, ISO 8601 with offset.",
        serialize=format_datetime,
        parse_value=parse_datetime,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}
