"""Teams are founded, edited and dissolved, and what their workers do is counted for them."""

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.platform.vault import Erase, TeamWords
from app.teams.decider import CreateTeam, DeleteTeam, EditTeam
from app.workers.demand import lines
from app.workers.lease_decider import ResultState
from app.workers.skips import DemandRow
from app.workers.steering_decider import ChangeWorker
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import JobKind
from events.teams import TeamCreated, TeamDeleted, TeamEdited
from events.workers import UptimeRewarded, WorkerTeamChanged
from projections import memory
from projections.team_totals import TeamTotal
from tests.factories import check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, given

ALICE, BOB, FOUNDER, MODERATOR = uid(1), uid(2), uid(3), uid(4)
WORKER, OTHER, TEAM = uid(20), uid(21), uid(30)


def create(by=FOUNDER, team=TEAM) -> CreateTeam:
    return CreateTeam(team=team, creator=by, name="owls", info="night")


def joins(worker=WORKER, team=TEAM, before=None) -> ChangeWorker:
    return ChangeWorker(worker=worker, by=BOB, moves=True, team=team, before=before)


def people() -> Scene:
    return given(
        OpenRealm(), register(ALICE), register(BOB), register(FOUNDER), register(MODERATOR),
        grant(ALICE, 100_000), GrantRole(user=FOUNDER, role=Role.TRUSTED),
        GrantRole(user=MODERATOR, role=Role.MODERATOR), check_in(WORKER, BOB), check_in(OTHER, BOB),
    )  # fmt: skip


@pytest.mark.parametrize("by", [BOB, ANONYMOUS])
def test_newcomers_found_no_teams(by):
    people().when(create(by)).then_rejected("FORBIDDEN")


@pytest.mark.parametrize("by", [FOUNDER, MODERATOR])
def test_trusted_users_found_teams(by):
    then = people().when(create(by))
    then.then(TeamCreated(team=TEAM, creator=by))
    assert then.vault == [TeamWords(TEAM, "owls", "night")]


def test_who_founded_it_and_moderators_edit_and_dissolve_it():
    made = people().and_given(create())
    for by in (FOUNDER, MODERATOR):
        made.when(EditTeam(team=TEAM, by=by, name="larks", info="morning")).then(
            TeamEdited(team=TEAM, creator=FOUNDER)
        )
        then = made.when(DeleteTeam(team=TEAM, by=by, workers=()))
        then.then(TeamDeleted(team=TEAM, creator=FOUNDER))
        assert then.vault == [Erase(TeamWords, TEAM)]
    made.when(EditTeam(team=TEAM, by=BOB, name="x", info="y")).then_rejected("FORBIDDEN", "input", "team")
    made.when(DeleteTeam(team=TEAM, by=BOB, workers=())).then_rejected("FORBIDDEN", "input", "team")
    made.and_given(DeleteTeam(team=TEAM, by=FOUNDER, workers=()))
    made.when(DeleteTeam(team=TEAM, by=FOUNDER, workers=())).then_rejected("NOT_FOUND", "input", "team")


def test_the_workers_of_a_dissolved_team_leave_it_and_none_is_overlooked():
    made = people().and_given(create(), joins(), joins(OTHER))
    made.when(DeleteTeam(team=TEAM, by=FOUNDER, workers=(WORKER,))).then_rejected("TRY_AGAIN")
    made.when(DeleteTeam(team=TEAM, by=FOUNDER, workers=(WORKER, OTHER))).then(
        WorkerTeamChanged(worker=WORKER, owner=BOB, team=None, before=TEAM),
        WorkerTeamChanged(worker=OTHER, owner=BOB, team=None, before=TEAM),
        TeamDeleted(team=TEAM, creator=FOUNDER),
    )
    made.and_given(joins(OTHER, None, TEAM))
    then = made.when(DeleteTeam(team=TEAM, by=FOUNDER, workers=(WORKER, OTHER)))
    assert then.names == ["WorkerTeamChanged", "TeamDeleted"]


def test_totals_hold_what_was_done_in_the_team_and_nothing_before_or_after():
    made = people().and_given(create())
    for number, (step, requester, state) in enumerate(
        (
            (None, ALICE, ResultState.OK),
            (joins(), ALICE, ResultState.OK),
            (None, ALICE, ResultState.CENSORED),
            (None, BOB, ResultState.OK),  # the owner's own: no kudos
            (joins(WORKER, None, TEAM), ALICE, ResultState.OK),
        )
    ):
        made.and_given(*([step] if step else []))
        job, generation, lease = uid(200 + number), uid(300 + number), uid(400 + number)
        made.and_given(
            submit(requester, job=job, generations=(generation,)),
            pop(WORKER, BOB, lease=lease),
            deliver(lease, BOB, generation, state=state),
        )
    reward = UptimeRewarded(
        worker=WORKER, owner=BOB, seconds=612, amount=0, escrowed=0, postings=(), team=TEAM
    )
    made.and_given(reward)
    price = made.log.jobs()[uid(200)].price
    totals = memory.replay(made.log.facts)["team_totals"]
    assert totals == {TEAM: TeamTotal(TEAM, 2 * 512 * 512 * 30, 3, 2 * price, 612)}


def test_the_demand_board_adds_up_by_model_and_size():
    def row(*models: str, pixels: int, jobs: int, reward: int = 0) -> DemandRow:
        return DemandRow(JobKind.IMAGE, models, 0, pixels, False, jobs, 2 * jobs, 100 * jobs, reward)

    board = lines(
        [
            row("a", "b", pixels=512 * 512, jobs=1, reward=1_000),
            row("a", pixels=64 * 64, jobs=3, reward=600),
            row("a", pixels=512 * 513, jobs=1),
            row(pixels=5_000 * 5_000, jobs=9),
        ]
    )
    assert [
        (line.model, line.max_pixels, line.jobs, line.generations, line.work, line.reward) for line in board
    ] == [
        ("", 4096 * 4096, 9, 18, 900, 0),
        ("a", 512 * 512, 4, 8, 400, 1_600),
        ("a", 768 * 768, 1, 2, 100, 0),
        ("b", 512 * 512, 1, 2, 100, 1_000),
    ]
