"""Fetching the sources of jobs: many at a time on a loop of its own, stored, recorded, and told why when not.

A message only begins it: a call is open until a fact settles it, so a process that dies in the midst loses
nothing, and the relay asks again. Every attempt stores under new keys, and the decider takes those of one: whoever comes
second removes what it stored. One requester's slow servers hold up only its own jobs. Look next: `app.platform.picture_fetch`,
`app.sources.decider`, `app.relay.reactions`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.platform import metrics, vault
from app.platform.commands import Command, Done, Request
from app.platform.guarded import Lookup, Names
from app.platform.ids import new_id
from app.platform.objects import ObjectStore, sniff_image
from app.platform.outside import Outside
from app.platform.picture_fetch import FetchError, fetch
from app.platform.picture_header import HEADER_BYTES, read_header
from app.platform.sources import new_source_key, tiles_of
from app.platform.vault import JobSource
from app.platform.writer import Writer
from app.sources.decider import AcceptSources, RefuseSources, Settled
from events.codec import fact_of
from events.jobs import ImageJobSubmitted, InterrogationJobSubmitted, SourceFault
from events.store import log
from projections.store.tables import LIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = logging.getLogger(__name__)

Pool = ConnectionPool[Connection[Any]]

#: pictures that a process fetches at a time, each up to 10 MiB in memory; and those of one requester
AT_ONCE: Final = 16
OF_ONE_REQUESTER: Final = 4
#: seconds before each further attempt at what may be had later; then the job is given up
PAUSES: Final = (2.0, 15.0, 60.0)
#: threads for what blocks: the database, the writer, storage
_THREADS: Final = 8
_STOP_SECONDS: Final = 5.0

_WANTED = (
    f"SELECT fetching AND state IN ('WAITING', 'PROCESSING') FROM {LIVE}.jobs WHERE realm = %s AND id = %s"  # noqa: S608
)
_SOURCES = vault.TABLES[JobSource]
_UNFETCHED = _SOURCES.select(vault.SCHEMA, "job = %(job)s AND url <> '' ORDER BY role, ordinal")


class Wanted(msgspec.Struct, frozen=True):
    """What a job still lacks."""

    job: UUID
    requester: UUID
    #: position of its submission
    position: int
    sources: tuple[JobSource, ...]


class Fetcher:
    """Fetches sources on a thread of its own. `begin` may be called from any thread; `start` it once, `stop` it once."""

    def __init__(
        self,
        *,
        realm: int,
        pool: Pool,
        writer: Writer,
        objects: ObjectStore,
        bucket: str,
        outside: Outside,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Name what to work with; nothing is contacted.

        Args:
            realm: whose log.
            pool: autocommitting connections.
            writer: knows `app.sources.decider.RULES`.
            objects: the storage of the bucket.
            bucket: that of sources.
            outside: what may be asked for.
            lookup: who resolves names; by default the system.
            tls: whose certificates are believed; by default those that the system believes.
            pauses: seconds before each further attempt at what may be had later.
        """
        self._realm = realm
        self._pool = pool
        self._writer = writer
        self._objects = objects
        self._bucket = bucket
        self._outside = outside
        self._lookup = lookup or Names(AT_ONCE)
        self._tls = tls
        self._pauses = tuple(pauses)
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="fetcher", daemon=True)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._all = asyncio.Semaphore(AT_ONCE)
        #: by requester: those who have jobs here, and how many
        self._turns: dict[UUID, tuple[asyncio.Semaphore, int]] = {}

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="fetching"))
        self._thread.start()

    def stop(self) -> None:
        """Let go of what is being fetched, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)

    def begin(self, position: int) -> None:
        """Fetch the sources of the job that was submitted at `position`, in the background and once at a time."""
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

    def _begin(self, position: int) -> None:
        if position not in self._tasks:
            task = self._tasks[position] = self._loop.create_task(self._settle(position))
            task.add_done_callback(lambda _: self._tasks.pop(position, None))

    async def _settle(self, position: int) -> None:
        """Bring storage, vault and log to what the submission calls for. What fails is asked for again by the relay."""
        try:
            wanted = await asyncio.to_thread(self._read, position)
            if wanted is not None:
                async with self._turn(wanted.requester) as turn:
                    await self._fetch_all(wanted, turn)
        except Exception as error:  # a bug, or a server that is away, must not end the loop  # noqa: BLE001
            _log.warning("sources_unsettled", extra={"position": position, "reason": type(error).__name__})

    @asynccontextmanager
    async def _turn(self, requester: UUID) -> AsyncIterator[asyncio.Semaphore]:
        """What lets a requester fetch a few pictures at a time, kept while it has jobs here."""
        turn, jobs = self._turns.get(requester, (asyncio.Semaphore(OF_ONE_REQUESTER), 0))
        self._turns[requester] = (turn, jobs + 1)
        try:
            yield turn
        finally:
            jobs = self._turns[requester][1] - 1
            if jobs:
                self._turns[requester] = (turn, jobs)
            else:
                del self._turns[requester]

    async def _fetch_all(self, wanted: Wanted, turn: asyncio.Semaphore) -> None:
        """All pictures of a job, or the first that cannot be had."""
        stored: list[JobSource] = []
        tiles: list[int] = []
        kept = False
        try:
            for source in wanted.sources:
                lies, size = await self._store(wanted, source, turn)
                stored.append(lies)
                tiles.append(size)
        except FetchError as failed:
            await self._record(wanted, RefuseSources(job=wanted.job, cause=failed.cause))
        else:
            kept = await self._record(
                wanted, AcceptSources(job=wanted.job, sources=tuple(stored), tiles=next(iter(tiles), 0))
            )
        # Only when the outcome is known: what a dead process leaves is deleted by the bucket's expiry.
        if not kept and stored:
            keys = [source.key for source in stored]
            await asyncio.to_thread(self._objects.remove_many, self._bucket, keys)

    async def _store(
        self, wanted: Wanted, source: JobSource, turn: asyncio.Semaphore
    ) -> tuple[JobSource, int]:
        """One picture and its tiles, tried again while it may be had later. Raises `FetchError`."""
        for pause in (*self._pauses, None):
            try:
                async with turn, self._all:
                    return await self._stored(source)
            except FetchError as failed:
                if pause is None or not failed.passing:
                    raise
                await asyncio.sleep(pause)
                if await asyncio.to_thread(self._read, wanted.position) is None:
                    raise
        raise FetchError(SourceFault.UNREACHABLE)

    async def _stored(self, source: JobSource) -> tuple[JobSource, int]:
        try:
            data = await fetch(
                source.url, self._outside, alpha=source.alpha, lookup=self._lookup, tls=self._tls
            )
        except FetchError as failed:
            metrics.child(metrics.SOURCES_FETCHED, failed.cause).inc()
            raise
        metrics.child(metrics.SOURCES_FETCHED, "fetched").inc()
        key = new_source_key()
        kind = f"image/{sniff_image(data[:32])}"
        await asyncio.to_thread(self._objects.put, self._bucket, key, data, kind)
        header = read_header(data[:HEADER_BYTES])
        assert header is not None, "what was fetched was looked at"
        return msgspec.structs.replace(source, key=key, url=""), tiles_of(header)

    async def _record(self, wanted: Wanted, command: Command) -> bool:
        """Whether the command settled it. Raises `WriterBusyError`."""
        request = Request(command, new_id(), causation=wanted.position)
        outcome = await asyncio.to_thread(self._writer.execute_sync, request)
        return isinstance(outcome, Done) and isinstance(outcome.result, Settled) and outcome.result.settled

    def _read(self, position: int) -> Wanted | None:
        """What the job submitted at a position still lacks; None if nothing, or nobody wants it any more."""
        with self._pool.connection() as connection:
            page = connection.execute(log.READ, (self._realm, position - 1, 1), binary=True).fetchall()
            fact = fact_of(log.recorded(page[0])) if page else None
            if (
                fact is None
                or fact.position != position
                or not isinstance(fact.event, ImageJobSubmitted | InterrogationJobSubmitted)
            ):
                return None
            event = fact.event
            row = connection.execute(_WANTED, (self._realm, event.job)).fetchone()
            if row is None or not row[0]:
                return None
            asked = {"realm": self._realm, "job": event.job}
            sources = _SOURCES.load_all(connection.execute(_UNFETCHED, asked, binary=True))
        return Wanted(event.job, event.requester, position, tuple(sources))
