"""The API of what operators do with the treasury: corrections of a balance, monthly allowances.

Resolvers only parse, call and map. Look next: `app.accounts.handlers`, `app.accounts.treasury`.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.accounts import handlers
from app.accounts.authentication import viewer_of
from app.accounts.graphql import Allowance, AllowanceSource, allowance_of
from app.accounts.treasury import Adjusted, Allowed
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Kudos, Position
from app.platform.services import Info, services_of
from events import accounts


@strawberry.input(description="A correction of a user's balance.")
class AdjustKudosInput:
    """Input of adjustKudos."""

    user: str = strawberry.field(description='The user\'s alias, "name#number".')
    amount: Kudos = strawberry.field(
        description="By how much, at most two decimals; below zero to take, at most what is available."
    )
    reason: str = strawberry.field(description="Why, for the user's statement: 1 to 500 characters.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key moves kudos once, however often it is sent within 7 days."
    )


@strawberry.type(description="The balance was corrected.")
class AdjustKudosSuccess:
    """Result of adjustKudos."""

    amount: Kudos = strawberry.field(description="By how much.")
    balance: Kudos = strawberry.field(description="The user's balance after it.")
    position: Position = strawberry.field(description="The event's position in the log.")


AdjustKudosResult = Annotated[
    AdjustKudosSuccess
    | errors.InvalidInput
    | errors.InsufficientKudos
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("AdjustKudosResult", description="What came of adjustKudos."),
]


@strawberry.input(description="What a user is given each month.")
class SetAllowanceInput:
    """Input of setAllowance."""

    user: str = strawberry.field(description='The user\'s alias, "name#number".')
    amount: Kudos = strawberry.field(description="Kudos a month, up to 10^12; 0 ends it.")
    source: AllowanceSource = strawberry.field(default=AllowanceSource.MANUAL, description="What it is for.")


@strawberry.type(description="The allowance stands; what is due of it was paid at once.")
class SetAllowanceSuccess:
    """Result of setAllowance."""

    allowance: Allowance | None = strawberry.field(description="What the user gets now; null if nothing.")
    paid: Kudos = strawberry.field(
        description="What was paid at once: the first month, or what a raise adds to the present one."
    )
    position: Position = strawberry.field(description="The log position at which it stands.")


SetAllowanceResult = Annotated[
    SetAllowanceSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetAllowanceResult", description="What came of setAllowance."),
]


@strawberry.type
class TreasuryMutations:
    """Mutations that move the treasury's kudos."""

    @strawberry.mutation(
        description="Correct a user's balance, up or down, with a reason. For operators.",
        graphql_type=AdjustKudosResult,
    )
    async def adjust_kudos(
        self,
        info: Info,
        input: Annotated[AdjustKudosInput, strawberry.argument(description="Whose, by how much, and why.")],
    ) -> Any:
        """Recorded with who did it."""
        outcome = await handlers.adjust_kudos(
            services_of(info),
            viewer_of(info).subject,
            input.user,
            input.amount,
            input.reason,
            input.idempotency_key,
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Adjusted = outcome.result
        return AdjustKudosSuccess(
            amount=Kudos(result.amount), balance=Kudos(result.balance), position=Position(outcome.position)
        )

    @strawberry.mutation(
        description="Give a user kudos each month, the first at once, or end it. For operators.",
        graphql_type=SetAllowanceResult,
    )
    async def set_allowance(
        self,
        info: Info,
        input: Annotated[SetAllowanceInput, strawberry.argument(description="Whose, how much, what for.")],
    ) -> Any:
        """Recorded with who set it."""
        outcome = await handlers.set_allowance(
            services_of(info),
            viewer_of(info).subject,
            input.user,
            input.amount,
            accounts.AllowanceSource[input.source.name],
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Allowed = outcome.result
        return SetAllowanceSuccess(
            allowance=allowance_of(result.amount, result.source, result.next_at),
            paid=Kudos(result.paid),
            position=Position(outcome.position),
        )
