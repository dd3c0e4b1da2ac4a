"""Jobs whose sources are being fetched: queued, given up, or nobody's business any more."""

from uuid import uuid4

from app.accounts.decider import OpenRealm
from app.jobs.decider import CancelJob, ExpireJob
from app.platform.vault import JobSource, SourceRole
from app.sources.decider import AcceptSources, RefuseSources, Settled
from events.jobs import HoldReleased, JobEnded, JobState, SourceFault, SourcesFetched, SourcesRefused
from projections.generations import GenerationState
from tests.factories import check_in, grant, pop, register, submit, uid
from tests.given import Scene, fetching, given, later

ALICE, BOB, JOB, G1, G2, WORKER = uid(1), uid(2), uid(10), uid(11), uid(12), uid(20)
PEOPLE = (OpenRealm(), register(ALICE), register(BOB), grant(ALICE, 100_000), check_in(WORKER, BOB))
FETCHED = (JobSource(JOB, SourceRole.SOURCE, 0, 1.0, "jobs/x", ""),)
ACCEPT = AcceptSources(job=JOB, sources=FETCHED)
REFUSE = RefuseSources(job=JOB, cause=SourceFault.TOO_SLOW)


def a_job_that_waits_for_its_sources() -> Scene:
    return given(*PEOPLE, *fetching(PEOPLE, submit(ALICE, job=JOB, generations=(G1, G2))))


def served(scene: Scene) -> list[str]:
    return scene.when(pop(WORKER, BOB, amount=2)).names


def test_a_job_is_served_once_its_sources_are_there_and_not_before():
    scene = a_job_that_waits_for_its_sources()
    assert served(scene) == []
    then = scene.when(ACCEPT).then(SourcesFetched(job=JOB, requester=ALICE), result=Settled(settled=True))
    assert then.vault == list(FETCHED)
    scene.and_given(ACCEPT)
    assert served(scene) == ["GenerationsLeased"]


def test_fetching_is_no_reason_to_lose_one_s_place():
    scene = a_job_that_waits_for_its_sources().and_given(later(60), submit(ALICE), ACCEPT)
    (leased,) = scene.when(pop(WORKER, BOB)).events
    assert leased.job == JOB  # type: ignore[attr-defined]


def test_a_job_without_its_source_is_given_up_and_costs_nothing():
    scene = a_job_that_waits_for_its_sources()
    held = scene.log.jobs()[JOB].held
    assert held > 0
    then = scene.when(REFUSE)
    assert sum(event.amount for event in then.events if isinstance(event, HoldReleased)) == held
    assert (
        SourcesRefused(job=JOB, requester=ALICE, generations=(G1, G2), cause=SourceFault.TOO_SLOW)
        in then.events
    )
    assert then.events[-1] == JobEnded(job=JOB, requester=ALICE, state=JobState.FAULTED)
    assert then.result == Settled(settled=True)
    scene.and_given(REFUSE)
    job, account = scene.log.jobs()[JOB], scene.log.accounts()[ALICE]
    assert (job.faulted, job.waiting, job.held, job.charged) == (2, 0, 0, 0)
    assert (job.source_fault, job.final) == (SourceFault.TOO_SLOW, True)
    assert (account.held, account.balance, account.waiting) == (0, 100_000, 0)
    assert {g.state for g in scene.log.generations_of(JOB)} == {GenerationState.FAULTED}
    assert served(scene) == []


def test_whoever_comes_second_changes_nothing():
    for first in (ACCEPT, REFUSE):
        for second in (ACCEPT, REFUSE):
            scene = a_job_that_waits_for_its_sources().and_given(first)
            then = scene.when(second).then_nothing(Settled(settled=False))
            assert then.vault == []


def test_what_was_cancelled_or_expired_meanwhile_stays_so_and_keeps_no_sources():
    for end in (CancelJob(job=JOB), ExpireJob(job=JOB)):
        scene = a_job_that_waits_for_its_sources().and_given(later(1_300), end)
        assert scene.log.jobs()[JOB].final
        assert scene.log.accounts()[ALICE].held == 0
        for late in (ACCEPT, REFUSE):
            assert scene.when(late).then_nothing(Settled(settled=False)).vault == []


def test_fetching_ends_by_itself_after_a_while():
    scene = a_job_that_waits_for_its_sources().and_given(later(1_100))
    scene.when(ExpireJob(job=JOB)).then_nothing()
    scene.and_given(ACCEPT, later(1_100))
    scene.when(ExpireJob(job=JOB)).then_nothing()


def test_a_job_that_there_is_not():
    given(OpenRealm()).when(AcceptSources(job=uuid4(), sources=())).then_rejected("NOT_FOUND")
    given(OpenRealm()).when(RefuseSources(job=uuid4(), cause=SourceFault.NO_IMAGE)).then_rejected("NOT_FOUND")


def test_a_job_that_fetches_nothing_is_neither():
    scene = given(*PEOPLE, submit(ALICE, job=JOB, generations=(G1, G2)))
    for command in (ACCEPT, REFUSE):
        scene.when(command).then_nothing(Settled(settled=False))
