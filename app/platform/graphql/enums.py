"""Making enumerations of the API from pure ones, with a description on every value.

Pure modules know no strawberry, so their enumerations are mirrored here: same names, same values.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import strawberry


def described_enum(
    source: type[enum.StrEnum], name: str, description: str, describe: Callable[[Any], str]
) -> Any:
    """A strawberry enum with the members of `source`; resolvers get members whose value is the source's."""
    members = {
        member.name: strawberry.enum_value(member.value, description=describe(member)) for member in source
    }
    mirrored: Any = enum.EnumMeta.__call__(enum.Enum, source.__name__, members)
    return strawberry.enum(mirrored, name=name, description=description)
