"""Rules of time: the clock moves, also back; leases run out; jobs expire; the sweeper does its round."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.jobs.decider import ExpireJob
from app.workers.lease_decider import ExpireLease
from tests.stateful.model import JOB_LIVES, Done
from tests.stateful.town import Town, jobs, leases, seldom

#: a moment, a lease, two, most of a job's life, all of it, more than a lease can be extended to, a day
SECONDS = (1, 149, 150, 300, 1199, 1200, 3700, 90_000)


class Hours(Town):
    """What time does."""

    @rule(seconds=st.sampled_from((*SECONDS, -600)))
    def wait(self, seconds: int) -> None:
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from((0, 150, 1200, 3700)))
    def sweep(self, seconds: int) -> None:
        """The relay's sweeper looks by the database's clock, which may be behind the log's."""
        self.pass_time(seconds)
        self.begin()
        over = [x for x in self.model.leases.values() if x.state == "LIVE" and x.until < self.clock]
        # what becomes idle by these is none of this round's
        idle = [x for x in self.model.jobs.values() if not x.ended and not x.count("PROCESSING")]
        forgotten = [job for job in idle if job.touched < self.clock - JOB_LIVES]
        answers = [self.model.lapse(lease.id) for lease in over]
        answers += [self.model.expire(job.id) for job in forgotten]
        if any(isinstance(answer, Done) and answer.changed for answer in answers):
            self.last = self.model.now
        self.world.sweep()
        self.look()
        self.compare()

    @rule(lease=leases)
    @seldom(4)
    def expire_lease(self, lease: UUID) -> None:
        """Somebody proposes to end a lease, whether or not its time is over."""
        self.send(lambda: (ExpireLease(lease=lease), lambda: self.model.lapse(lease)))

    @rule(job=jobs)
    @seldom(3)
    def expire_job(self, job: UUID) -> None:
        self.send(lambda: (ExpireJob(job=job), lambda: self.model.expire(job)))
