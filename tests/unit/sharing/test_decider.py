"""A verdict on a shared picture: only for what was delivered OK and is shared, and only once."""

from uuid import UUID

import pytest

from app.platform.commands import rules
from app.sharing.decider import RULES as SHARING
from app.sharing.decider import PublishPicture, Verdict, WithholdPicture
from app.workers.lease_decider import ResultState
from events.sharing import PicturePublished, PictureWithheld, WithheldReason
from tests.factories import RULES, check_in, deliver, grant, pop, register, submit, uid
from tests.given import Scene
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
