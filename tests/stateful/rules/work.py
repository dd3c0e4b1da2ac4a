"""Polls, leases and how they end without a picture."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from tests.stateful.rules.fleet import Fleet
from tests.stateful.rules.orders import Orders
from tests.stateful.rules.shapes import (
    EXTRA_SLOW,
    FAST,
    HOUR,
    LEASE_LIVES,
    LOOKED_AT,
    UNSWEPT,
    Answer,
    Done,
    Generation,
    Job,
    Lease,
    Refused,
    Worker,
)


class Work(Orders, Fleet):
    """What workers take, and give back."""

    def offers(
        self, key: UUID, shunned: str = "", friends: Collection[UUID] = ()
    ) -> list[tuple[Job, list[Generation]]]:
        """What a worker could take, best first, with the generations that it is not barred from."""
        worker, made = self.workers[key], []
        for job in self.jobs.values():
            own, friend = job.requester == worker.owner, job.requester in friends
            waived = {"untrusted_requester", "not_covered"} if own or friend else set()
            fits = self._fits(key, job) and job.needs <= self._allows(worker) | waived
            barred = (worker.maintenance and not own) or (shunned and shunned in job.wish.words)
            waiting = [g for g in job.generations if g.state == "WAITING" and key not in g.barred]
            free = [g for g in waiting if g.form is None or g.form in worker.models]
            if free and fits and not barred and not job.closed and not job.fetching:
                made.append(((not own, not friend, job.place), job, free))
        return [(job, free) for _, job, free in sorted(made, key=lambda offer: offer[0])]

    def _fits(self, key: UUID, job: Job) -> bool:
        wish, worker = job.wish, self.workers[key]
        chosen = (not wish.only or key in wish.only) and key not in wish.denied
        return chosen and wish.kind == worker.kind and bool(wish.with_(worker)) and wish.fits(worker)

    def _allows(self, worker: Worker) -> frozenset[str]:
        """What it says that it does, what its owner stands for, and what it has shown."""
        slow = worker.extra_slow or 0 < worker.speed < FAST[worker.kind]
        trusted = self.trusted(worker.owner)
        shown = {"trusted_worker": trusted, "untrusted_unsafe_address": trusted, "not_slow": not slow}
        # no worker of the machine minds addresses that the operator calls unsafe
        return worker.allows | {"unsafe_address"} | {name for name, true in shown.items() if true}

    def crowded(self) -> bool:
        """Whether more waits than one look at the queue is promised to see."""
        waiting = (job.wish for job in self.jobs.values() if job.count("WAITING"))
        return sum(wish.places * max(1, len(wish.only)) for wish in waiting) >= LOOKED_AT

    def pop(
        self, lease: UUID, key: UUID, amount: int, shunned: str = "", friends: Collection[UUID] = ()
    ) -> Answer:
        worker = self.workers[key]
        if worker.deleted:
            return Refused("NOT_FOUND")
        if worker.paused:
            return Refused("WORKER_PAUSED")
        offers = self.offers(key, shunned, friends)
        if not offers:
            return Done(changed=False, says={"lease": None})
        job, free = offers[0]
        taken = free[:amount]
        for generation in taken:
            generation.state, generation.lease = "PROCESSING", lease
        models = job.wish.with_(worker)
        until, now = self.now + self._length(job, worker) * len(taken), self.now
        model = "" if job.wish.kind == "INTERROGATION" else models[lease.int % len(models)]
        self.leases[lease] = Lease(
            lease, job, key, worker.owner, model, tuple(taken), list(taken), now, until, now
        )
        job.touched = self.now
        return Done(changed=True, says={"lease": lease})

    def _length(self, job: Job, worker: Worker) -> timedelta:
        return timedelta(seconds=job.wish.lease * (EXTRA_SLOW if worker.extra_slow else 1))

    def extend(self, key: UUID, owner: UUID) -> Answer:
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        if lease.state != "LIVE":
            return Refused("LEASE_ENDED")
        length = self._length(lease.job, self.workers[lease.worker]) * len(lease.generations)
        until = max(lease.until, min(self.now + length, lease.taken + max(LEASE_LIVES, length)))
        changed, lease.until = until != lease.until, until
        if changed:
            lease.job.touched = self.now
        return Done(changed, says={"expires_at": until})

    def release(self, key: UUID, owner: UUID) -> Answer:
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        if lease.state != "LIVE":
            return Done(changed=False)
        for generation in self._running(lease):
            generation.state, generation.lease = "WAITING", None
            if lease.job.closed:
                self.give_up(lease.job, generation, "CANCELLED")
        lease.state, lease.pending, lease.job.touched = "RELEASED", [], self.now
        self.end(lease.job)
        return Done(changed=True)

    def lapse(self, key: UUID) -> Answer:
        """The time of a lease is over, if it is."""
        lease = self.leases[key]
        if lease.state != "LIVE" or lease.until > self.now:
            return Done(changed=False)
        away = self.now - lease.until > UNSWEPT
        for generation in self._running(lease):
            self.fail(lease, generation, told=False, away=away)
        self.watch(lease.worker)
        lease.state, lease.pending, lease.job.touched = "EXPIRED", [], self.now
        self.end(lease.job)
        return Done(changed=True)

    def _running(self, lease: Lease) -> list[Generation]:
        return [g for g in lease.pending if g.state == "PROCESSING" and g.lease == lease.id]

    def watch(self, key: UUID) -> None:
        """A worker that failed too much rests."""
        worker = self.workers[key]
        if len(worker.faults) > self.most_faults() and not worker.maintenance:
            worker.maintenance, worker.rests, worker.faults = True, True, []

    def fail(self, lease: Lease, generation: Generation, *, told: bool, away: bool = False) -> None:
        """A lease on a generation came to nothing."""
        job, worker = lease.job, self.workers[lease.worker]
        worker.failed += 1
        if not away:
            worker.faults = [at for at in worker.faults if self.now - at < HOUR] + [self.now]
        again = lease.worker in [worker for worker, _ in generation.failures]
        generation.failures.append((lease.worker, lease.owner))
        generation.state, generation.lease, job.touched = "WAITING", None, self.now
        if (told or again) and lease.worker not in generation.barred:
            generation.barred.append(lease.worker)
        if job.closed:
            self.give_up(job, generation, "CANCELLED")
        elif len(generation.failures) >= 3 and len({owner for _, owner in generation.failures}) >= 2:
            self.give_up(job, generation, "FAULTED")
            self.happened("generation.faulted", job, generation)
        self.drop(lease, generation)

    def drop(self, lease: Lease, generation: Generation) -> None:
        """A lease is about a generation no more."""
        lease.since = self.now
        lease.pending = [g for g in lease.pending if g is not generation]
        if not lease.pending and lease.state == "LIVE":
            lease.state = "SETTLED"
