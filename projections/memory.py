"""Folding a log in memory: for verification, `hoard log replay` and researchers' notebooks. Pure.

The same folds as everywhere. Look next: `projections.store.build`, which folds into tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events.base import Fact
from projections.base import Projection
from projections.registry import ALL

State = dict[str, dict[Any, msgspec.Struct]]


def empty(projections: Sequence[Projection[Any]] = ALL) -> State:
    """The state before the first event: no rows."""
    return {projection.name: {} for projection in projections}


def apply(state: State, fact: Fact, projections: Sequence[Projection[Any]] = ALL) -> None:
    """Fold one fact into every projection, in place. Raises `FoldError` where the log is broken."""
    for projection in projections:
        if type(fact.event) not in projection.kinds:
            continue
        rows = state[projection.name]
        for key in projection.keys(fact):
            row = projection.evolve(key, rows.get(key), fact)
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row


def replay(facts: Iterable[Fact], projections: Sequence[Projection[Any]] = ALL) -> State:
    """The state after all of these facts, which must start at position 1."""
    state = empty(projections)
    for fact in facts:
        apply(state, fact, projections)
    return state
