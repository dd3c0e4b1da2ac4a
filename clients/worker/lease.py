"""Serves one lease: draws its pictures one after another and delivers each as soon as it is drawn.

A delivery runs beside the drawing of the next picture. The lease is extended while there is something to do;
when it ends, the rest is dropped, but a picture already drawn is still offered: a late one may be wanted.
Nothing about a prompt is ever said aloud.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp

from clients.api import Api, RefusedError, UnexpectedAnswerError
from clients.shapes import Assignment, ImageTask
from clients.worker import calls, upload
from clients.worker.backends import Backend, BackendError, Picture, Task, Wish
from clients.worker.pacing import Pacing

#: Refusals that mean the lease is no longer ours.
GONE = frozenset({"LEASE_ENDED", "NOT_FOUND"})
#: Refusals after which a picture is brought again, and how often it is brought at most.
ONCE_MORE = frozenset({"OBJECT_MISSING", "INTERNAL"})
DELIVERY_LIMIT = 5

T = TypeVar("T")


class HeldLease:
    """One lease while this worker holds it."""

    def __init__(
        self,
        api: Api,
        storage: aiohttp.ClientSession,
        backend: Backend,
        assignment: Assignment,
        *,
        pacing: Pacing,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._storage = storage
        self._backend = backend
        self._assignment = assignment
        self._pacing = pacing
        self._say = say
        self._links = {task.id: task.upload_url for task in assignment.generations}
        self._open = set(self._links)
        self._ended = asyncio.Event()
        #: Pictures the server accepted, and those reported as faulted.
        self.delivered = 0
        self.faults = 0

    async def serve(self, stop: asyncio.Event) -> None:
        """Do what can be done until everything is delivered, the lease ends or `stop` is set; give back the rest."""
        keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.TaskGroup() as deliveries:
                for task in self._assignment.generations:
                    drawing = await self._unless_over(self._draw(task), stop)
                    if drawing is None:
                        break
                    deliveries.create_task(self._deliver(task, *drawing))
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._give_back()

    async def _give_back(self) -> None:
        """Release the lease if something of it is left undone."""
        if not self._open or self._ended.is_set():
            return
        try:
            async with asyncio.timeout(self._pacing.grace):
                await calls.release(self._api, self._assignment.lease_id)
        except RefusedError as refusal:
            self._say(f"lease {self._assignment.lease_id} not released: {refusal.code}")
        except TimeoutError:
            self._say(f"lease {self._assignment.lease_id} not released, it will run out")
        else:
            self._say(f"lease {self._assignment.lease_id} released, {len(self._open)} left undone")
        self._open.clear()

    async def _keep(self) -> None:
        """Extend the lease in time, for as long as this runs."""
        expires = self._assignment.expires_at
        while True:
            left = (expires - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(min(self._pacing.extend_every, max(0.5, left / 2)))
            try:
                expires = await self._extend()
            except RefusedError as refusal:
                self._lost(refusal)
                return
            except UnexpectedAnswerError as error:
                self._say(f"lease {self._assignment.lease_id}: {error}")

    async def _extend(self) -> datetime:
        answer = await calls.extend(self._api, self._assignment.lease_id)
        self._links.update({task.id: task.upload_url for task in answer.upload_urls})
        return answer.expires_at

    def _lost(self, refusal: RefusedError) -> None:
        if not self._ended.is_set():
            self._say(f"lease {self._assignment.lease_id} is over: {refusal.code}")
        self._ended.set()

    async def _unless_over(self, work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
        """The work's result, or None when it was abandoned because of `stop` or the end of the lease."""
        if stop.is_set() or self._ended.is_set():
            work.close()
            return None
        doing = asyncio.create_task(work)
        bells = [asyncio.create_task(stop.wait()), asyncio.create_task(self._ended.wait())]
        try:
            await asyncio.wait({doing, *bells}, return_when=asyncio.FIRST_COMPLETED)
            return await doing if doing.done() else None
        finally:
            for each in (doing, *bells):
                each.cancel()
            await asyncio.gather(doing, *bells, return_exceptions=True)

    async def _draw(self, task: ImageTask) -> tuple[Picture | None, float]:
        """The picture, or None if the backend could not make it, and the seconds it took."""
        began = time.monotonic()
        try:
            wish = Wish.parse(self._assignment.payload)
            picture = await self._backend.generate(
                Task(generation_id=task.id, model=self._assignment.model, seed=task.seed, wish=wish)
            )
        except BackendError as fault:
            self._say(f"generation {task.id} could not be drawn: {fault}")
            return None, time.monotonic() - began
        except Exception as error:  # noqa: BLE001 - a fault of the backend's program; its message might quote the prompt
            self._say(f"generation {task.id} could not be drawn: {type(error).__name__}")
            return None, time.monotonic() - began
        return picture, time.monotonic() - began

    async def _deliver(self, task: ImageTask, picture: Picture | None, seconds: float) -> None:
        """Upload and report one picture, however often that takes, unless the lease is lost."""
        state = "FAULTED" if picture is None else "CENSORED" if picture.censored else "OK"
        result = calls.Result(generation_id=task.id, state=state, seed=picture.seed if picture else task.seed)
        for attempt in range(DELIVERY_LIMIT):
            try:
                if picture is not None and not await self._carry(task, picture.body):
                    return
                answer = await calls.submit(self._api, self._assignment.lease_id, result)
            except RefusedError as refusal:
                if refusal.code in ONCE_MORE:
                    self._say(f"generation {task.id} was not taken ({refusal.code}), bringing it again")
                    await asyncio.sleep(self._pacing.retry.delay(attempt))
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
            self.delivered += picture is not None
            self.faults += picture is None
            self._say(f"generation {task.id} {state} in {seconds:.1f} s, reward {answer.reward} kudos")
            return

    async def _carry(self, task: ImageTask, body: bytes) -> bool:
        """Bring the picture to the storage; False if that cannot be done in the time allowed.

        Raises RefusedError when the lease cannot be extended for a fresh link.
        """
        deadline = time.monotonic() + self._pacing.carry
        attempt = 0
        while True:
            try:
                await upload.put(self._storage, self._links[task.id], body)
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
