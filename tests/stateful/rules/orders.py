"""Jobs from their client's side: asking, sources that are fetched, ends."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from tests.stateful.rules.realm import Realm
from tests.stateful.rules.shapes import JOB_LIVES, NOBODY, OPEN, Answer, Done, Generation, Job, Refused, Wish


class Orders(Realm):
    """What clients want."""

    def submit(self, job: UUID, requester: UUID, generations: tuple[UUID, ...], wish: Wish) -> Answer:
        available = self.available(requester)
        if wish.most is not None and wish.quote > wish.most:
            return Refused("INVALID_INPUT")
        if self.waits(requester) + wish.n > self.may_wait(requester):
            return Refused("TOO_MANY_JOBS")
        user = self.users[requester]
        known = requester != NOBODY and (user.balance > 0 or bool(user.roles))
        if not wish.free(known=known) and available < wish.quote:
            return Refused("INSUFFICIENT_KUDOS")
        milliseconds = int(self.now.timestamp() * 1000)
        place = (int(requester == NOBODY), 500 * milliseconds - 1000 * available, len(self.jobs))
        pictures = [Generation(key) for key in generations]
        made = Job(job, requester, wish, frozenset(self._needs(requester, wish)), place, pictures, self.now)
        made.held = max(0, min(available, wish.quote))
        made.fetching = wish.source == "is fetched"
        self.jobs[job] = made
        self.generations.update({generation.id: (made, generation) for generation in made.generations})
        return Done(changed=True, says={"job": job})

    def _needs(self, requester: UUID, wish: Wish) -> Iterator[str]:
        """What a worker must allow to serve it."""
        asked = {
            "nsfw": wish.nsfw,
            "post_processing": wish.faces,
            "img2img": bool(wish.source),
            "lora": wish.lora,
            "untrusted_requester": not self.trusted(requester),
            "not_covered": not self.trusted(requester) and self.available(requester) < wish.quote,
            "trusted_worker": wish.trusted_workers,
            "not_slow": wish.hasty,
            "not_extra_slow": not wish.patient,
        }
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
        job.held = min(job.held, job.count(*OPEN) * job.wish.cost)

    def end(self, job: Job) -> None:
        """If nothing of it waits or runs."""
        if not job.count(*OPEN) and not job.ended:
            job.ended, job.held = True, 0
