"""Polls that wait, with the real services: what wakes them, what does not, and who gets nothing any more."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.main import make_services, run_services
from app.platform.commands import Command, Done, Rejection
from app.platform.database import Pool
from app.platform.graphql.context import Client
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.workers import polling
from app.workers.capabilities import Polled
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import ReleaseLease, ResultState
from app.workers.polling import Leased, Nothing, pop_job
from app.workers.queries import BY_NAME
from events.store import log
from tests.factories import (
    capabilities,
    check_in,
    deliver,
    grant,
    many_workers,
    open_realm,
    pop,
    register,
    submit,
)
from tests.graphql_toy import until

pytestmark = pytest.mark.anyio

CLIENT, HOST = uuid4(), uuid4()


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    """Running services with a client that has kudos and a host."""
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        for command in (register(CLIENT), register(HOST), many_workers(HOST), grant(CLIENT, 100_000)):
            await commit(made, command)
        yield made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each worker's poll looked at the queue."""
    counted: Counter[str] = Counter()
    real = polling._Pop.attempt

    async def counting(pop: Any) -> Any:
        answer = await real(pop)
        counted[pop._poll.name] += 1
        return answer

    monkeypatch.setattr(polling._Pop, "attempt", counting)
    return counted


async def commit(services: Services, command: Command) -> Done:
    done = await services.execute(command, actor=CLIENT)
    assert isinstance(done, Done), done
    return done


async def ask(
    services: Services,
    name: str,
    *models: str,
    wait: int = 20,
    client: Client | None = None,
    owner: UUID = HOST,
    amount: int = 1,
    blacklist: tuple[str, ...] = (),
) -> Any:
    poll = Polled(
        name=name,
        amount=amount,
        wait_seconds=wait,
        blacklist=blacklist,
        capabilities=capabilities(models),
    )
    return await pop_job(services, owner, poll, None, poll, client)


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
    real, looked, heard = polling._Pop.attempt, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any) -> Any:
        answer = await real(*given)
        looked.set()
        await heard.wait()
        return answer

    monkeypatch.setattr(polling._Pop, "attempt", slow)
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


async def test_a_job_wakes_as_many_polls_as_it_has_work_for_the_longest_waiting_first(
    services: Services, looks: Counter[str]
):
    names = [f"worker {number}" for number in range(12)]
    async with asyncio.TaskGroup() as group:
        polls = []
        for name in names:
            polls.append(group.create_task(ask(services, name, "red")))
            await until(lambda name=name: looks[name])
        await commit(services, submit(CLIENT, models=("red",)))
        assert isinstance(await polls[0], Leased)
        await commit(services, submit(CLIENT, models=("red", "blue"), n=3))
        for poll in polls[1:4]:
            assert isinstance(await poll, Leased)
        await asyncio.sleep(0.5)
        assert [looks[name] for name in names] == [2] * 4 + [1] * 8
        assert [poll.done() for poll in polls] == [True] * 4 + [False] * 8
        for poll in polls[4:]:
            poll.cancel()


async def test_a_poll_that_takes_several_pictures_is_woken_alone(services: Services, looks: Counter[str]):
    async with asyncio.TaskGroup() as group:
        large = group.create_task(ask(services, "large", "red", amount=3))
        await until(lambda: looks["large"])
        small = group.create_task(ask(services, "small", "red"))
        await until(lambda: looks["small"])
        await commit(services, submit(CLIENT, models=("red",), n=3))
        assert isinstance(await large, Leased)
        await asyncio.sleep(0.3)
        assert looks["small"] == 1
        small.cancel()


async def test_the_requesters_own_worker_is_woken_first(services: Services, looks: Counter[str]):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ask(services, "first", "red"))
        await until(lambda: looks["first"])
        own = group.create_task(ask(services, "own", "red", owner=CLIENT))
        await until(lambda: looks["own"])
        await commit(services, submit(CLIENT, models=("red",)))
        assert isinstance(await own, Leased)
        assert looks["first"] == 1
        first.cancel()


async def test_who_turns_a_job_down_hands_it_on(services: Services, looks: Counter[str]):
    async with asyncio.TaskGroup() as group:
        dainty = group.create_task(ask(services, "dainty", "red", blacklist=("cat",)))
        await until(lambda: looks["dainty"])
        gone = Client()
        left = group.create_task(ask(services, "left", "red", client=gone))
        await until(lambda: looks["left"])
        heir = group.create_task(ask(services, "heir", "red"))
        await until(lambda: looks["heir"])
        gone.leave()
        await commit(services, submit(CLIENT, models=("red",), prompt="a cat"))
        started = time.monotonic()
        assert isinstance(await heir, Leased)
        assert time.monotonic() - started < 0.5
        assert isinstance(await left, Nothing)
        assert looks == {"dainty": 2, "left": 1, "heir": 2}
        dainty.cancel()
    await until(lambda: not services.polls._offers)


async def test_what_is_given_back_or_failed_wakes_one_more(services: Services, looks: Counter[str]):
    able = capabilities(("red",))
    holder = uuid4()
    await commit(services, check_in(holder, HOST, able))
    job = submit(CLIENT, models=("red",), n=2)
    await commit(services, job)
    taken = pop(holder, HOST, able, amount=2)
    await commit(services, taken)
    async with asyncio.TaskGroup() as group:
        polls = []
        for name in ("a", "b", "c"):
            polls.append(group.create_task(ask(services, name, "red")))
            await until(lambda name=name: looks[name])
        failed = deliver(taken.lease, HOST, job.generations[0], state=ResultState.FAULTED)
        await services.execute(failed, actor=HOST)
        assert isinstance(await polls[0], Leased)
        await services.execute(ReleaseLease(lease=taken.lease, owner=HOST), actor=HOST)
        assert isinstance(await polls[1], Leased)
        await asyncio.sleep(0.3)
        assert looks == {"a": 2, "b": 2, "c": 1}
        polls[2].cancel()


async def test_a_worker_in_maintenance_is_not_woken_for_others(services: Services, looks: Counter[str]):
    async with asyncio.TaskGroup() as group:
        await ask(services, "resting", "red", wait=0)
        worker = (await BY_NAME.one(services.pool, realm=services.realm, name="resting")).worker  # type: ignore[union-attr]
        await commit(services, SetMaintenance(worker=worker.id, owner=HOST, maintenance=True, message=""))
        looks.clear()
        resting = group.create_task(ask(services, "resting", "red"))
        await until(lambda: looks["resting"])
        await commit(services, submit(CLIENT, models=("red",)))
        await asyncio.sleep(0.3)
        assert looks["resting"] == 1
        await commit(services, submit(HOST, models=("red",)))
        assert isinstance(await resting, Leased)


async def test_polls_beyond_the_room_of_a_process_are_sent_away(services: Services, looks: Counter[str]):
    services.polls._room.limit = 2
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(ask(services, name, "red")) for name in ("a", "b")]
        await until(lambda: looks == {"a": 1, "b": 1})
        answer = await ask(services, "c", "red")
        assert isinstance(answer, Rejection)
        assert (answer.code, answer.detail) == ("TRY_AGAIN", {"retry_after_seconds": 5.0})
        for poll in polls:
            poll.cancel()
    await commit(services, submit(CLIENT, models=("red",)))
    services.polls._room.limit = 0
    assert isinstance(await ask(services, "c", "red"), Leased), "what is there is given nevertheless"


async def test_waiting_costs_no_statement(
    services: Services, looks: Counter[str], owner: psycopg.Connection[Any]
):
    statements: list[str] = []
    execute, fetch = psycopg.AsyncConnection.execute, Pool.fetch

    async def noting(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(query)
        return await execute(self, query, *arguments, **options)

    async def noting_too(self: Pool, text: str, parameters: Any) -> Any:
        statements.append(text)
        return await fetch(self, text, parameters)

    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(ask(services, f"idle {number}", "red")) for number in range(60)]
        await until(lambda: len(looks) == 60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.AsyncConnection, "execute", noting)
            patch.setattr(Pool, "fetch", noting_too)
            await asyncio.sleep(2.0)
        for poll in polls:
            poll.cancel()
    assert set(statements) == {log.READ}, "the tail's own look, of which a process has one"
    assert len(statements) <= 10
    assert sum(looks.values()) == 60


async def test_a_worker_waits_once(services: Services, looks: Counter[str]):
    first = asyncio.create_task(ask(services, "one", "red"))
    await until(lambda: looks["one"] == 1)
    second = asyncio.create_task(ask(services, "one", "red"))
    async with asyncio.timeout(1):
        assert isinstance(await first, Nothing)
    await until(lambda: looks["one"] == 2)
    await commit(services, submit(CLIENT, models=("red",)))
    assert isinstance(await second, Leased)
    await until(lambda: not services.polls._offers)
    assert not services.polls._polls
    assert not services.polls._by_model
    assert not services.polls._leaving
