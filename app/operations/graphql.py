"""The API of the log: events, page by page and live.

Resolvers only parse, read and map. The log is public: these need no key. Look next: `app.platform.tail`,
`app.operations.status_graphql` for what it comes to.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, cast

import msgspec
import strawberry

from app.operations.rendering import RenderedEvent, RenderedPage, renderings
from app.platform.graphql.connections import PageInfo, page_size
from app.platform.graphql.scalars import JSON, Position
from app.platform.graphql.shared import First
from app.platform.graphql.top_level import ApiError, TopLevelCode
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


@strawberry.type
class OperationQueries:
    """Queries of the log."""

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
