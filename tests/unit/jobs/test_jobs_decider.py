"""Submission, cancellation and expiry of jobs. A picture costs 950 hundredths here."""

from datetime import timedelta

import pytest

from app.accounts.decider import GrantRole, OpenRealm, SetWaitingLimit
from app.jobs.decider import EXPIRY, CancelJob, Closed, ExpireJob, Submitted
from app.platform.vault import GenerationSeed, JobWords
from app.workers.lease_decider import ExtendLease, ReleaseLease
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import HoldPlaced, HoldReleased, JobCancelled, JobEnded, JobExpired, JobState
from events.sharing import ShareConsentForced, ShareConsentGiven
from tests.factories import check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB = uid(1), uid(2)
JOB, G1, G2, WORKER, LEASE = uid(10), uid(11), uid(12), uid(20), uid(30)
CHARGE = 950


def people(kudos: int = 0) -> Scene:
    scene = given(OpenRealm(), register(ALICE), register(BOB), check_in(WORKER, BOB))
    return scene.and_given(grant(ALICE, kudos)) if kudos else scene


def job(requester=ALICE, **changes):
    return submit(requester, job=JOB, **{"generations": (G1, G2)} | changes)


def test_a_submission_fixes_its_quote_and_holds_what_is_available():
    scene = people(1000)
    command = job()
    then = scene.when(command)
    submitted, hold = then.events
    assert (submitted.price, submitted.tax, submitted.priority, submitted.tier) == (650, 300, 1000, 0)
    assert sum(amount for _, amount in submitted.quote) == 2 * CHARGE
    assert hold == HoldPlaced(job=JOB, requester=ALICE, amount=1000)
    assert then.result == Submitted(job=JOB)
    words = JobWords(JOB, "a cat", "", "{}")
    assert then.vault == [words, GenerationSeed(G1, JOB, 0), GenerationSeed(G2, JOB, 1)]


def test_never_more_is_held_than_the_quote_and_nothing_where_nothing_is_available():
    assert people(10_000).when(job()).events[-1].amount == 2 * CHARGE
    assert people().when(job()).names == ["ImageJobSubmitted"]


def test_priority_is_what_was_available_before_this_hold():
    scene = people(10_000).and_given(job())
    assert scene.when(submit(ALICE)).events[0].priority == 10_000 - 2 * CHARGE


def test_consent_is_given_by_registered_users_and_forced_on_the_anonymous_one():
    given_, forced = people().when(job(shared=True)), people().when(job(ANONYMOUS, shared=True))
    assert given_.events[1] == ShareConsentGiven(job=JOB, requester=ALICE, text_version=1)
    assert forced.events[1] == ShareConsentForced(job=JOB, requester=ANONYMOUS, text_version=1)
    assert given_.events[0].tax == 100


def test_an_anonymous_job_holds_nothing_and_is_of_the_lower_tier():
    then = people().when(job(ANONYMOUS))
    assert then.names == ["ImageJobSubmitted"]
    assert (then.events[0].tier, then.events[0].priority) == (1, -5000)


def test_no_words_of_the_client_are_in_the_events():
    then = people(1000).when(job(prompt="a secret cat"))
    assert "secret" not in repr(then.events)


def test_refusals_of_submissions_in_their_order():
    big = {"width": 1024, "height": 1024, "max_kudos": 1}
    people().when(job(uid(99), **big)).then_rejected("NOT_FOUND")
    people().when(job(**big)).then_rejected("INVALID_INPUT", "input", "maxKudos")
    scene, path = people(100), ("input", "params", "width")
    refusal = scene.when(job(width=1024, height=1024)).then_rejected("INSUFFICIENT_KUDOS", *path)
    assert refusal.detail["available"] == 100
    assert refusal.detail["missing"] == refusal.detail["required"] - 100


def test_max_kudos_is_inclusive():
    people().when(job(max_kudos=2 * CHARGE - 1)).then_rejected("INVALID_INPUT", "input", "maxKudos")
    assert people().when(job(max_kudos=2 * CHARGE)).names == ["ImageJobSubmitted"]


@pytest.mark.parametrize(("command", "event", "state"), [
    (CancelJob(job=JOB), JobCancelled, JobState.CANCELLED),
    (ExpireJob(job=JOB), JobExpired, JobState.EXPIRED),
])  # fmt: skip
def test_a_job_that_only_waits_ends_with_its_hold_released(command, event, state):
    scene = people(1000).and_given(job(), later(EXPIRY.total_seconds()))
    scene.when(command).then(
        HoldReleased(job=JOB, requester=ALICE, amount=1000),
        event(job=JOB, requester=ALICE, generations=(G1, G2)),
        JobEnded(job=JOB, requester=ALICE, state=state),
        result=Closed(job=JOB),
    )
    scene.and_given(command).when(command).then_nothing(Closed(job=JOB))
    scene.when(pop(WORKER, BOB)).then_nothing()


def test_cancelling_keeps_the_share_of_what_runs():
    scene = people(10_000).and_given(job(), pop(WORKER, BOB, lease=LEASE))
    scene.when(CancelJob(job=JOB)).then(
        HoldReleased(job=JOB, requester=ALICE, amount=CHARGE),
        JobCancelled(job=JOB, requester=ALICE, generations=(G2,)),
    )


def test_of_a_hold_that_covers_less_than_what_runs_nothing_is_released():
    scene = people(700).and_given(job(), pop(WORKER, BOB, lease=LEASE))
    assert scene.when(CancelJob(job=JOB)).names == ["JobCancelled"]


def test_a_job_that_ended_stays_as_it_is():
    scene = people().and_given(job(generations=(G1,)), pop(WORKER, BOB, lease=LEASE), deliver(LEASE, BOB, G1))
    scene.when(CancelJob(job=JOB)).then_nothing(Closed(job=JOB))
    scene.and_given(later(9999)).when(ExpireJob(job=JOB)).then_nothing(Closed(job=JOB))


def test_an_unknown_job_is_not_found():
    people().when(CancelJob(job=JOB)).then_rejected("NOT_FOUND", "input", "id")
    people().when(ExpireJob(job=JOB)).then_rejected("NOT_FOUND")


def test_no_job_expires_while_somebody_touches_it_or_a_lease_lives():
    scene = people().and_given(job(), later(EXPIRY.total_seconds() - 1))
    scene.when(ExpireJob(job=JOB)).then_nothing(Closed(job=JOB))
    scene.and_given(pop(WORKER, BOB, lease=LEASE), later(2 * EXPIRY.total_seconds()))
    scene.when(ExpireJob(job=JOB)).then_nothing(Closed(job=JOB))
    scene.and_given(ExtendLease(lease=LEASE, owner=BOB))
    assert scene.log.jobs()[JOB].active_at == scene.log.now
    assert timedelta(minutes=20) == EXPIRY


# --- limits


def queue(requester, count):
    """Jobs of 20 generations, and one of the rest."""
    rest = (submit(requester, n=count % 20),) if count % 20 else ()
    return (*(submit(requester, n=20) for _ in range(count // 20)), *rest)


def test_a_registered_user_may_have_thirty_generations_waiting():
    scene = people().and_given(*queue(ALICE, 29))
    assert scene.when(submit(ALICE, n=1)).names[0] == "ImageJobSubmitted"
    refusal = scene.when(submit(ALICE, n=2)).then_rejected(
        "TOO_MANY_JOBS", "input", "params", "n", match="31"
    )
    assert refusal.detail == {"waiting": 29, "would_wait": 31, "limit": 30}
    assert "30 may" in refusal.message
    assert scene.when(submit(BOB, n=20)).events  # everybody's own


def test_all_anonymous_users_share_five_hundred():
    scene = people().and_given(*queue(ANONYMOUS, 500))
    refusal = scene.when(submit(ANONYMOUS)).then_rejected("TOO_MANY_JOBS", match="all anonymous users")
    assert refusal.detail == {"waiting": 500, "would_wait": 501, "limit": 500}


def test_what_runs_does_not_count_and_what_comes_back_does():
    scene = people().and_given(*queue(ALICE, 30), pop(WORKER, BOB, lease=LEASE, amount=3))
    assert scene.when(submit(ALICE, n=3)).events
    scene.when(submit(ALICE, n=4)).then_rejected("TOO_MANY_JOBS")
    scene.and_given(ReleaseLease(lease=LEASE, owner=BOB))
    scene.when(submit(ALICE)).then_rejected("TOO_MANY_JOBS")


def test_cancelled_generations_make_room():
    scene = people().and_given(job(), *queue(ALICE, 28), CancelJob(job=JOB))
    assert scene.when(submit(ALICE, n=2)).events
    scene.when(submit(ALICE, n=3)).then_rejected("TOO_MANY_JOBS")


def test_a_limit_can_be_set_and_set_back():
    scene = people().and_given(SetWaitingLimit(user=ALICE, limit=31), *queue(ALICE, 31))
    scene.when(submit(ALICE)).then_rejected("TOO_MANY_JOBS", match="31 may")
    scene.and_given(SetWaitingLimit(user=ALICE, limit=None))
    scene.when(submit(ALICE)).then_rejected("TOO_MANY_JOBS", match="30 may")
    scene.and_given(SetWaitingLimit(user=ALICE, limit=0))
    scene.when(submit(ALICE)).then_rejected("TOO_MANY_JOBS", match="0 may")


#: more than the 576 x 576 pixels or 40 steps of the anonymous user, within those of a registered one
LARGER = {"width": 640, "height": 640}
LONGER = {"steps": 45}


@pytest.mark.parametrize(
    ("params", "field"), [(LARGER, "width"), ({"width": 640, "height": 704}, "height"), (LONGER, "steps")]
)
def test_an_account_without_kudos_has_the_size_limits_of_the_anonymous_user(params, field):
    path = ("input", "params", field)
    refusal = people().when(job(**params)).then_rejected("INSUFFICIENT_KUDOS", *path, match="331776 pixels")
    assert (refusal.detail["limit_pixels"], refusal.detail["limit_steps"]) == (576 * 576, 40)
    assert people(1).when(job(**params)).names == ["ImageJobSubmitted", "HoldPlaced"]


def test_a_trusted_account_needs_no_kudos_for_the_registered_limits():
    scene = people().and_given(GrantRole(user=ALICE, role=Role.TRUSTED))
    assert scene.when(job(**LARGER)).names == ["ImageJobSubmitted"]
    scene.when(job(width=832, height=768)).then_rejected("INSUFFICIENT_KUDOS", "input", "params", "width")
