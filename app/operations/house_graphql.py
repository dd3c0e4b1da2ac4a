"""The API of the house itself: its modes, how this process is, and news of its operators.

Resolvers only parse, call and map. Look next: `app.operations.modes`, `app.operations.heartbeat`,
`app.platform.news`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from datetime import UTC, datetime, time
from enum import Enum
from typing import Annotated, Any

import strawberry

from app.operations import heartbeat as beating
from app.operations import modes as switching
from app.platform.caching import fresh
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, First
from app.platform.news import NewsItem as Piece
from app.platform.services import Info, services_of
from events import operations

#: how old the news may be, in seconds
NEWS_SECONDS = 1.0


@strawberry.enum(description="What the whole house can be set to.")
class Mode(Enum):
    """The modes of `events.operations.Mode`."""

    MAINTENANCE = strawberry.enum_value(
        "MAINTENANCE", description="No new jobs are taken; what waits and runs is served to its end."
    )
    INVITE_ONLY = strawberry.enum_value(
        "INVITE_ONLY", description="New workers only of users that are invited or trusted."
    )
    RAID = strawberry.enum_value(
        "RAID", description="No new accounts, no jobs from unsafe addresses, fewer anonymous ones."
    )


@strawberry.enum(description="How a process is.")
class ProcessCondition(Enum):
    """The conditions of `app.operations.heartbeat.Condition`."""

    OK = strawberry.enum_value("OK", description="All is well.")
    OVERLOADED = strawberry.enum_value(
        "OVERLOADED", description="More waits for its writer than goes into one batch."
    )


@strawberry.type(description="What the whole house is set to.")
class Modes:
    """The modes that are on."""

    maintenance: bool = strawberry.field(
        description="No new jobs are taken; what waits and runs is served to its end."
    )
    invite_only: bool = strawberry.field(description="New workers only of users that are invited or trusted.")
    raid: bool | None = strawberry.field(
        description="Strangers may do less. For moderators and operators; null to others."
    )
    changed_at: datetime | None = strawberry.field(
        description="When any of them was switched last. For moderators and operators."
    )


@strawberry.type(description="How the process is that answered this, without asking any other.")
class Heartbeat:
    """What a process knows of itself."""

    status: ProcessCondition = strawberry.field(description="In one word.")
    version: str = strawberry.field(description="The program's version.")
    queue: int = strawberry.field(description="Commands that wait for its writer.")
    active: int = strawberry.field(description="Round trips to the database that are under way.")
    polls: int = strawberry.field(description="Polls of workers that wait for a job.")


@strawberry.enum(description="Whom a piece of news concerns, and how much.")
class NewsImportance(Enum):
    """The values of `app.platform.news.Importance`."""

    INFORMATION = strawberry.enum_value("INFORMATION", description="Good to know.")
    WORKERS = strawberry.enum_value("WORKERS", description="For owners of workers.")
    INTEGRATION = strawberry.enum_value("INTEGRATION", description="For authors of clients.")
    UPCOMING = strawberry.enum_value("UPCOMING", description="What is going to change.")
    CRISIS = strawberry.enum_value("CRISIS", description="Something is wrong.")


@strawberry.type(description="What the operator tells everybody.")
class NewsItem:
    """A piece of news."""

    published_at: datetime = strawberry.field(description="The day it is of, at its beginning in UTC.")
    title: str = strawberry.field(description="In one line.")
    text: str = strawberry.field(description="In Markdown.")
    importance: NewsImportance = strawberry.field(description="Whom it concerns, and how much.")
    tags: list[str] = strawberry.field(description="What it is about, at most 10.")
    links: list[str] = strawberry.field(description="Where there is more of it, at most 10.")


@strawberry.type(description="An edge of a page of news.")
class NewsEdge:
    """A piece of news and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: NewsItem = strawberry.field(description="The piece of news.")


@strawberry.type(description="A page of news, newest first.")
class NewsConnection:
    """News."""

    edges: list[NewsEdge] = strawberry.field(description="The news.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="A mode, and whether it is to be on.")
class SetModeInput:
    """Input of setMode."""

    mode: Mode = strawberry.field(description="Which.")
    on: bool = strawberry.field(description="True to switch it on.")


@strawberry.type(description="The house is set so; decisions from this position on know it.")
class SetModeSuccess:
    """Result of setMode."""

    modes: Modes = strawberry.field(description="All modes.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetModeResult = Annotated[
    SetModeSuccess | errors.InvalidInput | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetModeResult", description="What came of setMode."),
]


@strawberry.type
class HouseQueries:
    """Queries of the house."""

    @strawberry.field(description="What the whole house is set to.")
    async def modes(self, info: Info) -> Modes:
        """Read anew for every request."""
        return await _modes(info)

    @strawberry.field(description="What the operator tells everybody, newest first.")
    async def news(self, info: Info, first: First = 20, after: After = None) -> NewsConnection:
        """A change of the file shows within a second."""
        services, size = services_of(info), page_size(first)
        items = await fresh(
            services.caches, "news", NEWS_SECONDS, lambda: asyncio.to_thread(services.news.refresh)
        )
        begin = 0
        if after is not None:
            begin = bisect_right(items, decode_cursor(after, tuple[int, str]), key=_place)
        edges, page = build_page(
            items[begin : begin + size + 1],
            size,
            key=_place,
            edge=lambda cursor, item: NewsEdge(cursor=cursor, node=_news(item)),
            after=after,
        )
        return NewsConnection(edges=edges, page_info=page)

    @strawberry.field(
        description="How the process is that answers: node-local, and the same as GET /healthz says."
    )
    def heartbeat(self, info: Info) -> Heartbeat:
        """As it is now."""
        now = beating.heartbeat(services_of(info))
        return Heartbeat(
            status=ProcessCondition(now.status.value),
            version=now.version,
            queue=now.queue,
            active=now.active,
            polls=now.polls,
        )


@strawberry.type
class HouseMutations:
    """Mutations of the house."""

    @strawberry.mutation(
        description="Switch a mode of the house on or off. For moderators and operators; maintenance for operators.",
        graphql_type=SetModeResult,
    )
    async def set_mode(
        self,
        info: Info,
        input: Annotated[SetModeInput, strawberry.argument(description="Which, and whether.")],
    ) -> Any:
        """Recorded with who switched it."""
        outcome = await switching.set_mode(
            services_of(info),
            info.context.viewer.subject,
            operations.Mode[input.mode.name],
            on=input.on,
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return SetModeSuccess(modes=await _modes(info), position=Position(outcome.position))


def _place(item: Piece) -> tuple[int, str]:
    return -item.date.toordinal(), item.title


def _news(item: Piece) -> NewsItem:
    return NewsItem(
        published_at=datetime.combine(item.date, time.min, UTC),
        title=item.title,
        text=item.text,
        importance=NewsImportance[item.importance.name],
        tags=list(item.tags),
        links=list(item.links),
    )


async def _modes(info: Info) -> Modes:
    services = services_of(info)
    now = await switching.present(services)
    everything = await switching.sees_everything(services, info.context.viewer.subject)
    return Modes(
        maintenance=now.maintenance,
        invite_only=now.invite_only,
        raid=now.raid if everything else None,
        changed_at=now.changed_at if everything else None,
    )
