"""Making enumerations of the API from pure ones, with a description on every value.

Pure modules know no strawberry, so their enumerations are mirrored here: same names, same values.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

import strawberry


def described_enum(
    source: Iterable[enum.StrEnum], name: str, description: str, describe: Callable[[Any], str]
) -> Any:
    """A strawberry enum with the members of `source`, an enumeration or several; resolvers get members whose value is theirs."""
    members = {
        member.name: strawberry.enum_value(member.value, description=describe(member)) for member in source
    }
    mirrored: Any = enum.EnumMeta.__call__(enum.Enum, name, members)
    return strawberry.enum(mirrored, name=name, description=description)
