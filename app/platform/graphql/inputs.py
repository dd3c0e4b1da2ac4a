"""What an explicit null in an input means: the default, everywhere.

`width: Int = 512` is nullable in GraphQL, so a client's `width: null` reaches the resolver as None.
Resolvers call `with_defaults` on their input first. Pure; knows only dataclasses.
"""

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def with_defaults(value: T) -> T:
    """The same input object with every None replaced by its field's default, all the way down.

    Works in place (inputs are made afresh for each call) and returns its argument. Fields without a
    default, or whose default is None, keep their None.
    """
    if isinstance(value, list):
        for item in value:
            with_defaults(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            given = getattr(value, each.name)
            if given is None:
                given = _default(each)
                setattr(value, each.name, given)
            with_defaults(given)
    return value


def _default(field: "Field[Any]") -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None
