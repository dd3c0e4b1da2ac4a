"""Folds refuse what cannot have happened, and the summaries of the queue follow from job rows."""

from typing import Any

import pytest
from msgspec.structs import replace

from events.accounts import RoleGranted, UserRegistered
from events.base import ANONYMOUS, Event, Fact
from events.jobs import (
    GenerationFaulted,
    GenerationsLeased,
    HoldCaptured,
    HoldPlaced,
    JobKind,
    JobState,
    LeaseExtended,
)
from events.kudos import KudosGranted, KudosTransferred
from projections import accounts, generations, jobs, leases, queue, throughput, workers
from projections.base import FoldError
from projections.jobs import Job
from projections.queue import NSFW, POST_PROCESSING, Demand
from projections.registry import ALL, INLINE, VERSIONS
from projections.store import derived
from tests.factories import START, check_in, grant, register, submit, uid
from tests.given import given

ALICE, BOB, JOB, G1, WORKER, LEASE = uid(1), uid(2), uid(10), uid(11), uid(20), uid(30)


def waiting(**changes: Any) -> Job:
    """A job of Alice that waits."""
    scene = given(register(ALICE), submit(ALICE, job=JOB, generations=(G1, uid(12)), **changes))
    return scene.log.jobs()[JOB]


def fold(fold_of: Any, row: Any, event: Event) -> Any:
    return fold_of(JOB, row, Fact(7, START, event))


def test_a_fact_about_nothing_is_an_error():
    leased = GenerationsLeased(
        job=JOB,
        requester=ALICE,
        lease=LEASE,
        worker=WORKER,
        owner=BOB,
        generations=(G1,),
        model="a",
        expires_at=START,
    )
    role = RoleGranted(user=ALICE, role="trusted")  # type: ignore[arg-type]
    for projection, event in (
        (accounts, role),
        (jobs, leased),
        (generations, leased),
        (leases, LeaseExtended(job=JOB, requester=ALICE, lease=LEASE, expires_at=START)),
    ):
        with pytest.raises(FoldError, match="happened to nothing"):
            projection.evolve(JOB, None, Fact(1, START, event))
    declared = given(register(BOB), check_in(WORKER, BOB)).log.facts[-1]
    with pytest.raises(FoldError, match="happened to nothing"):
        workers.evolve(WORKER, None, declared)


def test_an_account_opens_once():
    scene = given(register(ALICE))
    with pytest.raises(FoldError, match="opened twice"):
        accounts.evolve(
            ALICE, scene.log.accounts()[ALICE], Fact(2, START, UserRegistered(user=ALICE, key=uid(3)))
        )


@pytest.mark.parametrize(
    "event",
    [
        KudosTransferred(
            source=ALICE, target=BOB, amount=101, postings=((f"user:{ALICE}", -101), (f"user:{BOB}", 101))
        ),
        HoldPlaced(job=JOB, requester=ALICE, amount=101),
        HoldCaptured(job=JOB, requester=ALICE, generation=G1, amount=1),
    ],
    ids=["overdrawn", "more held than there is", "captured what was not held"],
)
def test_a_broken_balance_is_no_state(event: Event):
    scene = given(register(ALICE), grant(ALICE, 100))
    with pytest.raises(FoldError, match="stands at"):
        accounts.evolve(ALICE, scene.log.accounts()[ALICE], Fact(9, START, event))


def test_a_job_that_does_not_add_up_is_no_state():
    job = waiting()
    taken = GenerationsLeased(
        job=JOB, requester=ALICE, lease=LEASE, worker=WORKER, owner=BOB,
        generations=(G1, uid(12), uid(13)), model="a", expires_at=START,
    )  # fmt: skip
    with pytest.raises(FoldError, match="does not add up"):
        fold(jobs.evolve, job, taken)
    with pytest.raises(FoldError, match="does not add up"):
        fold(jobs.evolve, job, HoldCaptured(job=JOB, requester=ALICE, generation=G1, amount=1))
    assert fold(jobs.evolve, job, GenerationFaulted(job=JOB, requester=ALICE, generation=G1)).faulted == 1


def test_each_projection_is_named_once_and_keyed_by_its_first_field():
    assert len(VERSIONS) == len(ALL)
    assert [projection.key for projection in INLINE] == ["id"] * len(INLINE)
    assert throughput.PROJECTION.key == "key"


def test_kudos_of_strangers_do_not_touch_an_account():
    event = KudosGranted(user=BOB, amount=5, postings=(("system:treasury", -5), (f"user:{BOB}", 5)))
    assert accounts.keys(Fact(1, START, event)) == (BOB,)
    assert accounts.Account(ANONYMOUS, -5000, 0, 0, 0, 0, 0, (), START).anonymous


# --- the queue


class Server:
    owner, models, max_size, allowed, kind = BOB, ("a", "b"), 512 * 512, NSFW, JobKind.IMAGE


@pytest.mark.parametrize(
    ("models", "mask", "pixels", "missing"),
    [
        (("a",), 0, 512 * 512, None),
        ((), NSFW, 64, None),
        (("c", "b"), 0, 64, None),
        ((queue.ANY_MODEL,), 0, 64, None),
        (("c",), POST_PROCESSING, 10**9, "models"),
        (("a",), POST_PROCESSING, 512 * 512 + 1, "max_pixels"),
        (("a",), POST_PROCESSING | NSFW, 64, "post_processing"),
    ],
)
def test_what_a_worker_lacks(models: Any, mask: int, pixels: int, missing: str | None):
    assert queue.unmet(Server(), models, mask, pixels) == missing


def test_a_worker_that_allows_nothing_lacks_nsfw_first():
    class Prude(Server):
        allowed = 0

    assert queue.unmet(Prude(), ("a",), NSFW | POST_PROCESSING, 64) == "nsfw"


def test_a_job_has_a_place_for_each_model_or_one_for_any():
    assert [entry.model for entry in queue.entries(waiting(models=("x", "y")))] == ["x", "y"]
    assert [entry.model for entry in queue.entries(waiting(models=()))] == ["*plain"]
    before = replace(waiting(), models=(), offers=())
    assert [entry.model for entry in queue.entries(before)] == [queue.ANY_MODEL]


def test_only_what_waits_and_is_not_closed_is_offered():
    job = waiting()
    assert queue.waits(job)
    assert not queue.waits(None)
    assert not queue.waits(replace(job, waiting=0))
    assert not queue.waits(replace(job, state=JobState.CANCELLED))


def test_buckets_of_ranks_round_down_below_zero_too():
    assert [queue.bucket(rank) for rank in (-1, 0, queue.BUCKET - 1, queue.BUCKET, -queue.BUCKET)] == [
        -1,
        0,
        0,
        1,
        -1,
    ]


def test_the_change_of_a_batch_is_that_of_its_jobs_before_and_after():
    job = waiting(models=("x", "y"))
    less = replace(job, waiting=1)
    gone = replace(job, waiting=0)
    came = derived.change_of([(None, job)])
    assert ([e.model for e in came.added], came.removed) == (["x", "y"], [])
    assert came.demand[Demand(JobKind.IMAGE, ("x", "y"), job.mask, job.size, chosen=False)] == {
        "jobs": 1, "generations": 2, "work": 2 * job.work, "reward": 2 * job.price,
    }  # fmt: skip
    shrank = derived.change_of([(job, less)])
    assert (shrank.added, shrank.removed) == ([], [])
    assert shrank.histogram[JobKind.IMAGE, queue.bucket(job.rank)] == {
        "jobs": 0,
        "generations": -1,
        "work": -job.work,
    }
    went = derived.change_of([(job, gone)])
    assert [e.model for e in went.removed] == ["x", "y"]
    assert derived.statements(0, derived.change_of([(job, job), (None, gone), (gone, None)])) == []
