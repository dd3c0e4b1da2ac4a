"""What an account may ask for, by its row alone."""

import msgspec
import pytest

from app.ledger.standing import TooMany, check_waiting, established, waiting_limit
from events.accounts import Role
from events.base import ANONYMOUS
from projections.accounts import Account
from tests.factories import START, uid

ALICE = Account(uid(1), 0, 0, 0, 0, 0, 0, (), START)
NOBODY = msgspec.structs.replace(ALICE, id=ANONYMOUS, balance=-5000)


def test_thirty_generations_wait_for_a_user_and_five_hundred_for_all_anonymous_ones():
    assert (waiting_limit(ALICE), waiting_limit(NOBODY)) == (30, 500)


@pytest.mark.parametrize("account", [ALICE, NOBODY])
@pytest.mark.parametrize("limit", [0, 7, 1_000_000])
def test_a_number_that_was_set_counts_instead(account, limit):
    assert waiting_limit(msgspec.structs.replace(account, waiting_limit=limit)) == limit


def test_the_last_free_place_may_be_taken_and_no_more():
    full = msgspec.structs.replace(ALICE, waiting=28)
    assert check_waiting(full, 2) is None
    assert check_waiting(full, 3) == TooMany(waiting=28, would_wait=31, limit=30)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"balance": 1}, True),
        ({"balance": 950, "held": 950}, True),
        ({"consumed": 950, "earned": 950}, False),
        ({"roles": (Role.TRUSTED,)}, True),
        ({"roles": (Role.MODERATOR,)}, True),
        ({"id": ANONYMOUS, "balance": 5}, False),
    ],
)
def test_who_holds_kudos_or_is_trusted_is_no_newcomer(changes, expected):
    assert established(msgspec.structs.replace(ALICE, **changes)) is expected
