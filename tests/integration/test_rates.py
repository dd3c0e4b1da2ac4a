"""Hits that are told to Valkey in the background count for all processes, and hold up nobody."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from limits import RateLimitItemPerMinute

from app.platform import rates
from app.platform.rates import TALLY_SECONDS, Rates
from app.platform.settings import Settings

pytestmark = pytest.mark.anyio

LIMIT = RateLimitItemPerMinute(50)


@pytest.fixture
async def two(database: Settings) -> AsyncIterator[tuple[Rates, Rates]]:
    """Two processes' rates."""
    made = (
        Rates(database.redis_url, "pepper", enabled=True),
        Rates(database.redis_url, "pepper", enabled=True),
    )
    yield made
    for each in made:
        await each.close()


async def test_processes_count_together_and_say_when_to_come_again(two: tuple[Rates, Rates]):
    who = str(uuid4())
    for number in range(60):
        two[number % 2].tally(LIMIT, "test", who)
    await asyncio.sleep(3 * TALLY_SECONDS)
    for each in two:
        each.tally(LIMIT, "test", who)
    await asyncio.sleep(3 * TALLY_SECONDS)
    for each in two:
        delay = each.tally(LIMIT, "test", who)
        assert delay is not None
        assert 0 < delay <= 60
        assert each.tally(LIMIT, "test", str(uuid4())) is None


async def test_a_burst_is_noticed_before_valkey_is_told(two: tuple[Rates, Rates]):
    answers = [two[0].tally(LIMIT, "test", "burst") for _ in range(60)]
    assert answers == [None] * 50 + [TALLY_SECONDS] * 10


async def test_without_valkey_nothing_is_limited():
    alone = Rates("redis://127.0.0.1:1", "pepper", enabled=True)
    for _ in range(60):
        alone.tally(LIMIT, "test", "anybody")
    await asyncio.sleep(2 * TALLY_SECONDS + rates.PATIENCE_SECONDS)
    assert alone.tally(LIMIT, "test", "anybody") is None
    await alone.close()


async def test_a_connection_that_dies_between_two_writes_limits_nobody_either(
    two: tuple[Rates, Rates], monkeypatch: pytest.MonkeyPatch
):
    """What uvloop says then is no error of the client's library."""

    async def dies(*_: object, **__: object) -> bool:
        raise RuntimeError(
            "unable to perform operation on <UnixTransport closed=True>; the handler is closed"
        )

    monkeypatch.setattr(two[0]._limiter, "hit", dies)
    assert await two[0].delay(LIMIT, "test", "anybody") is None


async def test_nobody_is_told_about_any_more_when_nothing_comes(two: tuple[Rates, Rates]):
    two[0].tally(LIMIT, "test", "once")
    await asyncio.sleep(4 * TALLY_SECONDS)
    assert two[0]._telling is None
