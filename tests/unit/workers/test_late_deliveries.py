"""Late deliveries: the first is paid, whoever it makes redundant is paid by the subsidy, nobody is charged twice."""

import pytest

from app.accounts.decider import OpenRealm
from app.jobs.decider import CancelJob, ExpireJob
from app.workers.lease_decider import ExpireLease, Outcome, ReleaseLease, ResultState
from app.workers.payment import LATE_CAP_PER_DAY
from events.jobs import JobState, RedundantDeliveryPaid
from projections.generations import GenerationState
from projections.leases import LeaseState
from tests.factories import check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, CAROL = uid(1), uid(2), uid(3)
JOB, G1 = uid(10), uid(11)
W_BOB, W_CAROL, W_ALICE = uid(20), uid(21), uid(22)
FIRST, SECOND = uid(30), uid(31)
PRICE, CHARGE = 650, 950
HALF = PRICE // 2
HEAVY = {"width": 768, "height": 768, "steps": 50}


def expired(**job) -> Scene:
    """Bob's lease on Alice's job ran out before he delivered."""
    return given(
        OpenRealm(), register(ALICE), register(BOB), register(CAROL), grant(ALICE, 1_000_000),
        check_in(W_BOB, BOB), check_in(W_CAROL, CAROL), check_in(W_ALICE, ALICE),
        submit(ALICE, job=JOB, generations=(G1,), **job),
        pop(W_BOB, BOB, lease=FIRST), later(9000), ExpireLease(lease=FIRST),
    )  # fmt: skip


def taken_over(**job) -> Scene:
    """And Carol took it meanwhile."""
    return expired(**job).and_given(pop(W_CAROL, CAROL, lease=SECOND))


def redundant() -> Scene:
    """And Bob delivered after all."""
    return taken_over().and_given(deliver(FIRST, BOB, G1))


def test_a_late_delivery_of_a_generation_that_waits_is_paid_in_full():
    scene = expired()
    then = scene.when(deliver(FIRST, BOB, G1))
    assert then.names == ["HoldCaptured", "GenerationDelivered", "JobEnded"]
    assert (then.events[1].waited, then.events[1].charged) == (True, CHARGE)
    assert then.result.outcomes == (Outcome(generation=G1, state=GenerationState.DONE, reward=PRICE),)
    scene.and_given(deliver(FIRST, BOB, G1)).when(pop(W_CAROL, CAROL)).then_nothing()


def test_a_late_delivery_of_what_another_has_taken_is_paid_if_it_is_the_first():
    scene = taken_over()
    then = scene.when(deliver(FIRST, BOB, G1))
    assert then.names == ["HoldCaptured", "GenerationDelivered", "JobEnded"]
    assert then.events[1].waited is False
    scene.and_given(deliver(FIRST, BOB, G1))
    job = scene.log.jobs()[JOB]
    assert (job.done, job.processing, job.charged, job.state) == (1, 0, CHARGE, JobState.DONE)
    assert scene.log.state["leases"][SECOND].state is LeaseState.LIVE


def test_whom_a_late_delivery_made_redundant_is_paid_by_the_late_subsidy():
    scene = redundant()
    event = RedundantDeliveryPaid(
        job=JOB, requester=ALICE, generation=G1, lease=SECOND, worker=W_CAROL, owner=CAROL, price=PRICE,
        postings=(("subsidy:late", -PRICE), (f"user:{CAROL}", HALF), (f"escrow:{CAROL}", HALF)), escrowed=HALF,
    )  # fmt: skip
    outcome = Outcome(generation=G1, state=GenerationState.DONE, reward=PRICE)
    then = scene.when(deliver(SECOND, CAROL, G1)).then(event)
    assert then.result.outcomes == (outcome,)
    scene.and_given(deliver(SECOND, CAROL, G1))
    assert scene.when(deliver(SECOND, CAROL, G1)).then_nothing().result.outcomes == (outcome,)
    assert scene.when(deliver(FIRST, BOB, G1)).then_nothing().result.outcomes == (outcome,)
    accounts = scene.log.accounts()
    assert accounts[ALICE].consumed == CHARGE
    assert [accounts[user].balance for user in (ALICE, BOB, CAROL)] == [1_000_000 - CHARGE, HALF, HALF]
    assert scene.log.state["leases"][SECOND].state is LeaseState.SETTLED


@pytest.mark.parametrize(
    ("state", "further"), [(ResultState.CENSORED, []), (ResultState.CSAM, ["CaseOpened"])]
)
def test_a_redundant_censored_result_is_work_too_and_a_report_counts(state, further):
    then = redundant().when(deliver(SECOND, CAROL, G1, state=state))
    assert then.names == ["RedundantDeliveryPaid", *further]


def test_a_redundant_fault_earns_nothing():
    redundant().when(deliver(SECOND, CAROL, G1, state=ResultState.FAULTED)).then_rejected("LEASE_ENDED")


def test_a_redundant_lease_runs_out_or_is_given_back_without_a_failure():
    scene = redundant()
    assert scene.when(ReleaseLease(lease=SECOND, owner=CAROL)).events[0].generations == ()
    scene.and_given(later(999))
    assert scene.when(ExpireLease(lease=SECOND)).names == ["LeaseExpired"]
    scene.and_given(ExpireLease(lease=SECOND))
    assert scene.log.state["workers"][W_CAROL].failed == 0
    scene.when(deliver(SECOND, CAROL, G1)).then_rejected("LEASE_ENDED")


def test_the_requester_gets_no_subsidy_for_own_redundant_work():
    scene = expired().and_given(pop(W_ALICE, ALICE, lease=SECOND), deliver(FIRST, BOB, G1))
    (event,) = scene.when(deliver(SECOND, ALICE, G1)).events
    assert (event.price, event.postings) == (0, ())


def test_the_late_subsidy_is_capped_for_each_owner_and_day():
    scene = redundant().and_given(deliver(SECOND, CAROL, G1))
    paid = [PRICE]
    for number in range(100, 120):
        job, generation, first, second = (uid(1000 * part + number) for part in range(1, 5))
        scene.and_given(
            submit(ALICE, job=job, generations=(generation,), **HEAVY), pop(W_BOB, BOB, lease=first),
            later(4000), ExpireLease(lease=first), pop(W_CAROL, CAROL, lease=second),
            deliver(first, BOB, generation),
        )  # fmt: skip
        (event,) = scene.when(deliver(second, CAROL, generation)).events
        scene.and_given(deliver(second, CAROL, generation))
        paid.append(event.price)
        if event.price == 0:
            break
    assert sum(paid) == LATE_CAP_PER_DAY
    assert event.postings == ()
    assert 0 < paid[-2] < paid[1]  # the last one that was paid reached the cap in part
    assert scene.log.accounts()[BOB].late_paid == 0


def test_the_cap_begins_anew_the_next_day():
    scene = redundant().and_given(deliver(SECOND, CAROL, G1))
    before = scene.log.accounts()[CAROL]
    job, generation, first, second = uid(5000), uid(5001), uid(5002), uid(5003)
    scene.and_given(
        later(86_400), submit(ALICE, job=job, generations=(generation,)), pop(W_BOB, BOB, lease=first),
        later(4000), ExpireLease(lease=first), pop(W_CAROL, CAROL, lease=second), deliver(first, BOB, generation),
        deliver(second, CAROL, generation),
    )  # fmt: skip
    after = scene.log.accounts()[CAROL]
    assert (after.late_day, after.late_paid) == (before.late_day + 1, PRICE)


def test_a_failure_told_twice_changes_nothing_more():
    outcome = (
        expired().when(deliver(FIRST, BOB, G1, state=ResultState.FAULTED)).then_nothing().result.outcomes[0]
    )
    assert (outcome.reward, outcome.refusal) == (0, None)


@pytest.mark.parametrize("state", [ResultState.CENSORED, ResultState.CSAM])
def test_only_a_picture_may_be_late(state):
    expired().when(deliver(FIRST, BOB, G1, state=state)).then_rejected("LEASE_ENDED", "input", "results", "0")


def test_a_second_late_delivery_finds_the_generation_settled():
    scene = taken_over().and_given(later(9000), ExpireLease(lease=SECOND), deliver(SECOND, CAROL, G1))
    scene.when(deliver(FIRST, BOB, G1)).then_rejected("LEASE_ENDED", match="nothing is paid")


def test_after_cancel_and_expiry_of_the_job_nothing_is_paid_and_the_error_says_so():
    expired().and_given(CancelJob(job=JOB)).when(deliver(FIRST, BOB, G1)).then_rejected(
        "LEASE_ENDED", match="cancelled"
    )
    scene = expired().and_given(later(1200), ExpireJob(job=JOB))
    scene.when(deliver(FIRST, BOB, G1)).then_rejected("LEASE_ENDED", match="expired: nothing is paid")


def test_a_late_delivery_to_a_cancelled_job_of_which_another_lease_still_runs_is_refused_and_that_lease_is_paid():
    scene = taken_over().and_given(CancelJob(job=JOB))
    scene.when(deliver(FIRST, BOB, G1)).then_rejected("LEASE_ENDED", match="cancelled")
    assert scene.when(deliver(SECOND, CAROL, G1)).names == ["HoldCaptured", "GenerationDelivered", "JobEnded"]


def test_a_generation_that_was_given_up_takes_no_late_delivery():
    scene = expired().and_given(check_in(uid(23), CAROL))
    for number, worker in enumerate((W_CAROL, uid(23))):
        lease = uid(60 + number)
        scene.and_given(pop(worker, CAROL, lease=lease), deliver(lease, CAROL, G1, state=ResultState.FAULTED))
    assert scene.log.jobs()[JOB].state is JobState.FAULTED
    scene.when(deliver(FIRST, BOB, G1)).then_rejected("LEASE_ENDED")
