"""`hoard generate`: pictures from a prompt, on the command line.

Quotes, submits, watches, fetches. The last word goes to standard output (one JSON document with --json), progress
to standard error. Exit codes: 0 all pictures are there, 1 it failed or was cancelled, 2 usage or refused.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import click
import msgspec

from clients import documents
from clients.api import Api, Backoff, RefusedError, UnexpectedAnswerError, UnreachableError, endpoint
from clients.following import WATCH, Watch, follow, look
from clients.pictures import FetchError, save
from clients.report import Report
from clients.shapes import Cancelled, JobView, Quoted, Submitted, shaped

SAMPLERS = (
    *("K_LMS", "K_HEUN", "K_EULER", "K_EULER_A", "K_DPM_2", "K_DPM_2_A", "K_DPM_FAST", "K_DPM_ADAPTIVE"),
    *("K_DPMPP_2S_A", "K_DPMPP_2M", "K_DPMPP_SDE", "DPMSOLVER", "DDIM", "LCM"),
)
#: Seconds to go on trying while the server does not answer.
PATIENCE = 60.0
FAILED, REFUSED = 1, 2

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is to do. `wish` is the `SubmitImageJobInput` without its key."""

    url: str
    key: str
    wish: dict[str, Any]
    out: Path
    watch: Watch = WATCH


class InterruptedByUserError(Exception):
    """Ctrl-C, or the signal to end."""


@click.command("generate")
@click.argument("prompt")
@click.option("--negative", help="What the pictures should not show.")
@click.option("--model", "models", multiple=True, help="A model that will do; may be repeated. None: any.")
@click.option("--width", type=int, help="Pixels, a multiple of 64.")
@click.option("--height", type=int, help="Pixels, a multiple of 64.")
@click.option("--steps", type=int, help="Sampling steps.")
@click.option("--cfg", type=float, help="How closely to follow the prompt.")
@click.option("--sampler", type=click.Choice(SAMPLERS, case_sensitive=False), help="How to sample.")
@click.option("--seed", help="Any text; the same seed repeats a picture.")
@click.option("--n", type=int, help="How many pictures.")
@click.option("--share/--no-share", default=None, help="Whether the pictures may be published.")
@click.option("--nsfw", is_flag=True, help="Mark the job as not safe for work.")
@click.option("--max-kudos", help="Refuse to pay more than this.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to save pictures."
)
@click.option(
    "--url",
    envvar="HOARD_URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="The server's address, or $HOARD_URL.",
)
@click.option(
    "--api-key", envvar="HOARD_API_KEY", default="", help="Your key, or $HOARD_API_KEY; none: anonymous."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def generate_command(*, url: str, api_key: str, out: Path, as_json: bool, **options: Any) -> None:
    """Have pictures made from PROMPT."""
    try:
        order = Order(url=endpoint(url), key=api_key, wish=wish_of(**options), out=out)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(generate(order, Report(as_json=as_json))))


def wish_of(
    *,
    prompt: str,
    negative: str | None,
    models: tuple[str, ...],
    width: int | None,
    height: int | None,
    steps: int | None,
    cfg: float | None,
    sampler: str | None,
    seed: str | None,
    n: int | None,
    share: bool | None,
    nsfw: bool,
    max_kudos: str | None,
) -> dict[str, Any]:
    """The `SubmitImageJobInput`; what was not given is left to the server's defaults."""
    params = {
        "width": width,
        "height": height,
        "steps": steps,
        "cfgScale": cfg,
        "sampler": sampler.upper() if sampler else None,
        "seed": seed,
        "n": n,
    }
    wish = {
        "prompt": prompt,
        "negativePrompt": negative,
        "models": list(models) or None,
        "params": {name: value for name, value in params.items() if value is not None} or None,
        "share": share,
        "nsfw": nsfw or None,
        "maxKudos": max_kudos,
    }
    return {name: value for name, value in wish.items() if value is not None}


async def generate(order: Order, report: Report) -> int:
    """Do it all and report; the exit code."""
    interrupted = asyncio.Event()
    _listen(interrupted)
    try:
        async with Api(
            order.url, order.key, backoff=Backoff(give_up_after=PATIENCE), on_wait=report.note
        ) as api:
            job, access_key = await _submitted(api, order, report, interrupted)
            ended = await _watched(api, job, access_key, order.watch, report, interrupted)
            await _fetched(ended, order.out, report)
    except RefusedError as refusal:
        report.refused(refusal)
        return REFUSED
    except InterruptedByUserError:
        report.failed("INTERRUPTED", "cancelled before anything was submitted")
        return FAILED
    except UnreachableError as error:
        report.failed("UNREACHABLE", f"the server does not answer: {error}")
        return FAILED
    except UnexpectedAnswerError as error:
        report.failed("UNEXPECTED", f"the server's answer is not understood: {error}")
        return FAILED
    return 0 if report.conclude(ended, access_key) else FAILED


async def _submitted(
    api: Api, order: Order, report: Report, interrupted: asyncio.Event
) -> tuple[JobView, str]:
    """Quote, then submit. A submission on its way is heard out even if interrupted, so that it can be cancelled."""
    asking = api.query(documents.QUOTE_IMAGE_JOB, {"input": order.wish}, "quoteImageJob")
    quoted = shaped(await _unless(interrupted, asking), Quoted)
    report.quoted(quoted)
    answer = await api.mutate(documents.SUBMIT_IMAGE_JOB, order.wish, "submitImageJob")
    submitted = shaped(answer, Submitted)
    report.submitted(submitted)
    return submitted.job, submitted.access_key


async def _watched(
    api: Api, job: JobView, access_key: str, watch: Watch, report: Report, interrupted: asyncio.Event
) -> JobView:
    """The job as it ended, or as it was left after cancelling it."""
    try:
        return await _unless(interrupted, _to_its_end(api, job, access_key, watch, report))
    except InterruptedByUserError:
        report.note("cancelling the job")
    wish = {"id": job.id, "accessKey": access_key}
    answer = await api.mutate(documents.CANCEL_JOB, wish, "cancelJob", keyed=False)
    return shaped(answer, Cancelled).job


async def _to_its_end(api: Api, job: JobView, access_key: str, watch: Watch, report: Report) -> JobView:
    latest = job
    async with aclosing(follow(api, job.id, access_key, watch)) as states:
        async for latest in states:
            report.progress(latest)
    # The links in the last state may be as old as the picture; these are fresh.
    return await look(api, latest.id, access_key)


async def _fetched(job: JobView, out: Path, report: Report) -> None:
    """Save every picture that was made."""
    async with aiohttp.ClientSession() as session:
        for generation in job.generations:
            if generation.state != "DONE":
                continue
            try:
                report.saved(generation, await save(session, generation, out))
            except (FetchError, OSError) as error:
                report.note(f"picture {generation.id} is not saved: {error}")


async def _unless(interrupted: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Raises InterruptedByUserError, the work being dropped, when the event comes first."""
    doing, bell = asyncio.create_task(work), asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait({doing, bell}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return await doing
        raise InterruptedByUserError
    finally:
        doing.cancel()
        bell.cancel()
        await asyncio.gather(doing, bell, return_exceptions=True)


def _listen(interrupted: asyncio.Event) -> None:
    """The first signal cancels the job in good order, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        if interrupted.is_set():
            os._exit(FAILED)
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
