"""Every movement sums to zero, no registered user falls below zero, the anonymous user is never posted to."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger import holds, postings, statement
from app.ledger.postings import DeliveryMoney, user_account
from events.base import ANONYMOUS, Postings

ALICE, BOB = UUID(int=1), UUID(int=2)
amounts = st.integers(0, 10_000)
positive = st.integers(1, 10_000)


def balances(*movements: Postings) -> Counter[str]:
    total: Counter[str] = Counter()
    for movement in movements:
        for account, amount in movement:
            total[account] += amount
    return total


def deliver(
    owner: UUID = BOB,
    *,
    price: int = 650,
    tax: int = 300,
    hold: int = 0,
    available: int = 0,
    censored: bool = False,
    requester: UUID = ALICE,
    surcharge: int = 0,
    trusted: bool = True,
) -> DeliveryMoney:
    terms: dict[str, Any] = {
        "requester": requester,
        "worker_owner": owner,
        "price": price,
        "tax": tax,
        "trusted_owner": trusted,
        "from_hold": hold,
        "available_after_hold": available,
        "requester_anonymous": requester == ANONYMOUS,
    }
    return postings.censored(**terms) if censored else postings.delivery(**terms, surcharge=surcharge)


def test_a_delivery_is_paid_from_the_hold_then_from_what_is_available_then_by_the_floor():
    assert deliver(hold=500, available=200) == DeliveryMoney(
        postings=(
            (f"user:{ALICE}", -700),
            (f"user:{BOB}", 650),
            ("sink:tax", 300),
            ("subsidy:floor", -250),
        ),
        charged=950,
        covered=250,
        captured=500,
        reward=650,
        escrowed=0,
        surcharge=0,
    )


def test_a_delivery_that_the_floor_covers_in_full_is_still_a_line_of_the_requester():
    money = deliver()
    assert money.postings[0] == (user_account(ALICE), 0)
    assert (money.charged, money.covered) == (950, 950)


def test_only_the_tax_moves_when_the_requesters_own_worker_delivers():
    assert deliver(ALICE, hold=100).postings == (
        (user_account(ALICE), -100),
        ("sink:tax", 300),
        ("subsidy:floor", -200),
    )
    assert deliver(ALICE, hold=100).reward == 0


def test_nothing_is_posted_to_the_anonymous_user():
    assert deliver(requester=ANONYMOUS, available=-5000) == DeliveryMoney(
        postings=((user_account(BOB), 650), ("sink:tax", 300), ("subsidy:anonymous", -950)),
        charged=950,
        covered=950,
        captured=0,
        reward=650,
        escrowed=0,
        surcharge=0,
    )


def test_a_censored_generation_costs_the_requester_the_tax_and_the_subsidy_the_price():
    assert deliver(censored=True, hold=950).postings == (
        (user_account(ALICE), -300),
        (user_account(BOB), 650),
        ("subsidy:censored", -650),
        ("sink:tax", 300),
    )
    assert deliver(censored=True, hold=950).captured == 300


def test_no_subsidy_pays_the_requesters_own_worker():
    assert deliver(ALICE, censored=True, hold=950).postings == (
        (user_account(ALICE), -300),
        ("sink:tax", 300),
    )
    assert postings.late_redundant(requester=ALICE, worker_owner=ALICE, price=650, trusted_owner=True) == ()


def test_a_redundant_delivery_is_paid_by_the_late_subsidy():
    assert postings.late_redundant(requester=ALICE, worker_owner=BOB, price=650, trusted_owner=True) == (
        ("subsidy:late", -650),
        (user_account(BOB), 650),
    )


def test_half_of_what_an_untrusted_owner_earns_waits_in_escrow_an_odd_hundredth_not():
    money = deliver(price=651, hold=2_000, surcharge=195, trusted=False)
    assert money.postings == (
        (user_account(ALICE), -1146),
        (user_account(BOB), 326),
        (f"escrow:{BOB}", 325),
        ("sink:surcharges", 195),
        ("sink:tax", 300),
    )
    assert (money.charged, money.reward, money.escrowed, money.surcharge) == (1146, 651, 325, 195)
    assert deliver(censored=True, trusted=False, hold=950).postings[1:4] == (
        (user_account(BOB), 325),
        (f"escrow:{BOB}", 325),
        ("subsidy:censored", -650),
    )
    late = postings.late_redundant(requester=ALICE, worker_owner=BOB, price=1, trusted_owner=False)
    assert late == (("subsidy:late", -1), (user_account(BOB), 1))


def test_no_surcharge_is_burnt_where_the_requesters_own_worker_delivers_or_nothing_is_shown():
    assert deliver(ALICE, hold=2_000, surcharge=195).charged == 300
    assert deliver(censored=True, hold=2_000).surcharge == 0


@pytest.mark.parametrize("trusted", [True, False])
def test_uptime_is_paid_by_the_treasury_and_is_a_line_of_the_owners_statement(trusted: bool):
    moved = postings.uptime(worker_owner=BOB, amount=8_200, trusted_owner=trusted)
    assert balances(moved)["system:treasury"] == -8_200
    assert dict(moved)[user_account(BOB)] == (8_200 if trusted else 0)
    assert balances(moved)[f"escrow:{BOB}"] == (0 if trusted else 8_200)
    explained = statement.uptime(8_200, 0 if trusted else 8_200)
    assert statement.total(explained) == dict(moved)[user_account(BOB)]


def test_an_escrow_is_released_to_its_owner():
    assert postings.release_escrow(BOB, 325) == ((f"escrow:{BOB}", -325), (user_account(BOB), 325))
    assert statement.total(statement.escrow_released(325)) == 325


def test_the_anonymous_user_is_opened_below_zero_against_the_treasury():
    assert postings.genesis_of_anonymous(ANONYMOUS) == (
        (user_account(ANONYMOUS), -5000),
        ("system:treasury", 5000),
    )


@given(positive)
def test_grants_and_transfers_move_what_they_say(amount: int):
    assert balances(postings.grant(ALICE, amount)) == {
        user_account(ALICE): amount,
        "system:treasury": -amount,
    }
    assert balances(postings.transfer(ALICE, BOB, amount)) == {
        user_account(ALICE): -amount,
        user_account(BOB): amount,
    }


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_moves_is_above_zero(amount: int):
    with pytest.raises(ValueError, match="above zero"):
        postings.grant(ALICE, amount)
    with pytest.raises(ValueError, match="above zero"):
        postings.transfer(ALICE, BOB, amount)


def test_a_transfer_to_oneself_is_no_movement():
    with pytest.raises(ValueError, match="two users"):
        postings.transfer(ALICE, ALICE, 1)


def test_a_registered_user_below_zero_is_a_bug_that_is_not_booked():
    with pytest.raises(ValueError, match="available_after_hold"):
        deliver(available=-1)


@pytest.mark.parametrize("wrong", [(("a", 1),), (("a", 1), ("a", -1)), (("a", 1), ("b", -2))])
def test_postings_that_do_not_balance_are_refused(wrong: Postings):
    with pytest.raises(AssertionError):
        postings.assert_balanced(wrong)


@given(
    owner=st.sampled_from([ALICE, BOB]),
    requester=st.sampled_from([ALICE, ANONYMOUS]),
    price=amounts,
    tax=amounts,
    hold=amounts,
    available=amounts,
    censored=st.booleans(),
    surcharge=amounts,
    trusted=st.booleans(),
)
def test_any_delivery_balances_and_takes_no_more_than_there_is(
    owner: UUID,
    requester: UUID,
    price: int,
    tax: int,
    hold: int,
    available: int,
    censored: bool,
    surcharge: int,
    trusted: bool,
):
    if requester == ANONYMOUS:
        owner, hold = BOB, 0
    money = deliver(
        owner, price=price, tax=tax, hold=hold, available=available, censored=censored, requester=requester,
        surcharge=surcharge, trusted=trusted,
    )  # fmt: skip
    moved = balances(money.postings)
    assert sum(moved.values()) == 0
    assert moved["sink:surcharges"] == money.surcharge == (0 if censored or owner == requester else surcharge)
    assert moved[f"escrow:{owner}"] == money.escrowed == (0 if trusted else money.reward // 2)
    assert moved["sink:tax"] == tax
    own = owner == requester
    assert money.charged == (tax if own or censored else price + surcharge + tax)
    assert money.reward == (0 if own else price)
    if requester == ANONYMOUS:
        assert user_account(ANONYMOUS) not in moved
        return
    assert moved["subsidy:anonymous"] == 0
    assert money.captured == min(hold, money.charged)
    assert (
        -moved[user_account(ALICE)] == money.charged - money.covered == min(hold + available, money.charged)
    )
    assert moved["subsidy:floor"] == -money.covered


@given(
    owner=st.sampled_from([ALICE, BOB]),
    price=amounts,
    tax=amounts,
    wallet=amounts,
    censored=st.booleans(),
    surcharge=amounts,
    trusted=st.booleans(),
)
def test_every_breakdown_sums_to_the_line_it_explains(
    owner: UUID, price: int, tax: int, wallet: int, censored: bool, surcharge: int, trusted: bool
):
    money = deliver(
        owner, price=price, tax=tax, available=wallet, censored=censored, surcharge=surcharge, trusted=trusted
    )
    moved = balances(money.postings)
    if censored:
        requested = statement.censored_requested(tax, money.covered)
        earned = statement.censored_earned(price, money.escrowed)
    elif owner == ALICE:
        requested, earned = statement.delivery_by_own_worker(tax, money.covered), ()
    else:
        requested = statement.delivery_requested(price, money.surcharge, tax, money.covered)
        earned = statement.delivery_earned(price, money.escrowed)
    assert statement.total(requested) == moved[user_account(ALICE)]
    assert (requested[-1].label == statement.COVERED) == (money.covered > 0)
    if owner == BOB:
        assert statement.total(earned) == moved[user_account(BOB)]


def test_the_zero_items_of_a_breakdown_are_kept():
    items = [(item.label, item.amount) for item in statement.delivery_by_own_worker(300, 300)]
    assert items == [
        ("generation by your own worker", 0),
        ("Horde tax", -300),
        ("covered by the floor", 300),
    ]


@given(positive)
def test_gifts_are_explained_to_both_sides(amount: int):
    sent, received = statement.transfer_sent(amount), statement.transfer_received(amount)
    assert (statement.total(sent), statement.total(received)) == (-amount, amount)
    assert statement.total(statement.granted(amount)) == amount
    assert statement.total(statement.late_redundant_earned(amount, amount // 2)) == amount - amount // 2
    assert statement.total(statement.anonymous_genesis(-amount)) == -amount


@given(
    opening=amounts,
    price=amounts,
    tax=amounts,
    n=st.integers(1, 8),
    ends=st.lists(st.sampled_from(["delivered", "censored", "dropped", "own"]), min_size=8, max_size=8),
    gifts=st.lists(st.integers(0, 500), min_size=8, max_size=8),
)
def test_a_whole_job_never_overdraws_and_leaves_no_hold(
    opening: int, price: int, tax: int, n: int, ends: list[str], gifts: list[int]
):
    quote = n * (price + tax)
    held = holds.place(opening, quote)
    balance, charged, oracle = opening, 0, opening
    for done, (end, gift) in enumerate(zip(ends[:n], gifts, strict=False)):
        balance, oracle = balance + gift, oracle + gift
        assert 0 <= held <= balance
        assert held <= (n - done) * (price + tax)
        if end != "dropped":
            owner = ALICE if end == "own" else BOB
            money = deliver(
                owner,
                price=price,
                tax=tax,
                hold=held,
                available=balance - held,
                censored=end == "censored",
            )
            balance += balances(money.postings)[user_account(ALICE)]
            held -= money.captured
            charged += money.charged
            # The oracle knows only what was charged and where the floor is.
            oracle = max(0, oracle - money.charged)
        held -= holds.release_on_drop(held, (n - done - 1) * (price + tax))
        assert balance == oracle
    assert held == 0
    assert balance >= 0
    assert charged <= quote
