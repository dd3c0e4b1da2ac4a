"""Polling for work: check-in, a lock-free probe, the writer, and waiting for something to be queued.

Empty polls are the common case: the probe answers them and nothing is appended. Nobody gets a lease who has hung up,
as far as that can be known. Look next: `app.platform.waiting` for who is woken, `app.workers.lease_decider`, `projections.store.search`,
`app.workers.skips` for what a poll passed over.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from uuid import UUID

import msgspec

from app.platform import metrics
from app.platform.commands import Done, Idempotency, Rejection
from app.platform.graphql.context import Client
from app.platform.handling import idempotency, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.workers.asking import Asking, asking
from app.workers.capabilities import Polled
from app.workers.checking_in import check_in, in_maintenance
from app.workers.decider import PAUSED
from app.workers.lease_decider import PopJob, Popped
from app.workers.present import present
from app.workers.queries import ANSWERED, PROBE
from app.workers.skips import BLACKLIST, Skip, skips
from projections.queue import Found, Search
from projections.store.search import Questions

#: how often a poll goes on where its candidates were exhausted
PAGES = 50
#: searches that a process remembers at most
REMEMBERED = 10_000
#: when to poll again where too many polls wait, in seconds
CROWDED_SECONDS = 5.0


class Nothing(msgspec.Struct, frozen=True):
    """No job: how many were passed over, and why."""

    skipped: tuple[Skip, ...]
    #: who asked
    worker: UUID | None = None

    @property
    def blacklisted(self) -> int:
        """How many of them a word of the blacklist kept away."""
        return sum(skip.count for skip in self.skipped if skip.reason == BLACKLIST)


class Leased(msgspec.Struct, frozen=True):
    """A lease was taken, now or by the first poll with the same key."""

    lease: UUID


async def pop_job(
    services: Services,
    actor: UUID,
    poll: Polled,
    key: str | None,
    parameters: object,
    client: Client | None = None,
) -> Leased | Nothing | Rejection:
    """Lease the best job for a worker, waiting for one as long as the poll says and the client stays."""
    answer = await _pop_job(services, actor, poll, key, parameters, client or Client())
    outcome = "leased" if isinstance(answer, Leased) else "nothing"
    if isinstance(answer, Rejection):
        outcome = answer.code
    metrics.child(metrics.POPS, poll.capabilities.kind, outcome).inc()
    return answer


async def _pop_job(
    services: Services,
    actor: UUID,
    poll: Polled,
    key: str | None,
    parameters: object,
    client: Client,
) -> Leased | Nothing | Rejection:
    promise = idempotency(actor, "popJob", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    worker, early = await asyncio.gather(check_in(services, actor, poll), _early(services, actor, poll))
    if isinstance(worker, Rejection):
        return worker
    if worker.worker.paused:
        return PAUSED
    await present(services, worker.worker, serves_all=not (worker.worker.maintenance or poll.test_mode))
    asked = await asking(services, poll, worker)
    if isinstance(asked, Rejection):
        return asked
    _remember(services, actor, poll, asked.search)
    pop = _Pop(services, actor, poll, asked, promise, early.get(asked.search))
    answer = await pop.wait(client) if poll.wait_seconds else await pop.attempt()
    if not isinstance(answer, Rejection):
        skipped = (
            [(skip.reason, skip.count) for skip in answer.skipped] if isinstance(answer, Nothing) else None
        )
        await services.presence.told(worker.worker.id, skipped)
    if isinstance(answer, Nothing) and worker.worker.maintenance:
        return in_maintenance(worker)
    if isinstance(answer, Nothing):
        return msgspec.structs.replace(answer, worker=worker.worker.id)
    return answer


class _Pop:
    """One poll, asking the queue."""

    def __init__(
        self,
        services: Services,
        actor: UUID,
        poll: Polled,
        asked: Asking,
        promise: Idempotency | None,
        early: Found | None,
    ) -> None:
        self._services = services
        self._actor = actor
        self._poll = poll
        self._search = asked.search
        self._families = asked.families
        self._judged = asked.judged
        self._promise = promise
        #: what a look found that began before the worker was known to ask just this; good for the first attempt
        self._early = early

    async def wait(self, client: Client) -> Leased | Nothing | Rejection:
        """Look at the queue now, and whenever something is queued that this poll may serve and is to serve."""
        deadline = time.monotonic() + self._poll.wait_seconds
        with self._services.polls.wait(self._search, self._poll.amount) as place:
            if place is None:
                return await self._unwaiting()
            client.tell(place.flag)
            while not client.gone and not place.over:
                place.look()
                answer = await self.attempt()
                if not isinstance(answer, Nothing):
                    place.served = isinstance(answer, Leased)
                    return answer
                place.found_nothing()
                try:
                    await asyncio.wait_for(place.flag.wait(), deadline - time.monotonic())
                except TimeoutError:
                    return Nothing(await skips(self._services, self._search, answer.blacklisted))
        return Nothing(())

    async def _unwaiting(self) -> Leased | Nothing | Rejection:
        """One look, where too many wait already; a poll that finds nothing is to come again, and not at once."""
        metrics.POLLS_TURNED_AWAY.inc()
        answer = await self.attempt()
        if not isinstance(answer, Nothing):
            return answer
        message = "nothing waits, and so many polls wait here already that this one may not: poll again later"
        return Rejection(code="TRY_AGAIN", message=message, detail={"retry_after_seconds": CROWDED_SECONDS})

    async def attempt(self) -> Leased | Nothing | Rejection:
        """One look at the queue: probe, and if anything may be there, ask the writer."""
        wanted = self._search
        blacklisted = 0
        for _ in range(PAGES):
            early, self._early = self._early, None
            promising, barred = await _promising(self._services, wanted, early)
            blacklisted += barred
            if promising is None and not await _answered(self._services, self._promise):
                break
            wanted, likely = promising or (wanted, ())
            outcome = await run(
                self._services, self._command(wanted, likely), actor=self._actor, promise=self._promise
            )
            if isinstance(outcome, Rejection):
                return outcome
            popped = _popped(outcome)
            blacklisted += popped.blacklisted
            if popped.lease is not None:
                return Leased(popped.lease)
            if popped.after is None:
                break
            wanted = msgspec.structs.replace(wanted, after=popped.after)
        return Nothing(await skips(self._services, self._search, blacklisted))

    def _command(self, wanted: Search, likely: tuple[UUID, ...]) -> PopJob:
        return PopJob(
            lease=new_id(),
            worker=wanted.worker,
            search=wanted,
            amount=self._poll.amount,
            choice=secrets.randbits(32),
            families=self._families,
            judged=self._judged,
            candidates=likely,
        )


async def _answered(services: Services, promise: Idempotency | None) -> bool:
    """Whether a poll with this key took a lease before: then it is that lease, whatever waits now."""
    if promise is None:
        return False
    key = {"scope": promise.scope, "key": promise.key}
    return await ANSWERED.one(services.pool, realm=services.realm, **key) is not None


def _remembered(services: Services) -> dict[tuple[UUID, Polled], Search]:
    found: dict[tuple[UUID, Polled], Search] = services.caches.setdefault("searches", {})
    return found


async def _early(services: Services, actor: UUID, poll: Polled) -> dict[Search, Found]:
    """What the search finds that this poll asked last time: most workers ask for the same again and again.

    It shares a round trip with the reading of the worker, and counts only if the worker as it is read asks for just
    that. A poll that waits looks once it is heard of, so that nothing comes in between.
    """
    search = None if poll.wait_seconds else _remembered(services).get((actor, poll))
    return {} if search is None else {search: await _probe(services, search)}


def _remember(services: Services, actor: UUID, poll: Polled, search: Search) -> None:
    remembered = _remembered(services)
    if len(remembered) >= REMEMBERED:
        remembered.clear()
    remembered[actor, poll] = search


async def _promising(
    services: Services, wanted: Search, early: Found | None
) -> tuple[tuple[Search, tuple[UUID, ...]] | None, int]:
    """Where something waits that the blacklist does not bar, and what, looked for without a lock; how many it bars."""
    barred = 0
    for _ in range(PAGES):
        found = early or await _probe(services, wanted)
        early = None
        jobs = {candidate.job: candidate.blacklisted for candidate in found.candidates}
        if not jobs:
            break
        if not all(jobs.values()):
            return (wanted, tuple(jobs)), barred
        barred += len(jobs)
        if found.after is None:
            break
        wanted = msgspec.structs.replace(wanted, after=found.after)
    return None, barred


async def _probe(services: Services, wanted: Search) -> Found:
    """One look at the queue, without a lock."""
    questions = Questions(services.realm, [wanted])
    began = time.perf_counter()
    text = await PROBE.one(services.pool, **questions.parameters())
    metrics.PROBE_SECONDS.observe(time.perf_counter() - began)
    return questions.answers(text or "[]")[wanted]


def _popped(outcome: Done) -> Popped:
    popped: Popped = outcome.result
    return popped
