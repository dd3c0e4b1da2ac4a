"""Calendar months from an instant on: the same day and time of each month, its last day where there is no such day.

Pure. Counted from the first instant each time, so the 31st comes back after February. Look next:
`projections.accounts`, whose allowances are paid by it.
"""

from __future__ import annotations

import calendar
from datetime import datetime


def months_after(start: datetime, months: int) -> datetime:
    """The instant so many months after `start`."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))


def neighbour(start: datetime, instant: datetime, months: int) -> datetime:
    """From one of the instants counted from `start`, the one so many months later; negative: earlier."""
    passed = (instant.year - start.year) * 12 + instant.month - start.month
    return months_after(start, passed + months)
