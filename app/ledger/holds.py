"""The arithmetic of holds: what of a balance is reserved for a job.

Pure. A hold is a reservation, not an account: available = balance - held, and no posting moves when a hold is
placed or released. Amounts are hundredths. Look next: `app.ledger.postings` for what capturing pays.
"""


def place(available: int, quote: int) -> int:
    """As much of a job's quote as is available; nothing of the anonymous user's negative balance."""
    return max(0, min(available, quote))


def capture(hold_left: int, charge: int) -> int:
    """How much of a charge the job's hold pays."""
    return min(hold_left, charge)


def release_on_drop(hold_left: int, still_owed: int) -> int:
    """How much of a hold is free again when some of a job's open generations will never be charged.

    Args:
        hold_left: what of the job's hold is neither captured nor released.
        still_owed: the most that the open generations that remain can be charged together.
    """
    return hold_left - min(hold_left, still_owed)
