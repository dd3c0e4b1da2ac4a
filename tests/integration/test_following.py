"""Following jobs in one process: what it costs, that everybody gets the last word, and submissions that wait for it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.jobs import following as module
from app.jobs.decider import CancelJob
from app.jobs.following import Look, following, until_ended
from app.jobs.queries import JOBS
from app.jobs.standing import _AHEAD
from app.main import make_services, run_services
from app.platform.commands import Command, Done
from app.platform.database import Pool
from app.platform.graphql.context import Client
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from tests.factories import grant, open_realm, register, submit
from tests.graphql_toy import until

pytestmark = pytest.mark.anyio

ALICE, RICH = uuid4(), uuid4()


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        for command in (register(ALICE), register(RICH), grant(ALICE, 100_000), grant(RICH, 90_000_000)):
            await commit(made, command)
        yield made


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each statement was run; the tail's own are not among them."""
    counted: Counter[str] = Counter()
    fetch = Pool.fetch

    async def noting(self: Pool, text: str, parameters: Any) -> Any:
        counted[text] += 1
        return await fetch(self, text, parameters)

    monkeypatch.setattr(Pool, "fetch", noting)
    return counted


async def commit(services: Services, command: Command) -> Done:
    done = await services.execute(command, actor=ALICE)
    assert isinstance(done, Done), done
    return done


async def submitted(services: Services, user: UUID = ALICE) -> UUID:
    """A job that the tail has heard of: who follows it later is told of nothing new."""
    command = submit(user)
    done = await commit(services, command)
    await until(lambda: services.tail.position >= done.position)
    return command.job


class Watcher:
    """A subscriber, and what it was shown."""

    def __init__(self, services: Services, job: UUID) -> None:
        self.seen: list[Look] = []
        self.task = asyncio.create_task(self._watch(services, job))

    async def _watch(self, services: Services, job: UUID) -> None:
        with following(services).follow(job, placed=True) as followed:
            async for look in followed.looks():
                self.seen.append(look)
                await look.generations()

    @property
    def places(self) -> list[int | None]:
        return [look.standing.position if look.standing else None for look in self.seen]


async def test_what_does_not_change_costs_nothing_however_many_follow_it(
    services: Services, statements: Counter[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "POSITION_SECONDS", 0.2)
    jobs = [await submitted(services) for _ in range(4)]
    watchers = [Watcher(services, job) for job in jobs for _ in range(25)]
    await until(lambda: all(watcher.seen for watcher in watchers))
    assert statements[JOBS.text] == 4, "one read for all who follow the same job"
    await asyncio.sleep(1.0)
    statements.clear()
    await asyncio.sleep(1.5)
    assert not statements
    await commit(services, CancelJob(job=jobs[0]))
    await asyncio.gather(*(watcher.task for watcher in watchers[:25]))
    assert all(watcher.seen[-1].row.final for watcher in watchers[:25])
    assert statements[JOBS.text] <= 2
    for watcher in watchers[25:]:
        watcher.task.cancel()
    await asyncio.gather(*(watcher.task for watcher in watchers[25:]), return_exceptions=True)
    assert not following(services)._jobs
    await until(lambda: following(services)._ticking is None)
    assert not services.tail._watchers


async def test_places_of_all_followed_jobs_are_found_together_and_told_when_others_overtake(
    services: Services, statements: Counter[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "POSITION_SECONDS", 0.3)
    jobs = [await submitted(services) for _ in range(10)]
    watchers = [Watcher(services, job) for job in jobs for _ in range(3)]
    await until(lambda: all(watcher.seen for watcher in watchers))
    await asyncio.sleep(1.5)
    assert sorted(place for watcher in watchers[::3] for place in watcher.places[-1:] if place) == list(
        range(1, 11)
    )
    statements.clear()
    await submitted(services, RICH)
    await until(lambda: all(watcher.places[-1] in range(2, 12) for watcher in watchers))
    assert min(watcher.places[-1] or 0 for watcher in watchers) == 2
    assert statements[JOBS.text] == 0, "none of them changed"
    assert statements[_AHEAD.text] <= 8, "one for all of them, not one for each"
    for watcher in watchers:
        watcher.task.cancel()


async def test_a_follower_that_comes_later_gets_the_present_state_and_its_place(services: Services):
    job = await submitted(services)
    with following(services).follow(job, placed=False) as followed:
        async for look in followed.looks():
            assert look.standing is None
            break
        later = Watcher(services, job)
        await until(lambda: bool(later.places))
        assert later.places == [1]
        await commit(services, CancelJob(job=job))
        await later.task
        assert later.seen[-1].row.final


async def test_a_submission_waits_until_its_job_has_ended(services: Services):
    job = await submitted(services)
    waiting = asyncio.create_task(until_ended(services, job, 20, Client()))
    await until(lambda: services.submissions.taken == 1)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await commit(services, CancelJob(job=job))
    started = time.monotonic()
    assert (await waiting).final
    assert time.monotonic() - started < 0.3
    assert services.submissions.taken == 0
    assert (await until_ended(services, job, 20, Client())).final, "at once: it had ended before"


async def test_a_submission_waits_no_longer_than_it_said_nor_than_its_client(services: Services):
    job = await submitted(services)
    started = time.monotonic()
    assert not (await until_ended(services, job, 0.3, Client())).final
    assert 0.3 <= time.monotonic() - started < 1.0
    client = Client()
    waiting = asyncio.create_task(until_ended(services, job, 20, client))
    await until(lambda: services.submissions.taken == 1)
    client.leave()
    async with asyncio.timeout(1):
        assert not (await waiting).final
    assert services.submissions.taken == 0
    assert not following(services)._jobs
    assert not services.tail._watchers


async def test_submissions_beyond_the_room_of_a_process_are_answered_at_once(services: Services):
    job = await submitted(services)
    services.submissions.limit = 1
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(until_ended(services, job, 20, Client()))
        await until(lambda: services.submissions.taken == 1)
        async with asyncio.timeout(1):
            assert not (await until_ended(services, job, 20, Client())).final
        waiting.cancel()


async def test_waiting_submissions_are_no_reason_to_look_up_places(
    services: Services, statements: Counter[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "POSITION_SECONDS", 0.1)
    jobs = [await submitted(services) for _ in range(5)]
    waiting = [asyncio.create_task(until_ended(services, job, 20, Client())) for job in jobs]
    await until(lambda: services.submissions.taken == 5)
    await submitted(services, RICH)
    await asyncio.sleep(0.5)
    assert statements[_AHEAD.text] == 0
    for task in waiting:
        task.cancel()
