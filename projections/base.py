"""What a projection is: a name, a version, the keys an event touches and the fold of one row.

May not know SQL or any particular projection. Look next: `projections.registry` for the list of them,
`projections.memory` for folding a whole log in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from events.base import Event, Fact

R = TypeVar("R", bound=msgspec.Struct)


class FoldError(Exception):
    """An event cannot have happened to this row: the log or a fold is broken."""


@dataclass(frozen=True)
class Projection(Generic[R]):
    """A pure fold of the log into rows of type `row`, each found by its first field."""

    name: str
    #: raised by every change of the row or of the fold; tables of another version are rebuilt, never migrated
    version: int
    row: type[R]
    #: the facts that touch it; others are not even asked for keys
    facts: tuple[type[Event], ...]
    #: keys of the rows that a fact touches, known from the fact alone
    keys: Callable[[Fact], tuple[Any, ...]]
    #: the row after a fact; None for no row
    evolve: Callable[[Any, R | None, Fact], R | None]
    #: bodies of CREATE INDEX after the table's name
    indexes: tuple[str, ...] = ()

    @cached_property
    def kinds(self) -> frozenset[type[Event]]:
        """The same facts, to look one up in."""
        return frozenset(self.facts)

    @property
    def key(self) -> str:
        """The name of the key field."""
        return self.row.__struct_fields__[0]


def known(row: R | None, fact: Fact) -> R:
    """The row that an event presupposes. Raises `FoldError` where there is none."""
    if row is None:
        message = f"{fact.event.TYPE} at {fact.position} happened to nothing"
        raise FoldError(message)
    return row
