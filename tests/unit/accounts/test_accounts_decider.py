"""Accounts: opening, registering, roles, limits, grants and transfers, each refusal in the order the rules promise."""

import pytest

from app.accounts.decider import (
    MAX_AMOUNT,
    Granted,
    GrantRole,
    LimitSet,
    Opened,
    OpenRealm,
    Registered,
    SetWaitingLimit,
    TransferKudos,
    Transferred,
)
from app.platform.vault import ApiKey, Note, Person
from events.accounts import AnonymousOpened, Role, RoleGranted, UserRegistered, WaitingLimitSet
from events.base import ANONYMOUS
from events.kudos import KudosGranted, KudosTransferred
from tests.factories import grant, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, NOBODY = uid(1), uid(2), uid(99)


def people(*amounts: int) -> Scene:
    """Alice and Bob in an open realm, with grants of so many hundredths."""
    scene = given(OpenRealm(), register(ALICE), register(BOB))
    for user, amount in zip((ALICE, BOB), amounts, strict=False):
        scene.and_given(grant(user, amount))
    return scene


def transfer(amount: int, source=ALICE, target=BOB) -> TransferKudos:
    return TransferKudos(source=source, target=target, amount=amount)


def test_the_realm_opens_once_with_the_anonymous_user_below_zero():
    opened = AnonymousOpened(
        user=ANONYMOUS, postings=((f"user:{ANONYMOUS}", -5000), ("system:treasury", 5000))
    )
    given().when(OpenRealm()).then(opened, result=Opened())
    given(opened).when(OpenRealm()).then_nothing(Opened())


def test_a_registration_keeps_name_and_key_out_of_the_log():
    command = register(ALICE, number=77)
    then = given().when(command)
    then.then(UserRegistered(user=ALICE, key=command.key), result=Registered(user=ALICE))
    assert then.vault == [Person(ALICE, "name", 77), ApiKey(command.key_hash, command.key, ALICE)]


def test_a_role_is_granted_once():
    command = GrantRole(user=ALICE, role=Role.MODERATOR)
    event = RoleGranted(user=ALICE, role=Role.MODERATOR)
    people().when(command).then(event, result=Granted(user=ALICE))
    people().and_given(event).when(command).then_nothing(Granted(user=ALICE))


@pytest.mark.parametrize("user", [ANONYMOUS, NOBODY])
def test_only_registered_users_have_roles_and_get_grants(user):
    people().when(GrantRole(user=user, role=Role.OPERATOR)).then_rejected("NOT_FOUND", "user")
    people().when(grant(user, 100)).then_rejected("NOT_FOUND", "user")
    people().when(grant(user, 0)).then_rejected("NOT_FOUND", "user")


@pytest.mark.parametrize("amount", [-1, 0, MAX_AMOUNT + 1])
def test_a_grant_is_positive_and_bounded(amount):
    people().when(grant(ALICE, amount)).then_rejected("INVALID_INPUT", "amount")


@pytest.mark.parametrize("amount", [1, MAX_AMOUNT])
def test_a_grant_comes_out_of_the_treasury_and_its_reason_goes_to_the_vault(amount):
    command = grant(ALICE, amount)
    then = people().when(command)
    moved = (("system:treasury", -amount), (f"user:{ALICE}", amount))
    then.then(KudosGranted(user=ALICE, amount=amount, postings=moved), result=Granted(user=ALICE))
    assert then.vault == [Note(command.note, "a reason")]


def test_a_transfer_moves_what_is_available_to_the_last_hundredth():
    moved = ((f"user:{ALICE}", -500), (f"user:{BOB}", 500))
    event = KudosTransferred(source=ALICE, target=BOB, amount=500, postings=moved)
    people(500).when(transfer(500)).then(event, result=Transferred(source=ALICE, amount=500))


def test_what_is_held_for_a_job_cannot_be_given_away():
    scene = people(1000).and_given(submit(ALICE))  # 950 are reserved
    scene.when(transfer(51)).then_rejected("INSUFFICIENT_KUDOS", "input", "amount")
    assert scene.when(transfer(50)).names == ["KudosTransferred"]
    refusal = scene.when(transfer(60)).then_rejected("INSUFFICIENT_KUDOS")
    assert refusal.detail == {"required": 60, "available": 50, "missing": 10}


# Each command breaks this rule and every one behind it, so the answer shows the order.
@pytest.mark.parametrize(
    ("command", "code", "path"),
    [
        (transfer(0, ANONYMOUS, NOBODY), "FORBIDDEN", ()),
        (transfer(0, NOBODY, NOBODY), "FORBIDDEN", ()),
        (transfer(0, ALICE, NOBODY), "NOT_FOUND", ("input", "to")),
        (transfer(0, ALICE, ANONYMOUS), "INVALID_INPUT", ("input", "to")),
        (transfer(0, ALICE, ALICE), "INVALID_INPUT", ("input", "to")),
        (transfer(0), "INVALID_INPUT", ("input", "amount")),
        (transfer(-5), "INVALID_INPUT", ("input", "amount")),
        (transfer(MAX_AMOUNT + 1), "INVALID_INPUT", ("input", "amount")),
        (transfer(501), "INSUFFICIENT_KUDOS", ("input", "amount")),
    ],
)
def test_refusals_of_transfers_in_their_order(command, code, path):
    refusal = people(500).when(command).then_rejected(code)
    assert refusal.path == path


def test_the_account_opens_at_the_instant_of_its_event():
    scene = given(later(60), register(ALICE))
    account = scene.log.accounts()[ALICE]
    assert (account.balance, account.held, account.registered_at) == (0, 0, scene.log.now)


# --- limits


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.OPERATOR])
def test_moderators_and_operators_set_limits(role):
    scene = people().and_given(GrantRole(user=BOB, role=role))
    command = SetWaitingLimit(user=ALICE, limit=100, by=BOB)
    result = LimitSet(user=ALICE, limit=100)
    scene.when(command).then(WaitingLimitSet(user=ALICE, limit=100), result=result)
    scene.and_given(command).when(command).then_nothing(result)
    scene.when(SetWaitingLimit(user=ALICE, limit=None, by=BOB)).then(
        WaitingLimitSet(user=ALICE, limit=None), result=LimitSet(user=ALICE, limit=30)
    )


def test_the_command_line_sets_limits_of_anybody_also_of_the_anonymous_user():
    scene = people().and_given(SetWaitingLimit(user=ANONYMOUS, limit=7))
    then = scene.when(SetWaitingLimit(user=ANONYMOUS, limit=None))
    then.then(WaitingLimitSet(user=ANONYMOUS, limit=None), result=LimitSet(user=ANONYMOUS, limit=500))


def test_nobody_else_sets_limits_and_learns_who_exists():
    scene = people().and_given(GrantRole(user=BOB, role=Role.TRUSTED))
    for user in (ALICE, BOB, uid(99)):
        for by in (ALICE, BOB, ANONYMOUS):
            scene.when(SetWaitingLimit(user=user, limit=1, by=by)).then_rejected("FORBIDDEN")


@pytest.mark.parametrize("limit", [-1, 1_000_001])
def test_limits_have_bounds(limit):
    command = SetWaitingLimit(user=ALICE, limit=limit)
    people().when(command).then_rejected("INVALID_INPUT", "input", "limit", match="0 to 1000000")
    people().when(SetWaitingLimit(user=uid(99), limit=1)).then_rejected("NOT_FOUND", "input", "user")
