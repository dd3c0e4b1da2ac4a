"""One table a projection, in the PostgreSQL schema `projections`.

A rebuild makes the same tables in the schema `projections_next` and swaps the two, so that statements never change.
Look next: `events.store.columns`, `projections.store.build`.
"""

from __future__ import annotations

from typing import Any

from events.store.columns import Table
from projections.base import Projection
from projections.registry import ALL

LIVE = "projections"
NEXT = "projections_next"

TABLES: dict[str, Table[Any]] = {
    projection.name: Table(projection.name, projection.row, key=(projection.key,), indexes=projection.indexes)
    for projection in ALL
}


def table_of(projection: Projection[Any]) -> Table[Any]:
    """The table of a projection."""
    return TABLES[projection.name]
