"""Having a job of whatever kind done: quote, submit, watch, fetch; what `hoard generate`, `write` and `interrogate` share.

What was made goes to standard output (one JSON document with --json), progress to standard error. Exit codes: 0 all of
it is there, 1 it failed or was cancelled, 2 usage or refused.
"""

import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from clients import documents
from clients.api import Api, Backoff, RefusedError, UnexpectedAnswerError, UnreachableError
from clients.following import WATCH, Watch, follow, look
from clients.pictures import FetchError, makes_file, save
from clients.report import Report
from clients.shapes import Cancelled, JobView, Quoted, Submitted, shaped
from clients.sources import with_sources

#: Seconds to go on trying while the server does not answer.
PATIENCE = 60.0
FAILED, REFUSED = 1, 2

T = TypeVar("T")


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs of one kind are asked for: the documents, and the fields that they ask."""

    quote: str
    quote_field: str
    submit: str
    submit_field: str


IMAGES = Trade(
    quote=documents.QUOTE_IMAGE_JOB,
    quote_field="quoteImageJob",
    submit=documents.SUBMIT_IMAGE_JOB,
    submit_field="submitImageJob",
)
TEXTS = Trade(
    quote=documents.QUOTE_TEXT_JOB,
    quote_field="quoteTextJob",
    submit=documents.SUBMIT_TEXT_JOB,
    submit_field="submitTextJob",
)
INTERROGATIONS = Trade(
    quote=documents.QUOTE_INTERROGATION_JOB,
    quote_field="quoteInterrogationJob",
    submit=documents.SUBMIT_INTERROGATION_JOB,
    submit_field="submitInterrogationJob",
)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is to do. `wish` is the input of the job without its sources and its key."""

    trade: Trade = IMAGES
    url: str
    key: str
    wish: dict[str, Any]
    #: Files or links, by the fields of the input.
    sources: dict[str, str] = msgspec.field(default_factory=dict)
    #: Where pictures and drawings are saved.
    out: Path = Path()
    watch: Watch = WATCH


class InterruptedByUserError(Exception):
    """Ctrl-C, or the signal to end."""


async def carry_out(order: Order, report: Report) -> int:
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
    trade = order.trade
    asking = api.query(trade.quote, {"input": wish}, trade.quote_field)
    quoted = shaped(await _unless(interrupted, asking), Quoted)
    report.quoted(quoted)
    answer = await api.mutate(trade.submit, wish, trade.submit_field)
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
    """Save every picture and drawing that was made."""
    async with aiohttp.ClientSession() as session:
        for generation in job.generations:
            if generation.state != "DONE" or not makes_file(job.kind, generation):
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
