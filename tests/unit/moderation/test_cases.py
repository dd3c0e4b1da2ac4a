"""Reports and cases: opened with the worker's outcome, decided once, by moderators; who sees the picture meanwhile."""

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.moderation.decider import DecideCase, Decided
from app.workers.lease_decider import ExpireLease, ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import CensorCause
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import WithheldReason
from projections import memory
from projections.cases import PROJECTION as CASES
from projections.generations import HIDING, CaseState
from tests.factories import at, check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, CAROL, MODERATOR = uid(1), uid(2), uid(3), uid(4)
JOB, G1, G2, W_BOB, W_CAROL, FIRST, SECOND = uid(10), uid(11), uid(12), uid(20), uid(21), uid(30), uid(31)
PRICE, TAX = 650, 300
CSAM = ResultState.CSAM


def leased(**job) -> Scene:
    """Bob has both pictures of Alice's job."""
    return given(
        OpenRealm(), register(ALICE), register(BOB), register(CAROL), register(MODERATOR),
        GrantRole(user=MODERATOR, role=Role.MODERATOR), grant(ALICE, 10_000),
        check_in(W_BOB, BOB), check_in(W_CAROL, CAROL),
        submit(ALICE, job=JOB, generations=(G1, G2), **job), pop(W_BOB, BOB, lease=FIRST, amount=2),
    )  # fmt: skip


def reported(**job) -> Scene:
    """And reported the first."""
    return leased(**job).and_given(deliver(FIRST, BOB, G1, state=CSAM))


def outrun() -> Scene:
    """Bob was late, Carol took over, Bob delivered the first after all, and Carol reports it."""
    return leased().and_given(
        later(9000), ExpireLease(lease=FIRST), pop(W_CAROL, CAROL, lease=SECOND, amount=2),
        deliver(FIRST, BOB, G1), deliver(SECOND, CAROL, G1, state=CSAM),
    )  # fmt: skip


def decide(verdict: Verdict, by=MODERATOR, generation=G1) -> DecideCase:
    return DecideCase(case=case_of(generation), job=JOB, generation=generation, verdict=verdict, by=by)


def report_of(scene: Scene, generation=G1) -> CaseState | None:
    return next(g.report for g in scene.log.generations_of(JOB) if g.id == generation)


def test_a_report_opens_a_case_and_is_paid_like_a_censored_picture():
    scene = leased()
    then = scene.when(deliver(FIRST, BOB, G1, state=CSAM))
    assert then.names == ["HoldCaptured", "GenerationCensored", "CaseOpened"]
    assert then.events[-1] == CaseOpened(
        job=JOB, requester=ALICE, case=case_of(G1), generation=G1, lease=FIRST, worker=W_BOB, owner=BOB,
        cause=CensorCause.CSAM,
    )  # fmt: skip
    scene.and_given(deliver(FIRST, BOB, G1, state=CSAM))
    accounts = scene.log.accounts()
    assert (accounts[BOB].balance, accounts[BOB].escrow) == (PRICE // 2, PRICE // 2)
    assert accounts[ALICE].balance == 10_000 - TAX
    assert scene.when(deliver(FIRST, BOB, G1, state=CSAM)).then_nothing().result.outcomes[0].reward == PRICE


def test_censoring_alone_opens_none():
    then = leased().when(deliver(FIRST, BOB, G1, state=ResultState.CENSORED))
    assert then.names == ["HoldCaptured", "GenerationCensored"]


def test_a_report_counts_about_what_another_delivered_late():
    scene = outrun()
    assert report_of(scene) is CaseState.OPEN
    assert report_of(scene) in HIDING
    assert report_of(scene, G2) is None


def test_a_report_under_no_live_lease_is_refused():
    scene = leased().and_given(later(9000), ExpireLease(lease=FIRST))
    scene.when(deliver(FIRST, BOB, G1, state=CSAM)).then_rejected("LEASE_ENDED")


@pytest.mark.parametrize("shared", [False, True])
def test_an_upheld_report_ends_the_sharing_of_the_whole_job(shared):
    scene = reported(shared=shared)

    def stands():
        job = scene.log.jobs()[JOB]
        return job.unshared, job.withdrawing

    assert stands() == (None, shared)
    scene.and_given(decide(Verdict.UPHELD))
    assert stands() == (WithheldReason.REPORTED, shared)


def test_a_dismissed_report_does_not():
    assert reported(shared=True).and_given(decide(Verdict.DISMISSED)).log.jobs()[JOB].unshared is None


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_moderator_decides_once(verdict):
    scene = outrun()
    event = CaseDecided(job=JOB, requester=ALICE, case=case_of(G1), generation=G1, verdict=verdict)
    result = Decided(case=case_of(G1), verdict=verdict)
    scene.when(decide(verdict)).then(event, result=result)
    scene.and_given(decide(verdict)).when(decide(verdict)).then_nothing(result)
    other = next(v for v in Verdict if v is not verdict)
    scene.when(decide(other)).then_rejected("INVALID_INPUT", "input", "verdict", match="stands")
    assert (report_of(scene) in HIDING) is (verdict is Verdict.UPHELD)


def test_an_operator_decides_too_and_nobody_else():
    scene = reported()
    for by in (ALICE, BOB, ANONYMOUS, uid(99)):
        scene.when(decide(Verdict.DISMISSED, by=by)).then_rejected("FORBIDDEN")
    scene.and_given(GrantRole(user=CAROL, role=Role.TRUSTED))
    scene.when(decide(Verdict.DISMISSED, by=CAROL)).then_rejected("FORBIDDEN")
    scene.and_given(GrantRole(user=CAROL, role=Role.OPERATOR))
    assert scene.when(decide(Verdict.DISMISSED, by=CAROL)).names == ["CaseDecided"]


def test_what_nobody_reported_is_no_case():
    scene = reported()
    scene.when(decide(Verdict.UPHELD, generation=G2)).then_rejected("NOT_FOUND", "input", "case")
    scene.when(decide(Verdict.UPHELD, generation=uid(99))).then_rejected("NOT_FOUND", "input", "case")


def test_the_list_of_cases_tells_when_and_what():
    scene = reported().and_given(later(60), decide(Verdict.DISMISSED))
    (case,) = memory.replay(scene.log.facts, (CASES,))["cases"].values()
    assert (case.id, case.job, case.generation) == (case_of(G1), JOB, G1)
    assert (case.requester, case.worker) == (ALICE, W_BOB)
    assert (case.state, case.opened_at, case.decided_at) == (CaseState.DISMISSED, at(0), at(60))
