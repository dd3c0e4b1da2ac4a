"""Polls that wait, with the real services: what wakes them, what does not, and who gets nothing any more."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.main import make_services, run_services
from app.platform.commands import Command, Done
from app.platform.graphql.context import Client
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.workers import polling
from app.workers.capabilities import Polled
from app.workers.polling import Leased, Nothing, pop_job
from tests.factories import capabilities, grant, open_realm, register, submit
from tests.graphql_toy import until

pytestmark = pytest.mark.anyio

CLIENT, HOST = uuid4(), uuid4()


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    """Running services with a client that has kudos and a host."""
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        for command in (register(CLIENT), register(HOST), grant(CLIENT, 100_000)):
            await commit(made, command)
        yield made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each worker's poll looked at the queue."""
    counted: Counter[str] = Counter()
    real = polling._attempt

    async def counting(services: Services, actor: UUID, poll: Polled, *more: Any) -> Any:
        answer = await real(services, actor, poll, *more)
        counted[poll.name] += 1
        return answer

    monkeypatch.setattr(polling, "_attempt", counting)
    return counted


async def commit(services: Services, command: Command) -> Done:
    done = await services.execute(command, actor=CLIENT)
    assert isinstance(done, Done), done
    return done


async def ask(
    services: Services, name: str, *models: str, wait: int = 20, client: Client | None = None
) -> Any:
    poll = Polled(name=name, amount=1, wait_seconds=wait, blacklist=(), capabilities=capabilities(models))
    return await pop_job(services, HOST, poll, None, poll, client)


async def test_a_job_wakes_the_polls_that_may_take_it_and_no_other(services: Services, looks: Counter[str]):
    async with asyncio.TaskGroup() as group:
        fitting = group.create_task(ask(services, "fitting", "red", "green"))
        other = group.create_task(ask(services, "other", "blue"))
        await until(lambda: looks == {"fitting": 1, "other": 1})
        await commit(services, submit(CLIENT, models=("green", "yellow")))
        assert isinstance(await fitting, Leased)
        await asyncio.sleep(0.5)
        assert looks == {"fitting": 2, "other": 1}
        assert not other.done()
        await commit(services, submit(CLIENT, models=()))
        assert isinstance(await other, Leased)
    assert looks == {"fitting": 2, "other": 2}


async def test_a_job_that_comes_while_a_poll_looks_is_not_missed(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    """The first look ends long after the process has heard of the job, and has not seen it."""
    real, looked, heard = polling._attempt, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any) -> Any:
        answer = await real(*given)
        looked.set()
        await heard.wait()
        return answer

    monkeypatch.setattr(polling, "_attempt", slow)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ask(services, "slow", "red"))
        await looked.wait()
        done = await commit(services, submit(CLIENT, models=("red",)))
        await until(lambda: services.tail.position >= done.position)
        heard.set()
        started = time.monotonic()
        assert isinstance(await waiting, Leased)
        assert time.monotonic() - started < 0.3


async def test_who_has_hung_up_gets_nothing(services: Services, looks: Counter[str]):
    client = Client()
    waiting = asyncio.create_task(ask(services, "gone", "red", client=client))
    await until(lambda: looks["gone"])
    client.leave()
    async with asyncio.timeout(1):
        assert isinstance(await waiting, Nothing)
    await commit(services, submit(CLIENT, models=("red",)))
    assert isinstance(await ask(services, "gone", "red", client=client), Nothing)
    assert looks["gone"] == 1
    assert isinstance(await ask(services, "there", "red", wait=0), Leased)


async def test_a_worker_waits_once(services: Services, looks: Counter[str]):
    first = asyncio.create_task(ask(services, "one", "red"))
    await until(lambda: looks["one"] == 1)
    second = asyncio.create_task(ask(services, "one", "red"))
    async with asyncio.timeout(1):
        assert isinstance(await first, Nothing)
    await until(lambda: looks["one"] == 2)
    await commit(services, submit(CLIENT, models=("red",)))
    assert isinstance(await second, Leased)
    assert not services.tail._places
    assert not services.tail._watchers
