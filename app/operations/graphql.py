"""The API of the log and of the horde as a whole: events, status, models.

Resolvers only parse, read and map. The log is public: these need no key. Look next: `app.platform.tail`,
`app.operations.status`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, cast

import msgspec
import strawberry

from app.operations import status
from app.operations.rendering import RenderedEvent, RenderedPage, renderings
from app.platform.graphql.connections import PageInfo, page_size
from app.platform.graphql.errors import ApiError, TopLevelCode
from app.platform.graphql.scalars import JSON, Position
from app.platform.graphql.shared import First
from app.platform.services import Info, services_of
from app.platform.tail import follow, read_log
from events.base import Recorded
from events.codec import EVENT_TYPES

#: events of a page of the subscription
MAX_EVENTS = 500

AfterPosition = Annotated[
    Position | None, strawberry.argument(description="Only events after this position; 0 is the start.")
]
Types = Annotated[list[str] | None, strawberry.argument(description="Only events of these types.")]


@strawberry.type(description="A fact of the public log.")
class Event:
    """An event with its envelope."""

    position: Position = strawberry.field(description="Dense, from 1, in commit order.")
    id: strawberry.ID = strawberry.field(description="A UUID of version 7.")
    stream: str = strawberry.field(description="The entity it belongs to, category-id.")
    type: str = strawberry.field(description="What happened; see docs/events.md.")
    schema_version: int = strawberry.field(description="The version of the type's shape.")
    subject: str | None = strawberry.field(description="Whom it is about, by random id.")
    occurred_at: datetime = strawberry.field(description="When it was committed; never runs backwards.")
    data: JSON = strawberry.field(description="The fact. Amounts are hundredths of kudos.")
    hash: str = strawberry.field(description="SHA-256 over the previous hash and this event, hexadecimal.")


@strawberry.type(description="An edge of a page of events.")
class EventEdge:
    """An event and its cursor."""

    cursor: str = strawberry.field(description="The event's position: pass it as `after`.")
    node: Event = strawberry.field(description="The event.")


@strawberry.type(description="A page of the log, in order.")
class EventConnection:
    """Events in order."""

    edges: list[EventEdge] = strawberry.field(description="The events.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.type(description="Events of the log, in order.")
class EventPage:
    """Some events and where to go on."""

    events: list[Event] = strawberry.field(description="The events, at least one.")
    position: Position = strawberry.field(
        description="Everything up to here is told: after a break go on after this position."
    )


@strawberry.type(description="How the horde is doing.")
class HordeStatus:
    """Figures at most a second old."""

    queued_jobs: int = strawberry.field(description="Jobs of which something waits.")
    queued_generations: int = strawberry.field(description="Generations that wait.")
    queued_megapixelsteps: float = strawberry.field(
        description="Width x height x accurate steps of what waits, in millions."
    )
    past_minute_images: int = strawberry.field(description="Pictures delivered in the past minute.")
    past_minute_megapixelsteps: float = strawberry.field(
        description="Width x height x accurate steps delivered in the past minute, in millions."
    )
    workers: int = strawberry.field(description="Workers online.")
    threads: int = strawberry.field(description="Threads of workers online.")
    position: Position = strawberry.field(description="The last log position that this process has seen.")


@strawberry.type(description="A model that somebody serves or asks for.")
class Model:
    """A model and its queue."""

    name: str = strawberry.field(description="Its name.")
    workers: int = strawberry.field(description="Workers online that have it.")
    threads: int = strawberry.field(description="Their threads.")
    queued_jobs: int = strawberry.field(description="Waiting jobs that name it.")
    queued_megapixelsteps: float = strawberry.field(description="Their waiting work, in millions.")
    estimated_wait_seconds: int | None = strawberry.field(
        description="That work at the measured speeds of the workers that have it; null if none is online."
    )


@strawberry.type
class OperationQueries:
    """Queries of the log and of the horde."""

    @strawberry.field(
        description="The public log after a position, in order, of the named types only if any are named."
    )
    async def events(
        self,
        info: Info,
        after: AfterPosition = None,
        first: First = 100,
        types: Types = None,
    ) -> EventConnection:
        """A page of the log."""
        services = services_of(info)
        size = page_size(first, 100)
        start = int(after or 0)
        names = _names(types)
        rows = await read_log(services.pool.connection, services.realm, start, size + 1, names)
        edges = [EventEdge(cursor=str(row.position), node=event_of(row)) for row in rows[:size]]
        page = PageInfo(
            has_next_page=len(rows) > size,
            has_previous_page=start > 0,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        )
        return EventConnection(edges=edges, page_info=page)

    @strawberry.field(description="How the horde is doing.")
    async def horde_status(self, info: Info) -> HordeStatus:
        """Figures at most a second old."""
        figures = await status.figures(services_of(info))
        return HordeStatus(**msgspec.structs.asdict(figures))

    @strawberry.field(description="Models that are served or asked for, most work first, at most 500.")
    async def models(self, info: Info) -> list[Model]:
        """Models with their queues."""
        return [Model(**msgspec.structs.asdict(model)) for model in await status.models(services_of(info))]


@strawberry.type
class OperationSubscriptions:
    """Subscriptions to the log."""

    @strawberry.subscription(
        description="The public log from a position on: first what is there, then live, nothing missed, in order."
    )
    async def events(
        self, info: Info, after: AfterPosition = None, types: Types = None
    ) -> AsyncGenerator[Event, None]:
        """Without `after` it starts at the present end."""
        services = services_of(info)
        start = services.tail.position if after is None else int(after)
        made, names = renderings(services), _names(types)
        async for page, _ in follow(services.tail, services.pool.connection, services.realm, start, names):
            for event in page:
                yield cast("Event", RenderedEvent(event, made))

    @strawberry.subscription(
        description="The same as `events`, in pages: for followers that read much. A page comes as soon as there is "
        "something to tell, however little."
    )
    async def event_pages(
        self,
        info: Info,
        after: AfterPosition = None,
        types: Types = None,
        first: Annotated[
            int | None, strawberry.argument(description="How many events a page at most, 1 to 500.")
        ] = MAX_EVENTS,
    ) -> AsyncGenerator[EventPage, None]:
        """Without `after` it starts at the present end."""
        services = services_of(info)
        size = MAX_EVENTS if first is None else first
        if not 1 <= size <= MAX_EVENTS:
            message = f"`first` must be from 1 to {MAX_EVENTS}, not {size}."
            raise ApiError(message, code=TopLevelCode.INVALID_ARGUMENT)
        start = services.tail.position if after is None else int(after)
        made, names = renderings(services), _names(types)
        async for page, reached in follow(
            services.tail, services.pool.connection, services.realm, start, names
        ):
            for begin in range(0, len(page), size):
                part = page[begin : begin + size]
                told = reached if begin + size >= len(page) else part[-1].position
                yield cast("EventPage", RenderedPage(part, told, made))


def event_of(row: Recorded) -> Event:
    """A recorded event as the API shows it."""
    return Event(
        position=Position(row.position),
        id=strawberry.ID(str(row.event_id)),
        stream=row.stream,
        type=row.type,
        schema_version=row.schema_version,
        subject=None if row.subject is None else str(row.subject),
        occurred_at=row.occurred_at,
        data=JSON(msgspec.json.decode(row.data)),
        hash=row.hash.hex(),
    )


def _names(types: list[str] | None) -> list[str] | None:
    """The types asked for, all known. Raises `ApiError` naming one that is not."""
    if types is None:
        return None
    unknown = sorted(set(types) - EVENT_TYPES.keys())
    if unknown:
        known = ", ".join(sorted(EVENT_TYPES))
        message = f"`types`: there is no event type {unknown[0][:60]!r}; there are {known}"
        raise ApiError(message, code=TopLevelCode.INVALID_ARGUMENT)
    return list(types)
