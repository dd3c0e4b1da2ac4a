"""Calls that wait: how many a process holds, and which waiting polls a new job wakes.

A job wakes only polls that may serve it, the longest waiting first, and only as many as it has work for; whoever turns
it down hands it on to the next. Nothing here decides: a poll that is woken looks at the queue like any other, and the
one that looks too often or too late does no harm. All that is known here comes from the log, so jobs that were
submitted through other processes count too. While nothing comes nothing is done: no timer, no statement. Look next:
`app.workers.polling`, `app.platform.tail`, `projections.queue` for the requirements.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from app.platform.commands import Rejection
from app.platform.database import Pool
from app.platform.graphql.top_level import ApiError
from app.platform.sql import any_of, jobs, rows_of
from events.base import Recorded
from events.jobs import (
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobKind,
    LeaseReleased,
    SourcesFetched,
    TextJobSubmitted,
)
from projections.jobs import Job
from projections.queue import (
    ANY_MODEL,
    FRIENDS,
    OTHERS,
    OWN,
    Search,
    nearness,
    plain_requirements,
    requirement_mask,
    unmet_by,
    waits,
)

#: longest time that a call may ask to wait, in seconds
MAX_WAIT_SECONDS = 60
#: polls, and submissions, that one process lets wait at a time; each holds a connection and some 50 KB
MAX_WAITING = 2_000
#: a poll that got a lease keeps what it was woken for until the log says so, but no longer than this, in seconds
LEASE_SEEN_SECONDS = 2.0

_WAITING = rows_of("jobs", any_of(jobs.c.id, "ids"))

ReadJobs = Callable[[Sequence[UUID]], Awaitable[Sequence[Job]]]


class _Submitted(msgspec.Struct, frozen=True):
    job: UUID
    requester: UUID
    generations: tuple[UUID, ...]
    models: tuple[str, ...]
    width: int
    height: int
    nsfw: bool
    post_processing: tuple[str, ...]
    requirements: tuple[str, ...] | None = None
    offers: tuple[tuple[str, int, int], ...] = ()
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()
    fetching: bool = False


class _Moved(msgspec.Struct, frozen=True):
    """What a fact about a job's generations says here."""

    job: UUID
    generations: tuple[UUID, ...] = ()
    worker: UUID | None = None


_submitted = msgspec.json.Decoder(_Submitted)
_moved = msgspec.json.Decoder(_Moved)

#: facts after which a job waits, though they do not say what for
_READ = frozenset({SourcesFetched.TYPE, TextJobSubmitted.TYPE, InterrogationJobSubmitted.TYPE})
#: facts after which nothing of a job is to be had any more
_CLOSING = frozenset({JobCancelled.TYPE, JobExpired.TYPE, JobEnded.TYPE})


class _Work(msgspec.Struct, frozen=True):
    """What a job requires of a worker."""

    job: UUID
    requester: UUID
    kind: JobKind
    models: tuple[str, ...]
    mask: int
    size: int
    soft_prompt: str | None
    allowed_workers: tuple[UUID, ...]
    denied_workers: tuple[UUID, ...]


class Poll:
    """One waiting poll: `flag` is raised by work that it may serve, and when it is `over`."""

    __slots__ = ("_room", "amount", "flag", "held", "looked_for", "number", "over", "search", "served")

    def __init__(self, room: Polls, search: Search, amount: int, number: int) -> None:
        self._room = room
        #: what it asks of the queue
        self.search = search
        #: how many generations it takes at most
        self.amount = amount
        #: by which the longest waiting is known
        self.number = number
        self.flag = asyncio.Event()
        #: the worker polled anew: this one is to answer that there is nothing
        self.over = False
        #: it got a lease
        self.served = False
        #: what it was woken for and has not answered, and what of it the present look is for
        self.held: set[_Offer] = set()
        self.looked_for: set[_Offer] = set()

    def look(self) -> None:
        """It looks at the queue from now on: what comes while it looks raises the flag again."""
        self.flag.clear()
        self.looked_for = set(self.held)

    def found_nothing(self) -> None:
        """It has looked and found nothing: what it was woken for is the next one's."""
        self._room.hand_on(self, self.looked_for)

    def may_serve(self, work: _Work) -> bool:
        """Whether its worker's capabilities meet what a job requires."""
        if self.search.own_only and self.search.owner != work.requester:
            return False
        return unmet_by(self.search, work) is None


class _Offer:
    """A job of which something waits, while polls that were woken for it have not all answered."""

    __slots__ = ("candidates", "held_by", "left", "work")

    def __init__(self, work: _Work, left: int, candidates: Iterator[Poll]) -> None:
        self.work = work
        #: generations that wait, as far as the log is known here
        self.left = left
        #: polls that were woken for it and have not answered
        self.held_by: set[Poll] = set()
        #: polls to be woken next
        self.candidates = candidates


class Room:
    """A bounded number of calls that wait."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.limit = limit
        self.taken = 0

    @contextlib.contextmanager
    def enter(self) -> Iterator[bool]:
        """A place for one call while the context lasts; False if there is none left."""
        if self.taken >= self.limit:
            yield False
            return
        self.taken += 1
        try:
            yield True
        finally:
            self.taken -= 1


class Polls:
    """The polls that wait in this process. `hear` is to be told every page of the log."""

    def __init__(self, read_jobs: ReadJobs, limit: int = MAX_WAITING) -> None:
        self._read_jobs = read_jobs
        self._room = Room(limit)
        self._number = 0
        self._polls: dict[UUID, Poll] = {}
        #: polls with a lease that the log has not told of yet
        self._leaving: dict[UUID, Poll] = {}
        #: by model, in the order in which they came
        self._by_model: dict[str, dict[int, Poll]] = {}
        self._offers: dict[UUID, _Offer] = {}
        self._reading: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._polls)

    @contextlib.contextmanager
    def wait(self, search: Search, amount: int) -> Iterator[Poll | None]:
        """A worker's waiting poll; None if too many wait already. It has one: the poll it had before is over."""
        with self._room.enter() as there_is_room:
            if not there_is_room:
                yield None
                return
            poll = self._arrive(search, amount)
            try:
                yield poll
            finally:
                self._leave(poll)

    def hear(self, page: Sequence[Recorded]) -> None:
        """Wake whom these events concern."""
        if not self._polls and not self._offers:
            return
        waiting_again: Counter[UUID] = Counter()
        fetched = {_moved.decode(event.data).job for event in page if event.type in _READ}
        for event in page:
            match event.type:
                case ImageJobSubmitted.TYPE:
                    self._submit(_submitted.decode(event.data))
                case GenerationsLeased.TYPE:
                    self._leased(_moved.decode(event.data))
                case LeaseReleased.TYPE:
                    released = _moved.decode(event.data)
                    waiting_again[released.job] += len(released.generations)
                case GenerationFailed.TYPE:
                    waiting_again[_moved.decode(event.data).job] += 1
                case GenerationFaulted.TYPE:
                    waiting_again[_moved.decode(event.data).job] -= 1
                case closing if closing in _CLOSING:
                    job = _moved.decode(event.data).job
                    waiting_again.pop(job, None)
                    self._withdraw(job)
        if (returned := +waiting_again) or fetched:
            task = asyncio.ensure_future(self._offer_again(returned, fetched))
            self._reading.add(task)  # the loop holds its tasks weakly
            task.add_done_callback(self._reading.discard)

    def hand_on(self, poll: Poll, offers: set[_Offer]) -> None:
        """A poll is not the one for these offers: the next ones are woken."""
        for offer in tuple(offers):
            poll.held.discard(offer)
            offer.held_by.discard(poll)
            self._wake(offer)

    def _arrive(self, search: Search, amount: int) -> Poll:
        before = self._polls.get(search.worker)
        if before is not None:
            before.over = True
            before.flag.set()
        self._number += 1
        poll = self._polls[search.worker] = Poll(self, search, amount, self._number)
        for model in {*search.models, ANY_MODEL}:
            self._by_model.setdefault(model, {})[poll.number] = poll
        return poll

    def _leave(self, poll: Poll) -> None:
        poll.over = True
        for model in {*poll.search.models, ANY_MODEL}:
            there = self._by_model[model]
            del there[poll.number]
            if not there:
                del self._by_model[model]
        key = poll.search.worker
        if self._polls.get(key) is poll:
            del self._polls[key]
        if poll.served and poll.held:
            self._leaving[key] = poll
            asyncio.get_running_loop().call_later(LEASE_SEEN_SECONDS, self._left, poll)
        else:
            self.hand_on(poll, poll.held)

    def _left(self, poll: Poll) -> None:
        if self._leaving.get(poll.search.worker) is poll:
            del self._leaving[poll.search.worker]
        self.hand_on(poll, poll.held)

    def _offer(self, work: _Work, generations: int) -> None:
        offer = self._offers.get(work.job)
        if offer is None:
            offer = self._offers[work.job] = _Offer(work, 0, iter(()))
        offer.left += generations
        offer.candidates = self._able(offer)
        self._wake(offer)

    def _able(self, offer: _Offer) -> Iterator[Poll]:
        """Polls that wait now and may serve a job: its requester's workers, then friends', then the longest waiting.

        Whoever comes later looks at the queue by itself.
        """
        models = offer.work.models or (ANY_MODEL,)
        queues = [list(self._by_model[model].values()) for model in models if model in self._by_model]
        there = queues[0] if len(queues) == 1 else list(heapq.merge(*queues, key=_number))
        for near in (OWN, FRIENDS, OTHERS):
            for poll in there:
                if nearness(poll.search, offer.work.requester) == near and poll.may_serve(offer.work):
                    yield poll

    def _wake(self, offer: _Offer) -> None:
        """Wake as many more polls as there is work for; forget the offer once nobody is left to answer."""
        if self._offers.get(offer.work.job) is not offer:
            return
        wanted = offer.left - sum(poll.amount for poll in offer.held_by)
        while wanted > 0:
            poll = next(offer.candidates, None)
            if poll is None:
                break
            if poll.over or poll in offer.held_by:
                continue
            poll.held.add(offer)
            offer.held_by.add(poll)
            poll.flag.set()
            wanted -= poll.amount
        if not offer.held_by:
            del self._offers[offer.work.job]

    def _submit(self, event: _Submitted) -> None:
        if not event.fetching:  # otherwise it is queued once its sources are there
            self._offer(_work_of(event), len(event.generations))

    def _leased(self, lease: _Moved) -> None:
        offer = self._offers.get(lease.job)
        if offer is not None:
            offer.left -= len(lease.generations)
            if offer.left <= 0:
                self._withdraw(lease.job)
        if lease.worker is None:
            return
        poll = self._polls.get(lease.worker) or self._leaving.pop(lease.worker, None)
        if poll is not None:
            self.hand_on(poll, poll.held)

    def _withdraw(self, job: UUID) -> None:
        offer = self._offers.pop(job, None)
        if offer is not None:
            for poll in offer.held_by:
                poll.held.discard(offer)

    async def _offer_again(self, returned: Counter[UUID], fetched: set[UUID]) -> None:
        """Offer what workers gave back or failed, and whole jobs that are new or whose sources are there now.

        What a job requires is read, for the fact does not say.
        """
        found: Sequence[Job] | None = None
        while found is None:
            try:
                found = await self._read_jobs([*returned, *fetched - returned.keys()])
            except ApiError as away:
                await asyncio.sleep(away.retry_after or LEASE_SEEN_SECONDS)
        for job in found:
            if waits(job):
                chosen = (job.allowed_workers, job.denied_workers)
                asked = (job.kind, job.models, job.mask, job.size, job.soft_prompt)
                work = _Work(job.id, job.requester, *asked, *chosen)
                self._offer(work, job.waiting if job.id in fetched else returned[job.id])


def reader(pool: Pool, realm: int) -> ReadJobs:
    """Reads jobs by id for `Polls`."""

    async def read_jobs(ids: Sequence[UUID]) -> Sequence[Job]:
        found: list[Job] = await _WAITING.all(pool, realm=realm, ids=list(ids))
        return found

    return read_jobs


def unreasonable(seconds: int) -> Rejection | None:
    """The refusal of a call that wants to wait longer than it may."""
    if 0 <= seconds <= MAX_WAIT_SECONDS:
        return None
    message = f"waitSeconds is from 0 to {MAX_WAIT_SECONDS}"
    return Rejection(code="INVALID_INPUT", message=message, path=("input", "waitSeconds"))


def _work_of(event: _Submitted) -> _Work:
    named = event.requirements
    if named is None:
        named = plain_requirements(nsfw=event.nsfw, post_processing=bool(event.post_processing))
    return _Work(
        job=event.job,
        requester=event.requester,
        models=tuple(model for model, _, _ in event.offers) or event.models,
        mask=requirement_mask(named),
        kind=JobKind.IMAGE,
        size=event.width * event.height,
        soft_prompt=None,
        allowed_workers=event.allowed_workers,
        denied_workers=event.denied_workers,
    )


def _number(poll: Poll) -> Any:
    return poll.number
