"""What workers deliver, and who pays and earns what for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.stateful.rules.shapes import (
    LATE_A_DAY,
    MEASURED,
    NOBODY,
    OPEN,
    SUSPECTED_EVERY,
    SUSPICIOUS,
    TOO_FAST,
    Answer,
    Done,
    Generation,
    Lease,
    Refused,
    version_of,
)
from tests.stateful.rules.work import Work


class Results(Work):
    """Deliveries."""

    def deliver(self, key: UUID, owner: UUID, results: list[tuple[UUID, str]], wrote: int = 20) -> Answer:
        """Texts are of so many tokens each."""
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        mine = {generation.id: generation for generation in lease.generations}
        if any(generation not in mine for generation, _ in results):
            return Refused("INVALID_INPUT")
        before = self._shape(lease)
        outcomes = [self._result(lease, mine[generation], state, wrote) for generation, state in results]
        if all(reward is None for _, reward in outcomes):
            return Refused("LEASE_ENDED")
        self.end(lease.job)
        self.watch(lease.worker)
        told = [
            (g, s, reward or 0, reward is None) for (g, _), (s, reward) in zip(results, outcomes, strict=True)
        ]
        return Done(changed=self._shape(lease) != before, says={"outcomes": told})

    def _shape(self, lease: Lease) -> list[Any]:
        return [(g.state, len(g.failures), len(g.paid), g.report) for g in lease.generations]

    def _result(self, lease: Lease, generation: Generation, state: str, wrote: int) -> tuple[str, int | None]:
        """Where a generation stands then, and the reward; None if it is refused."""
        job, mine = lease.job, generation.state == "PROCESSING" and generation.lease == lease.id
        if lease.id in generation.paid:
            return generation.state, generation.paid[lease.id]
        if mine and state == "FAULTED":
            self.fail(lease, generation, told=True)
            return generation.state, 0
        if mine:
            return self._told(lease, generation, state, self._pay(lease, generation, state, wrote))
        if state == "FAULTED" and lease.worker in [worker for worker, _ in generation.failures]:
            return generation.state, 0
        if lease.state == "LIVE" and generation in lease.pending and state != "FAULTED":
            return self._told(lease, generation, state, self._pay_redundant(lease, generation, state, wrote))
        if job.closed or generation.state not in OPEN or lease.state != "EXPIRED" or state != "OK":
            return generation.state, None
        return self._pay(lease, generation, state, wrote)

    def _told(
        self, lease: Lease, generation: Generation, state: str, told: tuple[str, int]
    ) -> tuple[str, int]:
        """A report opens a case, also about what another delivered; its picture is not shared any more."""
        if state == "CSAM" and generation.report is None:
            generation.report, lease.job.withdrawing = "OPEN", lease.job.wish.shared
        return told

    def _terms(self, lease: Lease, generation: Generation, state: str, wrote: int) -> tuple[int, int]:
        """Reward and surcharge; of a text for what was written, unless it was withheld."""
        terms = lease.terms(generation)
        reward, surcharge = (
            lease.job.wish.part(amount, wrote) if state == "OK" else amount for amount in terms
        )
        return reward, surcharge

    def _pay(self, lease: Lease, generation: Generation, state: str, wrote: int) -> tuple[str, int]:
        job, own = lease.job, lease.owner == lease.job.requester
        reward, surcharge = self._terms(lease, generation, state, wrote)
        price = 0 if own else reward
        drawn = 0 if own or state != "OK" else reward + surcharge
        charge = job.wish.tax + drawn
        requester = self.users[job.requester]
        if job.requester != NOBODY:
            reserved = min(job.held, charge)
            rest = min(self.available(job.requester), charge - reserved)
            job.held -= reserved
            requester.balance -= reserved + rest
        requester.consumed += charge
        job.charged += charge
        generation.state, generation.lease = ("DONE" if state == "OK" else "CENSORED"), lease.id
        generation.paid[lease.id] = price
        generation.version = version_of(lease.id, job.wish.kind, generation.form) if state == "OK" else None
        generation.work = job.wish.work(wrote) if state == "OK" else 0
        job.touched = self.now
        self._count(lease, price, wrote, told=state == "OK")
        if state == "OK":
            self._measure(lease, generation.work)
        self.happened("generation.done" if state == "OK" else "generation.censored", job, generation)
        self.earn(lease.owner, price)
        self.drop(lease, generation)
        return generation.state, price

    def _count(self, lease: Lease, price: int, wrote: int, *, told: bool) -> None:
        worker = self.workers[lease.worker]
        worker.fulfilled += 1
        worker.earned += price
        if worker.team is None:
            return
        team, kind = self.teams[worker.team], lease.job.wish.kind
        team.fulfilled, team.earned = team.fulfilled + 1, team.earned + price
        team.pixelsteps += lease.job.wish.work(wrote) if told and kind == "IMAGE" else 0
        team.tokens += wrote if told and kind == "TEXT" else 0
        team.forms += told and kind == "INTERROGATION"

    def _measure(self, lease: Lease, work: int) -> None:
        """How fast it was, under a lease that was live; and whether that can be."""
        if lease.state != "LIVE":
            return
        worker, owner = self.workers[lease.worker], self.users[lease.owner]
        took = int((self.now - lease.since).total_seconds() * 1000)
        worker.measured = [*worker.measured, (work, took)][-MEASURED:]
        if total := sum(milliseconds for _, milliseconds in worker.measured):
            worker.speed = sum(done for done, _ in worker.measured) * 1000 // total
        seconds = (self.now - lease.taken).total_seconds()
        if self.trusted(lease.owner) or seconds <= 0:
            return
        units = lease.job.generations
        done = sum(g.work for g in units if g.lease == lease.id and g.state == "DONE")
        lately = worker.suspected is not None and self.now - worker.suspected < SUSPECTED_EVERY
        most = TOO_FAST.get(worker.kind)
        if not lately and most is not None and done / seconds > most:
            worker.suspicions, worker.suspected = worker.suspicions + 1, self.now
            owner.suspicions += 1
            worker.paused = worker.paused or worker.suspicions >= SUSPICIOUS

    def _pay_redundant(self, lease: Lease, generation: Generation, state: str, wrote: int) -> tuple[str, int]:
        """A late delivery was first: a subsidy pays, so much a day, and nobody for outrunning their own worker."""
        today = int(self.now.timestamp()) // 86_400
        owner, worker = self.users[lease.owner], self.workers[lease.worker]
        day, paid = owner.late
        reward, _ = self._terms(lease, generation, state, wrote)
        left = LATE_A_DAY - (paid if day == today else 0)
        first = self.leases[next(iter(generation.paid))].owner
        price = 0 if lease.owner in (lease.job.requester, first) else min(left, reward)
        owner.late = (today, LATE_A_DAY - left + price)
        worker.fulfilled, worker.earned = worker.fulfilled + 1, worker.earned + price
        generation.paid[lease.id] = price
        self.earn(lease.owner, price)
        self.drop(lease, generation)
        return generation.state, price
