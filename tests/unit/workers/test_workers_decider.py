"""Workers check in and go into maintenance."""

import msgspec
import pytest

from app.accounts.decider import OpenRealm
from app.platform.vault import MaintenanceMessage, WorkerName
from app.workers.decider import CheckedIn, SetMaintenance
from events.base import ANONYMOUS
from events.jobs import JobKind
from events.workers import ImageCapabilitiesDeclared, MaintenanceEnded, MaintenanceStarted, WorkerRegistered
from tests.factories import capabilities, check_in, register, uid
from tests.given import Scene, given

BOB, CAROL, WORKER = uid(2), uid(3), uid(20)
DECLARED = ImageCapabilitiesDeclared(
    worker=WORKER, owner=BOB, models=("stable",), max_pixels=1024 * 1024, nsfw=True, post_processing=True,
    threads=1, agent="test:1", allows=capabilities().allows,
)  # fmt: skip


def scene() -> Scene:
    return given(OpenRealm(), register(BOB), register(CAROL))


def maintenance(on: bool, owner=BOB, worker=WORKER) -> SetMaintenance:
    return SetMaintenance(worker=worker, owner=owner, maintenance=on, message="back soon")


def test_the_first_check_in_registers_and_declares():
    then = scene().when(check_in(WORKER, BOB))
    then.then(
        WorkerRegistered(worker=WORKER, owner=BOB, kind=JobKind.IMAGE),
        DECLARED,
        result=CheckedIn(worker=WORKER),
    )
    assert then.vault == [WorkerName(WORKER, f"worker {WORKER}")]


def test_a_check_in_with_the_same_capabilities_appends_nothing():
    scene().and_given(check_in(WORKER, BOB)).when(check_in(WORKER, BOB)).then_nothing(
        CheckedIn(worker=WORKER)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"models": ("stable", "flux")},
        {"max_pixels": 64 * 64},
        {"allows": ("nsfw", "post_processing")},
        {"extra_slow": True},
        {"threads": 2},
        {"agent": "test:2"},
    ],
)
def test_each_changed_capability_is_declared(change):
    able = msgspec.structs.replace(capabilities(), **change)
    then = scene().and_given(check_in(WORKER, BOB)).when(check_in(WORKER, BOB, able))
    then.then(msgspec.structs.replace(DECLARED, **change))
    assert then.vault == []


def test_refusals_of_check_ins_in_their_order():
    known = scene().and_given(check_in(WORKER, BOB))
    known.when(check_in(WORKER, ANONYMOUS)).then_rejected("FORBIDDEN", match="anonymous")
    known.when(check_in(WORKER, CAROL)).then_rejected("FORBIDDEN", "input", "workerName")


def test_maintenance_starts_and_ends_once_and_its_message_is_kept_each_time():
    known = scene().and_given(check_in(WORKER, BOB))
    message = MaintenanceMessage(WORKER, "back soon")
    then = known.when(maintenance(True)).then(MaintenanceStarted(worker=WORKER, owner=BOB))
    assert then.vault == [message]
    known.and_given(maintenance(True))
    assert known.when(maintenance(True)).then_nothing(CheckedIn(worker=WORKER)).vault == [message]
    known.when(maintenance(False)).then(MaintenanceEnded(worker=WORKER, owner=BOB))


def test_only_its_owner_sees_a_worker():
    known = scene().and_given(check_in(WORKER, BOB))
    known.when(maintenance(True, owner=CAROL)).then_rejected("NOT_FOUND", "input", "worker")
    known.when(maintenance(True, worker=uid(99))).then_rejected("NOT_FOUND", "input", "worker")
