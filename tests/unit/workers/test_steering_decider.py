"""Owners and moderators steer workers: names, descriptions, teams, pauses, deletion, messages; and how many there may be."""

from datetime import timedelta

import pytest

from app.accounts.decider import GrantRole, OpenRealm, SetPublicWorkers, SetWorkerLimit
from app.platform.vault import Erase, MaintenanceMessage, WorkerDescription, WorkerMessage, WorkerName
from app.teams.decider import CreateTeam, DeleteTeam
from app.workers.decider import SetMaintenance
from app.workers.steering_decider import (
    ChangeWorker,
    DeleteMessage,
    DeleteWorker,
    PauseWorker,
    SendMessage,
)
from events.accounts import PublicWorkersSet, Role, WorkerLimitSet
from events.base import ANONYMOUS
from events.workers import (
    MaintenanceStarted,
    WorkerDeleted,
    WorkerDescribed,
    WorkerMessageDeleted,
    WorkerMessageSent,
    WorkerPaused,
    WorkerRenamed,
    WorkerResumed,
    WorkerTeamChanged,
)
from tests.factories import check_in, deliver, grant, many_workers, pop, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, CAROL, MODERATOR = uid(1), uid(2), uid(3), uid(4)
WORKER, OTHER = uid(20), uid(21)
TEAM, SECOND = uid(30), uid(31)
LEASE, JOB, G1 = uid(40), uid(50), uid(51)
MESSAGE = uid(60)
FACT = {"worker": WORKER, "owner": BOB}


def scene() -> Scene:
    return given(
        OpenRealm(), register(ALICE), register(BOB), register(CAROL), register(MODERATOR), grant(ALICE, 10_000),
        GrantRole(user=MODERATOR, role=Role.MODERATOR), GrantRole(user=CAROL, role=Role.TRUSTED),
        check_in(WORKER, BOB), CreateTeam(team=TEAM, creator=CAROL, name="owls", info="night"),
        CreateTeam(team=SECOND, creator=CAROL, name="larks", info="morning"),
    )  # fmt: skip


def change(by=BOB, **given_) -> ChangeWorker:
    return ChangeWorker(worker=WORKER, by=by, **given_)


def joins(team=TEAM, before=None) -> ChangeWorker:
    return change(moves=True, team=team, before=before)


def deletes(by=BOB, **given_) -> DeleteWorker:
    made = {"worker": WORKER, "by": by, "owner": BOB, "team": None, "leases": (), "messages": (), **given_}
    return DeleteWorker(**made)


def working() -> Scene:
    return scene().and_given(submit(ALICE, job=JOB, generations=(G1,)), pop(WORKER, BOB, lease=LEASE))


def test_names_and_descriptions_are_words_of_the_vault():
    then = scene().when(change(name="new", description="a cellar"))
    then.then(WorkerRenamed(**FACT), WorkerDescribed(**FACT))
    assert then.vault == [WorkerName(WORKER, "new"), WorkerDescription(WORKER, "a cellar")]
    assert scene().when(change(description="")).vault == [Erase(WorkerDescription, WORKER)]
    scene().when(change(by=MODERATOR, name="new")).then(WorkerRenamed(**FACT))


@pytest.mark.parametrize("by", [ALICE, CAROL, ANONYMOUS])
def test_to_others_a_worker_is_not_there(by):
    for command in (
        change(by=by, name="mine"),
        deletes(by=by),
        SetMaintenance(worker=WORKER, owner=BOB, by=by, maintenance=True, message=""),
        SendMessage(message=MESSAGE, sender=by, worker=WORKER, words="x", origin="", hours=1),
    ):
        scene().when(command).then_rejected("NOT_FOUND", "input", "worker")


def test_moderators_start_maintenance_of_any_worker():
    command = SetMaintenance(worker=WORKER, owner=BOB, by=MODERATOR, maintenance=True, message="rest")
    assert scene().when(command).then(MaintenanceStarted(**FACT)).vault == [
        MaintenanceMessage(WORKER, "rest")
    ]


def test_only_moderators_pause_and_pausing_twice_changes_nothing():
    pause = PauseWorker(worker=WORKER, by=MODERATOR, paused=True)
    made = scene()
    made.when(PauseWorker(worker=WORKER, by=BOB, paused=True)).then_rejected("FORBIDDEN")
    made.when(pause).then(WorkerPaused(**FACT))
    made.and_given(pause).when(pause).then_nothing()
    made.when(PauseWorker(worker=WORKER, by=MODERATOR, paused=False)).then(WorkerResumed(**FACT))


def test_a_paused_worker_takes_nothing_and_delivers_what_it_has():
    made = working().and_given(PauseWorker(worker=WORKER, by=MODERATOR, paused=True), submit(BOB))
    made.when(pop(WORKER, BOB)).then_rejected("WORKER_PAUSED")
    assert "GenerationDelivered" in made.when(deliver(LEASE, BOB, G1)).names


def test_a_worker_joins_moves_and_leaves():
    made = scene()
    made.when(joins()).then(WorkerTeamChanged(**FACT, team=TEAM, before=None))
    made.and_given(joins()).when(joins()).then_nothing()
    made.when(joins(SECOND, TEAM)).then(WorkerTeamChanged(**FACT, team=SECOND, before=TEAM))
    made.when(joins(SECOND, None)).then_rejected("TRY_AGAIN")
    made.when(joins(uid(99), TEAM)).then_rejected("NOT_FOUND", "input", "team")
    assert made.log.state["teams"][TEAM].workers == 1
    made.and_given(joins(None, TEAM), DeleteTeam(team=SECOND, by=CAROL, workers=()))
    assert made.log.state["teams"][TEAM].workers == 0
    made.when(joins(SECOND)).then_rejected("NOT_FOUND", "input", "team")


def test_a_delivery_names_the_team_of_that_moment():
    made = working().and_given(joins())
    (delivered,) = [e for e in made.when(deliver(LEASE, BOB, G1)).events if hasattr(e, "etag")]
    assert delivered.team == TEAM
    made.and_given(joins(None, TEAM))
    (delivered,) = [e for e in made.when(deliver(LEASE, BOB, G1)).events if hasattr(e, "etag")]
    assert delivered.team is None


def test_a_worker_at_work_is_not_deleted_before_its_lease_ends():
    made = working()
    lease = made.log.state["leases"][LEASE]
    refusal = made.when(deletes(leases=(LEASE,))).then_rejected("WORKER_BUSY", "input", "worker")
    assert refusal.detail == {"leases": 1, "until": lease.expires_at}
    made.and_given(deliver(LEASE, BOB, G1)).when(deletes(leases=(LEASE,))).then(WorkerDeleted(**FACT))


def test_a_deleted_worker_leaves_its_team_its_words_and_its_place():
    made = scene().and_given(joins(), check_in(OTHER, BOB))
    made.when(deletes()).then_rejected("TRY_AGAIN")
    then = made.when(deletes(team=TEAM, messages=(MESSAGE,)))
    then.then(WorkerTeamChanged(**FACT, team=None, before=TEAM), WorkerDeleted(**FACT))
    assert then.vault == [
        Erase(WorkerName, WORKER), Erase(WorkerDescription, WORKER), Erase(MaintenanceMessage, WORKER),
        Erase(WorkerMessage, MESSAGE),
    ]  # fmt: skip
    assert made.log.accounts()[BOB].workers == 2
    made.and_given(deletes(team=TEAM))
    assert made.log.accounts()[BOB].workers == 1
    made.when(pop(WORKER, BOB)).then_rejected("NOT_FOUND")
    made.when(check_in(WORKER, BOB)).then_rejected("NOT_FOUND")
    made.when(deletes()).then_rejected("NOT_FOUND")


def test_a_message_is_told_for_its_hours_and_to_all_only_by_moderators():
    send = SendMessage(message=MESSAGE, sender=BOB, worker=WORKER, words="dust", origin="", hours=12)
    made = scene().and_given(later(5))
    until = made.log.now + timedelta(hours=12)
    then = made.when(send)
    then.then(WorkerMessageSent(message=MESSAGE, sender=BOB, worker=WORKER, expires_at=until))
    assert then.vault == [WorkerMessage(MESSAGE, WORKER, BOB, "dust", "", made.log.now, until)]
    for sender, to_all in ((BOB, False), (CAROL, False), (MODERATOR, True)):
        command = SendMessage(message=MESSAGE, sender=sender, worker=None, words="x", origin="", hours=1)
        if to_all:
            assert made.when(command).names == ["WorkerMessageSent"]
        else:
            made.when(command).then_rejected("FORBIDDEN", "input", "worker")


def test_a_message_is_taken_back_by_who_wrote_it_or_a_moderator():
    for by in (BOB, MODERATOR):
        then = scene().when(DeleteMessage(message=MESSAGE, sender=BOB, by=by))
        then.then(WorkerMessageDeleted(message=MESSAGE, sender=BOB))
        assert then.vault == [Erase(WorkerMessage, MESSAGE)]
    refused = scene().when(DeleteMessage(message=MESSAGE, sender=BOB, by=CAROL))
    refused.then_rejected("NOT_FOUND", "input", "message")


@pytest.mark.parametrize(("owner", "limit"), [(BOB, 3), (CAROL, 20)])
def test_how_many_workers_there_may_be(owner, limit):
    made = scene()
    number = 100
    while made.log.accounts()[owner].workers < limit:
        made.and_given(check_in(uid(number), owner))
        number += 1
    refusal = made.when(check_in(uid(number), owner)).then_rejected("TOO_MANY_WORKERS", "input", "workerName")
    assert refusal.detail == {"workers": limit, "limit": limit}
    made.when(check_in(uid(number - 1), owner)).then_nothing()
    made.and_given(many_workers(owner)).when(check_in(uid(number), owner))
    assert made.when(check_in(uid(number), owner)).names[0] == "WorkerRegistered"


def test_moderators_say_how_many_workers_somebody_may_have():
    made = scene()
    made.when(SetWorkerLimit(user=BOB, limit=9, by=CAROL)).then_rejected("FORBIDDEN")
    made.when(SetWorkerLimit(user=ANONYMOUS, limit=9, by=MODERATOR)).then_rejected("NOT_FOUND")
    for bad in (-1, 100_001):
        made.when(SetWorkerLimit(user=BOB, limit=bad, by=MODERATOR)).then_rejected("INVALID_INPUT")
    made.when(SetWorkerLimit(user=BOB, limit=9, by=MODERATOR)).then(WorkerLimitSet(user=BOB, limit=9))
    made.and_given(SetWorkerLimit(user=BOB, limit=0, by=MODERATOR))
    made.when(check_in(OTHER, BOB)).then_rejected("TOO_MANY_WORKERS")
    assert made.when(SetWorkerLimit(user=BOB, limit=None, by=MODERATOR)).result.limit == 3


def test_everybody_says_for_themselves_whether_their_workers_are_public():
    made = scene()
    made.when(SetPublicWorkers(user=ANONYMOUS, public=True)).then_rejected("FORBIDDEN")
    made.when(SetPublicWorkers(user=BOB, public=False)).then_nothing()
    made.when(SetPublicWorkers(user=BOB, public=True)).then(PublicWorkersSet(user=BOB, public=True))
    assert made.and_given(SetPublicWorkers(user=BOB, public=True)).log.accounts()[BOB].public_workers
