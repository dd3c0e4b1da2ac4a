"""The modes of the house: who may switch them, and what each of them changes."""

import pytest

from app.accounts.decider import GrantRole, OpenRealm, SetTrust
from app.operations.decider import SetMode, Switched
from app.platform.commands import Command
from app.workers.conduct import MAX_FAULTS
from app.workers.lease_decider import ResultState
from events.accounts import Role
from events.base import ANONYMOUS
from events.operations import Mode, ModeSet
from events.workers import AutoMaintenanceStarted
from tests.factories import (
    check_in,
    deliver,
    grant,
    many_workers,
    pop,
    register,
    submit,
    uid,
    unlimited,
)
from tests.given import given

ALICE, BOB, MOD, OPERATOR, W, LEASE = uid(1), uid(2), uid(3), uid(4), uid(0x100), uid(0x200)
BEGINNING: tuple[Command, ...] = (
    OpenRealm(),
    *(register(user, user.int) for user in (ALICE, BOB, MOD, OPERATOR)),
    grant(ALICE, 10_000_000),
    GrantRole(user=MOD, role=Role.MODERATOR),
    GrantRole(user=OPERATOR, role=Role.OPERATOR),
)
OFF = Switched(maintenance=False, invite_only=False, raid=False)


def on(mode: Mode) -> ModeSet:
    return ModeSet(mode=mode, on=True)


def test_a_mode_is_switched_once():
    made = given(*BEGINNING)
    raid = Switched(maintenance=False, invite_only=False, raid=True)
    made.when(SetMode(mode=Mode.RAID, on=True, by=MOD)).then(on(Mode.RAID), result=raid)
    made.when(SetMode(mode=Mode.RAID, on=False, by=MOD)).then_nothing(OFF)
    made.and_given(SetMode(mode=Mode.RAID, on=True))
    made.when(SetMode(mode=Mode.RAID, on=True, by=MOD)).then_nothing(raid)
    made.when(SetMode(mode=Mode.RAID, on=False, by=MOD)).then(ModeSet(mode=Mode.RAID, on=False), result=OFF)


@pytest.mark.parametrize("mode", Mode)
def test_maintenance_is_for_operators_the_others_for_moderators(mode: Mode):
    made = given(*BEGINNING)
    for nobody in (ALICE, ANONYMOUS, uid(999)):
        made.when(SetMode(mode=mode, on=True, by=nobody)).then_rejected("FORBIDDEN")
    made.when(SetMode(mode=mode, on=True, by=OPERATOR)).then(on(mode))
    by_moderator = made.when(SetMode(mode=mode, on=True, by=MOD))
    if mode is Mode.MAINTENANCE:
        by_moderator.then_rejected("FORBIDDEN", match="operators")
    else:
        by_moderator.then(on(mode))


def test_in_maintenance_no_job_is_taken_and_what_was_taken_is_served():
    made = given(
        *BEGINNING, check_in(W, BOB), submit(ALICE, job=uid(50), generations=(uid(51),)), on(Mode.MAINTENANCE)
    )
    for requester in (ALICE, ANONYMOUS):
        made.when(submit(requester)).then_rejected("MAINTENANCE_MODE")
    made.and_given(pop(W, BOB, lease=LEASE))
    assert "GenerationDelivered" in made.when(deliver(LEASE, BOB, uid(51))).names
    made.and_given(ModeSet(mode=Mode.MAINTENANCE, on=False))
    assert made.when(submit(ALICE)).events


def test_only_the_invited_and_the_trusted_register_workers_while_it_is_invite_only():
    made = given(*BEGINNING, check_in(W, BOB), on(Mode.INVITE_ONLY))
    new = check_in(uid(0x101), BOB)
    made.when(new).then_rejected("INVITE_ONLY", "input", "workerName")
    made.when(check_in(W, BOB)).then_nothing()
    invited = given(*BEGINNING, on(Mode.INVITE_ONLY), many_workers(BOB))
    assert invited.when(new).names == ["WorkerRegistered", "ImageCapabilitiesDeclared"]
    trusted = given(*BEGINNING, on(Mode.INVITE_ONLY), SetTrust(user=BOB, trusted=True))
    assert trusted.when(new).names == ["WorkerRegistered", "ImageCapabilitiesDeclared"]


def test_during_a_raid_strangers_open_no_accounts():
    made = given(*BEGINNING, on(Mode.RAID))
    made.when(register(uid(9), 9)).then_rejected("REGISTRATION_CLOSED")
    by_operator = register(uid(9), 9)
    assert made.when(type(by_operator)(**{**_fields(by_operator), "by_operator": True})).events


def _fields(command: Command) -> dict[str, object]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


def test_during_a_raid_unsafe_addresses_are_for_the_trusted():
    unsafe = submit(ALICE, wish={"unsafe_address": True})
    assert given(*BEGINNING).when(unsafe).events
    made = given(*BEGINNING, on(Mode.RAID))
    made.when(unsafe).then_rejected("UNSAFE_ADDRESS")
    assert made.when(submit(ALICE)).events
    made.and_given(SetTrust(user=ALICE, trusted=True))
    assert made.when(unsafe).events


def test_during_a_raid_the_anonymous_user_has_a_smaller_share():
    before = [submit(ANONYMOUS, n=20, width=64, height=64) for _ in range(2)]
    more = submit(ANONYMOUS, n=11, width=64, height=64)
    made = given(*BEGINNING, *before)
    assert made.when(more).events
    made.and_given(on(Mode.RAID))
    refused = made.when(more).then_rejected("TOO_MANY_JOBS")
    assert refused.detail == {"waiting": 40, "would_wait": 51, "limit": 50}
    assert made.when(submit(ANONYMOUS, n=10, width=64, height=64)).events
    made.and_given(unlimited(ALICE))
    assert made.when(submit(ALICE, n=20)).events


def test_during_a_raid_workers_rest_after_half_as_many_failures():
    generations = tuple(uid(0x300 + n) for n in range(MAX_FAULTS))
    made = given(*BEGINNING, unlimited(ALICE), check_in(W, BOB))
    for start in range(0, MAX_FAULTS, 20):
        made.and_given(submit(ALICE, generations=generations[start : start + 20]))
    made.and_given(pop(W, BOB, lease=LEASE, amount=MAX_FAULTS))
    taken = made.log.state["leases"][LEASE].generations  # type: ignore[attr-defined]
    eleven = deliver(LEASE, BOB, *taken[: MAX_FAULTS // 2 + 1], state=ResultState.FAULTED)
    assert not [e for e in made.when(eleven).events if isinstance(e, AutoMaintenanceStarted)]
    made.and_given(on(Mode.RAID))
    assert [e for e in made.when(eleven).events if isinstance(e, AutoMaintenanceStarted)]
