"""A verdict on a shared picture: only for what was delivered OK and is shared, and only once."""

from uuid import UUID

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.jobs.decider import Unshared, WithdrawAllConsent, WithdrawConsent
from app.moderation.decider import DecideCase
from app.platform.commands import rules
from app.sharing.decider import RULES as SHARING
from app.sharing.decider import PublishPicture, Verdict, WithdrawPictures, WithholdPicture
from app.workers.lease_decider import ExpireLease, ResultState
from app.workers.reports import case_of
from events import moderation
from events.accounts import Role
from events.base import ANONYMOUS
from events.sharing import (
    PicturePublished,
    PicturesWithdrawn,
    PictureWithheld,
    ShareConsentWithdrawn,
    WithheldReason,
)
from tests.factories import RULES, check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene, later
from tests.model import MemoryLog

USER, OWNER, WORKER, JOB, LEASE, DONE, OPEN = (uid(n) for n in range(1, 8))


def scene(*, shared: bool = True, state: ResultState = ResultState.OK) -> Scene:
    """A job of two pictures, one of them delivered."""
    return Scene(MemoryLog(RULES | rules(SHARING))).and_given(
        register(USER, 1),
        register(OWNER, 2),
        grant(USER, 10_000),
        check_in(WORKER, OWNER),
        submit(USER, job=JOB, generations=(DONE, OPEN), shared=shared),
        pop(WORKER, OWNER, lease=LEASE, amount=2),
        deliver(LEASE, OWNER, DONE, state=state),
    )


def publish(generation: UUID = DONE, job: UUID = JOB, sha256: str = "ab") -> PublishPicture:
    return PublishPicture(
        job=job, generation=generation, sha256=sha256, perceptual_hash="cd", width=512, height=512, size=9
    )


def withhold(generation: UUID = DONE, job: UUID = JOB) -> WithholdPicture:
    return WithholdPicture(job=job, generation=generation, reason=WithheldReason.WRONG_SIZE)


PUBLISHED = PicturePublished(
    job=JOB,
    requester=USER,
    generation=DONE,
    sha256="ab",
    perceptual_hash="cd",
    width=512,
    height=512,
    size=9,
    model="stable",
)
WITHHELD = PictureWithheld(job=JOB, requester=USER, generation=DONE, reason=WithheldReason.WRONG_SIZE)


def test_a_delivered_shared_picture_is_published():
    scene().when(publish()).then(PUBLISHED, result=Verdict(sha256="ab"))


def test_or_withheld():
    scene().when(withhold()).then(WITHHELD, result=Verdict(withheld=WithheldReason.WRONG_SIZE))


@pytest.mark.parametrize("again", [publish(), publish(sha256="other"), withhold()])
def test_what_is_published_stays_published(again: PublishPicture | WithholdPicture):
    scene().and_given(publish()).when(again).then_nothing(Verdict(sha256="ab"))


@pytest.mark.parametrize("again", [publish(), withhold()])
def test_what_is_withheld_stays_withheld(again: PublishPicture | WithholdPicture):
    scene().and_given(withhold()).when(again).then_nothing(Verdict(withheld=WithheldReason.WRONG_SIZE))


@pytest.mark.parametrize("command", [publish, withhold])
def test_nothing_of_a_job_that_is_not_shared(command):
    scene(shared=False).when(command()).then_rejected("FORBIDDEN", match="not shared")


@pytest.mark.parametrize("command", [publish, withhold])
def test_nothing_that_is_not_delivered(command):
    scene().when(command(OPEN)).then_rejected("FORBIDDEN", match="not done")


@pytest.mark.parametrize("state", [ResultState.CENSORED, ResultState.CSAM, ResultState.FAULTED])
@pytest.mark.parametrize("command", [publish, withhold])
def test_nothing_that_was_not_delivered_ok(command, state: ResultState):
    scene(state=state).when(command()).then_rejected("FORBIDDEN", match="not done")


@pytest.mark.parametrize("command", [publish, withhold])
def test_nothing_unknown_and_nothing_of_another_job(command):
    other = uid(20)
    with_other = scene().and_given(submit(USER, job=other, generations=(uid(21),), shared=True))
    with_other.when(command(uid(99))).then_rejected("NOT_FOUND")
    with_other.when(command(DONE, uid(99))).then_rejected("NOT_FOUND")
    with_other.when(command(DONE, other)).then_rejected("NOT_FOUND")


# --- sharing that ends

WITHDRAWN = WithheldReason.CONSENT_WITHDRAWN


def withdrawn(**given: bool) -> Scene:
    return scene(**given).and_given(WithdrawConsent(job=JOB))


def test_consent_is_taken_back_once():
    scene().when(WithdrawConsent(job=JOB)).then(ShareConsentWithdrawn(job=JOB, requester=USER))
    withdrawn().when(WithdrawConsent(job=JOB)).then_nothing()
    scene(shared=False).when(WithdrawConsent(job=JOB)).then_nothing()
    scene().when(WithdrawConsent(job=uid(99))).then_rejected("NOT_FOUND", "input", "id")


def test_anonymous_jobs_are_shared_without_consent():
    anonymous = scene().and_given(OpenRealm(), submit(ANONYMOUS, job=uid(50), shared=True))
    anonymous.when(WithdrawConsent(job=uid(50))).then_rejected("FORBIDDEN", "input", "id")


def test_all_consent_is_taken_back_of_what_is_ones_own_and_shared():
    theirs, private, gone = uid(60), uid(61), uid(62)
    given = scene().and_given(
        register(uid(70), 100_070),
        submit(uid(70), job=theirs, shared=True),
        submit(USER, job=private),
        submit(USER, job=gone, shared=True),
        WithdrawConsent(job=gone),
    )
    everything = WithdrawAllConsent(requester=USER, jobs=(JOB, theirs, private, gone, uid(99)))
    then = given.when(everything).then(ShareConsentWithdrawn(job=JOB, requester=USER))
    assert then.result == Unshared(jobs=1)
    given.and_given(everything).when(everything).then_nothing()
    given.when(WithdrawAllConsent(requester=ANONYMOUS, jobs=())).then_rejected("FORBIDDEN", match="anonymous")


def test_nothing_is_published_after_consent_was_taken_back():
    withdrawn().when(publish()).then_rejected("FORBIDDEN", match="consent_withdrawn")
    reason = WithholdPicture(job=JOB, generation=DONE, reason=WITHDRAWN)
    assert withdrawn().when(reason).result == Verdict(withheld=WITHDRAWN)


def test_what_was_published_is_withdrawn_once():
    then = scene().and_given(publish(), WithdrawConsent(job=JOB)).when(WithdrawPictures(job=JOB))
    then.then(PicturesWithdrawn(job=JOB, requester=USER, generations=(DONE,), reason=WITHDRAWN))
    after = scene().and_given(publish(), WithdrawConsent(job=JOB), WithdrawPictures(job=JOB))
    after.when(WithdrawPictures(job=JOB)).then_nothing()
    assert after.when(publish()).then_nothing().result == Verdict(withheld=WITHDRAWN)


def test_a_withdrawal_is_recorded_also_where_nothing_was_published():
    event = PicturesWithdrawn(job=JOB, requester=USER, generations=(), reason=WITHDRAWN)
    withdrawn().when(WithdrawPictures(job=JOB)).then(event)


def test_nothing_is_withdrawn_while_sharing_goes_on():
    scene().and_given(publish()).when(WithdrawPictures(job=JOB)).then_nothing()
    scene().when(WithdrawPictures(job=uid(99))).then_rejected("NOT_FOUND")


REPORTED = WithheldReason.REPORTED


def reported(*, published: bool) -> Scene:
    """One picture of two was reported, and what of the other became."""
    steps = (publish(),) if published else ()
    return scene().and_given(*steps, deliver(LEASE, OWNER, OPEN, state=ResultState.CSAM))


def decide(verdict: moderation.Verdict) -> DecideCase:
    return DecideCase(case=case_of(OPEN), job=JOB, generation=OPEN, verdict=verdict, by=OWNER)


def test_a_report_of_one_picture_leaves_the_others_of_its_job_shared():
    event = PicturesWithdrawn(job=JOB, requester=USER, generations=(), reason=REPORTED)
    reported(published=True).when(WithdrawPictures(job=JOB)).then(event)
    assert reported(published=False).when(publish()).names == ["PicturePublished"]


def test_an_upheld_report_withdraws_them_and_a_dismissed_one_does_not():
    role = GrantRole(user=OWNER, role=Role.MODERATOR)
    event = PicturesWithdrawn(job=JOB, requester=USER, generations=(DONE,), reason=REPORTED)
    upheld = reported(published=True).and_given(role, decide(moderation.Verdict.UPHELD))
    upheld.when(WithdrawPictures(job=JOB)).then(event)
    upheld.when(WithdrawConsent(job=JOB)).then_nothing()
    waiting = reported(published=False).and_given(role, decide(moderation.Verdict.UPHELD))
    waiting.when(publish()).then_rejected("FORBIDDEN", match="reported")
    dismissed = reported(published=False).and_given(role, decide(moderation.Verdict.DISMISSED))
    assert dismissed.when(publish()).names == ["PicturePublished"]


@pytest.mark.parametrize("decided", [None, moderation.Verdict.DISMISSED])
def test_a_picture_that_was_reported_itself_is_withdrawn_and_never_shared_again(decided):
    """It was delivered late and published, and then the worker that had taken it over reports it."""
    taker, other, second = uid(20), uid(21), uid(22)
    outrun = scene().and_given(
        register(other, 3), check_in(taker, other), GrantRole(user=OWNER, role=Role.MODERATOR),
        later(9_000), ExpireLease(lease=LEASE), pop(taker, other, lease=second),
        deliver(LEASE, OWNER, OPEN), publish(OPEN), publish(DONE),
        deliver(second, other, OPEN, state=ResultState.CSAM),
    )  # fmt: skip
    if decided is not None:
        outrun.and_given(decide(decided))
    event = PicturesWithdrawn(job=JOB, requester=USER, generations=(OPEN,), reason=REPORTED)
    outrun.when(WithdrawPictures(job=JOB)).then(event)
    outrun.and_given(WithdrawPictures(job=JOB))
    assert outrun.when(publish(OPEN)).then_nothing().result == Verdict(withheld=REPORTED)
