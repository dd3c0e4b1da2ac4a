"""The API of what an account may do with workers: how many it may have, and whether everybody may know whose they are.

Look next: `app.accounts.handlers`, `app.workers` for the workers themselves.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.accounts import handlers
from app.accounts.authentication import viewer_of
from app.accounts.decider import LimitSet
from app.accounts.graphql import User, load_user
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.services import Info, services_of


@strawberry.input(description="How many workers a user may have.")
class SetWorkerLimitInput:
    """Input of setWorkerLimit."""

    user: str = strawberry.field(description='The user\'s alias, "name#number".')
    limit: int | None = strawberry.field(
        default=None, description="From 0 to 100,000 workers; null for the default again."
    )


@strawberry.type(description="The limit holds from the next new worker on; those that there are work on.")
class SetWorkerLimitSuccess:
    """Result of setWorkerLimit."""

    limit: int = strawberry.field(description="How many workers the user may have now.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetWorkerLimitResult = Annotated[
    SetWorkerLimitSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetWorkerLimitResult", description="What came of setWorkerLimit."),
]


@strawberry.input(description="Whether everybody may know whose your workers are.")
class SetPublicWorkersInput:
    """Input of setPublicWorkers."""

    public: bool = strawberry.field(description="True: your alias is shown with your workers and teams.")


@strawberry.type(description="Your workers show what you wish.")
class SetPublicWorkersSuccess:
    """Result of setPublicWorkers."""

    user: User = strawberry.field(description="You.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetPublicWorkersResult = Annotated[
    SetPublicWorkersSuccess | errors.InvalidInput | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetPublicWorkersResult", description="What came of setPublicWorkers."),
]


@strawberry.type
class AccountWorkersMutations:
    """Mutations of accounts that are about workers."""

    @strawberry.mutation(
        description="Say how many workers a user may have. For moderators and operators.",
        graphql_type=SetWorkerLimitResult,
    )
    async def set_worker_limit(
        self,
        info: Info,
        input: Annotated[SetWorkerLimitInput, strawberry.argument(description="Whose, and how many.")],
    ) -> Any:
        """Recorded with who set it."""
        outcome = await handlers.set_worker_limit(
            services_of(info), viewer_of(info).subject, input.user, input.limit
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: LimitSet = outcome.result
        return SetWorkerLimitSuccess(limit=result.limit, position=Position(outcome.position))

    @strawberry.mutation(
        description="Let everybody know whose your workers are, or nobody.",
        graphql_type=SetPublicWorkersResult,
    )
    async def set_public_workers(
        self,
        info: Info,
        input: Annotated[SetPublicWorkersInput, strawberry.argument(description="Whether.")],
    ) -> Any:
        """At first nobody knows. The name stays in the vault and is shown beside the workers."""
        subject = viewer_of(info).subject
        outcome = await handlers.set_public_workers(services_of(info), subject, public=input.public)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return SetPublicWorkersSuccess(
            user=await load_user(info, subject), position=Position(outcome.position)
        )
