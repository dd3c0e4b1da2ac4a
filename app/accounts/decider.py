"""What may happen to accounts and their kudos: opening, registering, roles, trust, limits, grants, transfers. Pure.

Look next: `app.accounts.handlers`, which makes the ids; `app.ledger.postings`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.ledger import modes, postings, trust
from app.ledger.standing import MAX_WAITING, MAX_WORKERS, moderates, waiting_limit, worker_limit
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import ApiKey, Note, Person
from events.accounts import (
    AnonymousOpened,
    PublicProfileSet,
    PublicWorkersSet,
    Role,
    RoleGranted,
    RoleRevoked,
    UserRegistered,
    WaitingLimitSet,
    WorkerLimitSet,
)
from events.base import ANONYMOUS
from events.kudos import KudosGranted, KudosTransferred

#: largest grant or transfer, in hundredths: sums of many stay far below 2^63
MAX_AMOUNT = 10**14


class OpenRealm(Command, frozen=True, kw_only=True):
    """Put the anonymous user at -50, once."""


class RegisterUser(Command, frozen=True, kw_only=True):
    """Open an account with its first key."""

    user: UUID
    key: UUID
    key_hash: bytes
    username: str
    #: the random number behind the name, so that the alias is unique and says nothing about when or who
    number: int
    #: an operator opens it at the command line, whatever the modes of the house are
    by_operator: bool = False


class GrantRole(Command, frozen=True, kw_only=True):
    """Give an account a role."""

    user: UUID
    role: Role


class SetTrust(Command, frozen=True, kw_only=True):
    """Trust an account, or trust it no more."""

    user: UUID
    trusted: bool
    #: who asks, and must be a moderator or operator; None at the command line
    by: UUID | None = None


class SetWaitingLimit(Command, frozen=True, kw_only=True):
    """Say how many generations of a user may wait at once; None for the default again."""

    user: UUID
    limit: int | None
    #: who asks, and must be a moderator or operator; None at the command line
    by: UUID | None = None


class SetWorkerLimit(Command, frozen=True, kw_only=True):
    """Say how many workers a user may have; None for the default again."""

    user: UUID
    limit: int | None
    #: who asks, and must be a moderator or operator; None at the command line
    by: UUID | None = None


class SetPublicWorkers(Command, frozen=True, kw_only=True):
    """Say whether everybody may see whose a user's workers are."""

    user: UUID
    public: bool


class SetPublicProfile(Command, frozen=True, kw_only=True):
    """Say whether everybody may see a user's profile."""

    user: UUID
    public: bool


class GrantKudos(Command, frozen=True, kw_only=True):
    """Give an account kudos out of the treasury, in hundredths."""

    user: UUID
    amount: int
    #: the id of this command, under which the vault keeps the reason
    note: UUID
    reason: str


class TransferKudos(Command, frozen=True, kw_only=True):
    """Give another user kudos, in hundredths."""

    source: UUID
    target: UUID
    amount: int


class Opened(Result, frozen=True, kw_only=True):
    """The realm is open."""


class Registered(Result, frozen=True, kw_only=True):
    """The new account's subject id."""

    user: UUID


class Granted(Result, frozen=True, kw_only=True):
    """The account that was given a role or kudos."""

    user: UUID


class TrustSet(Result, frozen=True, kw_only=True):
    """Whether an account is trusted now, and what of its escrow was released, in hundredths."""

    user: UUID
    trusted: bool
    released: int


class LimitSet(Result, frozen=True, kw_only=True):
    """How many generations of an account may wait now, or how many workers it may have."""

    user: UUID
    limit: int


class Transferred(Result, frozen=True, kw_only=True):
    """What moved, in hundredths."""

    source: UUID
    amount: int


def open_realm(_: OpenRealm, rows: Rows) -> Decision:
    """Opening an open realm does nothing."""
    if rows.account(ANONYMOUS) is not None:
        return Decision((), Opened())
    opened = AnonymousOpened(user=ANONYMOUS, postings=postings.genesis_of_anonymous(ANONYMOUS))
    return Decision((opened,), Opened())


def register_user(command: RegisterUser, rows: Rows) -> Decision | Rejection:
    """Anybody may register unless the modes of the house forbid it; the handler has checked the name."""
    if not command.by_operator and (refused := modes.refuse_account(rows.modes())) is not None:
        return refused
    return Decision(
        (UserRegistered(user=command.user, key=command.key),),
        Registered(user=command.user),
        (
            Person(command.user, command.username, command.number),
            ApiKey(command.key_hash, command.key, command.user),
        ),
    )


def grant_role(command: GrantRole, rows: Rows) -> Decision | Rejection:
    """Anonymous can have no role; a role held already changes nothing."""
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="NOT_FOUND", message="no such registered user", path=("user",))
    if command.role in account.roles:
        return Decision((), Granted(user=command.user))
    draft = rows.draft()
    draft.add(RoleGranted(user=command.user, role=command.role))
    trust.release_escrow(draft, command.user)
    return Decision(draft.events, Granted(user=command.user))


def set_trust(command: SetTrust, rows: Rows) -> Decision | Rejection:
    """By moderators and operators. Trust releases the escrow; who is trusted no more does not earn it back by work."""
    if command.by is not None and not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators say who is trusted")
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="NOT_FOUND", message="no such registered user", path=("input", "user"))
    has = Role.TRUSTED in account.roles
    draft = rows.draft()
    if command.trusted and not has:
        draft.add(RoleGranted(user=command.user, role=Role.TRUSTED))
        trust.release_escrow(draft, command.user)
    elif not command.trusted and (has or not account.distrusted):
        draft.add(RoleRevoked(user=command.user, role=Role.TRUSTED))
    after = draft.account(command.user) or account
    released = account.escrow - after.escrow
    return Decision(draft.events, TrustSet(user=command.user, trusted=after.trusted, released=released))


def set_waiting_limit(command: SetWaitingLimit, rows: Rows) -> Decision | Rejection:
    """By moderators and operators, for anybody; what waits already may wait on."""
    if command.by is not None and not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators set limits")
    account = rows.account(command.user)
    if account is None:
        return Rejection(code="NOT_FOUND", message="no such user", path=("input", "user"))
    if command.limit is not None and not 0 <= command.limit <= MAX_WAITING:
        message = f"a limit is from 0 to {MAX_WAITING} generations"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "limit"))
    if command.limit == account.waiting_limit:
        return Decision((), LimitSet(user=command.user, limit=waiting_limit(account)))
    event = WaitingLimitSet(user=command.user, limit=command.limit)
    after = msgspec.structs.replace(account, waiting_limit=command.limit)
    return Decision((event,), LimitSet(user=command.user, limit=waiting_limit(after)))


def set_worker_limit(command: SetWorkerLimit, rows: Rows) -> Decision | Rejection:
    """By moderators and operators, for anybody with an account; workers that there are stay."""
    if command.by is not None and not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators set limits")
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="NOT_FOUND", message="no such registered user", path=("input", "user"))
    if command.limit is not None and not 0 <= command.limit <= MAX_WORKERS:
        message = f"a limit is from 0 to {MAX_WORKERS} workers"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "limit"))
    after = msgspec.structs.replace(account, worker_limit=command.limit)
    events = () if after == account else (WorkerLimitSet(user=command.user, limit=command.limit),)
    return Decision(events, LimitSet(user=command.user, limit=worker_limit(after)))


def set_public_workers(command: SetPublicWorkers, rows: Rows) -> Decision | Rejection:
    """By oneself; anonymous users own no workers."""
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="FORBIDDEN", message="anonymous users own no workers: register first")
    same = account.public_workers == command.public
    events = () if same else (PublicWorkersSet(user=command.user, public=command.public),)
    return Decision(events, Granted(user=command.user))


def set_public_profile(command: SetPublicProfile, rows: Rows) -> Decision | Rejection:
    """By oneself; the anonymous user is nobody."""
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="FORBIDDEN", message="anonymous users have no profile: register first")
    same = account.public_profile == command.public
    events = () if same else (PublicProfileSet(user=command.user, public=command.public),)
    return Decision(events, Granted(user=command.user))


def grant_kudos(command: GrantKudos, rows: Rows) -> Decision | Rejection:
    """Any positive amount up to the bound, to a registered user."""
    account = rows.account(command.user)
    if account is None or account.anonymous:
        return Rejection(code="NOT_FOUND", message="no such registered user", path=("user",))
    if not 0 < command.amount <= MAX_AMOUNT:
        return Rejection(
            code="INVALID_INPUT", message="a grant is between 0.01 and 10^12 kudos", path=("amount",)
        )
    event = KudosGranted(
        user=command.user, amount=command.amount, postings=postings.grant(command.user, command.amount)
    )
    return Decision((event,), Granted(user=command.user), (Note(command.note, command.reason),))


def transfer_kudos(command: TransferKudos, rows: Rows) -> Decision | Rejection:
    """In this order: not from anonymous, to a user, not to anonymous, not to oneself, positive, available."""
    source, target = rows.account(command.source), rows.account(command.target)
    to, amount = ("input", "to"), ("input", "amount")
    if command.source == ANONYMOUS or source is None:
        return Rejection(code="FORBIDDEN", message="anonymous users cannot transfer kudos: register first")
    if target is None:
        return Rejection(code="NOT_FOUND", message="no such user", path=to)
    if target.anonymous:
        return Rejection(code="INVALID_INPUT", message="kudos cannot be given to the anonymous user", path=to)
    if command.source == command.target:
        return Rejection(code="INVALID_INPUT", message="kudos cannot be given to oneself", path=to)
    if not 0 < command.amount <= MAX_AMOUNT:
        return Rejection(
            code="INVALID_INPUT", message="a transfer is between 0.01 and 10^12 kudos", path=amount
        )
    if command.amount > source.available:
        return Rejection(
            code="INSUFFICIENT_KUDOS",
            message="more than what is available",
            path=amount,
            detail={
                "required": command.amount,
                "available": source.available,
                "missing": command.amount - source.available,
            },
        )
    event = KudosTransferred(
        source=command.source,
        target=command.target,
        amount=command.amount,
        postings=postings.transfer(command.source, command.target, command.amount),
    )
    return Decision((event,), Transferred(source=command.source, amount=command.amount))


RULES = (
    Rule(OpenRealm, Opened, lambda _: Needs(accounts=(ANONYMOUS,)), open_realm),
    Rule(RegisterUser, Registered, lambda c: Needs(accounts=(c.user,)), register_user),
    Rule(GrantRole, Granted, lambda c: Needs(accounts=(c.user,)), grant_role),
    Rule(
        SetTrust,
        TrustSet,
        lambda c: Needs(accounts=(c.user,) if c.by is None else (c.user, c.by)),
        set_trust,
    ),
    Rule(
        SetWaitingLimit,
        LimitSet,
        lambda c: Needs(accounts=(c.user,) if c.by is None else (c.user, c.by)),
        set_waiting_limit,
    ),
    Rule(
        SetWorkerLimit,
        LimitSet,
        lambda c: Needs(accounts=(c.user,) if c.by is None else (c.user, c.by)),
        set_worker_limit,
    ),
    Rule(SetPublicWorkers, Granted, lambda c: Needs(accounts=(c.user,)), set_public_workers),
    Rule(SetPublicProfile, Granted, lambda c: Needs(accounts=(c.user,)), set_public_profile),
    Rule(GrantKudos, Granted, lambda c: Needs(accounts=(c.user,)), grant_kudos),
    Rule(TransferKudos, Transferred, lambda c: Needs(accounts=(c.source, c.target)), transfer_kudos),
)
