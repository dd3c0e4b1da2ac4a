"""That a worker is there: marked with each poll, and rewarded in the background, so that no poll waits for it.

May not decide whether a reward is due: `app.workers.uptime` does, by the log's own time. Look next:
`app.platform.presence`, which counts the seconds.
"""

from __future__ import annotations

import asyncio
import contextlib

from app.platform.commands import Rejection
from app.platform.handling import run
from app.platform.services import Services
from app.platform.writer import InternalError
from app.workers.uptime import ClaimUptime
from projections.workers import Worker


async def present(services: Services, worker: Worker, *, serves_all: bool) -> None:
    """A worker polled; the time that it serves nobody but its owner is not rewarded."""
    seconds = await services.presence.saw(worker.id, counts=serves_all)
    if seconds:
        task = asyncio.create_task(_claim(services, worker, seconds), name="uptime")
        services.background.add(task)
        task.add_done_callback(services.background.discard)


async def _claim(services: Services, worker: Worker, seconds: int) -> None:
    """Claimed once: what a writer that is away does not decide goes back to what is counted."""
    sizes = [services.models.parameters(model) for model in worker.models]
    claim = ClaimUptime(
        worker=worker.id,
        owner=worker.owner,
        seconds=seconds,
        parameters=max((size for size in sizes if size is not None), default=None),
    )
    outcome: object = None
    with contextlib.suppress(InternalError):
        outcome = await run(services, claim, actor=worker.owner)
    if isinstance(outcome, Rejection) and outcome.code == "TRY_AGAIN":
        await services.presence.give_back(worker.id, seconds)
