"""The demand board: what waits for each model and size, from the counters of the queue's classes.

A job that names several models waits for each of them, so lines are not to be added up. A copy at most a second old,
shared by a process. Look next: `projections.queue`, `app.workers.demand_graphql`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from app.platform.caching import fresh
from app.platform.services import Services
from app.workers.skips import DEMAND, DemandRow
from events.jobs import JobKind
from projections.queue import ANY_MODEL

#: how old the board may be, in seconds
AGE_SECONDS = 1.0
#: sizes of pictures are told up to these, in pixels; the last holds all that are larger
SIZES = (512 * 512, 768 * 768, 1024 * 1024, 2048 * 2048, 4096 * 4096)


class Line(msgspec.Struct, frozen=True):
    """What waits for one model, or for any at all, up to one size and above the next smaller."""

    #: empty: any model
    model: str
    #: the largest picture of this line
    max_pixels: int
    jobs: int
    generations: int
    work: int
    #: hundredths of kudos that these generations earn together
    reward: int


def lines(rows: Iterable[DemandRow]) -> list[Line]:
    """The board, most generations first."""
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        size = SIZES[min(bisect_left(SIZES, row.size), len(SIZES) - 1)]
        for model in row.models or (ANY_MODEL,):
            total = sums[model, size]
            for place, amount in enumerate((row.jobs, row.generations, row.work, row.reward)):
                total[place] += amount
    made = [Line(model, size, *total) for (model, size), total in sums.items()]
    return sorted(made, key=lambda line: (-line.generations, line.model, line.max_pixels))


async def board(services: Services) -> list[Line]:
    """The whole board."""

    async def load() -> list[Line]:
        rows = await DEMAND.all(services.pool, realm=services.realm)
        return lines(row for row in rows if row.kind is JobKind.IMAGE)

    return await fresh(services.caches, "demand board", AGE_SECONDS, load)
