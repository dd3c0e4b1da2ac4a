"""The list of all projections: inline ones live in the writer's transaction, tailing ones follow the log.

Look next: `projections.store.build`, which makes their tables.
"""

from __future__ import annotations

from typing import Any

from events.base import Event
from events.codec import EVENT_TYPES
from projections import (
    accounts,
    cases,
    generations,
    image_set_totals,
    image_sets,
    jobs,
    leases,
    modes,
    picture_scores,
    pictures,
    raters,
    ratings,
    takedowns,
    team_totals,
    teams,
    throughput,
    user_records,
    webhooks,
    workers,
)
from projections.base import Projection

INLINE: tuple[Projection[Any], ...] = (
    accounts.PROJECTION,
    jobs.PROJECTION,
    generations.PROJECTION,
    leases.PROJECTION,
    workers.PROJECTION,
    teams.PROJECTION,
    modes.PROJECTION,
    webhooks.PROJECTION,
    image_sets.PROJECTION,
    pictures.PROJECTION,
    ratings.PROJECTION,
    raters.PROJECTION,
    takedowns.PROJECTION,
)
TAILING: tuple[Projection[Any], ...] = (
    throughput.PROJECTION,
    cases.PROJECTION,
    team_totals.PROJECTION,
    user_records.PROJECTION,
    picture_scores.PROJECTION,
    image_set_totals.PROJECTION,
)
ALL: tuple[Projection[Any], ...] = INLINE + TAILING

#: what a process must find live in the database to serve
VERSIONS: dict[str, int] = {projection.name: projection.version for projection in ALL}

#: the inline projections that each kind of fact touches
INLINE_OF: dict[type[Event], tuple[Projection[Any], ...]] = {
    kind: tuple(p for p in INLINE if kind in p.facts) for kind in EVENT_TYPES.values()
}
