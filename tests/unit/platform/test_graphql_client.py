"""Who waits long hears that nobody waits for the answer any more; who does not ask costs nothing."""

import asyncio

import pytest

from app.platform.graphql.context import Client

pytestmark = pytest.mark.anyio


async def test_flags_rise_when_the_client_leaves_and_when_it_has_left():
    client, early, late = Client(), asyncio.Event(), asyncio.Event()
    client.tell(early)
    assert (client.gone, early.is_set()) == (False, False)
    client.leave()
    assert (client.gone, early.is_set()) == (True, True)
    client.tell(late)
    assert late.is_set()


async def test_nothing_is_watched_until_somebody_asks_and_then_once():
    started, left = [], asyncio.Event()

    async def watch() -> None:
        started.append(1)
        await left.wait()

    client, flags = Client(watch), [asyncio.Event(), asyncio.Event()]
    await asyncio.sleep(0)
    assert not started
    for flag in flags:
        client.tell(flag)
    await asyncio.sleep(0)
    assert started == [1]
    assert not client.gone
    left.set()
    async with asyncio.timeout(1):
        for flag in flags:
            await flag.wait()
    assert client.gone


async def test_an_answered_operation_is_watched_no_longer():
    ended = []

    async def watch() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    client = Client(watch)
    client.tell(asyncio.Event())
    await asyncio.sleep(0)
    client.leave()
    await asyncio.sleep(0)
    assert ended == [1]
