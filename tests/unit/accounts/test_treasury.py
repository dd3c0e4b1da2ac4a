"""Corrections and monthly allowances: what is refused, what is paid at once, and that no month is paid twice."""

from datetime import UTC, datetime

import pytest

from app.accounts.decider import MAX_AMOUNT, GrantRole, OpenRealm
from app.accounts.treasury import (
    MAX_REASON,
    Adjusted,
    AdjustKudos,
    Allowed,
    Paid,
    PayAllowance,
    SetAllowance,
)
from app.platform.vault import Note
from events.accounts import AllowanceSet, AllowanceSource, Role
from events.base import ANONYMOUS, Event, Fact
from events.kudos import AllowancePaid, KudosAdjusted
from projections import accounts
from projections.accounts import Account
from projections.base import FoldError
from tests.factories import START, grant, register, submit, uid
from tests.given import Scene, given

ALICE, BOB, NOBODY, NOTE = uid(1), uid(2), uid(99), uid(7)
MANUAL, PATRON = AllowanceSource.MANUAL, AllowanceSource.PATRON


def people(kudos: int = 0) -> Scene:
    """Alice, and Bob who is an operator."""
    scene = given(OpenRealm(), register(ALICE), register(BOB), GrantRole(user=BOB, role=Role.OPERATOR))
    return scene.and_given(grant(ALICE, kudos)) if kudos else scene


def adjust(amount: int, user=ALICE, by=BOB, reason="a reason") -> AdjustKudos:
    return AdjustKudos(user=user, amount=amount, note=NOTE, reason=reason, by=by)


def allow(amount: int, user=ALICE, by=BOB, source=MANUAL) -> SetAllowance:
    return SetAllowance(user=user, amount=amount, source=source, by=by)


def on(scene: Scene, year: int, month: int, day: int) -> Scene:
    """The same history on a later day, at noon."""
    scene.log.now = datetime(year, month, day, 12, tzinfo=UTC)
    return scene


def alice(scene: Scene) -> Account:
    return scene.log.accounts()[ALICE]


def paid(amount: int, month: datetime) -> AllowancePaid:
    moved = (("system:treasury", -amount), (f"user:{ALICE}", amount))
    return AllowancePaid(user=ALICE, month=month, amount=amount, postings=moved)


def sweep(scene: Scene) -> list[int]:
    """What a sweeper that proposes again and again makes be paid."""
    payments = []
    while (amount := scene.log.run(PayAllowance(user=ALICE)).amount) and len(payments) < 100:
        payments.append(amount)
    return payments


# --- corrections


@pytest.mark.parametrize("amount", [1, -1, -500, MAX_AMOUNT])
def test_a_correction_moves_kudos_from_or_to_the_treasury(amount):
    then = people(500).when(adjust(amount))
    ((event), (note)) = (then.events[0], then.vault[0])
    assert isinstance(event, KudosAdjusted)
    assert dict(event.postings) == {"system:treasury": -amount, f"user:{ALICE}": amount}
    assert (note, then.result) == (
        Note(NOTE, "a reason"),
        Adjusted(user=ALICE, amount=amount, balance=500 + amount),
    )
    scene = people(500).and_given(adjust(amount))
    assert (alice(scene).balance, alice(scene).adjusted) == (500 + amount, amount)


def test_nothing_is_taken_that_is_not_there_or_that_a_job_holds():
    refusal = people(500).when(adjust(-501)).then_rejected("INSUFFICIENT_KUDOS", "input", "amount")
    assert refusal.detail == {"required": 501, "available": 500, "missing": 1}
    scene = people(1000).and_given(submit(ALICE))  # 950 are reserved
    refusal = scene.when(adjust(-51)).then_rejected("INSUFFICIENT_KUDOS", "input", "amount")
    assert "10.00" in refusal.message
    assert "9.50" in refusal.message
    scene.and_given(adjust(-50))
    assert (alice(scene).balance, alice(scene).available) == (950, 0)


@pytest.mark.parametrize(
    ("command", "code", "path"),
    [
        (adjust(0, NOBODY, ALICE, ""), "FORBIDDEN", ()),
        (adjust(0, NOBODY, reason=""), "NOT_FOUND", ("input", "user")),
        (adjust(0, ANONYMOUS, reason=""), "NOT_FOUND", ("input", "user")),
        (adjust(0, reason=""), "INVALID_INPUT", ("input", "amount")),
        (adjust(MAX_AMOUNT + 1, reason=""), "INVALID_INPUT", ("input", "amount")),
        (adjust(-MAX_AMOUNT - 1, reason=""), "INVALID_INPUT", ("input", "amount")),
        (adjust(-501, reason=""), "INVALID_INPUT", ("input", "reason")),
        (adjust(-501, reason=" "), "INVALID_INPUT", ("input", "reason")),
        (adjust(-501, reason="a\0b"), "INVALID_INPUT", ("input", "reason")),
        (adjust(-501, reason="x" * (MAX_REASON + 1)), "INVALID_INPUT", ("input", "reason")),
        (adjust(-501), "INSUFFICIENT_KUDOS", ("input", "amount")),
        (allow(-1, NOBODY, ALICE), "FORBIDDEN", ()),
        (allow(-1, NOBODY), "NOT_FOUND", ("input", "user")),
        (allow(-1, ANONYMOUS), "NOT_FOUND", ("input", "user")),
        (allow(-1), "INVALID_INPUT", ("input", "amount")),
        (allow(MAX_AMOUNT + 1), "INVALID_INPUT", ("input", "amount")),
    ],
)
def test_refusals_in_their_order(command, code, path):
    assert people(500).when(command).then_rejected(code).path == path


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.TRUSTED, Role.SERVICE])
def test_the_treasury_is_the_operators(role):
    scene = people(500).and_given(GrantRole(user=ALICE, role=role))
    for command in (adjust(1, by=ALICE), allow(1, by=ALICE)):
        scene.when(command).then_rejected("FORBIDDEN")


# --- allowances


def test_the_first_month_is_paid_at_once_and_each_on_its_day():
    scene = on(people(), 2026, 1, 31)
    start = scene.log.now
    then = scene.when(allow(100, source=PATRON))
    february = datetime(2026, 2, 28, 12, tzinfo=UTC)
    then.then(
        AllowanceSet(user=ALICE, amount=100, source=PATRON),
        paid(100, start),
        result=Allowed(user=ALICE, amount=100, source=PATRON, paid=100, next_at=february),
    )
    scene.and_given(allow(100, source=PATRON))
    assert sweep(scene) == []
    assert sweep(on(scene, 2026, 2, 27)) == []
    on(scene, 2026, 2, 28).when(PayAllowance(user=ALICE)).then(paid(100, february), result=Paid(amount=100))
    assert sweep(scene) == [100]
    assert sweep(scene) == []
    assert alice(scene).allowance_due == datetime(2026, 3, 31, 12, tzinfo=UTC), "no drift to the 28th"
    assert (alice(scene).balance, alice(scene).allowances) == (200, 200)


def test_months_that_were_missed_are_paid_one_by_one_and_none_twice_when_the_clock_jumps_back():
    scene = on(people(), 2027, 11, 30).and_given(allow(100))
    assert sweep(on(scene, 2028, 3, 1)) == [100, 100, 100]
    months = [
        event.month.date().isoformat()
        for event in (fact.event for fact in scene.log.facts)
        if isinstance(event, AllowancePaid)
    ]
    assert months == ["2027-11-30", "2027-12-30", "2028-01-30", "2028-02-29"]
    assert sweep(on(scene, 2028, 2, 29)) == []
    assert sweep(on(scene, 2028, 3, 30)) == [100]


def test_a_raise_pays_the_difference_at_once_and_no_change_pays_twice():
    scene = on(people(), 2026, 1, 10).and_given(allow(100))
    start = scene.log.now
    on(scene, 2026, 1, 20).when(allow(100)).then_nothing()
    scene.when(allow(100, source=PATRON)).then(AllowanceSet(user=ALICE, amount=100, source=PATRON))
    scene.when(allow(150)).then(AllowanceSet(user=ALICE, amount=150, source=MANUAL), paid(50, start))
    for amount in (150, 50, 150, 0, 150, 0, 100):
        scene.and_given(allow(amount))
    assert alice(scene).balance == 150
    assert sweep(on(scene, 2026, 2, 10)) == [100]
    assert alice(scene).allowance_paid == 100


def test_what_ended_pays_nothing_and_begins_anew_after_its_month():
    scene = on(people(), 2026, 1, 10).and_given(allow(100))
    scene.when(allow(0)).then(
        AllowanceSet(user=ALICE, amount=0, source=MANUAL),
        result=Allowed(user=ALICE, amount=0, source=MANUAL, paid=0, next_at=None),
    )
    scene.and_given(allow(0))
    scene.when(allow(0, source=PATRON)).then_nothing()
    assert sweep(on(scene, 2026, 7, 1)) == [], "nothing is made up for"
    scene.and_given(allow(100))
    assert alice(scene).balance == 200
    assert alice(scene).allowance_due == datetime(2026, 8, 1, 12, tzinfo=UTC)


def test_a_change_pays_the_months_that_are_due_as_it_was_before():
    scene = on(people(), 2026, 1, 10).and_given(allow(100))
    then = on(scene, 2026, 3, 11).when(allow(0))
    assert then.names == ["AllowancePaid", "AllowancePaid", "AllowanceSet"]
    then = scene.when(allow(300))
    assert then.names == ["AllowancePaid", "AllowancePaid", "AllowanceSet", "AllowancePaid"]
    assert [event.amount for event in then.events if isinstance(event, AllowancePaid)] == [100, 100, 200]


def test_nobody_else_is_paid():
    people().when(PayAllowance(user=ALICE)).then_nothing(Paid(amount=0))
    people().when(PayAllowance(user=NOBODY)).then_nothing(Paid(amount=0))


def test_what_was_not_due_is_no_fact():
    def refused(row: Account, event: Event) -> None:
        with pytest.raises(FoldError, match="not due"):
            accounts.evolve(ALICE, row, Fact(9, START, event))

    refused(alice(people()), paid(100, START))
    scene = on(people(), 2026, 1, 10).and_given(allow(100))
    refused(alice(scene), paid(100, datetime(2026, 2, 11, 12, tzinfo=UTC)))
