"""Requesters rate their own pictures: which jobs, which pictures, which is the best, and what it earns."""

from uuid import UUID

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.jobs.decider import CancelJob, WithdrawConsent
from app.ledger.rating_rewards import Unpaid
from app.ratings.decider import Candidate, RequestRatings
from app.ratings.identity import rating_id
from app.ratings.job_decider import OwnRating, RateJob
from app.sharing.decider import PublishPicture, WithholdPicture
from events.accounts import Role
from events.base import ANONYMOUS
from events.images import SHARED_SET, PictureReported
from events.images import PictureReportReason as Reason
from events.ratings import Assigned, BestNamed, ImageRated
from events.sharing import WithheldReason
from tests.factories import check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, Then, given

USER, OWNER, WORKER, JOB, LEASE = (uid(n) for n in range(1, 6))
ONE, TWO, THREE = MADE = uid(11), uid(12), uid(13)


def publish(generation: UUID) -> PublishPicture:
    return PublishPicture(
        job=JOB, generation=generation, sha256="ab", perceptual_hash="cd", width=512, height=512, size=9
    )


def leased(made: tuple[UUID, ...] = MADE, *, shared: bool = True, by: UUID = USER) -> Scene:
    """A job whose pictures a worker has."""
    return given(
        OpenRealm(), register(USER), register(OWNER), grant(USER, 100_000), check_in(WORKER, OWNER),
        submit(by, job=JOB, generations=made, shared=shared), pop(WORKER, OWNER, lease=LEASE, amount=len(made)),
    )  # fmt: skip


def scene(made: tuple[UUID, ...] = MADE, **job) -> Scene:
    """A job that ended, whose pictures are published."""
    return leased(made, **job).and_given(deliver(LEASE, OWNER, *made), *(publish(key) for key in made))


def say(
    values: dict[UUID, int] | None = None,
    best: UUID | None = None,
    *,
    artifacts: int | None = None,
    rater: UUID = USER,
    made: tuple[UUID, ...] = MADE,
) -> RateJob:
    rated = tuple(
        OwnRating(picture=key, value=value, artifacts=artifacts) for key, value in (values or {}).items()
    )
    return RateJob(job=JOB, rater=rater, generations=made, ratings=rated, best=best)


def best_of(then: Then) -> tuple[UUID | None, bool]:
    named = [event for event in then.events if isinstance(event, BestNamed)]
    found = (named[0].best, named[0].derived) if named else (None, False)
    assert found == (then.result.best, then.result.derived)
    return found


def test_ratings_of_ones_own_pictures_are_paid_and_told_apart():
    then = scene().when(say({ONE: 4, TWO: 5}, artifacts=0, best=TWO))
    assert then.names == ["ImageRated", "ImageRated", "BestNamed"]
    rated = then.events[0]
    assert isinstance(rated, ImageRated)
    assert (rated.own, rated.rating, rated.job) == (True, rating_id(USER, ONE), JOB)
    assert rated.context.took is None
    assert [event.reward for event in then.events] == [1000, 1000, 150], "below what the job cost"
    assert then.result.earned.unpaid is Unpaid.JOB_COST


def test_a_best_alone_is_paid():
    then = scene().when(say(best=TWO))
    assert [event.reward for event in then.events] == [1500]
    assert then.events[0].others == (ONE, THREE)


def test_what_was_said_stands_and_is_paid_once():
    made = scene().and_given(say({ONE: 4, TWO: 5}))
    made.when(say({ONE: 4, TWO: 5})).then_nothing()
    then = made.when(say({ONE: 4, THREE: 3}))
    assert (then.names, then.result.ratings) == (["ImageRated"], 1)
    made.when(say({ONE: 5})).then_rejected("ALREADY_RATED", "input", "ratings", "0", "rating")
    made.when(say({ONE: 4}, artifacts=1)).then_rejected("ALREADY_RATED")
    made.when(say(best=TWO)).then_nothing()
    made.when(say(best=ONE)).then_rejected("ALREADY_RATED", "input", "best")


@pytest.mark.parametrize(
    ("values", "best", "found"),
    [
        ({ONE: 9, TWO: 5}, None, (ONE, True)), ({ONE: 2, TWO: 1}, None, (ONE, True)),
        ({ONE: 9, TWO: 9}, None, (None, False)), ({ONE: 9, TWO: 9}, TWO, (TWO, False)),
        ({ONE: 7}, None, (ONE, True)), ({ONE: 6}, None, (None, False)), ({ONE: 6}, TWO, (TWO, False)),
        ({ONE: 9, TWO: 5}, ONE, (ONE, False)),
    ],
)  # fmt: skip
def test_the_best_is_named_or_follows_where_one_stands_above_all(values, best, found):
    assert best_of(scene().when(say(values, best))) == found


@pytest.mark.parametrize("values", [{ONE: 9, TWO: 5}, {ONE: 7}])
def test_the_best_is_among_those_that_are_rated_highest(values):
    scene().when(say(values, TWO)).then_rejected("BEST_NOT_HIGHEST", "input", "best")
    made = scene().and_given(say({ONE: 6, TWO: 6}))
    made.when(say({THREE: 5}, THREE)).then_rejected("BEST_NOT_HIGHEST")
    assert best_of(made.when(say({THREE: 6}, THREE))) == (THREE, False)


def test_a_picture_alone_is_no_best():
    made = scene((ONE,))
    assert best_of(made.when(say({ONE: 9}, made=(ONE,)))) == (None, False)
    made.when(say(best=ONE, made=(ONE,))).then_rejected(
        "INVALID_INPUT", "input", "best", match="two pictures"
    )


@pytest.mark.parametrize("price", [50, 99, 100, 101, 700, 3000])
def test_what_a_job_earns_stays_below_its_cost(price):
    made = scene()
    job = made.log.jobs()[JOB]
    made.log.state["jobs"][JOB] = type(job)(
        **{name: getattr(job, name) for name in job.__struct_fields__} | {"charged": price}
    )
    then = made.when(say({ONE: 5, TWO: 5, THREE: 5}, artifacts=2, best=ONE))
    assert then.result.earned.reward == sum(event.reward for event in then.events)
    assert 0 <= then.result.earned.reward <= max(0, price - 100)
    made.and_given(say({ONE: 5}, artifacts=2), say({TWO: 5}), say({THREE: 4}))
    assert made.log.accounts()[USER].rated <= max(0, price - 100)


def test_only_jobs_that_ended_and_are_shared():
    leased().when(say({ONE: 5})).then_rejected("JOB_NOT_ENDED", "input", "job")
    scene_unshared = leased(shared=False).and_given(deliver(LEASE, OWNER, *MADE))
    scene_unshared.when(say({ONE: 5})).then_rejected("NOT_SHARED", "input", "job")
    withdrawn = scene().and_given(WithdrawConsent(job=JOB))
    withdrawn.when(say({ONE: 5})).then_rejected("NOT_SHARED", "input", "job")
    scene().when(say({ONE: 5}, rater=OWNER)).then_rejected("NOT_FOUND", "input", "job")


def test_only_pictures_that_are_published_each_once():
    pending = leased().and_given(deliver(LEASE, OWNER, *MADE), publish(ONE))
    told = pending.when(say({TWO: 5})).then_rejected("TRY_AGAIN", "input", "ratings", "0", "generation")
    assert told.detail["retry_after_seconds"] > 0
    withheld = WithholdPicture(job=JOB, generation=TWO, reason=WithheldReason.WRONG_SIZE)
    pending.and_given(withheld).when(say({TWO: 5})).then_rejected("NOT_SHARED")
    pending.when(say(best=TWO)).then_rejected("NOT_SHARED", "input", "best")
    hidden = PictureReported(
        picture=ONE, image_set=SHARED_SET, case=uid(70), rater=OWNER, reason=Reason.ILLEGAL
    )
    pending.and_given(hidden).when(say({ONE: 5})).then_rejected("NOT_SHARED")
    scene().when(say({uid(99): 5})).then_rejected("NOT_FOUND", "input", "ratings", "0", "generation")
    scene().when(say(best=uid(99))).then_rejected("NOT_FOUND", "input", "best")
    twice = RateJob(
        job=JOB, rater=USER, generations=MADE, best=None,
        ratings=(OwnRating(picture=ONE, value=5), OwnRating(picture=ONE, value=5)),
    )  # fmt: skip
    scene().when(twice).then_rejected("INVALID_INPUT", "input", "ratings", "1", "generation")


def test_something_is_said_and_within_the_bounds():
    scene().when(say()).then_rejected("INVALID_INPUT", "input")
    scene().when(say({ONE: 5, TWO: 11})).then_rejected("INVALID_INPUT", "input", "ratings", "1", "rating")
    scene().when(say({ONE: 5}, artifacts=6)).then_rejected(
        "INVALID_INPUT", "input", "ratings", "0", "artifacts"
    )


def test_a_cancelled_job_has_what_was_delivered_rated():
    made = leased().and_given(deliver(LEASE, OWNER, ONE), publish(ONE), CancelJob(job=JOB))
    made.when(say({ONE: 5})).then_rejected("JOB_NOT_ENDED")
    made.and_given(deliver(LEASE, OWNER, TWO, THREE))
    assert made.when(say({ONE: 5})).names == ["ImageRated"]


def test_anonymous_requesters_are_not_paid():
    made = scene(by=ANONYMOUS)
    then = made.when(say({ONE: 5}, rater=ANONYMOUS))
    assert (then.events[0].reward, then.result.earned.unpaid) == (0, Unpaid.ANONYMOUS)
    made.and_given(say({ONE: 5}, rater=ANONYMOUS))
    made.when(say({ONE: 6}, rater=ANONYMOUS)).then_rejected("ALREADY_RATED")


def test_what_is_earned_waits_until_the_rater_is_trusted():
    made = scene()
    assert made.when(say({ONE: 5})).result.earned.escrowed == 500
    made.and_given(GrantRole(user=USER, role=Role.TRUSTED))
    assert made.when(say({ONE: 5})).result.earned.escrowed == 0


def test_own_pictures_are_handed_to_others_only():
    def hand(rater: UUID) -> RequestRatings:
        assigned = Assigned(id=rating_id(rater, ONE), picture=ONE, image_set=SHARED_SET)
        return RequestRatings(rater=rater, amount=1, candidates=(Candidate(assigned=assigned, wanted=True),))

    made = scene()
    assert not made.when(hand(USER)).events
    assert made.when(hand(OWNER)).names == ["RatingsAssigned"]
    assert not made.and_given(say({ONE: 5})).when(hand(USER)).events
