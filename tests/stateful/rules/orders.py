"""Jobs from their client's side: asking, sources that are fetched, ends."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from tests.stateful.rules.house import House
from tests.stateful.rules.shapes import JOB_LIVES, NOBODY, OPEN, Answer, Done, Generation, Job, Refused
from tests.stateful.rules.wishes import FormWish, TextWish, Wish


class Orders(House):
    """What clients want."""

    def submit(
        self,
        job: UUID,
        requester: UUID,
        generations: tuple[UUID, ...],
        wish: Wish,
        told: dict[str, UUID] | None = None,
    ) -> Answer:
        """`told` are the forms that were told of the same picture before, and for which generations."""
        told, available = told or {}, self.available(requester)
        user = self.users[requester]
        known = requester != NOBODY and (user.balance > 0 or bool(user.roles))
        if refused := self.keeps_out(requester, wish, wish.n - len(told)):
            return refused
        asked, wish = wish, wish.settled(available, known=known)
        quote = wish.quote(tuple(told))
        if wish.most is not None and quote > wish.most:
            return Refused("INVALID_INPUT")
        if self.waits(requester, wish.kind) + wish.n - len(told) > self.may_wait(requester, wish.kind):
            return Refused("TOO_MANY_JOBS")
        needed = asked.least if isinstance(asked, TextWish) else quote
        if not wish.free(known=known) and available < needed:
            return Refused("INSUFFICIENT_KUDOS")
        milliseconds = int(self.now.timestamp() * 1000)
        place = (int(requester == NOBODY), 500 * milliseconds - 1000 * available, len(self.jobs))
        forms = wish.forms if isinstance(wish, FormWish) else [None] * wish.n
        units = [Generation(key, form=form) for key, form in zip(generations, forms, strict=True)]
        made = Job(
            job, requester, wish, frozenset(self._needs(requester, wish, quote)), place, units, self.now
        )
        made.fetching = wish.source == "is fetched" and len(told) < wish.n
        self.jobs[job] = made
        self.generations.update({generation.id: (made, generation) for generation in made.generations})
        for generation in made.generations:
            if generation.form in told:
                generation.state, generation.reused = "DONE", told[generation.form]
                self.happened("generation.done", made, generation)
        made.held = max(0, min(available, quote))
        self.end(made)
        return Done(changed=True, says={"job": job})

    def _needs(self, requester: UUID, wish: Wish, quote: int) -> Iterator[str]:
        """What a worker must allow to serve it."""
        asked = {
            "untrusted_requester": not self.trusted(requester),
            "not_covered": not self.trusted(requester) and self.available(requester) < quote,
            "unsafe_address": wish.unsafe,
            "untrusted_unsafe_address": wish.unsafe and not self.trusted(requester),
            "trusted_worker": wish.trusted_workers,
            "not_slow": wish.hasty,
            "not_extra_slow": not wish.patient,
        }
        yield from wish.asks()
        yield from (name for name, needed in asked.items() if needed)

    def source_comes(self, key: UUID) -> Answer:
        """The source of a job is there: it is queued."""
        job = self.jobs[key]
        if not job.fetching or job.closed:
            return Done(changed=False, says={"settled": False})
        job.fetching, job.touched = False, self.now
        return Done(changed=True, says={"settled": True})

    def source_fails(self, key: UUID, cause: str) -> Answer:
        """The source of a job cannot be had: the job is given up, for nothing."""
        job = self.jobs[key]
        if not job.fetching or job.closed:
            return Done(changed=False, says={"settled": False})
        job.fetching, job.refused, job.closed, job.touched = False, cause, "FAULTED", self.now
        for generation in job.generations:
            if generation.state == "WAITING":
                self.give_up(job, generation, "FAULTED")
        self.end(job)
        return Done(changed=True, says={"settled": True})

    def cancel(self, job: UUID) -> Answer:
        return self._close(self.jobs[job], "CANCELLED")

    def expire(self, key: UUID) -> Answer:
        job = self.jobs[key]
        if job.count("PROCESSING") or self.now - job.touched < JOB_LIVES:
            return Done(changed=False)
        return self._close(job, "EXPIRED")

    def _close(self, job: Job, state: str) -> Answer:
        if job.closed or job.ended:
            return Done(changed=False)
        job.closed, job.touched = state, self.now
        for generation in job.generations:
            if generation.state == "WAITING":
                self.give_up(job, generation, "CANCELLED")
        self.end(job)
        return Done(changed=True)

    def give_up(self, job: Job, generation: Generation, state: str) -> None:
        """A generation that will never be charged: of the hold only what the others may cost is kept."""
        generation.state, generation.lease = state, None
        job.held = min(job.held, job.owed)

    def end(self, job: Job) -> None:
        """If nothing of it waits or runs."""
        if not job.count(*OPEN) and not job.ended:
            job.ended, job.held = True, 0
            self.happened(f"job.{job.state.lower()}", job)
