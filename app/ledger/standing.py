"""What an account may ask for: how many of its generations may wait, how many workers it has, whether it is a newcomer.

Pure. All of it follows from the account's row, so that it is decided under the writer's lock without counting. The
anonymous user is one account for everybody without a key: its limit is its share of the queue. Look next:
`app.jobs.decider` for the rejections, `app.ledger.upfront` for the limits on size, `docs/lifecycle.md`.
"""

from typing import Final

import msgspec

from events.accounts import Role
from projections.accounts import Account

#: generations that may wait at once, unless somebody set another number for the account
REGISTERED_WAITING: Final = 30
ANONYMOUS_WAITING: Final = 500
#: forms of interrogations that may wait, for each generation that may: most are told in an instant
FORMS_PER_WAITING: Final = 10
#: the most that may be set: as many as the queue was measured with
MAX_WAITING: Final = 1_000_000

#: workers that a user may have, unless somebody set another number for the account: a newcomer, and who is trusted
UNTRUSTED_WORKERS: Final = 3
TRUSTED_WORKERS: Final = 20
#: the most that may be set
MAX_WORKERS: Final = 100_000

_MODERATORS: Final = frozenset({Role.MODERATOR, Role.OPERATOR})
_CUSTOMIZERS: Final = _MODERATORS | {Role.CUSTOMIZER}


class TooMany(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing more may be queued. All three count generations, or forms."""

    #: that wait now
    waiting: int
    #: that would wait with those that were asked for
    would_wait: int
    #: that may wait
    limit: int


def waiting_limit(account: Account) -> int:
    """How many generations of an account may wait at once; those that run do not count."""
    if account.waiting_limit is not None:
        return account.waiting_limit
    return ANONYMOUS_WAITING if account.anonymous else REGISTERED_WAITING


def worker_limit(account: Account) -> int:
    """How many workers an account may have; deleted ones do not count."""
    if account.worker_limit is not None:
        return account.worker_limit
    return TRUSTED_WORKERS if account.trusted else UNTRUSTED_WORKERS


def check_waiting(account: Account, n: int) -> TooMany | None:
    """None if `n` more generations may be queued for an account."""
    limit = waiting_limit(account)
    if account.waiting + n <= limit:
        return None
    return TooMany(waiting=account.waiting, would_wait=account.waiting + n, limit=limit)


def check_forms(account: Account, n: int) -> TooMany | None:
    """None if `n` more forms of interrogations may be queued for an account: ten times as many as generations."""
    limit = FORMS_PER_WAITING * waiting_limit(account)
    if account.waiting_forms + n <= limit:
        return None
    return TooMany(waiting=account.waiting_forms, would_wait=account.waiting_forms + n, limit=limit)


def moderates(account: Account | None) -> bool:
    """Whether an account may set limits and decide cases."""
    return account is not None and not _MODERATORS.isdisjoint(account.roles)


def operates(account: Account | None) -> bool:
    """Whether an account may move the treasury's kudos."""
    return account is not None and Role.OPERATOR in account.roles


def customizes(account: Account | None) -> bool:
    """Whether an account may host models that nobody else knows."""
    return account is not None and not _CUSTOMIZERS.isdisjoint(account.roles)


def established(account: Account) -> bool:
    """Whether an account has the size limits of a registered user: it holds kudos, or somebody trusts it.

    Registering costs nothing, so an account without kudos and without a role may ask for no more than the anonymous
    user. Kudos reserved for other jobs count; kudos that were spent do not.
    """
    return not account.anonymous and (account.balance > 0 or bool(account.roles))
