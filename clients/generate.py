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
from clients.generate_options import shaping, wish_of
from clients.pictures import FetchError, save
from clients.report import Report
from clients.shapes import Cancelled, JobView, Quoted, Submitted, shaped
from clients.sources import with_sources

#: Seconds to go on trying while the server does not answer.
PATIENCE = 60.0
FAILED, REFUSED = 1, 2

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is to do. `wish` is the `SubmitImageJobInput` without its sources and its key."""

    url: str
    key: str
    wish: dict[str, Any]
    #: Files or links, by the fields of the input.
    sources: dict[str, str] = msgspec.field(default_factory=dict)
    out: Path
    watch: Watch = WATCH


class InterruptedByUserError(Exception):
    """Ctrl-C, or the signal to end."""


@click.command("generate")
@click.argument("prompt")
@shaping
@click.option("--source", help="A picture to start from: a file, or an https link.")
@click.option("--mask", help="Where to paint it anew: white in this file or link.")
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
def generate_command(
    *,
    url: str,
    api_key: str,
    out: Path,
    as_json: bool,
    source: str | None,
    mask: str | None,
    **options: Any,
) -> None:
    """Have pictures made from PROMPT."""
    given = {"source": source, "sourceMask": mask}
    sources = {field: where for field, where in given.items() if where is not None}
    try:
        order = Order(url=endpoint(url), key=api_key, wish=wish_of(**options), sources=sources, out=out)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(generate(order, Report(as_json=as_json))))


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
    """Upload sources, quote, then submit. A submission on its way is heard out even if interrupted, so that it can be cancelled."""
    wish = await _unless(interrupted, with_sources(api, order.wish, order.sources))
    asking = api.query(documents.QUOTE_IMAGE_JOB, {"input": wish}, "quoteImageJob")
    quoted = shaped(await _unless(interrupted, asking), Quoted)
    report.quoted(quoted)
    answer = await api.mutate(documents.SUBMIT_IMAGE_JOB, wish, "submitImageJob")
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
