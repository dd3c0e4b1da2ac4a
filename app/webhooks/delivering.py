"""Telling webhooks: many at a time on a loop of its own, a few of each owner and webhook, and what came of it written down.

A message only begins it: a delivery is pending until it is settled, so a process that dies in the midst loses nothing,
and the relay asks again. What a webhook did not hear is due again later, by its row alone. Look next:
`app.webhooks.record`, `app.webhooks.post`, `app.relay.webhooks`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.platform import metrics
from app.platform.commands import Request
from app.platform.guarded import Lookup, Names
from app.platform.ids import new_id
from app.platform.objects import ObjectStore, result_key
from app.platform.outside import Outside
from app.platform.vault import Attempt, WebhookDelivery, WebhookFault
from app.platform.writer import Writer
from app.webhooks import record
from app.webhooks.decider import SuspendWebhook
from app.webhooks.payload import JobView, Words, payload_of
from app.webhooks.post import Answer, post
from app.webhooks.record import Due, Place, Told
from app.webhooks.schedule import pause_after
from events.base import Fact
from events.jobs import GenerationDelivered, JobEnded, JobKind, generations_of
from events.webhooks import SuspensionCause

_log = logging.getLogger(__name__)

Pool = ConnectionPool[Connection[Any]]

#: deliveries that a process makes at a time, those of one owner, and those to one webhook
AT_ONCE: Final = 64
OF_ONE_OWNER: Final = 8
OF_ONE_WEBHOOK: Final = 4
#: positions that a process remembers to begin: the relay asks again for others
MOST_BEGUN: Final = 2_000
#: how long a link to a picture is good, in seconds
LINK_SECONDS: Final = 1_800
#: threads for what blocks: the database and the writer
_THREADS: Final = 4
_STOP_SECONDS: Final = 5.0
#: where trying again would change nothing that its owner should not know at once
_FINAL: Final = frozenset({WebhookFault.FORBIDDEN_ADDRESS, WebhookFault.GONE, WebhookFault.INACTIVE})


class Letter(msgspec.Struct, frozen=True):
    """A delivery with all that it takes."""

    delivery: WebhookDelivery
    place: Place
    body: bytes


class Turns:
    """Semaphores that are there as long as somebody waits for one."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """A turn of a key."""
        turn, users = self._taken.get(key, (asyncio.Semaphore(self._each), 0))
        self._taken[key] = (turn, users + 1)
        try:
            async with turn:
                yield
        finally:
            users = self._taken[key][1] - 1
            if users:
                self._taken[key] = (turn, users)
            else:
                del self._taken[key]


class Deliverer:
    """Tells webhooks on a thread of its own. `begin` may be called from any thread; `start` it once, `stop` it once."""

    def __init__(
        self,
        *,
        realm: int,
        pool: Pool,
        writer: Writer,
        objects: ObjectStore,
        bucket: str,
        pepper: str,
        outside: Outside,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Name what to work with; nothing is contacted.

        Args:
            realm: whose log.
            pool: autocommitting connections.
            writer: knows `app.webhooks.decider.RULES`.
            objects: the storage of the bucket.
            bucket: that of results.
            pepper: what secrets follow from.
            outside: what may be told.
            lookup: who resolves names; by default the system.
            tls: whose certificates are believed; by default those that the system believes.
        """
        self._realm = realm
        self._pool = pool
        self._writer = writer
        self._objects = objects
        self._bucket = bucket
        self._pepper = pepper
        self._outside = outside
        self._lookup = lookup or Names(AT_ONCE)
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._all = asyncio.Semaphore(AT_ONCE)
        self._owners = Turns(OF_ONE_OWNER)
        self._webhooks = Turns(OF_ONE_WEBHOOK)

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="delivering"))
        self._thread.start()

    def stop(self) -> None:
        """Let go of what is being told, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)

    def begin(self, position: int) -> None:
        """Make what is due of the deliveries of the fact at `position`, in the background and once at a time."""
        self._loop.call_soon_threadsafe(self._begin, position)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._let_go())
        self._loop.close()

    async def _let_go(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # connections that were cut off are noticed

    def _begin(self, position: int) -> None:
        if position not in self._tasks and len(self._tasks) < MOST_BEGUN:
            task = self._tasks[position] = self._loop.create_task(self._tell_all(position))
            task.add_done_callback(lambda _: self._tasks.pop(position, None))

    async def _tell_all(self, position: int) -> None:
        """Every webhook that is due to hear of a fact. What fails is asked for again by the relay."""
        try:
            due = await asyncio.to_thread(self._due, position)
            await asyncio.gather(*(self._tell(each) for each in due))
        except Exception as error:  # a bug, or a server that is away, must not end the loop  # noqa: BLE001
            _log.warning("webhook_unsettled", extra={"position": position, "reason": type(error).__name__})

    async def _tell(self, due: Due) -> None:
        # Jobs have a webhook each: they share one turn for all of their owner's.
        turn = ("jobs", due.owner) if due.of_job else due.webhook
        async with self._webhooks.of(turn), self._owners.of(due.owner), self._all:
            letter = await asyncio.to_thread(self._take, due)
            if letter is None:
                return
            began = time.monotonic()
            at = datetime.now(UTC)
            answer = await post(
                letter.place.url,
                self._outside,
                delivery=letter.delivery.id,
                body=letter.body,
                secrets=letter.place.secrets,
                lookup=self._lookup,
                tls=self._tls,
            )
            took = time.monotonic() - began
            metrics.child(metrics.WEBHOOK_SECONDS, answer.fault or "HEARD").observe(took)
            await asyncio.to_thread(self._settle, letter.delivery, _attempt(at, answer, int(took * 1_000)))

    def _due(self, position: int) -> list[Due]:
        with self._pool.connection() as connection:
            return record.due_at(connection, self._realm, position)

    def _take(self, due: Due) -> Letter | None:
        """Claim a delivery and read what it takes; one that nobody wants any more is given up."""
        with self._pool.connection() as connection:
            delivery = record.claim(connection, self._realm, due)
            if delivery is None:
                return None
            place = record.place_of(connection, self._realm, self._pepper, delivery)
            if place is None:
                nowhere = Attempt(datetime.now(UTC), None, WebhookFault.INACTIVE, 0)
                record.settle(connection, self._realm, delivery, nowhere, None)
                return None
            return Letter(delivery, place, self._body(connection, delivery))

    def _body(self, connection: Connection[Any], delivery: WebhookDelivery) -> bytes:
        fact = record.fact_at(connection, self._realm, delivery.position)
        event = fact.event
        job, words = JobView(JobKind.IMAGE, 0), Words()
        if isinstance(event, JobEnded):
            job = record.job_of(connection, self._realm, event.job)
        elif generations := generations_of(event):
            told = record.told_of(connection, self._realm, generations[0])
            words = _words(told, self._link(fact, told))
        return payload_of(delivery.webhook, fact, job, words)

    def _link(self, fact: Fact, told: Told | None) -> str | None:
        """A link to the picture that was delivered, if it may be shown and is there."""
        event = fact.event
        if told is None or told.hidden or not isinstance(event, GenerationDelivered) or not event.etag:
            return None
        key = result_key(event.lease, event.generation)
        return self._objects.presign_get(self._bucket, key, LINK_SECONDS, "image/webp", version=event.version)

    def _settle(self, delivery: WebhookDelivery, attempt: Attempt) -> None:
        pause = None if attempt.fault in _FINAL else pause_after(delivery.tries + 1, random.random())
        with self._pool.connection() as connection:
            record.settle(connection, self._realm, delivery, attempt, pause)
            failing = record.note_health(connection, self._realm, delivery.webhook, attempt.fault)
        if delivery.webhook == delivery.job:
            return
        if attempt.fault is WebhookFault.GONE:
            self._suspend(delivery, SuspensionCause.GONE)
        elif failing:
            self._suspend(delivery, SuspensionCause.FAILING)

    def _suspend(self, delivery: WebhookDelivery, cause: SuspensionCause) -> None:
        """Raises `WriterBusyError`; it is tried again at the next failure."""
        command = SuspendWebhook(webhook=delivery.webhook, owner=delivery.owner, cause=cause)
        self._writer.execute_sync(Request(command, new_id(), causation=delivery.position))


def _words(told: Told | None, link: str | None) -> Words:
    """What may be shown of what a worker made."""
    if told is None:
        return Words()
    if told.hidden:
        return Words(worker_name=told.worker_name, form=told.form)
    seed = told.result_seed or (str(told.seed) if told.form is None else None)
    return Words(told.worker_name, seed, link, told.text, told.form, told.result)


def _attempt(at: datetime, answer: Answer, milliseconds: int) -> Attempt:
    return Attempt(at, answer.status, answer.fault, milliseconds)
