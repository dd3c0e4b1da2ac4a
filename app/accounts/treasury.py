"""What operators do with the treasury: corrections of a balance, up or down, and monthly allowances. Pure.

A month is paid once: the account's row says which is due, and the log's time whether it has begun. Look next:
`app.relay.sweeper`, which proposes payments, `projections.accounts` for the months, `docs/kudos.md`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from app.accounts.decider import MAX_AMOUNT
from app.ledger import postings
from app.ledger.standing import operates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Draft, Rows
from app.platform.vault import Note
from events.accounts import AllowanceSet, AllowanceSource
from events.kudos import AllowancePaid, KudosAdjusted
from projections.accounts import Account
from projections.months import neighbour

#: characters of a reason
MAX_REASON: Final = 500


class AdjustKudos(Command, frozen=True, kw_only=True):
    """Correct a balance by so many hundredths, up or down."""

    user: UUID
    amount: int
    #: the id of this command, under which the vault keeps the reason
    note: UUID
    reason: str
    #: who asks, and must be an operator; None at the command line
    by: UUID | None = None


class SetAllowance(Command, frozen=True, kw_only=True):
    """Pay an account so many hundredths a month from now on; 0 for nothing more."""

    user: UUID
    amount: int
    source: AllowanceSource
    #: who asks, and must be an operator; None at the command line
    by: UUID | None = None


class PayAllowance(Command, frozen=True, kw_only=True):
    """Pay an account the month that is due, if one is."""

    user: UUID


class Adjusted(Result, frozen=True, kw_only=True):
    """What a balance was corrected by, and where it stands, in hundredths."""

    user: UUID
    amount: int
    balance: int


class Allowed(Result, frozen=True, kw_only=True):
    """What an account gets each month now, what was paid at once (hundredths), and when the next month is paid."""

    user: UUID
    amount: int
    source: AllowanceSource
    paid: int
    next_at: datetime | None


class Paid(Result, frozen=True, kw_only=True):
    """What was paid, in hundredths; 0 where nothing was due."""

    amount: int


def adjust_kudos(command: AdjustKudos, rows: Rows) -> Decision | Rejection:
    """By operators, with a reason, to a registered user; nothing is taken that is not available."""
    account = _registered(command.user, command.by, rows)
    if isinstance(account, Rejection):
        return account
    if not 0 < abs(command.amount) <= MAX_AMOUNT:
        message = "a correction is between 0.01 and 10^12 kudos, up or down"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "amount"))
    if not 1 <= len(command.reason.strip()) <= MAX_REASON or not command.reason.isprintable():
        message = f"a reason has 1 to {MAX_REASON} printable characters"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "reason"))
    if -command.amount > account.available:
        return _unavailable(account, -command.amount)
    moved = postings.adjustment(command.user, command.amount)
    event = KudosAdjusted(user=command.user, amount=command.amount, postings=moved)
    balance = account.balance + command.amount
    result = Adjusted(user=command.user, amount=command.amount, balance=balance)
    return Decision((event,), result, (Note(command.note, command.reason),))


def set_allowance(command: SetAllowance, rows: Rows) -> Decision | Rejection:
    """By operators, to a registered user. Months that are due are paid first, as it was until now.

    The first month is paid at once. A raise pays what is missing of the present month at once; nothing is taken back
    for a month that was paid. The months are counted on where an allowance that ended begins again before its month
    is over, so that no month is paid twice.
    """
    account = _registered(command.user, command.by, rows)
    if isinstance(account, Rejection):
        return account
    if not 0 <= command.amount <= MAX_AMOUNT:
        message = "an allowance is from 0 to 10^12 kudos a month"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "amount"))
    draft = rows.draft()
    while _pay_due(draft, command.user):
        pass
    same = command.source is account.allowance_source or not command.amount
    paid = 0
    if command.amount != account.allowance or not same:
        draft.add(AllowanceSet(user=command.user, amount=command.amount, source=command.source))
        paid = _pay_due(draft, command.user) or _pay_missing(draft, command.user)
    after = _account(draft, command.user)
    result = Allowed(
        user=command.user,
        amount=command.amount,
        source=command.source,
        paid=paid,
        next_at=after.allowance_due if after.allowance else None,
    )
    return Decision(draft.events, result)


def pay_allowance(command: PayAllowance, rows: Rows) -> Decision:
    """One month, if it has begun by the log's time; months that were missed are paid one by one."""
    draft = rows.draft()
    paid = 0 if rows.account(command.user) is None else _pay_due(draft, command.user)
    return Decision(draft.events, Paid(amount=paid))


def _registered(user: UUID, by: UUID | None, rows: Rows) -> Account | Rejection:
    if by is not None and not operates(rows.account(by)):
        return Rejection(code="FORBIDDEN", message="only operators do this")
    account = rows.account(user)
    if account is None or account.anonymous:
        return Rejection(code="NOT_FOUND", message="no such registered user", path=("input", "user"))
    return account


def _unavailable(account: Account, amount: int) -> Rejection:
    balance, held = (f"{part // 100}.{part % 100:02d}" for part in (account.balance, account.held))
    return Rejection(
        code="INSUFFICIENT_KUDOS",
        message=f"more than what is available: the balance is {balance} kudos, of which {held} are held for jobs",
        path=("input", "amount"),
        detail={
            "required": amount,
            "available": account.available,
            "missing": amount - account.available,
        },
    )


def _pay_due(draft: Draft, user: UUID) -> int:
    """Pay the month that is due, if it has begun; how much."""
    account = _account(draft, user)
    if not account.allowance or account.allowance_due is None or account.allowance_due > draft.now:
        return 0
    return _pay(draft, user, account.allowance_due, account.allowance)


def _pay_missing(draft: Draft, user: UUID) -> int:
    """Pay what is missing of the present month; how much."""
    account = _account(draft, user)
    missing = account.allowance - account.allowance_paid
    if missing <= 0 or account.allowance_from is None or account.allowance_due is None:
        return 0
    return _pay(draft, user, neighbour(account.allowance_from, account.allowance_due, -1), missing)


def _pay(draft: Draft, user: UUID, month: datetime, amount: int) -> int:
    moved = postings.allowance(user, amount)
    draft.add(AllowancePaid(user=user, month=month, amount=amount, postings=moved))
    return amount


def _account(draft: Draft, user: UUID) -> Account:
    account = draft.account(user)
    assert account is not None, "whoever is paid exists"
    return account


def _needs(command: AdjustKudos | SetAllowance) -> Needs:
    return Needs(accounts=(command.user,) if command.by is None else (command.user, command.by))


RULES = (
    Rule(AdjustKudos, Adjusted, _needs, adjust_kudos),
    Rule(SetAllowance, Allowed, _needs, set_allowance),
    Rule(PayAllowance, Paid, lambda c: Needs(accounts=(c.user,)), pay_allowance),
)
