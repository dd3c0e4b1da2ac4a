"""The API's demand board. Look next: `app.workers.demand`, `docs/workers.md`."""

from __future__ import annotations

import strawberry

from app.platform.graphql.connections import page_size
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import First
from app.platform.services import Info, services_of
from app.workers.demand import Line, board


@strawberry.type(
    description="What waits for one model, up to one size and above the next smaller one of the board."
)
class Demand:
    """A line of the demand board."""

    model: str | None = strawberry.field(
        description="The model; null for jobs that name none: any model of the family may serve them."
    )
    family: str | None = strawberry.field(
        description="plain, sdxl, cascade, flux or qwen, with :inpainting for models that only paint over; null where "
        "the model is named, or any model at all may serve."
    )
    max_pixels: int = strawberry.field(description="The largest picture of this line, width x height.")
    jobs: int = strawberry.field(description="Jobs that wait.")
    generations: int = strawberry.field(description="Generations of them that wait.")
    megapixelsteps: float = strawberry.field(description="Their work: width x height x steps, in millions.")
    reward: Kudos = strawberry.field(
        description="What a worker earns for one of them, on average; where a job names models of several prices, that of "
        "the dearest."
    )


@strawberry.type
class DemandQueries:
    """Queries of the demand board."""

    @strawberry.field(
        description="What waits for which model and size and what it earns, most generations first, as of at most a "
        "second ago. A job that names several models is in the line of each."
    )
    async def demand(self, info: Info, first: First = 20) -> list[Demand]:
        """The first lines of the board."""
        return [_line(line) for line in (await board(services_of(info)))[: page_size(first)]]


def _line(line: Line) -> Demand:
    return Demand(
        model=None if line.model.startswith("*") else line.model or None,
        family=line.model[1:] if line.model.startswith("*") else None,
        max_pixels=line.max_pixels,
        jobs=min(line.jobs, 2**31 - 1),
        generations=min(line.generations, 2**31 - 1),
        megapixelsteps=line.work / 1_000_000,
        reward=Kudos(round(line.reward / line.generations) if line.generations else 0),
    )
