"""The constant key of the queue: who is served first. Pure.

Order is by (tier, priority - 5 kudos a second x submission time) descending. Ageing is the same for all, so the key
never changes and no waiting job is ever rewritten. The tier is folded into the same number, far above any priority.
Look next: `projections.queue`, `app.jobs.decider`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

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


class RankRule(msgspec.Struct, frozen=True, kw_only=True):
    """What the order depends on. The server's is the default; others are for trying them on a log."""

    #: hundredths of kudos that a second of waiting weighs as much as
    ageing: int = AGEING
    #: whether the anonymous user is served after everybody else, whoever waits how long
    anonymous_last: bool = True


RULE = RankRule()


def rank(tier: int, priority: int, submitted_at: datetime, rule: RankRule = RULE) -> int:
    """The key of a job: the higher is served first.

    Args:
        tier: 0 or 1, see `tier_of`.
        priority: hundredths of kudos available before the job's hold, within +-10^12.
        submitted_at: when the job entered the log.
        rule: what the order depends on.
    """
    milliseconds = int(submitted_at.timestamp() * 1000)
    return (
        max(-(10**12), min(priority, 10**12)) * _UNITS
        - rule.ageing * milliseconds
        - tier * _TIER * rule.anonymous_last
    )


def priority_of(tier: int, rank: int, submitted_at: datetime) -> int:
    """The priority that `rank` was made of, within its bounds."""
    milliseconds = int(submitted_at.timestamp() * 1000)
    return (rank + tier * _TIER + AGEING * milliseconds) // _UNITS
