"""The API's types of workers: what everybody sees of one, and what only its owner and moderators see.

Resolvers only read and map. Look next: `app.workers.graphql`, `app.workers.steering_graphql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from app.platform.graphql.connections import PageInfo
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import FailureCause, JobKind, Node
from app.platform.services import Info, services_of
from app.platform.vault import WorkerMessage as MessageRow
from app.workers import messages as telling
from app.workers.queries import BY_ID, Named
from app.workers.steering import moderator
from app.workers.steering_queries import DETAILS, LIVE_LEASES, Detail
from events import jobs
from projections.leases import Lease
from projections.queue import NSFW, REQUIREMENTS, WORK
from projections.workers import Worker as WorkerRow

if TYPE_CHECKING:
    from app.teams.graphql import Team

#: live leases that are shown of one worker
MAX_LEASES = 100


@strawberry.type(description="Why waiting jobs were passed over.")
class Skipped:
    """A reason and its count."""

    reason: str = strawberry.field(
        description="models or forms (the worker has none that will do), a size such as max_pixels or max_tiles, a requirement that the "
        "worker does not allow such as nsfw, worker_id (it was not chosen) or blacklist."
    )
    count: int = strawberry.field(description="How many waiting jobs.")


@strawberry.type(description="Something that a worker is told.")
class WorkerMessage(Node):
    """A message to one worker or to all."""

    worker_id: strawberry.ID | None = strawberry.field(
        description="The worker it is told; null: all workers."
    )
    message: str = strawberry.field(description="The message, 1 to 10,240 characters.")
    origin: str = strawberry.field(description="Who says so, in the sender's words; may be empty.")
    sent_at: datetime = strawberry.field(description="When it was written.")
    expires_at: datetime = strawberry.field(description="It is told until then.")
    mine: bool = strawberry.field(description="Whether you wrote it.")


@strawberry.type(description="How often leases of a worker came to nothing for one reason.")
class WorkerFailures:
    """A cause and its count."""

    cause: FailureCause = strawberry.field(description="Why.")
    count: int = strawberry.field(description="How many leases on a generation.")


@strawberry.type(description="What a worker's last poll came to, some seconds old.")
class WorkerPoll:
    """Why it found nothing, or that it found work."""

    at: datetime = strawberry.field(description="When it polled.")
    found: bool = strawberry.field(description="Whether it found work.")
    skipped: list[Skipped] = strawberry.field(description="What waited that it may not serve.")


@strawberry.type(description="Generations that a worker has taken and not delivered yet.")
class WorkerLease(Node):
    """A live lease."""

    model: str = strawberry.field(description="The model to draw with.")
    generations: int = strawberry.field(description="Generations that are still to be delivered.")
    taken_at: datetime = strawberry.field(description="When it was taken.")
    expires_at: datetime = strawberry.field(description="When it ends unless it is extended.")


@strawberry.type(description="A worker.")
class Worker(Node):
    """What everybody may see of a worker; what only its owner and moderators may is null to others."""

    name: str = strawberry.field(description="Its unique name.")
    kind: JobKind = strawberry.field(description="What it serves.")
    online: bool = strawberry.field(description="Whether it polled within the last 300 seconds.")
    maintenance: bool = strawberry.field(description="Whether it serves only its owner at present.")
    paused: bool = strawberry.field(
        description="Whether a moderator, or a rule, lets it take no work at present."
    )
    models: list[str] = strawberry.field(description="The models it has.")
    max_pixels: int = strawberry.field(description="The largest picture it draws.")
    nsfw: bool = strawberry.field(description="Whether it takes jobs that may be not safe for work.")
    allows: list[str] = strawberry.field(
        description="What jobs may require of it, by the names of the reasons in NoJob.skipped."
    )
    extra_slow: bool = strawberry.field(description="Whether it says of itself that it is slow.")
    agent: str = strawberry.field(description="Name and version of its program.")
    threads: int = strawberry.field(description="How many jobs it does at a time.")
    fulfilled: int = strawberry.field(description="Generations it delivered.")
    failed: int = strawberry.field(description="Generations that came to nothing under its leases.")
    earned: Kudos = strawberry.field(description="What its work was worth.")
    registered_at: datetime = strawberry.field(description="When it first polled.")
    megapixelsteps_per_second: float = strawberry.field(
        description="How fast each thread of an image worker drew its last 20 pictures, in millions of width x height x "
        "steps a second; 0 of others, and if that is not known."
    )
    tokens_per_second: float = strawberry.field(
        description="How fast each thread of a text worker wrote its last 20 texts; 0 of others, and if that is not known."
    )
    forms_per_minute: float = strawberry.field(
        description="How many forms each thread of an interrogation worker told in a minute, by its last 20; 0 of "
        "others, and if that is not known."
    )
    uptime_seconds: int = strawberry.field(description="For how long it was rewarded for being there.")
    uptime_earned: Kudos = strawberry.field(description="What that earned.")
    maintenance_until: datetime | None = strawberry.field(
        description="When its next poll ends its maintenance, if a rule began it because too much failed."
    )
    description: str | None = strawberry.field(description="What its owner says of it.")
    owner: str | None = strawberry.field(
        description="Its owner's alias; null unless the owner lets everybody know, or you are the owner or a moderator."
    )
    row: strawberry.Private[WorkerRow]
    #: what its owner told it for the maintenance
    words: strawberry.Private[str | None]
    #: the viewer is its owner or a moderator
    inside: strawberry.Private[bool]

    @strawberry.field(description="The team it is in.")
    async def team(self, info: Info) -> Annotated[Team, strawberry.lazy("app.teams.graphql")] | None:
        """What it delivers counts for the team."""
        if self.row.team is None:
            return None
        found: Team | None = await services_of(info).links.team(info, self.row.team)
        return found

    @strawberry.field(description="What it is told while it is in maintenance. For its owner and moderators.")
    def maintenance_message(self) -> str | None:
        """Words of the owner's."""
        return self.words if self.inside and self.maintenance else None

    @strawberry.field(
        description="How often it did what no honest worker does, since it was last resumed: at 5 it is paused. "
        "For its owner and moderators."
    )
    def suspicions(self) -> int | None:
        """Speeds that cannot be."""
        return self.row.suspicions if self.inside else None

    @strawberry.field(description="Why leases of it came to nothing, by cause. For its owner and moderators.")
    def failures(self) -> list[WorkerFailures] | None:
        """Counts since it was registered."""
        if not self.inside:
            return None
        return [
            WorkerFailures(cause=FailureCause(cause.value), count=count) for cause, count in self.row.failures
        ]

    @strawberry.field(
        description="What its last poll came to, null if it was not online. For its owner and moderators."
    )
    async def last_poll(self, info: Info) -> WorkerPoll | None:
        """Kept beside the log, for five minutes."""
        found = await services_of(info).presence.last_poll(self.row.id) if self.inside else None
        if found is None:
            return None
        return WorkerPoll(
            at=found.at,
            found=found.skipped is None,
            skipped=[Skipped(reason=reason, count=count) for reason, count in found.skipped or ()],
        )

    @strawberry.field(
        description="The leases it is at, those that end first, at most 100. For its owner and moderators."
    )
    async def live_leases(self, info: Info) -> list[WorkerLease] | None:
        """What it has taken."""
        if not self.inside:
            return None
        services = services_of(info)
        found: list[Lease] = await LIVE_LEASES.all(
            services.pool, realm=services.realm, worker=self.row.id, limit=MAX_LEASES
        )
        return [
            WorkerLease(
                id=strawberry.ID(str(lease.id)),
                model=lease.model,
                generations=len(lease.pending),
                taken_at=lease.taken_at,
                expires_at=lease.expires_at,
            )
            for lease in found
        ]

    @strawberry.field(
        description="What it is told with each poll, newest first, at most 20. For its owner and moderators."
    )
    async def messages(self, info: Info) -> list[WorkerMessage] | None:
        """Messages to it and to all workers."""
        if not self.inside:
            return None
        found = await telling.told(services_of(info), self.row.id)
        return [worker_message(message, info.context.viewer.subject) for message in found]


@strawberry.type(description="An edge of a page of workers.")
class WorkerEdge:
    """A worker and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Worker = strawberry.field(description="The worker.")


@strawberry.type(description="A page of workers, by name.")
class WorkerConnection:
    """Workers of the horde."""

    edges: list[WorkerEdge] = strawberry.field(description="The workers.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


async def load_worker(info: Info, worker: UUID) -> Worker | None:
    """A worker by id, for `node`."""
    services = services_of(info)
    found = await BY_ID.one(services.pool, realm=services.realm, id=worker)
    return None if found is None else (await shown(info, [found]))[0]


async def shown(info: Info, found: Sequence[Named]) -> list[Worker]:
    """Workers as the caller may see them."""
    if not found:
        return []
    services = services_of(info)
    ids = [named.worker.id for named in found]
    online = await services.presence.online(ids)
    details = {each.worker: each for each in await DETAILS.all(services.pool, realm=services.realm, ids=ids)}
    viewer = info.context.viewer.subject
    everything = any(named.worker.owner != viewer for named in found) and await moderator(services, viewer)
    return [
        _worker(
            named,
            details.get(named.worker.id),
            online=named.worker.id in online,
            inside=everything or named.worker.owner == viewer,
        )
        for named in found
    ]


def _worker(named: Named, detail: Detail | None, *, online: bool, inside: bool) -> Worker:
    row = named.worker
    return Worker(
        id=strawberry.ID(str(row.id)),
        name=named.name,
        kind=JobKind(row.kind.value),
        online=online,
        maintenance=row.maintenance,
        paused=row.paused,
        models=list(row.models),
        max_pixels=row.max_size,
        nsfw=bool(row.allowed & NSFW),
        allows=[name for name, bit in REQUIREMENTS.items() if row.allowed & bit],
        extra_slow=row.extra_slow,
        agent=row.agent,
        threads=row.threads,
        fulfilled=row.fulfilled,
        failed=row.failed,
        earned=Kudos(row.earned),
        registered_at=row.registered_at,
        megapixelsteps_per_second=row.speed / 1_000_000 if row.kind is jobs.JobKind.IMAGE else 0.0,
        tokens_per_second=row.speed / WORK if row.kind is jobs.JobKind.TEXT else 0.0,
        forms_per_minute=row.speed * 60 / WORK if row.kind is jobs.JobKind.INTERROGATION else 0.0,
        uptime_seconds=min(row.uptime, 2**31 - 1),
        uptime_earned=Kudos(row.uptime_earned),
        maintenance_until=row.maintenance_until,
        description=detail.description if detail else None,
        owner=detail.alias if detail and (inside or detail.public) else None,
        row=row,
        words=named.message,
        inside=inside,
    )


def worker_message(row: MessageRow, viewer: UUID) -> WorkerMessage:
    """A message as the API shows it."""
    return WorkerMessage(
        id=strawberry.ID(str(row.message)),
        worker_id=None if row.worker is None else strawberry.ID(str(row.worker)),
        message=row.words,
        origin=row.origin,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
        mine=row.sender == viewer,
    )
