"""The API's operations of looking at workers and steering them: update, pause, delete, messages, following.

Resolvers only parse, call and map. Look next: `app.workers.steering`, `app.workers.types`, `docs/workers.md`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.fleet.online import online_workers
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, First, JobKind
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.services import Info, services_of
from app.workers import handlers, steering
from app.workers.capabilities import MAX_NAME
from app.workers.following import states
from app.workers.queries import NAMED_PAGE
from app.workers.steering_queries import MESSAGE_PAGE, MESSAGES
from app.workers.types import Worker, WorkerConnection, WorkerEdge, WorkerMessage, shown, worker_message
from events.base import ANONYMOUS

#: after every message, newest first
_NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))

WhichWorker = Annotated[str, strawberry.argument(description="Id or name.")]


@strawberry.enum(description="Which messages.")
class MessageValidity(Enum):
    """Whether messages are still told."""

    ACTIVE = strawberry.enum_value("ACTIVE", description="Those that are still told.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Those that are told no more.")
    ALL = strawberry.enum_value("ALL", description="Both.")


@strawberry.type(description="An edge of a page of messages.")
class WorkerMessageEdge:
    """A message and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: WorkerMessage = strawberry.field(description="The message.")


@strawberry.type(description="A page of messages to workers, newest first.")
class WorkerMessageConnection:
    """Messages."""

    edges: list[WorkerMessageEdge] = strawberry.field(description="The messages.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="What to change of a worker; what is null stays as it is.")
class UpdateWorkerInput:
    """Input of updateWorker."""

    worker: str = strawberry.field(description="The worker's id or name; yours, or any for moderators.")
    name: str | None = strawberry.field(
        default=None, description="Another name, 1 to 100 characters, unlike any other worker's of any kind."
    )
    description: str | None = strawberry.field(
        default=None,
        description="What everybody may read of it, at most 1,000 characters; empty for nothing.",
    )
    team: str | None = strawberry.field(
        default=None, description="The id of the team that it joins; empty to leave the one it is in."
    )


@strawberry.type(description="The worker is as you wish.")
class UpdateWorkerSuccess:
    """Result of updateWorker."""

    worker: Worker = strawberry.field(description="The worker.")
    position: Position = strawberry.field(description="The log position at which it stands.")


UpdateWorkerResult = Annotated[
    UpdateWorkerSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("UpdateWorkerResult", description="What came of updateWorker."),
]


@strawberry.input(description="Pause a worker, or let it go on.")
class SetWorkerPausedInput:
    """Input of setWorkerPaused."""

    worker: str = strawberry.field(description="The worker's id or name.")
    paused: bool = strawberry.field(description="True: from now on it is given no work at all.")


@strawberry.type(description="The worker is paused, or goes on.")
class SetWorkerPausedSuccess:
    """Result of setWorkerPaused."""

    worker: Worker = strawberry.field(description="The worker.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetWorkerPausedResult = Annotated[
    SetWorkerPausedSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetWorkerPausedResult", description="What came of setWorkerPaused."),
]


@strawberry.input(description="Which worker to delete.")
class DeleteWorkerInput:
    """Input of deleteWorker."""

    worker: str = strawberry.field(description="The worker's id or name; yours, or any for moderators.")


@strawberry.type(description="The worker is no more; its name is free.")
class DeleteWorkerSuccess:
    """Result of deleteWorker."""

    id: strawberry.ID = strawberry.field(description="The id it had, under which the log goes on to name it.")
    position: Position = strawberry.field(description="The log position at which it stands.")


DeleteWorkerResult = Annotated[
    DeleteWorkerSuccess | errors.InvalidInput | errors.NotFound | errors.WorkerBusy | errors.TryAgain,
    strawberry.union("DeleteWorkerResult", description="What came of deleteWorker."),
]


@strawberry.input(description="Something to tell a worker.")
class SendWorkerMessageInput:
    """Input of sendWorkerMessage."""

    message: str = strawberry.field(description="1 to 10,240 characters.")
    worker: str | None = strawberry.field(
        default=None,
        description="Your worker's id or name; any for moderators; null: all workers, by moderators.",
    )
    hours: int = strawberry.field(default=12, description="For how many hours it is told, 1 to 720.")
    origin: str = strawberry.field(default="", description="Who says so, at most 255 characters.")


@strawberry.type(description="The worker is told from now on.")
class SendWorkerMessageSuccess:
    """Result of sendWorkerMessage."""

    sent: WorkerMessage = strawberry.field(description="The message.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SendWorkerMessageResult = Annotated[
    SendWorkerMessageSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SendWorkerMessageResult", description="What came of sendWorkerMessage."),
]


@strawberry.input(description="Which message to tell no more.")
class DeleteWorkerMessageInput:
    """Input of deleteWorkerMessage."""

    message: strawberry.ID = strawberry.field(description="The message; yours, or any for moderators.")


@strawberry.type(description="The message is gone.")
class DeleteWorkerMessageSuccess:
    """Result of deleteWorkerMessage."""

    position: Position = strawberry.field(description="The log position at which it stands.")


DeleteWorkerMessageResult = Annotated[
    DeleteWorkerMessageSuccess | errors.InvalidInput | errors.NotFound | errors.TryAgain,
    strawberry.union("DeleteWorkerMessageResult", description="What came of deleteWorkerMessage."),
]


@strawberry.type
class SteeringQueries:
    """Queries of workers and of what they are told."""

    @strawberry.field(description="A worker by id or name, online or not.")
    async def worker(self, info: Info, worker: WhichWorker) -> Worker | None:
        """Null where there is none."""
        found = await handlers.find_worker(services_of(info), worker)
        return None if found is None else (await shown(info, [found]))[0]

    @strawberry.field(description="Workers, by name.")
    async def workers(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        kind: Annotated[JobKind | None, strawberry.argument(description="Only of this kind.")] = None,
        name: Annotated[
            str | None, strawberry.argument(description="Only with this in their names, in capitals or not.")
        ] = None,
        online: Annotated[
            bool | None,
            strawberry.argument(description="Only those that are online, or only those that are not."),
        ] = None,
        mine: Annotated[bool | None, strawberry.argument(description="Only yours.")] = None,
    ) -> WorkerConnection:
        """A page of workers."""
        viewer = info.context.viewer.subject
        if mine and viewer == ANONYMOUS:
            raise ApiError("anonymous users own no workers", code=TopLevelCode.FORBIDDEN)
        return await _page(
            info, first, after, kind=kind, part=name, online=online, owner=viewer if mine else None
        )

    @strawberry.field(
        description="What your workers are told and what you wrote, newest first; for moderators, all messages."
    )
    async def worker_messages(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        worker: Annotated[
            str | None, strawberry.argument(description="Only to this worker, by id or name.")
        ] = None,
        validity: Annotated[
            MessageValidity, strawberry.argument(description="Which messages.")
        ] = MessageValidity.ACTIVE,
    ) -> WorkerMessageConnection:
        """A page of messages. Messages to all workers are for everybody."""
        services, viewer = services_of(info), info.context.viewer.subject
        size = page_size(first)
        sent_at, message = _NEWEST if after is None else decode_cursor(after, tuple[datetime, UUID])
        named = None if worker is None else await handlers.find_worker(services, worker)
        rows = []
        if worker is None or named is not None:
            rows = await MESSAGE_PAGE.all(
                services.pool,
                realm=services.realm,
                everything=await steering.moderator(services, viewer),
                viewer=viewer,
                worker=None if named is None else named.worker.id,
                active=None if validity is MessageValidity.ALL else validity is MessageValidity.ACTIVE,
                sent_at=sent_at,
                message=message,
                limit=size + 1,
            )
        edges, page = build_page(
            rows,
            size,
            key=lambda row: (row.sent_at, row.message),
            edge=lambda cursor, row: WorkerMessageEdge(cursor=cursor, node=worker_message(row, viewer)),
            after=after,
        )
        return WorkerMessageConnection(edges=edges, page_info=page)


@strawberry.type
class SteeringMutations:
    """Mutations that steer workers."""

    @strawberry.mutation(
        description="Rename or describe your worker, or move it to a team; moderators, any.",
        graphql_type=UpdateWorkerResult,
    )
    async def update_worker(
        self, info: Info, input: Annotated[UpdateWorkerInput, strawberry.argument(description="The changes.")]
    ) -> Any:
        """What it delivered stays with the team it was in then."""
        outcome = await steering.update_worker(
            services_of(info),
            info.context.viewer.subject,
            input.worker,
            name=input.name,
            description=input.description,
            team=input.team,
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, worker = outcome
        (seen,) = await shown(info, [worker])
        return UpdateWorkerSuccess(worker=seen, position=Position(done.position))

    @strawberry.mutation(
        description="Let a worker take no work, or take it again. For moderators and operators.",
        graphql_type=SetWorkerPausedResult,
    )
    async def set_worker_paused(
        self,
        info: Info,
        input: Annotated[SetWorkerPausedInput, strawberry.argument(description="Which worker.")],
    ) -> Any:
        """What it has leased it may still deliver."""
        outcome = await steering.set_paused(
            services_of(info), info.context.viewer.subject, input.worker, paused=input.paused
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, worker = outcome
        (seen,) = await shown(info, [worker])
        return SetWorkerPausedSuccess(worker=seen, position=Position(done.position))

    @strawberry.mutation(
        description="Delete your worker; moderators, any. Refused while it is at work.",
        graphql_type=DeleteWorkerResult,
    )
    async def delete_worker(
        self,
        info: Info,
        input: Annotated[DeleteWorkerInput, strawberry.argument(description="Which worker.")],
    ) -> Any:
        """A program that goes on polling by the name registers a new worker."""
        outcome = await steering.delete_worker(services_of(info), info.context.viewer.subject, input.worker)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, worker = outcome
        return DeleteWorkerSuccess(id=strawberry.ID(str(worker)), position=Position(done.position))

    @strawberry.mutation(
        description="Tell your worker something with each of its polls; moderators, any worker or all.",
        graphql_type=SendWorkerMessageResult,
    )
    async def send_worker_message(
        self,
        info: Info,
        input: Annotated[SendWorkerMessageInput, strawberry.argument(description="What, to whom, how long.")],
    ) -> Any:
        """Polls bring it about a second later."""
        services, viewer = services_of(info), info.context.viewer.subject
        outcome = await steering.send_message(
            services, viewer, input.worker, words=input.message, origin=input.origin, hours=input.hours
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, key = outcome
        message = await MESSAGES.one(services.pool, realm=services.realm, ids=[key])
        if message is None:
            raise ApiError("the message is gone", code=TopLevelCode.TRY_AGAIN, retry_after=1.0)
        return SendWorkerMessageSuccess(
            sent=worker_message(message, viewer), position=Position(done.position)
        )

    @strawberry.mutation(
        description="Tell a worker something no more: its words are erased.",
        graphql_type=DeleteWorkerMessageResult,
    )
    async def delete_worker_message(
        self,
        info: Info,
        input: Annotated[DeleteWorkerMessageInput, strawberry.argument(description="Which message.")],
    ) -> Any:
        """By who wrote it, or a moderator."""
        outcome = await steering.delete_message(services_of(info), info.context.viewer.subject, input.message)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return DeleteWorkerMessageSuccess(position=Position(outcome.position))


@strawberry.type
class SteeringSubscriptions:
    """Subscriptions of workers."""

    @strawberry.subscription(
        description="Your worker (moderators: any): its present state, then every change of what it did, earned, "
        "failed, is told, and of why its polls find nothing; ends when it is deleted."
    )
    async def worker_updated(self, info: Info, worker: WhichWorker) -> AsyncGenerator[Worker, None]:
        """Promises the latest state, coalesced to at most two a second."""
        services, viewer = services_of(info), info.context.viewer.subject
        named = await handlers.find_worker(services, worker)
        if named is None or not (named.worker.owner == viewer or await steering.moderator(services, viewer)):
            raise ApiError("you have no such worker", code=TopLevelCode.FORBIDDEN)
        async for state in states(services, named.worker.id):
            (seen,) = await shown(info, [state.named])
            yield seen


async def workers_of(info: Info, team: UUID, first: int | None, after: str | None) -> WorkerConnection:
    """A page of a team's workers, by name."""
    return await _page(info, first, after, team=team)


async def _page(
    info: Info,
    first: int | None,
    after: str | None,
    *,
    kind: JobKind | None = None,
    part: str | None = None,
    online: bool | None = None,
    owner: UUID | None = None,
    team: UUID | None = None,
) -> WorkerConnection:
    services = services_of(info)
    size = page_size(first)
    start = "" if after is None else decode_cursor(after, tuple[str])[0]
    if part is not None and (len(part) > MAX_NAME or "\0" in part):
        raise ApiError(f"`name` has at most {MAX_NAME} characters.", code=TopLevelCode.INVALID_ARGUMENT)
    ids = [] if online is None else [each.worker.id for each in await online_workers(services)]
    rows = await NAMED_PAGE.all(
        services.pool,
        realm=services.realm,
        after=start,
        limit=size + 1,
        kind=None if kind is None else kind.value,
        part=part,
        owner=owner,
        team=team,
        among=online,
        ids=ids,
    )
    seen = {row.worker.id: worker for row, worker in zip(rows, await shown(info, rows), strict=True)}
    edges, page = build_page(
        rows,
        size,
        key=lambda row: (row.name,),
        edge=lambda cursor, row: WorkerEdge(cursor=cursor, node=seen[row.worker.id]),
        after=after,
    )
    return WorkerConnection(edges=edges, page_info=page)
