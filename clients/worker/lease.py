"""Serves one lease of whatever kind: does its work as places become free and delivers each piece as soon as it is done.

A delivery runs beside the work on other pieces; what they start from is fetched while they wait for a place. The lease
is extended while there is something to do; when it ends, the rest is dropped, but what is already done is still
offered: a late result may be wanted. Nothing about a prompt is ever said aloud. What kinds do differently is a craft's.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import aiohttp
import msgspec

from clients.api import Api, RefusedError, UnexpectedAnswerError
from clients.shapes import Assignment, WorkTask
from clients.worker import calls, sources, upload
from clients.worker.backends import BackendError
from clients.worker.crafts import Craft, Made
from clients.worker.pacing import Pacing
from clients.worker.slots import Slots

#: Refusals that mean the lease is no longer ours.
GONE = frozenset({"LEASE_ENDED", "NOT_FOUND"})
#: Refusals after which a result is brought again, and how often it is brought at most.
ONCE_MORE = frozenset({"OBJECT_MISSING", "INTERNAL"})
DELIVERY_LIMIT = 5

T = TypeVar("T")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How a piece of work went: nothing was made if it could not be done."""

    made: Made | None
    seconds: float
    notes: tuple[calls.Note, ...] = ()


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What all leases of a worker share.

    `timed` is told the seconds that each piece of work took, `stir` that there may be room for more.
    """

    api: Api
    storage: aiohttp.ClientSession
    craft: Craft[Any]
    slots: Slots
    pacing: Pacing
    limits: sources.Limits
    say: Callable[[str], None]
    timed: Callable[[float], None]
    stir: Callable[[], None]


class HeldLease:
    """One lease while this worker holds it."""

    def __init__(self, tools: Tools, assignment: Assignment) -> None:
        self._tools = tools
        self._api = tools.api
        self._pacing = tools.pacing
        self._say = tools.say
        self.assignment = assignment
        #: Until when it lasts.
        self.expires = assignment.expires_at
        self._links = {task.id: task.upload_url for task in assignment.tasks}
        self._open = set(self._links)
        self._ended = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._fetching: asyncio.Task[Any] | None = None
        #: Whether anything of it was begun; pieces of work not yet done; those under way.
        self.begun = False
        self.undone = len(self._links)
        self.doing = 0
        #: Results the server accepted, those reported as faulted, and what they earned.
        self.delivered = 0
        self.faults = 0
        self.earned = Decimal(0)

    def unwant(self) -> None:
        """Have it given back, unless it was begun."""
        if not self.begun:
            self._unwanted.set()

    async def serve(self, stop: asyncio.Event) -> None:
        """Do what can be done until everything is delivered, the lease ends or `stop` is set; give back the rest."""
        keeper = asyncio.create_task(self._keep())
        fetched = self._tools.craft.fetch(self._tools.storage, self.assignment, self._tools.limits)
        self._fetching = asyncio.create_task(fetched)
        try:
            async with asyncio.TaskGroup() as pieces:
                for task in self.assignment.tasks:
                    pieces.create_task(self._make(task, stop))
        finally:
            keeper.cancel()
            self._fetching.cancel()
            await asyncio.gather(keeper, self._fetching, return_exceptions=True)
            await self._give_back()

    async def _make(self, task: WorkTask, stop: asyncio.Event) -> None:
        """Do one piece of work when its turn comes, and deliver it."""
        attempt = await self._unless_over(self._attempt(task), stop)
        self.undone -= 1
        self._tools.stir()
        if attempt is not None:
            if attempt.made is not None:
                self._tools.timed(attempt.seconds)
            await self._deliver(task, attempt)

    async def _give_back(self) -> None:
        """Release the lease if something of it is left undone."""
        if not self._open or self._ended.is_set():
            return
        try:
            async with asyncio.timeout(self._pacing.grace):
                await calls.release(self._api, self.assignment.lease_id)
        except RefusedError as refusal:
            self._say(f"lease {self.assignment.lease_id} not released: {refusal.code}")
        except TimeoutError:
            self._say(f"lease {self.assignment.lease_id} not released, it will run out")
        else:
            self._say(f"lease {self.assignment.lease_id} released, {len(self._open)} left undone")
        self._open.clear()

    async def _keep(self) -> None:
        """Extend the lease in time, for as long as this runs."""
        while True:
            left = (self.expires - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(min(self._pacing.extend_every, max(0.5, left / 2)))
            try:
                await self._extend()
            except RefusedError as refusal:
                self._lost(refusal)
                return
            except UnexpectedAnswerError as error:
                self._say(f"lease {self.assignment.lease_id}: {error}")

    async def _extend(self) -> None:
        answer = await calls.extend(self._api, self.assignment.lease_id)
        self._links.update({task.id: task.upload_url for task in answer.upload_urls})
        self.expires = answer.expires_at

    def _lost(self, refusal: RefusedError) -> None:
        if not self._ended.is_set():
            self._say(f"lease {self.assignment.lease_id} is over: {refusal.code}")
        self._ended.set()

    async def _unless_over(self, work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
        """The work's result, or None when it was abandoned because nobody waits for it any more."""
        events = (stop, self._ended, self._unwanted)
        if any(event.is_set() for event in events):
            work.close()
            return None
        doing = asyncio.create_task(work)
        bells = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait({doing, *bells}, return_when=asyncio.FIRST_COMPLETED)
            return await doing if doing.done() else None
        finally:
            for each in (doing, *bells):
                each.cancel()
            await asyncio.gather(doing, *bells, return_exceptions=True)

    async def _attempt(self, task: WorkTask) -> Attempt:
        """The piece of work, done when a place is free for it."""
        async with self._tools.slots:
            self.begun = True
            self.doing += 1
            self._tools.stir()
            began = time.monotonic()
            try:
                made, notes = await self._made(task)
            finally:
                self.doing -= 1
            return Attempt(made=made, seconds=time.monotonic() - began, notes=notes)

    async def _made(self, task: WorkTask) -> tuple[Made | None, tuple[calls.Note, ...]]:
        """What was made, or None with what there is to note if it cannot be made."""
        try:
            start = None if self._fetching is None else await asyncio.shield(self._fetching)
            made = await self._tools.craft.make(self.assignment, task, start)
        except sources.SourceError as fault:
            self._say(f"generation {task.id} could not be made: {fault}")
            return None, (calls.Note(type=fault.role.upper(), value=fault.value.upper()),)
        except BackendError as fault:
            self._say(f"generation {task.id} could not be made: {fault}")
        except Exception as error:  # noqa: BLE001 - a fault of the backend's program; its message might quote the prompt
            self._say(f"generation {task.id} could not be made: {type(error).__name__}")
        else:
            return made, ()
        return None, ()

    async def _deliver(self, task: WorkTask, attempt: Attempt) -> None:
        """Upload what is a picture and report, however often that takes, unless the lease is lost."""
        made = attempt.made
        result = _result(task, attempt)
        for turn in range(DELIVERY_LIMIT):
            try:
                picture = None if made is None else made.picture
                if picture is not None and not await self._carry(task, picture):
                    return
                answer = await calls.submit(self._api, self.assignment.lease_id, result)
            except RefusedError as refusal:
                if refusal.code in ONCE_MORE:
                    self._say(f"generation {task.id} was not taken ({refusal.code}), bringing it again")
                    await asyncio.sleep(self._pacing.retry.delay(turn))
                    continue
                if refusal.code in GONE:
                    self._lost(refusal)
                else:
                    self._say(f"generation {task.id} was refused: {refusal}")
                return
            except UnexpectedAnswerError as error:
                self._say(f"generation {task.id}: {error}")
                return
            self._open.discard(task.id)
            self.delivered += made is not None
            self.faults += made is None
            self.earned += Decimal(answer.reward)
            self._say(
                f"generation {task.id} {result.state} in {attempt.seconds:.1f} s, reward {answer.reward} kudos"
            )
            return

    async def _carry(self, task: WorkTask, body: bytes) -> bool:
        """Bring the picture to the storage; False if that cannot be done in the time allowed.

        Raises RefusedError when the lease cannot be extended for a fresh link.
        """
        deadline = time.monotonic() + self._pacing.carry
        attempt = 0
        while True:
            try:
                await upload.put(self._tools.storage, self._links[task.id] or "", body)
                return True
            except upload.StaleLinkError:
                await self._extend()
                why = "the upload link was stale"
            except upload.StorageError as trouble:
                why = str(trouble)
            pause = self._pacing.retry.delay(attempt)
            if time.monotonic() + pause > deadline:
                self._say(f"generation {task.id} cannot be uploaded: {why}")
                return False
            self._say(f"generation {task.id}: {why}; again in {pause:.1f} s")
            await asyncio.sleep(pause)
            attempt += 1


def _result(task: WorkTask, attempt: Attempt) -> calls.Result:
    """What is reported of a piece of work."""
    made = attempt.made
    if made is None:
        return calls.Result(generation_id=task.id, state="FAULTED", seed=task.seed, notes=attempt.notes)
    return calls.Result(
        generation_id=task.id,
        state="CENSORED" if made.censored else "OK",
        seed=made.seed or task.seed,
        text=made.text,
        form=made.form,
        notes=attempt.notes,
    )
