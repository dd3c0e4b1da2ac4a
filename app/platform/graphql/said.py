"""What a client said in an input: its values without those that it left at their defaults, and without the API's types.

Repeats with an idempotency key are told from other commands by this (`app.platform.handling.fingerprint`). A field with a
default that a release adds is nothing that a client of before has said, so a command that one program has answered can be
repeated at a newer one. Look next: `app.platform.graphql.conversion` for how inputs are made.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from functools import cache
from typing import Any, Final

#: what says how to answer, and nothing of what is to be done
_NO_PARAMETERS: Final = frozenset({"idempotency_key", "wait_seconds"})
_REQUIRED: Final = object()


def said(given: Any) -> dict[str, Any]:
    """The values of an input, by the names of its fields; a value that equals its default counts as not given."""
    type_: Any = type(given)
    return {
        name: value for name, default in _fields(type_) if (value := _plain(getattr(given, name))) != default
    }


@cache
def _fields(type_: Any) -> list[tuple[str, Any]]:
    return [
        (field.name, _default(field))
        for field in dataclasses.fields(type_)
        if field.name not in _NO_PARAMETERS
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return _plain(field.default_factory())
    return _REQUIRED if field.default is dataclasses.MISSING else _plain(field.default)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "__strawberry_definition__"):
        return said(value)
    return value
