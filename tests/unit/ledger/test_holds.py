"""What is reserved for a job, and when it is free again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger import holds


@pytest.mark.parametrize(
    ("available", "quote", "held"), [(1000, 400, 400), (300, 400, 300), (0, 400, 0), (-5000, 400, 0)]
)
def test_a_hold_is_as_much_of_the_quote_as_there_is(available: int, quote: int, held: int):
    assert holds.place(available, quote) == held


@pytest.mark.parametrize(("left", "charge", "paid"), [(1000, 400, 400), (300, 400, 300), (0, 400, 0)])
def test_a_hold_pays_until_it_is_used_up(left: int, charge: int, paid: int):
    assert holds.capture(left, charge) == paid


@pytest.mark.parametrize(
    ("left", "still_open", "released"), [(400, 4, 100), (250, 4, 0), (350, 4, 50), (70, 1, 70), (0, 3, 0)]
)
def test_dropping_a_generation_frees_what_the_others_cannot_need(left: int, still_open: int, released: int):
    assert holds.release_on_drop(left, (still_open - 1) * 100) == released


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(0, 1000))
def test_dropping_generations_one_by_one_frees_the_whole_hold(quoted: int, n: int, per_generation: int):
    left = holds.place(quoted, n * per_generation)
    for still_open in range(n, 0, -1):
        released = holds.release_on_drop(left, (still_open - 1) * per_generation)
        assert 0 <= released <= left
        left -= released
    assert left == 0
