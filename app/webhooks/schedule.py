"""When what a webhook did not hear is told again: 11 attempts within some 25 hours, ever rarer. Pure.

The chance is the caller's. Look next: `app.webhooks.record`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

#: attempts, the first one included
ATTEMPTS: Final = 11
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(hours=6)
#: every pause is so many times as long as the one before
GROWTH: Final = 4.0
#: a pause is longer or shorter by up to this share of it, so that what failed together is not tried together
JITTER: Final = 0.2


def pause_after(tries: int, chance: float) -> timedelta | None:
    """How long to wait after so many attempts in vain; None to give up.

    Args:
        tries: from 1.
        chance: evenly spread from 0 to 1.
    """
    if tries >= ATTEMPTS:
        return None
    pause: timedelta = min(FIRST_PAUSE * GROWTH ** (tries - 1), LONGEST_PAUSE)
    return pause * (1 + JITTER * (2 * chance - 1))
