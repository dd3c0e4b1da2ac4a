"""The commands that `hoard` offers of this package: `worker`, which is here, and `generate` from `generate.py`.

What the worker says goes to standard error, one plain line each: ids, sizes, seconds and rewards, never a prompt.
Exit codes: 0 stopped as told, 2 the settings or the account were refused.
"""

import asyncio
import signal
import sys
from datetime import datetime

import aiohttp
import click
import msgspec

from clients.api import Api, RefusedError, endpoint
from clients.generate import generate_command
from clients.worker.backends import Backend
from clients.worker.calls import Offer
from clients.worker.loop import Worker

__all__ = ["generate_command", "worker_command"]

#: Models the procedural backend answers to: its own, and the one that jobs ask for when they do not say.
PROCEDURAL_MODELS = ("procedural", "stable_diffusion")
REFUSED = 2


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the worker is to do."""

    url: str
    key: str
    offer: Offer
    max_jobs: int | None


def _words(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@click.command("worker")
@click.option(
    "--url",
    envvar="HOARD_URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="The server's address, or $HOARD_URL.",
)
@click.option("--name", required=True, help="The worker's name, unique on the server.")
@click.option(
    "--backend", "kind", type=click.Choice(["procedural", "a1111"]), default="procedural", show_default=True
)
@click.option("--a1111-url", default="http://127.0.0.1:7860", show_default=True, help="The WebUI's address.")
@click.option("--models", default="", help="Comma-separated models to serve.")
@click.option("--max-pixels", type=click.IntRange(64 * 64), default=1024 * 1024, show_default=True)
@click.option("--nsfw/--no-nsfw", default=True, show_default=True, help="Whether to take work marked nsfw.")
@click.option(
    "--blacklist", default="", help="Comma-separated words; prompts with one of them are not taken."
)
@click.option("--no-post-processing", is_flag=True, help="Take no work with post-processing.")
@click.option("--threads", type=click.IntRange(1, 50), default=1, show_default=True, help="Leases at a time.")
@click.option(
    "--amount", type=click.IntRange(1, 20), default=1, show_default=True, help="Pictures per lease."
)
@click.option("--once", is_flag=True, help="Stop after one lease; the same as --max-jobs 1.")
@click.option("--max-jobs", type=click.IntRange(1), help="Stop after so many leases.")
@click.option("--api-key", envvar="HOARD_API_KEY", default="", help="The owner's key, or $HOARD_API_KEY.")
def worker_command(
    *,
    url: str,
    name: str,
    kind: str,
    a1111_url: str,
    models: str,
    max_pixels: int,
    nsfw: bool,
    blacklist: str,
    no_post_processing: bool,
    threads: int,
    amount: int,
    once: bool,
    max_jobs: int | None,
    api_key: str,
) -> None:
    """Take image jobs from a server, draw them, and earn kudos."""
    if not api_key:
        raise click.UsageError("a worker needs an account: give --api-key or set HOARD_API_KEY")
    offer = Offer(
        name=name,
        models=_words(models) or (PROCEDURAL_MODELS if kind == "procedural" else ("stable_diffusion",)),
        max_pixels=max_pixels,
        nsfw=nsfw,
        blacklist=_words(blacklist),
        post_processing=not no_post_processing,
        threads=threads,
        amount=amount,
    )
    try:
        plan = Plan(url=endpoint(url), key=api_key, offer=offer, max_jobs=1 if once else max_jobs)
        backend = _backend(kind, a1111_url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(work(plan, backend)))


def _backend(kind: str, a1111_url: str) -> Backend:
    """The backend of that kind. Raises ValueError for an address that is none."""
    # Each backend brings its own heavy libraries: only the chosen one is loaded.
    if kind == "a1111":
        from clients.worker.backends.a1111 import WebUIBackend  # noqa: PLC0415

        return WebUIBackend(a1111_url)
    from clients.worker.backends.procedural import ProceduralBackend  # noqa: PLC0415

    return ProceduralBackend()


async def work(plan: Plan, backend: Backend) -> int:
    """Run the worker until it is done or told to stop; the exit code."""
    stop = asyncio.Event()
    _listen(stop)
    say(f"worker {plan.offer.name} for {plan.url}, models {', '.join(plan.offer.models)}")
    say(f"note: {backend.confession}")
    try:
        async with (
            Api(plan.url, plan.key, agent="hoard-worker", on_wait=say) as api,
            aiohttp.ClientSession() as storage,
        ):
            worker = Worker(api, storage, backend, plan.offer, max_jobs=plan.max_jobs, say=say)
            await worker.run(stop)
    except RefusedError as refusal:
        where = f" (at {'.'.join(refusal.path)})" if refusal.path else ""
        say(f"refused: {refusal.code}: {refusal.message}{where}")
        return REFUSED
    finally:
        await backend.close()
    say(f"stopped, {worker.delivered} delivered")
    return 0


def _listen(stop: asyncio.Event) -> None:
    """Stop in good order at the first signal; a second one of the kind ends the process at once."""
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        say("stopping: delivering what is done, giving back the rest")
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number)


def say(line: str) -> None:
    """One line of the worker's log."""
    click.echo(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}", err=True)
