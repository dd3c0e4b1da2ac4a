"""Takes jobs from the server, up to `threads` leases at a time, until told to stop.

One poll serves all threads: an idle worker of fifty threads asks no more often than one of a single thread.
`lease.py` serves what was taken.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import aiohttp

from clients.api import Api, RefusedError, UnexpectedAnswerError
from clients.shapes import Assignment
from clients.worker import calls
from clients.worker.backends import Backend
from clients.worker.lease import HeldLease
from clients.worker.pacing import PACING, Pacing

#: Refusals of a poll after which polling goes on, slowly. Any other refusal concerns this worker's own
#: settings or account, and asking again would not help.
SLOWLY = frozenset({"WORKER_IN_MAINTENANCE", "INTERNAL", "UNKNOWN"})

T = TypeVar("T")


class Worker:
    """The worker's life between `run` and the stop signal."""

    def __init__(
        self,
        api: Api,
        storage: aiohttp.ClientSession,
        backend: Backend,
        offer: calls.Offer,
        *,
        max_jobs: int | None = None,
        pacing: Pacing = PACING,
        say: Callable[[str], None],
    ) -> None:
        """`max_jobs` is the number of leases after which to stop by itself (None: never)."""
        self._api = api
        self._storage = storage
        self._backend = backend
        self._offer = offer
        self._threads = offer.threads
        self._left = max_jobs
        self._pacing = pacing
        self._say = say
        self._faults = 0
        self._empty = 0
        self._told = ""
        #: Pictures delivered so far.
        self.delivered = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or `max_jobs` are done; what is held then is delivered or given back.

        Raises RefusedError if the server will not have this worker; `stop` is then set for its leases.
        """
        leases: set[asyncio.Task[None]] = set()
        try:
            leases |= await self._take_up(stop)
            while not stop.is_set() and self._left != 0:
                if len(leases) >= self._threads:
                    leases = await _one_less(leases, stop)
                elif (assignment := await self._take(stop)) is not None:
                    leases.add(asyncio.create_task(self._serve(assignment, stop)))
                    self._left = None if self._left is None else self._left - 1
            while leases and not stop.is_set():
                leases = await _one_less(leases, stop)
        finally:
            if leases:
                stop.set()
                _, late = await asyncio.wait(leases, timeout=self._pacing.grace)
                for lease in late:
                    lease.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def _take_up(self, stop: asyncio.Event) -> set[asyncio.Task[None]]:
        """Go on with the leases that this worker was cut off from; what is not for it any more is given back."""
        asking = asyncio.create_task(calls.held(self._api, self._offer))
        try:
            await _one_less({asking}, stop)
            held = asking.result() if asking.done() else ()
        except (RefusedError, UnexpectedAnswerError) as error:
            self._say(f"cannot ask for leases from before: {error}")  # a poll will tell if it matters
            return set()
        finally:
            asking.cancel()
        leases: set[asyncio.Task[None]] = set()
        for assignment in held:
            fits = len(leases) < self._threads and assignment.model in self._offer.models
            if fits and self._left != 0 and not stop.is_set():
                self._say(f"lease {assignment.lease_id} is from before: going on with it")
                leases.add(asyncio.create_task(self._serve(assignment, stop)))
                self._left = None if self._left is None else self._left - 1
            else:
                await self._give_back(assignment)
        return leases

    async def _give_back(self, assignment: Assignment) -> None:
        try:
            async with asyncio.timeout(self._pacing.grace):
                await calls.release(self._api, assignment.lease_id)
        except (RefusedError, UnexpectedAnswerError, TimeoutError):
            self._say(f"lease {assignment.lease_id} is from before and not released, it will run out")
        else:
            self._say(f"lease {assignment.lease_id} is from before: released")

    async def _take(self, stop: asyncio.Event) -> Assignment | None:
        """One poll and, if it brought nothing, the wait after it."""
        await _pause(stop, self._pacing.after_faults(self._faults))
        if stop.is_set():
            return None
        try:
            assignment = await self._ask(stop)
        except RefusedError as refusal:
            if refusal.code not in SLOWLY:
                raise
            words = (refusal.message, refusal.details.get("maintenanceMessage"))
            self._tell(f"{refusal.code}: {' '.join(word for word in words if word)}")
            await _pause(stop, self._pacing.maintenance)
            return None
        except UnexpectedAnswerError as error:
            self._tell(str(error))
            await _pause(stop, self._pacing.maintenance)
            return None
        if assignment is None:
            self._empty += 1
            self._tell("waiting for jobs")
            await _pause(stop, self._pacing.idle(self._empty))
            return None
        self._empty = 0
        self._told = ""
        return assignment

    async def _ask(self, stop: asyncio.Event) -> Assignment | None:
        """Poll once. A poll in flight at the stop signal is heard out, lest it bring a lease unseen."""
        asking = asyncio.create_task(calls.pop(self._api, self._offer))
        try:
            await _one_less({asking}, stop)
            await asyncio.wait({asking}, timeout=self._pacing.last_poll)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()

    async def _serve(self, assignment: Assignment, stop: asyncio.Event) -> None:
        count = len(assignment.generations)
        self._say(
            f"lease {assignment.lease_id}: {count} of job {assignment.job_id}, model {assignment.model}"
        )
        lease = HeldLease(
            self._api, self._storage, self._backend, assignment, pacing=self._pacing, say=self._say
        )
        try:
            await lease.serve(stop)
        except Exception as error:  # noqa: BLE001 - one lease's trouble must not end the worker; its type tells no prompt
            self._say(f"lease {assignment.lease_id} failed: {type(error).__name__}")
            self._faults += 1
        else:
            self._faults = self._faults + lease.faults if lease.faults else 0
        finally:
            self.delivered += lease.delivered

    def _tell(self, what: str) -> None:
        """Say it, but not over and over while nothing changes."""
        if what != self._told:
            self._say(what)
        self._told = what


async def _one_less(tasks: set[asyncio.Task[T]], stop: asyncio.Event) -> set[asyncio.Task[T]]:
    """Wait until one of the tasks is done or `stop` is set; the tasks still running."""
    bell = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*tasks, bell}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        bell.cancel()
    return {task for task in tasks if not task.done()}


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake at once on `stop`."""
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
