"""Calendar months: the 31st, leap years, ends of years, and no drift."""

from datetime import UTC, datetime

import pytest

from projections.months import months_after, neighbour


def day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (day(2026, 1, 15), 1, day(2026, 2, 15)),
        (day(2026, 1, 31), 1, day(2026, 2, 28)),
        (day(2026, 1, 31), 2, day(2026, 3, 31)),
        (day(2026, 1, 31), 3, day(2026, 4, 30)),
        (day(2028, 1, 30), 1, day(2028, 2, 29)),
        (day(2028, 2, 29), 12, day(2029, 2, 28)),
        (day(2028, 2, 29), 48, day(2032, 2, 29)),
        (day(2026, 12, 31), 1, day(2027, 1, 31)),
        (day(2026, 11, 30), 2, day(2027, 1, 30)),
        (day(2099, 12, 31), 2, day(2100, 2, 28)),
        (day(2026, 1, 31), 0, day(2026, 1, 31)),
        (day(2026, 1, 31), -2, day(2025, 11, 30)),
    ],
)
def test_the_same_day_or_the_last_of_its_month(start: datetime, months: int, expected: datetime) -> None:
    assert months_after(start, months) == expected


def test_step_by_step_it_does_not_drift_and_back_again() -> None:
    start = day(2027, 12, 31)
    instants = [start]
    for _ in range(60):
        instants.append(neighbour(start, instants[-1], 1))
    assert instants == [months_after(start, n) for n in range(61)]
    assert [instant.day for instant in instants[:5]] == [31, 31, 29, 31, 30]
    back = [neighbour(start, instant, -1) for instant in instants[1:]]
    assert back == instants[:-1]
