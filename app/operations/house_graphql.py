"""The API of the house itself: its modes, how this process is, and news of its operators.

Resolvers only parse, call and map. Look next: `app.operations.modes`, `app.operations.heartbeat`,
`app.operations.news`.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from app.operations import heartbeat as beating
from app.operations import modes as switching
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.services import Info, services_of
from events import operations


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
