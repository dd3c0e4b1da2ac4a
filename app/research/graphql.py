"""The API of answers out of the log: why a job of yours went as it did, and what its price is made of.

Only what one stream of the log says, read by its index: who stood around a job in the queue is for `hoard why job`, which
reads the log from its beginning. Look next: `app.research.job`, `app.research.price`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import strawberry

from app.platform.graphql.scalars import Kudos, Position
from app.platform.handling import parse_id
from app.platform.services import Info, services_of
from app.research import answers
from app.research.job import why_job
from app.research.price import why_price
from events.store.log import read_stream

#: events of one job that are looked at; a job has some for each of its generations
MOST: Final = 5_000


@strawberry.type(description="A sentence out of the log, with the events that it rests on.")
class Statement:
    """One sentence of an answer."""

    text: str = strawberry.field(description="In words.")
    positions: list[Position] = strawberry.field(
        description="Positions of the events that it rests on; of many, the first and the last ones."
    )
    events: int = strawberry.field(description="How many events it rests on.")
    at: datetime = strawberry.field(description="When the first of them was.")
    amount: Kudos | None = strawberry.field(description="Kudos that it speaks of, if it speaks of an amount.")


@strawberry.type(description="Why a job went as it did.")
class JobStory:
    """An answer about a job."""

    id: strawberry.ID = strawberry.field(description="The job.")
    history: list[Statement] = strawberry.field(
        description="What happened, in order: by which rank it waited, each lease, each delivery, how it ended."
    )
    price: list[Statement] = strawberry.field(
        description="What was quoted, held, charged, given back, and to which accounts it went."
    )
    charged: Kudos = strawberry.field(description="What it has cost so far.")
    position: Position = strawberry.field(description="The last event that was looked at.")


@strawberry.type
class ResearchQueries:
    """Queries about the log."""

    @strawberry.field(
        description="Why a job of yours went as it did, out of the log: each sentence names its events. Null for what is another's."
    )
    async def why_job(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The job.")]
    ) -> JobStory | None:
        """Of its stream alone."""
        services, job = services_of(info), parse_id(id)
        if job is None or await services.links.job(info, job) is None:
            return None
        async with services.pool.connection() as connection:
            events = await read_stream(connection, services.realm, f"job-{job}", MOST)
        position = events[-1].position
        price = why_price(job, events, position)
        return JobStory(
            id=id,
            history=[_statement(each) for each in why_job(job, events, None, position).statements],
            price=[_statement(each) for each in price.statements],
            charged=Kudos(price.total or 0),
            position=Position(position),
        )


def _statement(said: answers.Statement) -> Statement:
    return Statement(
        text=said.text,
        positions=[Position(each) for each in said.positions],
        events=said.events,
        at=said.at,
        amount=None if said.amount is None else Kudos(said.amount),
    )
