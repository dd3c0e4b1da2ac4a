"""The constant key of the queue: who is served first. Pure.

Order is by (tier, priority - 5 kudos a second x submission time) descending. Ageing is the same for all, so the key
never changes and no waiting job is ever rewritten. The tier is folded into the same number, far above any priority.
Look next: `projections.queue`, `app.jobs.decider`.
"""

from __future__ import annotations

from datetime import datetime

#: ageing in hundredths of kudos a second
AGEING = 500
#: ranks count in thousandths of a hundredth, so that milliseconds of age count
_UNITS = 1000
#: distance between tiers: more than any priority and age can make up for
_TIER = 2**61

REGISTERED = 0
ANONYMOUS = 1


def tier_of(*, anonymous: bool) -> int:
    """0 for registered requesters, 1 for the anonymous one; a lower tier is always served first."""
    return ANONYMOUS if anonymous else REGISTERED


def rank(tier: int, priority: int, submitted_at: datetime) -> int:
    """The key of a job: the higher is served first.

    Args:
        tier: 0 or 1, see `tier_of`.
        priority: hundredths of kudos available before the job's hold, within +-10^12.
        submitted_at: when the job entered the log.
    """
    milliseconds = int(submitted_at.timestamp() * 1000)
    return max(-(10**12), min(priority, 10**12)) * _UNITS - AGEING * milliseconds - tier * _TIER


def priority_of(tier: int, rank: int, submitted_at: datetime) -> int:
    """The priority that `rank` was made of, within its bounds."""
    milliseconds = int(submitted_at.timestamp() * 1000)
    return (rank + tier * _TIER + AGEING * milliseconds) // _UNITS
