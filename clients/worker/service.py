"""One run of the worker: its settings, its control surface and its loop, put together and stopped in good order."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from clients.api import Api, RefusedError, endpoint
from clients.worker import settings_file
from clients.worker.backends import BackendError
from clients.worker.control import ControlError, Controls, ControlServer, socket_of
from clients.worker.crafts import Craft
from clients.worker.live import LiveSettings
from clients.worker.loop import Worker
from clients.worker.pacing import PACING, Pacing
from clients.worker.settings import Fault, Settings, SettingsError
from clients.worker.sources import Limits

REFUSED = 2
#: A poll may wait for a minute, and its answer takes a moment.
REQUEST_SECONDS = 90


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the worker is to do."""

    live: LiveSettings
    craft: Craft[Any]
    key: str
    max_jobs: int | None = None
    pacing: Pacing = PACING

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self.live.current

    @property
    def control(self) -> Path | None:
        """Where the worker is spoken to."""
        return socket_of(self.live.path, self.settings.control)


def key_of(settings: Settings) -> str:
    """The owner's key. Raises SettingsError if there is none."""
    key = settings.key
    if not key and settings.key_file:
        try:
            key = Path(settings.key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError([Fault(key="key_file", message=f"cannot be read: {error}")]) from error
    if not key:
        message = "a worker needs an account: give --api-key or set HOARD_API_KEY"
        raise SettingsError([Fault(key="", message=message)])
    return key


async def work(plan: Plan, say: Callable[[str], None]) -> int:
    """Run the worker until it is done or told to stop; the exit code."""
    stop = asyncio.Event()
    _listen(stop, say)
    settings = plan.settings
    limits = Limits(seconds=settings.source_seconds, size=settings.source_megabytes * 2**20)
    try:
        await plan.craft.prepare()
        _introduce(plan, say)
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(
                Api(
                    endpoint(settings.url),
                    plan.key,
                    agent="hoard-worker",
                    on_wait=say,
                    request_seconds=REQUEST_SECONDS,
                )
            )
            storage = await stack.enter_async_context(aiohttp.ClientSession())
            worker = Worker(
                api,
                storage,
                plan.craft,
                plan.craft.offered(settings),
                max_jobs=plan.max_jobs,
                pacing=plan.pacing,
                limits=limits,
                say=say,
            )
            if plan.control is not None:
                controls = _controls(plan, worker, stop, say)
                await stack.enter_async_context(ControlServer(plan.control, controls))
            watching = asyncio.create_task(_watch(plan, worker, say))
            stack.callback(watching.cancel)
            await worker.run(stop)
    except RefusedError as refusal:
        where = f" (at {'.'.join(refusal.path)})" if refusal.path else ""
        say(f"refused: {refusal.code}: {refusal.message}{where}")
        return REFUSED
    except ControlError as error:
        say(str(error))
        return REFUSED
    except BackendError as error:
        say(f"the backend is not ready: {error}")
        return REFUSED
    finally:
        await plan.craft.close()
    say(f"stopped, {worker.delivered} delivered")
    return 0


def _introduce(plan: Plan, say: Callable[[str], None]) -> None:
    """Say who this is, and what is odd about it."""
    offer = plan.craft.offered(plan.settings)
    say(f"{offer.kind} worker {offer.name} for {endpoint(plan.settings.url)}: {', '.join(offer.serves)}")
    say(f"note: {plan.craft.confession}")
    if more := plan.craft.beyond(plan.settings):
        say(f"note: the backend cannot do what the settings offer, so it is not offered: {', '.join(more)}")
    path = plan.live.path
    for secret in (path if plan.settings.key else None, plan.settings.key_file or None):
        if secret is not None and settings_file.exposed(Path(secret).expanduser()):
            say(f"warning: {secret} holds the key and others may read it: chmod 600 {secret}")


def _controls(plan: Plan, worker: Worker, stop: asyncio.Event, say: Callable[[str], None]) -> Controls:
    def change(key: str, text: str, *, save: bool) -> tuple[str, ...]:
        said = plan.live.set(key, text, save=save)
        _adopt(plan, worker, said, say)
        return said

    return Controls(
        standing=lambda: worker.standing(stopping=stop.is_set()),
        pause=worker.halt,
        resume=worker.resume,
        stop=stop.set,
        change=change,
    )


def _adopt(plan: Plan, worker: Worker, said: tuple[str, ...], say: Callable[[str], None]) -> None:
    for line in said:
        say(line)
    if said:
        worker.adopt(plan.craft.offered(plan.settings))


async def _watch(plan: Plan, worker: Worker, say: Callable[[str], None]) -> None:
    """Read the file again whenever it changes."""
    while True:
        await asyncio.sleep(plan.pacing.reread)
        try:
            _adopt(plan, worker, plan.live.reread(), say)
        except SettingsError as error:
            say("the settings have changed, but are not taken:")
            for fault in error.faults:
                say(f"  {fault.key}: {fault.message}" if fault.key else f"  {fault.message}")


def _listen(stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Stop in good order at the first signal; a second one of the kind ends the process at once."""
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        say("stopping: delivering what is done, giving back the rest")
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number)
