"""The ways the worker waits: for the first of several things, or for some seconds unless something happens."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


async def first_of(tasks: Iterable[asyncio.Task[Any]], *events: asyncio.Event) -> None:
    """Wait until one of the tasks is done or one of the events is set; the tasks go on."""
    bells = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait({*tasks, *bells}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for bell in bells:
            bell.cancel()


async def pause(seconds: float, *events: asyncio.Event) -> None:
    """Sleep, but wake at once when one of the events is set."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await first_of((), *events)
