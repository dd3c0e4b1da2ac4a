"""What a process of the API has at hand: one object, made by the composition root, carried by every request's context.

May not hold any rule. Look next: `app.main`, which makes it; `app.platform.graphql.context`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from strawberry.types import Info as StrawberryInfo

from app.platform.commands import Idempotency, Request
from app.platform.graphql.context import RequestContext
from app.platform.ids import new_id

if TYPE_CHECKING:
    import aiohttp

    from app.platform.commands import Command, Outcome
    from app.platform.database import Pool
    from app.platform.model_reference import ModelReference
    from app.platform.networks import Networks
    from app.platform.news import News
    from app.platform.objects import ObjectStore
    from app.platform.presence import Presence
    from app.platform.rates import Rates
    from app.platform.settings import Settings
    from app.platform.tail import Tail
    from app.platform.waiting import Polls, Room
    from app.platform.writer import Writer

Info = StrawberryInfo[RequestContext, None]


@dataclass(kw_only=True)
class Links:
    """What a slice shows of another slice, put together by the composition root so that slices stay apart."""

    #: the job of an id, for its owner's eyes
    job: Callable[[Info, UUID], Awaitable[Any]]
    #: a page of a user's jobs: (info, user, first, after, state)
    jobs_of: Callable[[Info, UUID, int | None, str | None, Any], Awaitable[Any]]
    #: the team of an id
    team: Callable[[Info, UUID], Awaitable[Any]]
    #: a page of a team's workers: (info, team, first, after)
    workers_of: Callable[[Info, UUID, int | None, str | None], Awaitable[Any]]
    #: the webhooks of a user
    webhooks_of: Callable[[Info, UUID], Awaitable[Any]]
    #: a page of a user's ratings: (info, user, first, after)
    ratings_of: Callable[[Info, UUID, int | None, str | None], Awaitable[Any]]
    #: what a user was handed to judge
    assignments_of: Callable[[Info, UUID], Awaitable[Any]]


@dataclass(kw_only=True)
class Services:
    """Everything that resolvers and handlers reach the world through."""

    settings: Settings
    writer: Writer
    pool: Pool
    objects: ObjectStore
    presence: Presence
    rates: Rates
    tail: Tail
    #: what is known of models
    models: ModelReference
    #: from where jobs go only to workers that allow it
    unsafe_networks: Networks
    #: what the operator tells everybody
    news: News
    #: polls that wait for a job, and submissions that wait for theirs to end
    polls: Polls
    submissions: Room
    links: Links
    #: set while the process runs; connections to S3 are kept in it
    http: aiohttp.ClientSession = field(init=False)
    #: short-lived copies of what queries read, and what its calls share, by name; never read by a decision
    caches: dict[str, Any] = field(default_factory=dict)
    #: what goes on after its request was answered; waited for when the process stops
    background: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def realm(self) -> int:
        """The realm this process serves."""
        return self.settings.realm

    async def execute(
        self,
        command: Command,
        *,
        actor: UUID,
        id_: UUID | None = None,
        idempotency: Idempotency | None = None,
    ) -> Outcome:
        """Decide and commit a command on behalf of a user. Raises `WriterBusyError`, `InternalError`."""
        return await self.writer.execute(
            Request(command, id_ or new_id(), actor=actor, idempotency=idempotency)
        )


def services_of(info: Info) -> Services:
    """The services behind a resolver."""
    services: Services = info.context.app
    return services
