"""Jobs that calls of this process follow: each is read once when it changed, for all who follow it.

The tail says when a job changed; a job that does not change costs nothing, however many follow it. Places in the queue
change by what happens to other jobs: while the log moves, one statement every two seconds finds those of all followed
jobs together. Promises the latest state, coalesced, and always the last one. May not decide. Look next:
`app.platform.tail`, `app.jobs.standing`, `app.jobs.graphql` for who follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any
from uuid import UUID

from app.jobs.queries import GENERATIONS, JOBS, GenerationView
from app.jobs.standing import Standing, standings
from app.platform.graphql.context import Client
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.services import Services
from projections.jobs import Job
from projections.queue import waits

#: a change of position alone is pushed at most so often, in seconds
POSITION_SECONDS = 2.0
#: jobs whose places are looked up by one statement
BATCH = 200


class Look:
    """A job as it was read once, with its place and its generations, for everybody it is shown to."""

    __slots__ = ("_generations", "_services", "row", "standing")

    def __init__(self, services: Services, row: Job, standing: Standing | None) -> None:
        self._services = services
        self._generations: asyncio.Future[list[GenerationView]] | None = None
        self.row = row
        self.standing = standing

    def moved(self, standing: Standing | None) -> Look:
        """The same job at another place."""
        look = Look(self._services, self.row, standing)
        look._generations = self._generations
        return look

    async def generations(self) -> list[GenerationView]:
        """Its generations in their order, read at the first call. Raises `ApiError`."""
        if self._generations is None or (self._generations.done() and self._generations.exception()):
            self._generations = asyncio.ensure_future(self._read())
        return await asyncio.shield(self._generations)

    async def _read(self) -> list[GenerationView]:
        services = self._services
        return await GENERATIONS.all(services.pool, realm=services.realm, jobs=[self.row.id])


class Followed:
    """One job that somebody follows."""

    def __init__(self, job: UUID) -> None:
        self.job = job
        self.followers = 0
        #: followers that are shown its place
        self.placed = 0
        self.look: Look | None = None
        self.task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._turn = asyncio.Event()

    def show(self, look: Look) -> None:
        """It looks like this now."""
        self.look = look
        self._next()

    def fail(self, task: asyncio.Task[None]) -> None:
        """Pass on what reading it failed with."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._next()

    def _next(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()

    async def looks(self) -> AsyncGenerator[Look, None]:
        """The present look, then each newer one, ending with the last. Raises what reading failed with."""
        seen: Look | None = None
        while True:
            turn = self._turn
            if self._failure is not None:
                raise self._failure
            if self.look is None or self.look is seen:
                await turn.wait()
                continue
            seen = self.look
            yield seen
            if seen.row.final:
                return


class Following:
    """The followed jobs of a process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._jobs: dict[UUID, Followed] = {}
        self._ticking: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def follow(self, job: UUID, *, placed: bool) -> Iterator[Followed]:
        """A job while the context lasts, with its place in the queue if `placed`."""
        followed = self._jobs.get(job)
        if followed is None:
            followed = self._jobs[job] = Followed(job)
        followed.followers += 1
        followed.placed += placed
        if followed.task is None:
            followed.task = asyncio.ensure_future(self._read_on(followed))
            followed.task.add_done_callback(followed.fail)
        elif placed and followed.placed == 1 and followed.look is not None and waits(followed.look.row):
            followed.look = None  # it was read without its place
            followed.task.cancel()
            followed.task = asyncio.ensure_future(self._read_on(followed))
            followed.task.add_done_callback(followed.fail)
        if placed and self._ticking is None:
            self._ticking = asyncio.ensure_future(self._tick())
        try:
            yield followed
        finally:
            followed.followers -= 1
            followed.placed -= placed
            if not followed.followers:
                followed.task.cancel()
                del self._jobs[job]

    async def _read_on(self, followed: Followed) -> None:
        """Read a job now and whenever an event of its stream says that it changed."""
        with self._services.tail.watch(f"job-{followed.job}") as flag:
            while True:
                flag.clear()
                look = await self._look(followed)
                before = followed.look
                if before is None or (before.row, before.standing) != (look.row, look.standing):
                    followed.show(look)
                if look.row.final:
                    return
                await flag.wait()

    async def _look(self, followed: Followed) -> Look:
        """The job as it stands. While the database is away it waits: the last state is promised."""
        while True:
            try:
                row = await read_job(self._services, followed.job)
                standing = (await standings(self._services, [row]))[0] if followed.placed else None
            except ApiError as away:
                if away.retry_after is None:
                    raise
                await asyncio.sleep(away.retry_after)
            else:
                return Look(self._services, row, standing)

    async def _tick(self) -> None:
        """Find new places, while places are shown; as long as the log does not move there are none."""
        tail, before, seen = self._services.tail, -1, -1
        try:
            while any(followed.placed for followed in self._jobs.values()):
                await asyncio.sleep(POSITION_SECONDS)
                # once more after the last move: what it was looked up from may have been a second old
                moved = not (before == seen == tail.position)
                before, seen = seen, tail.position
                if moved:
                    with contextlib.suppress(ApiError):  # the next one will do
                        await self._move()
        finally:
            self._ticking = None

    async def _move(self) -> None:
        shown = [
            (followed, followed.look)
            for followed in self._jobs.values()
            if followed.placed and followed.look is not None and waits(followed.look.row)
        ]
        for start in range(0, len(shown), BATCH):
            batch = shown[start : start + BATCH]
            places = await standings(self._services, [look.row for _, look in batch])
            for (followed, look), place in zip(batch, places, strict=True):
                # its own reader may have been quicker
                if followed.look is look and place and _place(look.standing) != place.position:
                    followed.show(look.moved(place))


def following(services: Services) -> Following:
    """The followed jobs of this process."""
    found: Following = services.caches.setdefault("followed jobs", Following(services))
    return found


async def until_ended(services: Services, job: UUID, seconds: float, client: Client) -> Job:
    """The job once it has ended, or as it stands when the time is over, its client gone, or no room left to wait."""
    deadline = time.monotonic() + seconds
    with services.submissions.enter() as there_is_room:
        if there_is_room and seconds:
            await _wait(services, job, deadline, client)
    return await read_job(services, job)


async def _wait(services: Services, job: UUID, deadline: float, client: Client) -> None:
    left = asyncio.Event()
    client.tell(left)
    with following(services).follow(job, placed=False) as followed:
        tasks: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(_ended(followed)),
            asyncio.ensure_future(left.wait()),
        }
        try:
            await asyncio.wait(
                tasks, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(followed: Followed) -> None:
    async for _ in followed.looks():
        pass


async def read_job(services: Services, job: UUID) -> Job:
    """A job that there is. Raises `ApiError` TRY_AGAIN where it is gone."""
    row: Job | None = await JOBS.one(services.pool, realm=services.realm, ids=[job])
    if row is None:
        message = "the job is gone"
        raise ApiError(message, code=TopLevelCode.TRY_AGAIN, retry_after=1.0)
    return row


def _place(standing: Standing | None) -> int | None:
    return None if standing is None else standing.position
