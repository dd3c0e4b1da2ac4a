"""Reads go in groups: what waits shares a round trip, and shares no faults and no waits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from app.platform import database as reading
from app.platform.database import POOL_SIZE, Pool
from app.platform.graphql.top_level import ApiError
from app.platform.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(database: Settings) -> AsyncIterator[Pool]:
    async with Pool(database.database_url) as opened:
        yield opened


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements went in each round trip."""
    sizes: list[int] = []
    together = reading._together

    async def counted(group: Any, connection: Any) -> Any:
        sizes.append(len(group))
        return await together(group, connection)

    monkeypatch.setattr(reading, "_together", counted)
    return sizes


async def number(pool: Pool, wanted: int) -> int:
    ((found,),) = await pool.fetch("SELECT %(n)s::bigint", {"n": wanted})
    return int(found)


async def test_what_waits_shares_round_trips_and_each_gets_its_own_answer(pool: Pool, trips: list[int]):
    assert await asyncio.gather(*(number(pool, n) for n in range(100))) == list(range(100))
    assert sum(trips) == 100
    assert len(trips) <= 100 // reading.GROUP + 3 * reading.TRIPS
    assert max(trips) == reading.GROUP


async def test_a_statement_that_fails_fails_alone(pool: Pool):
    async def wrong() -> Any:
        return await pool.fetch("SELECT 1 / %(n)s::bigint", {"n": 0})

    tasks = [number(pool, n) if n % 5 else wrong() for n in range(20)]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(a, psycopg.errors.DivisionByZero) for a in answers] == [n % 5 == 0 for n in range(20)]
    assert [a for a in answers if isinstance(a, int)] == [n for n in range(20) if n % 5]


async def test_what_cannot_be_sent_fails_alone(pool: Pool):
    async def wrong() -> Any:
        return await pool.fetch("SELECT %(n)s::text", {"n": "\ud800"})

    tasks = [number(pool, n) if n % 5 else wrong() for n in range(20)]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, UnicodeEncodeError) for answer in answers] == [n % 5 == 0 for n in range(20)]
    assert await number(pool, 1) == 1


async def test_slow_statements_hold_up_nobody_but_themselves(pool: Pool):
    slow = []
    for _ in range(POOL_SIZE - 1):  # one after the other: together they would be one group
        slow.append(asyncio.ensure_future(pool.fetch("SELECT pg_sleep(%(s)s)", {"s": 4})))
        await asyncio.sleep(0.1)
    answers = await asyncio.wait_for(asyncio.gather(*(number(pool, n) for n in range(40))), 2.0)
    assert answers == list(range(40))
    assert not any(task.done() for task in slow)
    await asyncio.gather(*slow)


async def test_who_has_gone_is_not_answered_and_the_others_are(pool: Pool):
    tasks = [asyncio.ensure_future(number(pool, n)) for n in range(30)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1::2] == list(range(1, 30, 2))


async def test_groups_outlive_their_connections(pool: Pool, owner: psycopg.Connection[Any]):
    await asyncio.gather(*(number(pool, n) for n in range(30)))
    owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hoard-read'"
    )
    answers = await asyncio.gather(*(number(pool, n) for n in range(30)), return_exceptions=True)
    assert all(answer == n or isinstance(answer, ApiError) for n, answer in enumerate(answers))
    assert await asyncio.gather(*(number(pool, n) for n in range(30))) == list(range(30))
