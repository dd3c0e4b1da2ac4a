"""Who is trusted, how trust is earned, and what waits in escrow until then.

Pure. An account is trusted by a role: TRUSTED, or that of a moderator or operator. The role is earned by work: its
decision is part of the decision that pays the work, so nothing has to look for accounts that have become worthy. Look
next: `docs/earning.md`, `app.ledger.postings` for what is put into escrow.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.ledger import postings
from app.platform.rows import Draft
from events.accounts import TrustEarned
from events.kudos import EscrowReleased
from projections.accounts import Account

#: an account whose workers have earned more than this into escrow is trusted, in hundredths: some 300 small pictures, a day or two of work
THRESHOLD: Final = 100_000
#: it has earned at least so much by deliveries: being online alone makes nobody trusted
MIN_EARNED: Final = THRESHOLD
#: it was opened at least so long ago
MIN_AGE: Final = timedelta(days=7)
#: fewer suspicions than this were raised about its workers
SUSPICIOUS: Final = 5


def earns_trust(account: Account, now: datetime) -> bool:
    """Whether an account that is not trusted has become worthy of it."""
    return (
        not account.trusted
        and not account.anonymous
        and not account.distrusted
        and account.suspicions < SUSPICIOUS
        and account.work_escrow > THRESHOLD
        and account.earned >= MIN_EARNED
        and now - account.registered_at >= MIN_AGE
    )


def promote_if_worthy(draft: Draft, user: UUID) -> None:
    """Trust the owner of a worker that was just paid, if that made it worthy, and release its escrow."""
    account = draft.account(user)
    assert account is not None, "a worker's owner is never deleted from the log"
    if earns_trust(account, draft.now):
        draft.add(TrustEarned(user=user))
        release_escrow(draft, user)


def release_escrow(draft: Draft, user: UUID) -> None:
    """What workers earned and waits in a trusted account's escrow may be spent from now on.

    What ratings earned waits for trust in the rater.
    """
    account = draft.account(user)
    assert account is not None, "nobody is trusted who does not exist"
    if account.trusted and account.work_escrow:
        moved = postings.release_escrow(user, account.work_escrow)
        draft.add(EscrowReleased(user=user, amount=account.work_escrow, postings=moved))
