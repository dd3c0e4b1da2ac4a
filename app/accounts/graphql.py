"""The API of accounts and kudos: users, statements, registration, transfers.

Resolvers only parse, call and map. Another user is nobody's business: a `User` is always the viewer, so that no name
can be looked up by the subject ids of the public log. Look next: `app.accounts.handlers`, `app.accounts.statement`.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from app.accounts import handlers, people
from app.accounts.authentication import viewer_of
from app.accounts.decider import LimitSet, Registered, Transferred, TrustSet
from app.accounts.queries import ACCOUNT, PERSONS, STATEMENT, Movement
from app.accounts.records_graphql import UserRecord, records_of
from app.accounts.statement import explain
from app.ledger.quote import PriceItem as LedgerItem
from app.ledger.standing import waiting_limit, worker_limit
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Kudos, Position
from app.platform.graphql.shared import After, First, JobState, Node, PriceItem
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.rates import REGISTRATIONS
from app.platform.services import Info, services_of
from events import accounts
from projections.accounts import USER, Account

if TYPE_CHECKING:
    from app.jobs.types import Job, JobConnection
    from app.ratings.library_graphql import GivenRatingConnection
    from app.ratings.types import RatingAssignment
    from app.webhooks.graphql import Webhook

#: before the first row of a statement, newest first
_NEWEST = (2**62, 0)


@strawberry.type(description="One movement of kudos on an account, explained.")
class StatementLine:
    """A line of a statement."""

    position: Position = strawberry.field(description="The event's position in the log.")
    at: datetime = strawberry.field(description="When it happened.")
    amount: Kudos = strawberry.field(description="What it changed; zero where the floor covered all.")
    balance: Kudos = strawberry.field(description="The balance after it.")
    reason: str = strawberry.field(description="Why, in words.")
    breakdown: list[PriceItem] = strawberry.field(description="What the amount is made of; sums to it.")
    job_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The job it was for, if it was your job.")
    async def job(self, info: Info) -> Annotated[Job, strawberry.lazy("app.jobs.types")] | None:
        """The job behind the line."""
        if self.job_id is None:
            return None
        found: Job | None = await services_of(info).links.job(info, self.job_id)
        return found


@strawberry.type(description="An edge of a statement.")
class StatementEdge:
    """A line and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: StatementLine = strawberry.field(description="The line.")


@strawberry.type(description="A page of a statement, newest first.")
class StatementConnection:
    """Lines of a statement."""

    edges: list[StatementEdge] = strawberry.field(description="The lines.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.type(description="Where an account's kudos came from and went, since it was opened.")
class KudosTotals:
    """Sums over all that ever moved; with signs, they add up to balance and escrow together."""

    generated: Kudos = strawberry.field(description="Earned by your workers' deliveries, in escrow or not.")
    uptime: Kudos = strawberry.field(description="Rewarded for your workers being there, in escrow or not.")
    granted: Kudos = strawberry.field(description="Granted by operators.")
    adjusted: Kudos = strawberry.field(description="Corrected by operators: up, less down.")
    allowances: Kudos = strawberry.field(description="Paid by the treasury as a monthly allowance.")
    received: Kudos = strawberry.field(description="Received from other users.")
    sent: Kudos = strawberry.field(description="Given to other users.")
    rated: Kudos = strawberry.field(
        description="Earned by rating pictures, in escrow or not, less what was taken back."
    )
    spent: Kudos = strawberry.field(description="Paid for generations: what was charged and not covered.")


@strawberry.enum(description="What a monthly allowance is for.")
class AllowanceSource(Enum):
    """The sources of `events.accounts.AllowanceSource`."""

    MANUAL = strawberry.enum_value("MANUAL", description="An operator wished so.")
    MODERATOR = strawberry.enum_value("MODERATOR", description="Moderating.")
    PATRON = strawberry.enum_value("PATRON", description="Supporting the house with money.")


@strawberry.type(description="Kudos that the treasury pays each month.")
class Allowance:
    """A monthly allowance."""

    amount: Kudos = strawberry.field(description="Kudos a month.")
    source: AllowanceSource = strawberry.field(description="What it is for.")
    next_at: datetime = strawberry.field(
        description="When it is paid next: each calendar month, counted from the first payment."
    )


@strawberry.type(description="A user: you, or the anonymous user all callers without a key share.")
class User(Node):
    """The viewer."""

    username: str = strawberry.field(description='Unique alias "name#number"; anonymous is "Anonymous#0".')
    kudos: Kudos | None = strawberry.field(
        description="The balance; null when it is another's and not public."
    )
    held: Kudos | None = strawberry.field(description="What of it is reserved for jobs.")
    escrow: Kudos | None = strawberry.field(
        description="What your workers earned and you may spend once you are trusted: half of each delivery's reward, "
        "all of those for uptime; and what your ratings earned and waits. No part of the balance."
    )
    rating_escrow: Kudos | None = strawberry.field(
        description="What of the escrow your ratings earned: you may spend it once your ratings are trusted."
    )
    trusted: bool = strawberry.field(
        description="Whether you get the whole of what your workers earn at once."
    )
    totals: KudosTotals | None = strawberry.field(description="Where your kudos came from and went.")
    allowance: Allowance | None = strawberry.field(
        description="What the treasury pays you each month; null for nothing."
    )
    consumed: Kudos | None = strawberry.field(
        description="All that was ever charged for generations, whether or not the balance could cover it."
    )
    created_at: datetime = strawberry.field(description="When the account was opened.")
    roles: list[str] = strawberry.field(description="What the account may do beyond its own affairs.")
    waiting_generations: int = strawberry.field(
        description="Generations of the account that wait for a worker now; those that run do not count."
    )
    waiting_limit: int = strawberry.field(description="How many generations of the account may wait at once.")
    workers: int = strawberry.field(description="Workers of the account.")
    worker_limit: int = strawberry.field(description="How many workers the account may have.")
    public_workers: bool = strawberry.field(
        description="Whether everybody may know whose the account's workers are."
    )
    public_profile: bool = strawberry.field(
        description="Whether everybody may see what the account has and did, beside its name."
    )
    subject: strawberry.Private[UUID]

    @strawberry.field(
        description="What you asked for, were given and delivered for others, one for each kind of which there is any."
    )
    async def records(self, info: Info) -> list[UserRecord]:
        """As far as the relay has counted."""
        _only_own(info, self.subject)
        return (await records_of(services_of(info), [self.subject]))[self.subject]

    @strawberry.field(description="Every movement on the account, newest first, explained.")
    async def statement(self, info: Info, first: First = 20, after: After = None) -> StatementConnection:
        """A page of the statement."""
        _only_own(info, self.subject)
        services = services_of(info)
        size = page_size(first)
        position, ordinal = _NEWEST if after is None else decode_cursor(after, tuple[int, int])
        movements = await STATEMENT.all(
            services.pool,
            realm=services.realm,
            account=f"{USER}{self.subject}",
            position=position,
            ordinal=ordinal,
            limit=size + 1,
        )
        edges, page = build_page(
            movements,
            size,
            key=lambda m: (m.position, m.ordinal),
            edge=lambda cursor, m: StatementEdge(cursor=cursor, node=_line(m, self.subject)),
            after=after,
        )
        return StatementConnection(edges=edges, page_info=page)

    @strawberry.field(description="Your jobs, newest first.")
    async def jobs(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        state: Annotated[JobState | None, strawberry.argument(description="Only jobs in this state.")] = None,
    ) -> Annotated[JobConnection, strawberry.lazy("app.jobs.types")]:
        """A page of the jobs; anonymous users share one account, so theirs are not listed."""
        _only_own(info, self.subject)
        page: JobConnection = await services_of(info).links.jobs_of(info, self.subject, first, after, state)
        return page

    @strawberry.field(
        description="Your webhooks, at most 10, oldest first; those of single jobs are not among them."
    )
    async def webhooks(self, info: Info) -> list[Annotated[Webhook, strawberry.lazy("app.webhooks.graphql")]]:
        """All of them."""
        _only_own(info, self.subject)
        found: list[Webhook] = await services_of(info).links.webhooks_of(info, self.subject)
        return found

    @strawberry.field(description="Your ratings and comparisons of pictures, newest first.")
    async def ratings(
        self, info: Info, first: First = 20, after: After = None
    ) -> Annotated[GivenRatingConnection, strawberry.lazy("app.ratings.library_graphql")]:
        """A page of them."""
        _only_own(info, self.subject)
        page: GivenRatingConnection = await services_of(info).links.ratings_of(
            info, self.subject, first, after
        )
        return page

    @strawberry.field(
        description="What you were handed to judge and may still answer, at most 10, with fresh links."
    )
    async def rating_assignments(
        self, info: Info
    ) -> list[Annotated[RatingAssignment, strawberry.lazy("app.ratings.types")]]:
        """All of it."""
        _only_own(info, self.subject)
        found: list[RatingAssignment] = await services_of(info).links.assignments_of(info, self.subject)
        return found


def _only_own(info: Info, subject: UUID) -> None:
    """Whoever registers an account does not ask with its key yet. Raises `ApiError` FORBIDDEN."""
    if viewer_of(info).subject != subject:
        raise ApiError("ask with the account's own key", code=TopLevelCode.FORBIDDEN)


def items(breakdown: tuple[LedgerItem, ...]) -> list[PriceItem]:
    """Price items as the API shows them."""
    return [PriceItem(label=item.label, amount=Kudos(item.amount)) for item in breakdown]


def _line(movement: Movement, user: UUID) -> StatementLine:
    line = explain(movement, user)
    return StatementLine(
        position=Position(movement.position),
        at=movement.occurred_at,
        amount=Kudos(movement.amount),
        balance=Kudos(movement.balance),
        reason=line.reason,
        breakdown=items(line.breakdown),
        job_id=line.job,
    )


def _totals(account: Account) -> KudosTotals:
    return KudosTotals(
        generated=Kudos(account.earned),
        uptime=Kudos(account.uptime),
        granted=Kudos(account.granted),
        adjusted=Kudos(account.adjusted),
        allowances=Kudos(account.allowances),
        received=Kudos(account.received),
        sent=Kudos(account.sent),
        rated=Kudos(account.rated),
        spent=Kudos(account.spent),
    )


def allowance_of(
    amount: int, source: accounts.AllowanceSource | None, due: datetime | None
) -> Allowance | None:
    """An allowance as the API shows it; None for none."""
    if not amount or source is None or due is None:
        return None
    return Allowance(amount=Kudos(amount), source=AllowanceSource[source.name], next_at=due)


async def load_user(info: Info, subject: UUID, *, private: bool = True) -> User:
    """The user of a subject id, which must be the viewer's or just registered; `private` shows the amounts."""
    services = services_of(info)
    account: Account | None = await ACCOUNT.one(services.pool, realm=services.realm, id=subject)
    if account is None:
        raise ApiError("this account is gone", code=TopLevelCode.UNAUTHENTICATED)
    if account.anonymous:
        alias = people.ANONYMOUS_ALIAS
    else:
        person = await PERSONS.one(services.pool, realm=services.realm, subjects=[subject])
        alias = "erased" if person is None else f"{person.username}#{person.number}"
    return User(
        id=strawberry.ID(str(subject)),
        username=alias,
        kudos=Kudos(account.balance) if private else None,
        held=Kudos(account.held) if private else None,
        escrow=Kudos(account.escrow) if private else None,
        rating_escrow=Kudos(account.rating_escrow) if private else None,
        trusted=account.trusted,
        totals=_totals(account) if private else None,
        allowance=allowance_of(account.allowance, account.allowance_source, account.allowance_due)
        if private
        else None,
        consumed=Kudos(account.consumed) if private else None,
        created_at=account.registered_at,
        roles=[role.value for role in account.roles],
        waiting_generations=account.waiting,
        waiting_limit=waiting_limit(account),
        workers=account.workers,
        worker_limit=worker_limit(account),
        public_workers=account.public_workers,
        public_profile=account.public_profile,
        subject=subject,
    )


@strawberry.input(description="What a new account needs.")
class RegisterUserInput:
    """Input of registerUser."""

    username: str = strawberry.field(description="1 to 30 characters, without '#'; need not be unique.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="A UUID: the same key gives the same account, but not its API key again."
    )


@strawberry.type(description="The account was opened.")
class RegisterUserSuccess:
    """Result of registerUser."""

    user: User = strawberry.field(description="The new user.")
    api_key: str | None = strawberry.field(
        description="22 url-safe characters, shown this once: keep it. Null on a repeat."
    )
    position: Position = strawberry.field(description="The event's position in the log.")


RegisterUserResult = Annotated[
    RegisterUserSuccess
    | errors.InvalidInput
    | errors.RegistrationClosed
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("RegisterUserResult", description="What came of registerUser."),
]


@strawberry.input(description="Kudos for another user.")
class TransferKudosInput:
    """Input of transferKudos."""

    to: str = strawberry.field(description='The alias of who is to have them, "name#number".')
    amount: Kudos = strawberry.field(
        description="From 0.01, at most two decimals, at most what is available."
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key moves kudos once, however often it is sent within 7 days."
    )


@strawberry.type(description="The kudos were given.")
class TransferKudosSuccess:
    """Result of transferKudos."""

    from_: User = strawberry.field(name="from", description="You, after the transfer.")
    amount: Kudos = strawberry.field(description="What was given.")
    position: Position = strawberry.field(description="The event's position in the log.")


TransferKudosResult = Annotated[
    TransferKudosSuccess
    | errors.InvalidInput
    | errors.InsufficientKudos
    | errors.NotFound
    | errors.Forbidden
    | errors.IdempotencyConflict
    | errors.TryAgain,
    strawberry.union("TransferKudosResult", description="What came of transferKudos."),
]


@strawberry.input(description="How many generations of a user may wait at once.")
class SetWaitingLimitInput:
    """Input of setWaitingLimit."""

    user: str = strawberry.field(
        description='The user\'s alias, "name#number"; "Anonymous#0" for the anonymous one.'
    )
    limit: int | None = strawberry.field(
        default=None, description="From 0 to 1,000,000 generations; null for the default again."
    )


@strawberry.type(description="The limit holds from the next submission on; what waits already may wait on.")
class SetWaitingLimitSuccess:
    """Result of setWaitingLimit."""

    limit: int = strawberry.field(description="How many generations of the user may wait now.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetWaitingLimitResult = Annotated[
    SetWaitingLimitSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetWaitingLimitResult", description="What came of setWaitingLimit."),
]


@strawberry.input(description="Whether a user is trusted.")
class SetTrustedInput:
    """Input of setTrusted."""

    user: str = strawberry.field(description='The user\'s alias, "name#number".')
    trusted: bool = strawberry.field(
        description="True releases the escrow; false: the user does not earn trust by work any more either."
    )


@strawberry.type(description="It holds from now on.")
class SetTrustedSuccess:
    """Result of setTrusted."""

    trusted: bool = strawberry.field(
        description="Whether the user is trusted now; moderators and operators always are."
    )
    released: Kudos = strawberry.field(description="What of the escrow may be spent now.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetTrustedResult = Annotated[
    SetTrustedSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetTrustedResult", description="What came of setTrusted."),
]


@strawberry.type
class AccountQueries:
    """Queries of accounts."""

    @strawberry.field(description="The owner of the key; without a key, the anonymous user.")
    async def viewer(self, info: Info) -> User:
        """Who asks."""
        return await load_user(info, viewer_of(info).subject)


@strawberry.type
class AccountMutations:
    """Mutations of accounts."""

    @strawberry.mutation(description="Open an account, at 0 kudos.", graphql_type=RegisterUserResult)
    async def register_user(
        self,
        info: Info,
        input: Annotated[RegisterUserInput, strawberry.argument(description="The new account.")],
    ) -> Any:
        """Registration is limited by address."""
        services = services_of(info)
        if (delay := await services.rates.delay(REGISTRATIONS, "register", info.context.address)) is not None:
            message = "too many registrations from this address"
            return errors.TryAgain(message=message, path=[], retry_after_seconds=delay)
        outcome = await handlers.register_user(
            services, viewer_of(info).subject, input.username, input.idempotency_key
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, api_key = outcome
        result: Registered = done.result
        user = await load_user(info, result.user, private=not done.repeated)
        return RegisterUserSuccess(user=user, api_key=api_key, position=Position(done.position))

    @strawberry.mutation(description="Give another user kudos.", graphql_type=TransferKudosResult)
    async def transfer_kudos(
        self,
        info: Info,
        input: Annotated[TransferKudosInput, strawberry.argument(description="To whom and how much.")],
    ) -> Any:
        """Only what is available can be given."""
        services = services_of(info)
        outcome = await handlers.transfer_kudos(
            services, viewer_of(info).subject, input.to, input.amount, input.idempotency_key
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Transferred = outcome.result
        source = await load_user(info, result.source)
        return TransferKudosSuccess(
            from_=source, amount=Kudos(result.amount), position=Position(outcome.position)
        )

    @strawberry.mutation(
        description="Say how many generations of a user may wait at once. For moderators and operators.",
        graphql_type=SetWaitingLimitResult,
    )
    async def set_waiting_limit(
        self,
        info: Info,
        input: Annotated[SetWaitingLimitInput, strawberry.argument(description="Whose, and how many.")],
    ) -> Any:
        """Recorded with who set it."""
        outcome = await handlers.set_waiting_limit(
            services_of(info), viewer_of(info).subject, input.user, input.limit
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: LimitSet = outcome.result
        return SetWaitingLimitSuccess(limit=result.limit, position=Position(outcome.position))

    @strawberry.mutation(
        description="Trust a user, or trust them no more. For moderators and operators.",
        graphql_type=SetTrustedResult,
    )
    async def set_trusted(
        self,
        info: Info,
        input: Annotated[SetTrustedInput, strawberry.argument(description="Whom, and whether.")],
    ) -> Any:
        """Recorded with who decided it."""
        outcome = await handlers.set_trusted(
            services_of(info), viewer_of(info).subject, input.user, trusted=input.trusted
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: TrustSet = outcome.result
        return SetTrustedSuccess(
            trusted=result.trusted, released=Kudos(result.released), position=Position(outcome.position)
        )
