"""The tail lives through whatever goes wrong, loses nothing over it, and a process shows when it stands still."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app import main
from app.main import make_services, readiness, run_services
from app.platform import tail as tailing
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from events.base import Recorded
from events.store import log
from tests.factories import open_realm, register
from tests.graphql_toy import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def services(
    settings: Settings, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    monkeypatch.setattr(tailing, "RECONNECT_SECONDS", 0.05)
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        yield made


async def commit(services: Services) -> int:
    done = await services.execute(register(), actor=uuid4())
    return done.position  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "fault", [RuntimeError("no such luck"), psycopg.OperationalError("gone"), KeyError(1)]
)
async def test_whatever_breaks_a_read_is_tried_again_and_nothing_is_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch, fault: Exception
):
    heard: list[int] = []
    services.tail.listen(lambda page: heard.extend(event.position for event in page))
    real, broken = log.follow_pages, 0

    def breaking(*given: Any) -> Any:
        nonlocal broken
        if broken < 3:
            broken += 1
            raise fault
        return real(*given)

    start = services.tail.position
    monkeypatch.setattr(log, "follow_pages", breaking)
    last = await commit(services)
    await until(lambda: services.tail.position == last)
    assert broken == 3
    assert heard == list(range(start + 1, last + 1))


async def test_a_listener_that_breaks_takes_nothing_from_the_others(services: Services):
    heard: list[int] = []

    def breaks(page: Sequence[Recorded]) -> None:
        raise RuntimeError(len(page))

    services.tail.listen(breaks)
    services.tail.listen(lambda page: heard.extend(event.position for event in page))
    last = [await commit(services) for _ in range(3)][-1]
    await until(lambda: bool(heard) and heard[-1] == last)


async def test_a_cut_connection_is_replaced(services: Services, owner: psycopg.Connection[Any]):
    def pids() -> list[int]:
        found = owner.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'hoard-tail'")
        return [pid for (pid,) in found if pid]

    before = pids()
    owner.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS t(pid)", (before,))
    last = await commit(services)
    await until(lambda: services.tail.position == last)
    assert set(pids()).isdisjoint(before)


async def test_readiness_tells_of_a_tail_that_stands_still(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    answer = await readiness(services)
    assert answer.status_code == 200
    assert json.loads(answer.body)["tail_silent_seconds"] < 1.0

    async def stuck(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(main, "TAIL_SILENT_SECONDS", 0.6)
    await services.tail.stop()
    monkeypatch.setattr(services.tail, "_follow", stuck)
    services.tail._task = asyncio.create_task(services.tail._run())
    await asyncio.sleep(0.8)
    answer = await readiness(services)
    assert answer.status_code == 503
    assert json.loads(answer.body)["status"] == "tail stands still"
