"""From taking a generation to being paid for it: every edge of the life of a lease.

A picture costs 950 hundredths here: 650 for its worker's owner and 300 of tax. Look next: `test_late_deliveries`.
"""

from datetime import timedelta
from uuid import UUID

import pytest

from app.accounts.decider import OpenRealm
from app.jobs.decider import CancelJob
from app.platform.vault import ResultWords
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import (
    Delivered,
    ExpireLease,
    ExtendLease,
    Outcome,
    Popped,
    ReleaseLease,
    ResultState,
    SubmitResults,
)
from app.workers.reports import case_of
from events.base import ANONYMOUS
from events.jobs import (
    CensorCause,
    FailureCause,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    HoldCaptured,
    HoldReleased,
    JobCancelled,
    JobEnded,
    JobState,
    LeaseExpired,
    LeaseExtended,
    LeaseReleased,
)
from events.moderation import CaseOpened
from projections.generations import GenerationState
from tests.factories import (
    capabilities,
    check_in,
    deliver,
    grant,
    many_workers,
    pop,
    register,
    result,
    submit,
    uid,
)
from tests.given import Scene, given, later

ALICE, BOB, CAROL = uid(1), uid(2), uid(3)
JOB, G1, G2, G3 = uid(10), uid(11), uid(12), uid(13)
W_BOB, W_CAROL, W_ALICE = uid(20), uid(21), uid(22)
LEASE, LEASE_2, LEASE_3 = uid(30), uid(31), uid(32)
OWNER = {W_BOB: BOB, W_CAROL: CAROL, W_ALICE: ALICE}
SECONDS = 150
PRICE, TAX, CHARGE = 650, 300, 950
#: nobody trusts Bob: half of what he earns waits in escrow
HALF = PRICE // 2
FAULTED = ResultState.FAULTED


def waiting(*generations: UUID, kudos: int = 10_000, requester=ALICE, **job) -> Scene:
    """A job of Alice, who was granted kudos, and a worker of each of the three."""
    scene = given(OpenRealm(), *(register(user) for user in (ALICE, BOB, CAROL)))
    if kudos:
        scene.and_given(grant(ALICE, kudos))
    scene.and_given(*(check_in(worker, owner) for worker, owner in OWNER.items()))
    return scene.and_given(submit(requester, job=JOB, generations=generations or (G1,), **job))


def take(worker=W_BOB, lease=LEASE, amount=1, **search):
    return pop(worker, OWNER[worker], lease=lease, amount=amount, **search)


def leased(*generations: UUID, amount=1, **job) -> Scene:
    """The same, and Bob's worker has taken some of it."""
    return waiting(*generations, **job).and_given(take(amount=amount))


def delivered(generation=G1, requester=ALICE, **changes) -> GenerationDelivered:
    fields = {
        "job": JOB, "requester": requester, "generation": generation, "lease": LEASE, "worker": W_BOB,
        "owner": BOB, "model": "stable", "etag": "etag", "pixelsteps": 512 * 512 * 30, "waited": False,
        "price": PRICE, "tax": TAX, "charged": CHARGE, "covered": 0, "escrowed": HALF, "took_milliseconds": 0,
        "postings": ((f"user:{ALICE}", -CHARGE), (f"user:{BOB}", HALF), (f"escrow:{BOB}", HALF), ("sink:tax", TAX)),
    }  # fmt: skip
    return GenerationDelivered(**fields | changes)


def captured(amount: int, generation=G1) -> HoldCaptured:
    return HoldCaptured(job=JOB, requester=ALICE, generation=generation, amount=amount)


def released(amount: int) -> HoldReleased:
    return HoldReleased(job=JOB, requester=ALICE, amount=amount)


def failed(
    generation=G1, cause=FailureCause.REPORTED_BY_WORKER, worker=W_BOB, lease=LEASE
) -> GenerationFailed:
    return GenerationFailed(
        job=JOB,
        requester=ALICE,
        generation=generation,
        lease=lease,
        worker=worker,
        owner=OWNER[worker],
        cause=cause,
    )


def ended(state: JobState, requester=ALICE) -> JobEnded:
    return JobEnded(job=JOB, requester=requester, state=state)


# --- taking


def test_a_pop_leases_as_many_generations_as_asked_for_and_its_time_grows_with_them():
    scene = waiting(G1, G2, G3)
    event = GenerationsLeased(
        job=JOB, requester=ALICE, lease=LEASE, worker=W_BOB, owner=BOB, generations=(G1, G2), model="stable",
        expires_at=scene.log.now + timedelta(seconds=2 * SECONDS), price=650,
    )  # fmt: skip
    scene.when(take(amount=2)).then(event, result=Popped(lease=LEASE))
    assert scene.and_given(take(amount=2)).when(take(W_CAROL, LEASE_2, 5)).events[0].generations == (G3,)


def test_a_pop_by_an_unknown_worker_is_refused_and_one_that_finds_nothing_appends_nothing():
    waiting().when(pop(uid(99), BOB)).then_rejected("NOT_FOUND", "input", "workerName")
    leased().when(take(W_CAROL, LEASE_2)).then_nothing(Popped())


def test_the_model_is_one_that_both_name_by_the_choice_made_beforehand():
    able = capabilities(("flux", "pony", "stable"))
    scene = waiting(models=("stable", "flux", "other")).and_given(check_in(W_BOB, BOB, able))
    models = [scene.when(pop(W_BOB, BOB, able, choice=choice)).events[0].model for choice in range(4)]
    assert models == ["flux", "stable", "flux", "stable"]
    anything = waiting(models=()).and_given(check_in(W_BOB, BOB, able))
    assert anything.when(pop(W_BOB, BOB, able, choice=1)).events[0].model == "pony"


def test_a_job_with_a_word_on_the_blacklist_is_counted_and_not_taken():
    scene = waiting(prompt="A Cat in a hat")
    scene.when(take(blacklist=("cat",))).then_nothing(Popped(blacklisted=1))
    assert scene.when(take(blacklist=("dog",))).names == ["GenerationsLeased"]


def test_own_jobs_come_first_and_are_all_that_maintenance_allows():
    scene = waiting().and_given(submit(BOB, job=uid(40)))
    assert scene.when(take()).events[0].job == uid(40)
    assert scene.when(take(W_CAROL)).events[0].job == JOB
    scene.when(take(W_CAROL, own_only=True)).then_nothing()


def test_nobody_but_its_owner_is_served_once_maintenance_started():
    """The search was made before maintenance started; the decision is made after."""
    scene = waiting().and_given(SetMaintenance(worker=W_BOB, owner=BOB, maintenance=True, message=""))
    scene.when(take()).then_nothing()


# --- delivering


def test_a_delivery_is_paid_from_the_hold_and_ends_the_job():
    then = leased().when(deliver(LEASE, BOB, G1))
    outcome = Outcome(generation=G1, state=GenerationState.DONE, reward=PRICE)
    then.then(captured(CHARGE), delivered(), ended(JobState.DONE), result=Delivered(outcomes=(outcome,)))
    assert then.vault == [ResultWords(G1, LEASE, "1", None)]


def test_a_part_of_the_results_may_come_first():
    scene = leased(G1, G2, amount=2)
    assert scene.when(deliver(LEASE, BOB, G2)).names == ["HoldCaptured", "GenerationDelivered"]
    scene.and_given(deliver(LEASE, BOB, G2))
    assert scene.log.jobs()[JOB].state is JobState.PROCESSING
    assert scene.when(deliver(LEASE, BOB, G1)).names == ["HoldCaptured", "GenerationDelivered", "JobEnded"]


def test_a_repeat_gets_the_first_reward_and_changes_nothing():
    scene = leased().and_given(deliver(LEASE, BOB, G1))
    outcome = Outcome(generation=G1, state=GenerationState.DONE, reward=PRICE)
    for state in ResultState:
        then = scene.when(deliver(LEASE, BOB, G1, state=state))
        then.then_nothing(Delivered(outcomes=(outcome,)))
        assert then.vault == []


def test_the_same_generation_twice_in_one_submission_is_paid_once():
    then = leased().when(SubmitResults(lease=LEASE, owner=BOB, results=(result(G1), result(G1))))
    assert then.names == ["HoldCaptured", "GenerationDelivered", "JobEnded"]
    assert [outcome.reward for outcome in then.result.outcomes] == [PRICE, PRICE]


@pytest.mark.parametrize(
    "second", [ResultState.OK, ResultState.CENSORED, ResultState.CSAM, ResultState.FAULTED]
)
def test_a_fault_and_then_a_result_of_the_same_generation_in_one_submission_is_only_a_fault(second):
    results = (result(G1, FAULTED), result(G1, second))
    then = leased().when(SubmitResults(lease=LEASE, owner=BOB, results=results))
    then.then(failed())
    assert [outcome.reward for outcome in then.result.outcomes] == [0, 0]


def test_refusals_of_submissions_in_their_order():
    scene = leased()
    scene.when(deliver(uid(99), BOB, G1)).then_rejected("NOT_FOUND", "input", "leaseId")
    scene.when(deliver(LEASE, CAROL, G1)).then_rejected("NOT_FOUND", "input", "leaseId")
    path = ("input", "results", "1", "generationId")
    scene.when(deliver(LEASE, BOB, G1, G2)).then_rejected("INVALID_INPUT", *path)


def test_results_that_cannot_be_taken_do_not_stop_those_that_can():
    scene = leased(G1, G2, amount=2).and_given(deliver(LEASE, BOB, G1, state=FAULTED))
    then = scene.when(deliver(LEASE, BOB, G1, G2))
    assert then.names == ["HoldCaptured", "GenerationDelivered"]
    assert [o.state for o in then.result.outcomes] == [GenerationState.WAITING, GenerationState.DONE]
    scene.when(deliver(LEASE, BOB, G1)).then_rejected("LEASE_ENDED", "input", "results", "0")


# --- money


def test_the_hold_pays_first_then_what_is_available_then_the_floor():
    scene = leased(kudos=500)  # all 500 are held
    postings = (
        (f"user:{ALICE}", -500), (f"user:{BOB}", HALF), (f"escrow:{BOB}", HALF), ("sink:tax", TAX), ("subsidy:floor", -450),
    )  # fmt: skip
    paid = delivered(covered=450, postings=postings)
    scene.when(deliver(LEASE, BOB, G1)).then(captured(500), paid, ended(JobState.DONE))
    postings = (
        (f"user:{ALICE}", -600), (f"user:{BOB}", HALF), (f"escrow:{BOB}", HALF), ("sink:tax", TAX), ("subsidy:floor", -350),
    )  # fmt: skip
    paid = delivered(covered=350, postings=postings)
    scene.and_given(grant(ALICE, 100)).when(deliver(LEASE, BOB, G1)).then(
        captured(500), paid, ended(JobState.DONE)
    )


def test_with_nothing_at_all_the_floor_pays_and_nothing_is_captured():
    postings = (
        (f"user:{ALICE}", 0),
        (f"user:{BOB}", HALF),
        (f"escrow:{BOB}", HALF),
        ("sink:tax", TAX),
        ("subsidy:floor", -CHARGE),
    )
    then = leased(kudos=0).when(deliver(LEASE, BOB, G1))
    then.then(delivered(covered=CHARGE, postings=postings), ended(JobState.DONE))


def test_nothing_is_posted_to_the_anonymous_user():
    scene = leased(requester=ANONYMOUS)
    postings = (
        (f"user:{BOB}", HALF),
        (f"escrow:{BOB}", HALF),
        ("sink:tax", TAX),
        ("subsidy:anonymous", -CHARGE),
    )
    paid = delivered(requester=ANONYMOUS, covered=CHARGE, postings=postings)
    scene.when(deliver(LEASE, BOB, G1)).then(paid, ended(JobState.DONE, ANONYMOUS))
    assert scene.and_given(deliver(LEASE, BOB, G1)).log.accounts()[ANONYMOUS].balance == -5000


def test_only_the_tax_moves_when_the_requesters_own_worker_delivers():
    scene = waiting().and_given(take(W_ALICE))
    paid = delivered(
        worker=W_ALICE, owner=ALICE, charged=TAX, escrowed=0, postings=((f"user:{ALICE}", -TAX), ("sink:tax", TAX))
    )  # fmt: skip
    then = scene.when(deliver(LEASE, ALICE, G1))
    then.then(captured(TAX), paid, released(PRICE), ended(JobState.DONE))
    assert then.result.outcomes[0].reward == 0
    assert scene.and_given(deliver(LEASE, ALICE, G1)).log.accounts()[ALICE].balance == 10_000 - TAX


@pytest.mark.parametrize("cause", list(CensorCause))
def test_a_censored_generation_is_paid_by_the_subsidy_and_costs_the_tax(cause):
    postings = (
        (f"user:{ALICE}", -TAX), (f"user:{BOB}", HALF), (f"escrow:{BOB}", HALF), ("subsidy:censored", -PRICE), ("sink:tax", TAX),
    )  # fmt: skip
    censored = GenerationCensored(
        job=JOB, requester=ALICE, generation=G1, lease=LEASE, worker=W_BOB, owner=BOB, model="stable",
        cause=cause, price=PRICE, tax=TAX, charged=TAX, covered=0, escrowed=HALF, postings=postings,
    )  # fmt: skip
    then = leased().when(deliver(LEASE, BOB, G1, state=ResultState(cause.value)))
    case = CaseOpened(
        job=JOB, requester=ALICE, case=case_of(G1), generation=G1, lease=LEASE, worker=W_BOB, owner=BOB, cause=cause
    )  # fmt: skip
    report = [case] if cause is CensorCause.CSAM else []
    then.then(captured(TAX), censored, *report, released(PRICE), ended(JobState.DONE))
    assert then.result.outcomes == (Outcome(generation=G1, state=GenerationState.CENSORED, reward=PRICE),)


def test_an_own_worker_that_censors_earns_nothing():
    scene = waiting().and_given(take(W_ALICE))
    (_, censored, *_) = scene.when(deliver(LEASE, ALICE, G1, state=ResultState.CSAM)).events
    assert censored.postings == ((f"user:{ALICE}", -TAX), ("sink:tax", TAX))


# --- failing


def test_a_reported_fault_lets_the_generation_wait_again_but_not_for_the_same_worker():
    scene = leased()
    outcome = Outcome(generation=G1, state=GenerationState.WAITING, reward=0)
    then = scene.when(deliver(LEASE, BOB, G1, state=FAULTED))
    then.then(failed(), result=Delivered(outcomes=(outcome,)))
    assert then.vault == []
    scene.and_given(deliver(LEASE, BOB, G1, state=FAULTED))
    scene.when(take(lease=LEASE_2)).then_nothing()
    assert scene.when(take(W_CAROL, LEASE_2)).names == ["GenerationsLeased"]


def test_a_worker_may_let_a_lease_run_out_once_but_not_twice():
    scene = leased().and_given(later(SECONDS), ExpireLease(lease=LEASE))
    assert scene.when(take(lease=LEASE_2)).names == ["GenerationsLeased"], "a crash is not an incapacity"
    scene.and_given(take(lease=LEASE_2), later(SECONDS), ExpireLease(lease=LEASE_2))
    scene.when(take(lease=LEASE_3)).then_nothing()
    assert scene.when(take(W_CAROL, LEASE_3)).names == ["GenerationsLeased"]


def faults(*workers: UUID) -> Scene:
    """Each of these workers in turn took the job's first generation and failed it."""
    scene = waiting(G1, G2)
    for number, worker in enumerate(workers):
        lease = uid(50 + number)
        owner = CAROL if worker != W_BOB else BOB
        scene.and_given(pop(worker, owner, lease=lease), deliver(lease, owner, G1, state=FAULTED))
    return scene


def test_the_third_failure_by_a_second_owner_gives_the_generation_up_and_releases_its_share():
    other = uid(23)
    scene = faults(W_BOB, W_CAROL).and_given(check_in(other, CAROL), pop(other, CAROL, lease=LEASE))
    fault = GenerationFailed(
        job=JOB, requester=ALICE, generation=G1, lease=LEASE, worker=other, owner=CAROL,
        cause=FailureCause.REPORTED_BY_WORKER,
    )  # fmt: skip
    then = scene.when(deliver(LEASE, CAROL, G1, state=FAULTED))
    then.then(fault, released(CHARGE), GenerationFaulted(job=JOB, requester=ALICE, generation=G1))
    scene.and_given(deliver(LEASE, CAROL, G1, state=FAULTED))
    assert scene.when(take(W_BOB, LEASE_2)).events[0].generations == (G2,)


def test_three_failures_of_one_owner_do_not_condemn_a_generation():
    more = (uid(23), uid(24), uid(25))
    scene = waiting(G1).and_given(many_workers(BOB), *(check_in(worker, BOB) for worker in more))
    for number, worker in enumerate(more):
        lease = uid(60 + number)
        scene.and_given(pop(worker, BOB, lease=lease), deliver(lease, BOB, G1, state=FAULTED))
    (generation,) = scene.log.generations_of(JOB)
    assert (generation.state, len(generation.failures)) == (GenerationState.WAITING, 3)
    scene.and_given(take(W_CAROL, LEASE))
    names = scene.when(deliver(LEASE, CAROL, G1, state=FAULTED)).names
    assert names == ["GenerationFailed", "HoldReleased", "GenerationFaulted", "JobEnded"]


def test_a_job_of_which_every_generation_faulted_is_faulted():
    other = uid(23)
    scene = waiting(G1).and_given(check_in(other, CAROL))
    for number, (worker, owner) in enumerate(((W_BOB, BOB), (W_CAROL, CAROL), (other, CAROL))):
        lease = uid(60 + number)
        scene.and_given(pop(worker, owner, lease=lease), deliver(lease, owner, G1, state=FAULTED))
    job = scene.log.jobs()[JOB]
    assert (job.state, job.faulted, job.held) == (JobState.FAULTED, 1, 0)
    assert scene.log.accounts()[ALICE].available == 10_000


# --- extending, releasing, expiring


def test_a_picture_took_what_passed_since_the_one_before_it_under_its_lease():
    scene = leased(G1, G2, amount=2).and_given(later(50), deliver(LEASE, BOB, G1, state=ResultState.FAULTED))
    scene.and_given(later(3))
    (took,) = [e for e in scene.when(deliver(LEASE, BOB, G2)).events if isinstance(e, GenerationDelivered)]
    assert took.took_milliseconds == 3_000


def test_what_a_late_picture_took_nobody_knows():
    scene = leased().and_given(later(SECONDS + 1), ExpireLease(lease=LEASE), later(10))
    (late,) = [e for e in scene.when(deliver(LEASE, BOB, G1)).events if isinstance(e, GenerationDelivered)]
    assert late.took_milliseconds is None


def test_extending_gives_the_full_length_from_now():
    scene = leased(G1, G2, amount=2).and_given(later(100))
    until = scene.log.now + timedelta(seconds=2 * SECONDS)
    event = LeaseExtended(job=JOB, requester=ALICE, lease=LEASE, expires_at=until)
    assert scene.when(ExtendLease(lease=LEASE, owner=BOB)).then(event).result.expires_at == until


def test_an_extra_slow_worker_has_three_times_as_long_when_it_extends_too():
    able = capabilities(extra_slow=True)
    scene = waiting(wish={"extra_slow_workers": True}).and_given(check_in(W_BOB, BOB, able))
    scene = scene.and_given(pop(W_BOB, BOB, able, lease=LEASE), later(100))
    (event,) = scene.when(ExtendLease(lease=LEASE, owner=BOB)).events
    assert event.expires_at == scene.log.now + timedelta(seconds=3 * SECONDS)


def test_extending_never_shortens_and_ends_an_hour_after_the_lease_was_taken():
    scene = leased()
    taken = scene.log.now
    scene.when(ExtendLease(lease=LEASE, owner=BOB)).then_nothing()
    scene.and_given(later(3590))
    (event,) = scene.when(ExtendLease(lease=LEASE, owner=BOB)).events
    assert event.expires_at == taken + timedelta(hours=1)
    scene.and_given(event, later(60))
    assert (
        scene.when(ExtendLease(lease=LEASE, owner=BOB)).then_nothing().result.expires_at == event.expires_at
    )


def test_refusals_of_extensions_in_their_order():
    scene = leased()
    scene.when(ExtendLease(lease=uid(99), owner=BOB)).then_rejected("NOT_FOUND", "input", "leaseId")
    scene.when(ExtendLease(lease=LEASE, owner=CAROL)).then_rejected("NOT_FOUND", "input", "leaseId")
    scene.and_given(ReleaseLease(lease=LEASE, owner=BOB))
    scene.when(ExtendLease(lease=LEASE, owner=BOB)).then_rejected("LEASE_ENDED", "input", "leaseId")


def test_releasing_is_no_failure_and_gives_back_what_was_not_delivered():
    scene = leased(G1, G2, amount=2).and_given(deliver(LEASE, BOB, G1))
    event = LeaseReleased(job=JOB, requester=ALICE, lease=LEASE, worker=W_BOB, generations=(G2,))
    scene.when(ReleaseLease(lease=LEASE, owner=BOB)).then(event)
    scene.and_given(ReleaseLease(lease=LEASE, owner=BOB))
    scene.when(ReleaseLease(lease=LEASE, owner=BOB)).then_nothing()
    assert scene.log.state["workers"][W_BOB].failed == 0
    assert scene.when(take(lease=LEASE_2)).events[0].generations == (G2,)


def test_only_its_owner_releases_a_lease():
    leased().when(ReleaseLease(lease=LEASE, owner=CAROL)).then_rejected("NOT_FOUND", "input", "leaseId")
    leased().when(ReleaseLease(lease=uid(99), owner=BOB)).then_rejected("NOT_FOUND", "input", "leaseId")


def test_what_is_delivered_after_a_release_is_refused():
    scene = leased().and_given(ReleaseLease(lease=LEASE, owner=BOB))
    scene.when(deliver(LEASE, BOB, G1)).then_rejected("LEASE_ENDED", "input", "results", "0")


def test_a_lease_expires_when_its_time_is_over_and_not_before():
    scene = leased(G1, G2, amount=2).and_given(deliver(LEASE, BOB, G1), later(2 * SECONDS - 1))
    scene.when(ExpireLease(lease=LEASE)).then_nothing()
    expired = LeaseExpired(job=JOB, requester=ALICE, lease=LEASE, worker=W_BOB)
    scene.and_given(later(1)).when(ExpireLease(lease=LEASE)).then(
        failed(G2, FailureCause.LEASE_EXPIRED), expired
    )
    scene.and_given(ExpireLease(lease=LEASE)).when(ExpireLease(lease=LEASE)).then_nothing()


def test_a_settled_a_released_and_an_unknown_lease_do_not_expire():
    leased().and_given(deliver(LEASE, BOB, G1), later(999)).when(ExpireLease(lease=LEASE)).then_nothing()
    release = ReleaseLease(lease=LEASE, owner=BOB)
    leased().and_given(release, later(999)).when(ExpireLease(lease=LEASE)).then_nothing()
    waiting().when(ExpireLease(lease=LEASE)).then_nothing()


def test_an_extended_lease_does_not_expire_at_its_first_time():
    scene = leased().and_given(later(100), ExtendLease(lease=LEASE, owner=BOB), later(100))
    scene.when(ExpireLease(lease=LEASE)).then_nothing()


# --- after a cancel


def test_what_runs_when_its_job_is_cancelled_keeps_its_share_and_is_paid():
    scene = leased(G1, G2).and_given(CancelJob(job=JOB))
    assert scene.log.jobs()[JOB].held == CHARGE
    then = scene.when(deliver(LEASE, BOB, G1))
    then.then(captured(CHARGE), delivered(), ended(JobState.CANCELLED))


@pytest.mark.parametrize("how", ["released", "expired", "faulted"])
def test_what_comes_back_to_a_cancelled_job_is_cancelled_too(how):
    scene = leased(G1, G2).and_given(CancelJob(job=JOB), later(SECONDS))
    command = {
        "released": ReleaseLease(lease=LEASE, owner=BOB),
        "expired": ExpireLease(lease=LEASE),
        "faulted": deliver(LEASE, BOB, G1, state=FAULTED),
    }[how]
    events = scene.when(command).events
    dropped = [released(CHARGE), JobCancelled(job=JOB, requester=ALICE, generations=(G1,))]
    assert [event for event in events if event in dropped] == dropped
    assert events[-1] == ended(JobState.CANCELLED)
    job = scene.and_given(command).log.jobs()[JOB]
    assert (job.cancelled, job.held, job.state) == (2, 0, JobState.CANCELLED)
    assert scene.log.accounts()[ALICE].available == 10_000


def test_nothing_is_paid_after_the_end_of_a_cancelled_job_and_the_error_says_so():
    scene = leased().and_given(CancelJob(job=JOB), later(SECONDS), ExpireLease(lease=LEASE))
    scene.when(deliver(LEASE, BOB, G1)).then_rejected("LEASE_ENDED", match="cancelled")
