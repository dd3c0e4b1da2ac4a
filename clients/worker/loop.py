"""Takes jobs from the server, as many as it can serve and some ahead, until told to stop or to pause.

One poll serves all threads: an idle worker of fifty threads asks no more often than one of a single thread.
`lease.py` serves what was taken; `waiting.py` holds the ways to wait.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from clients.api import Api, RefusedError, UnexpectedAnswerError
from clients.shapes import Assignment, Message
from clients.worker import calls
from clients.worker.crafts import Craft
from clients.worker.lease import HeldLease, Tools
from clients.worker.offer import Offer
from clients.worker.pacing import PACING, Pacing
from clients.worker.slots import Slots
from clients.worker.sources import Limits
from clients.worker.standing import Standing, Tally, shown
from clients.worker.waiting import first_of, pause

#: Refusals of a poll after which polling goes on, slowly. Any other refusal concerns this worker's own
#: settings or account, and asking again would not help.
SLOWLY = frozenset({"WORKER_IN_MAINTENANCE", "WORKER_PAUSED", "INTERNAL", "UNKNOWN"})
#: What a worker is that is kept from work by such a refusal.
KEPT = {"WORKER_IN_MAINTENANCE": "maintenance", "WORKER_PAUSED": "paused by the server"}
#: The part of a lease's length by which one that is taken ahead should be begun.
AHEAD_SHARE = 0.5
#: Messages of the server that are remembered, so that each is said once.
REMEMBERED = 1000


class Worker:
    """The worker's life between `run` and the stop signal."""

    def __init__(
        self,
        api: Api,
        storage: aiohttp.ClientSession,
        craft: Craft[Any],
        offer: Offer,
        *,
        max_jobs: int | None = None,
        pacing: Pacing = PACING,
        limits: Limits | None = None,
        say: Callable[[str], None],
    ) -> None:
        """`max_jobs` is the number of leases after which to stop by itself (None: never)."""
        self._api = api
        self._offer = offer
        self._left = max_jobs
        self._pacing = pacing
        self._say = say
        self._slots = Slots(offer.threads)
        self._tally = Tally()
        #: Set when there may be room for more, and when somebody told this worker something.
        self._stirred = asyncio.Event()
        self._changed = asyncio.Event()
        self._tools = Tools(
            api=api,
            storage=storage,
            craft=craft,
            slots=self._slots,
            pacing=pacing,
            limits=limits or Limits(),
            say=say,
            timed=self._tally.timed,
            stir=self._stirred.set,
        )
        self._held: list[HeldLease] = []
        self._halted = asyncio.Event()
        self._accepted = False
        self._faults = 0
        self._empty = 0
        self._lease_seconds = 0.0
        self._state = "waiting"
        self._told = ""
        self._heard: dict[str, None] = {}

    @property
    def delivered(self) -> int:
        """Results of leases that are over which the server took."""
        return self._tally.delivered

    def adopt(self, offer: Offer) -> None:
        """Offer this from the next poll on."""
        self._offer = offer
        self._slots.resize(offer.threads)
        self._told = ""
        self._changed.set()

    def halt(self) -> None:
        """Take no more; finish what is begun, give back what is not."""
        if not self._halted.is_set():
            self._say("paused: finishing what is begun, taking no more")
        self._halted.set()
        for lease in self._held:
            lease.unwant()
        self._changed.set()

    def resume(self) -> None:
        """Take jobs again."""
        if self._halted.is_set():
            self._say("resumed")
        self._halted.clear()
        self._changed.set()

    def standing(self, *, stopping: bool = False) -> Standing:
        """How the worker stands."""
        busy = any(lease.undone for lease in self._held)
        state = "stopping" if stopping else "paused" if self._halted.is_set() else self._state
        return Standing(
            name=self._offer.name,
            kind=self._offer.kind,
            state="working" if state == "waiting" and busy else state,
            since=self._tally.since,
            threads=self._offer.threads,
            queue_ahead=self._offer.queue_ahead,
            doing=sum(lease.doing for lease in self._held),
            leases=shown(self._held),
            delivered=self._tally.delivered + sum(lease.delivered for lease in self._held),
            faulted=self._tally.faulted + sum(lease.faults for lease in self._held),
            earned=str(self._tally.earned + sum(lease.earned for lease in self._held)),
            seconds_each=self._tally.seconds,
            last_word=self._told,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or `max_jobs` are done; what is held then is delivered or given back.

        Raises RefusedError if the server will not have this worker; `stop` is then set for its leases.
        """
        leases: set[asyncio.Task[None]] = set()
        try:
            await self._take_up(leases, stop)
            while not stop.is_set() and self._left != 0:
                self._stirred.clear()
                self._changed.clear()
                if self._halted.is_set() or not self._room():
                    await first_of(leases, stop, self._stirred, self._changed)
                elif (assignment := await self._take(stop)) is not None:
                    self._hold(leases, assignment, stop)
                leases = {lease for lease in leases if not lease.done()}
            while leases and not stop.is_set():
                await first_of(leases, stop)
                leases = {lease for lease in leases if not lease.done()}
        finally:
            if leases:
                stop.set()
                _, late = await asyncio.wait(leases, timeout=self._pacing.grace)
                for lease in late:
                    lease.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    def _room(self) -> bool:
        """Whether another lease can be begun now, or is to be taken ahead and will be begun in good time."""
        undone = sum(lease.undone for lease in self._held)
        if undone < self._offer.threads:
            return True
        ahead = sum(not lease.begun for lease in self._held)
        if ahead >= self._offer.queue_ahead:
            return False
        if self._tally.seconds is None:
            return ahead == 0  # how fast this worker is will be known after its first piece of work
        wait = self._tally.seconds * undone / self._offer.threads
        return wait <= self._lease_seconds * AHEAD_SHARE

    def _hold(self, leases: set[asyncio.Task[None]], assignment: Assignment, stop: asyncio.Event) -> None:
        self._left = None if self._left is None else self._left - 1
        lease = HeldLease(self._tools, assignment)
        self._held.append(lease)
        if self._halted.is_set():
            lease.unwant()
        leases.add(asyncio.create_task(self._serve(lease, stop)))

    async def _take_up(self, leases: set[asyncio.Task[None]], stop: asyncio.Event) -> None:
        """Go on with the leases that this worker was cut off from; what is not for it any more is given back."""
        for assignment in await self._elsewhere(stop):
            room = len(leases) < self._offer.threads + self._offer.queue_ahead
            if room and self._offer.covers(assignment) and self._left != 0 and not stop.is_set():
                self._say(f"lease {assignment.lease_id} is from before: going on with it")
                self._hold(leases, assignment, stop)
            else:
                await self._give_back(assignment)

    async def _elsewhere(self, stop: asyncio.Event) -> tuple[Assignment, ...]:
        """Leases that the server says this worker has, and it does not know of."""
        asking = asyncio.create_task(calls.held(self._api, self._offer))
        try:
            await first_of({asking}, stop)
            await asyncio.wait({asking}, timeout=self._pacing.last_poll)
            found = asking.result() if asking.done() else ()
        except (RefusedError, UnexpectedAnswerError) as error:
            self._say(f"cannot ask for leases from before: {error}")  # a poll will tell if it matters
            return ()
        finally:
            asking.cancel()
        known = {lease.assignment.lease_id for lease in self._held}
        return tuple(each for each in found if each.lease_id not in known)

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
        await pause(self._pacing.after_faults(self._faults), stop, self._halted)
        if stop.is_set() or self._halted.is_set():
            return None
        began = asyncio.get_running_loop().time()
        try:
            popped = await self._ask(stop)
        except RefusedError as refusal:
            await self._refused(refusal, stop)
            return None
        except UnexpectedAnswerError as error:
            self._tell(str(error))
            await pause(self._pacing.maintenance, stop, self._changed)
            return None
        self._accepted = True
        self._state = "waiting"
        if popped is None:
            return None
        self._hear(popped.messages)
        if popped.assignment is None:
            self._empty += 1
            self._tell("waiting for jobs")
            waited = asyncio.get_running_loop().time() - began
            await pause(self._pacing.idle(self._empty) - waited, stop, self._changed)
            return None
        self._empty = 0
        self._told = ""
        self._lease_seconds = (popped.assignment.expires_at - datetime.now(UTC)).total_seconds()
        return popped.assignment

    async def _refused(self, refusal: RefusedError, stop: asyncio.Event) -> None:
        """Say why, and wait. Raises the refusal if asking again would not help."""
        # A worker that was accepted before may have been given a bad setting: its owner can set it right.
        mended = self._accepted and refusal.code == "INVALID_INPUT"
        if refusal.code not in SLOWLY and not mended:
            raise refusal
        words = [refusal.message, refusal.details.get("maintenanceMessage")]
        if until := refusal.details.get("maintenanceUntil"):
            words.append(f"(until {until})")
        self._state = KEPT.get(refusal.code, "waiting")
        self._tell(f"{refusal.code}: {' '.join(str(word) for word in words if word)}")
        await pause(self._pacing.maintenance, stop, self._changed)

    async def _ask(self, stop: asyncio.Event) -> calls.Popped | None:
        """Poll once. Under way at the signal to stop or to pause, it is heard out for a moment, then given up.

        What it may have brought unseen is given back.
        """
        asking = asyncio.create_task(calls.pop(self._api, self._offer))
        try:
            await first_of({asking}, stop, self._halted)
            await asyncio.wait({asking}, timeout=self._pacing.last_poll)
            if asking.done():
                return asking.result()
        finally:
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for unseen in await self._elsewhere(stop):
            await self._give_back(unseen)
        return None

    async def _serve(self, lease: HeldLease, stop: asyncio.Event) -> None:
        assignment = lease.assignment
        count = len(assignment.tasks)
        self._say(f"lease {assignment.lease_id}: {count} of job {assignment.job_id}, {assignment.what}")
        try:
            await lease.serve(stop)
        except Exception as error:  # noqa: BLE001 - one lease's trouble must not end the worker; its type tells no prompt
            self._say(f"lease {assignment.lease_id} failed: {type(error).__name__}")
            self._faults += 1
        else:
            self._faults = self._faults + lease.faults if lease.faults else 0
        finally:
            self._held.remove(lease)
            self._tally.ended(lease)
            self._stirred.set()

    def _hear(self, messages: tuple[Message, ...]) -> None:
        """Say what the server's people have to say, each thing once."""
        for message in messages:
            if message.id not in self._heard:
                self._say(f"message from the server: {message.message}")
                self._heard[message.id] = None
        while len(self._heard) > REMEMBERED:
            del self._heard[next(iter(self._heard))]

    def _tell(self, what: str) -> None:
        """Say it, but not over and over while nothing changes."""
        if what != self._told:
            self._say(what)
        self._told = what
