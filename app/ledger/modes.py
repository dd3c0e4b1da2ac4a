"""What the modes of the house change: who may submit jobs, open accounts and register workers while one is on.

Pure. Deciders ask here with the row that they read under the lock, never with what a process remembers. The modes say
nothing about what waits or runs: it is served to its end. Look next: `projections.modes`, `docs/status.md`.
"""

from __future__ import annotations

from typing import Final

from app.ledger.standing import moderates, operates
from app.platform.commands import Rejection
from events.operations import Mode
from projections.accounts import Account
from projections.modes import Modes

#: generations of all anonymous users together that may wait during a raid, unless a smaller number is set
RAID_ANONYMOUS_WAITING: Final = 50


def refuse_job(modes: Modes, account: Account, n: int, *, unsafe_address: bool) -> Rejection | None:
    """Why a job of `n` generations or forms may not be submitted now; None if the modes do not mind.

    In maintenance nobody submits. During a raid nobody who is not trusted does from an address that the operator
    calls unsafe, and the anonymous user has a smaller share of the queue.
    """
    if modes.maintenance:
        message = "the horde is in maintenance: it takes no new jobs; what it has taken is served"
        return Rejection(code="MAINTENANCE_MODE", message=message)
    if not modes.raid:
        return None
    if unsafe_address and not account.trusted:
        return Rejection(code="UNSAFE_ADDRESS", message="no jobs are taken from your network at present")
    waiting = account.waiting + account.waiting_forms
    if account.anonymous and waiting + n > RAID_ANONYMOUS_WAITING:
        message = (
            f"{waiting + n} generations of all anonymous users together would wait, and {RAID_ANONYMOUS_WAITING} "
            f"may at present; {waiting} wait now"
        )
        detail = {"waiting": waiting, "would_wait": waiting + n, "limit": RAID_ANONYMOUS_WAITING}
        return Rejection(code="TOO_MANY_JOBS", message=message, path=("input",), detail=detail)
    return None


def refuse_account(modes: Modes) -> Rejection | None:
    """Why a stranger may not open an account now: anybody could open any number of them."""
    if not modes.raid:
        return None
    return Rejection(
        code="REGISTRATION_CLOSED", message="no accounts can be opened at present: try again another day"
    )


def refuse_worker(modes: Modes, owner: Account) -> Rejection | None:
    """Why an account may register no further worker now; workers that there are work on.

    Invited is whom a moderator gave a number of workers; the trusted need no invitation.
    """
    if not modes.invite_only or owner.trusted or owner.worker_limit is not None:
        return None
    message = "new workers are taken from invited users only at present: ask a moderator for an invitation"
    return Rejection(code="INVITE_ONLY", message=message, path=("input", "workerName"))


def may_set(mode: Mode, account: Account | None) -> bool:
    """Whether an account may switch a mode: moderators may, but maintenance only operators."""
    return operates(account) if mode is Mode.MAINTENANCE else moderates(account)


def most_faults(modes: Modes, usually: int) -> int:
    """How many failures of a worker within an hour are borne: half as many during a raid."""
    return usually // 2 if modes.raid else usually
