"""Rules of moderation: reports of workers, cases decided by moderators and by others, limits of what may wait."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, multiple, precondition, rule

from app.accounts.decider import GrantRole, SetWaitingLimit
from app.moderation.decider import DecideCase
from app.workers.reports import case_of
from events.accounts import Role
from events.base import ANONYMOUS
from events.moderation import Verdict
from tests.stateful.sharing import Sharing
from tests.stateful.town import Town, leases, seldom, users
from tests.stateful.working import Working

#: None is the default again; the last two are no limits
LIMITS = (0, 1, 3, 3, None, -1, 1_000_001)


class Moderating(Sharing, Working):
    """What is reported, and what follows."""

    def something_reported(self) -> bool:
        """Whether there is a case."""
        return any(generation.report for _, generation in self.model.generations.values())

    @precondition(Town.something_waits)
    @rule(target=leases, worker=st.integers(0, 4), publish=st.booleans())
    @seldom(4)
    def report(self, worker: int, publish: bool) -> UUID | MultipleResults[UUID]:
        """A worker delivers one of two pictures, which may be published, and reports the other."""
        able = list(self.model.workers)
        key = self.ids.next("lease")
        if not self.pop_as(key, able[worker % len(able)], 2):
            return multiple()
        lease = self.model.leases[key]
        first, last = lease.generations[0], lease.generations[-1]
        if publish and first is not last:
            self.deliver_as(key, lease.owner, [(first.id, "OK")])
            self.publish_as(lease.job.id, first.id)
        self.deliver_as(key, lease.owner, [(last.id, "CSAM")])
        return self.ids.new("lease")

    @precondition(something_reported)
    @rule(
        which=st.integers(0, 3),
        verdict=st.sampled_from(list(Verdict)),
        by=st.sampled_from(("moderator", "anybody")),
    )
    @seldom(5)
    def decide_case(self, which: int, verdict: Verdict, by: str) -> None:
        """Also a second time, otherwise than the first time, and by who may not."""
        reported = [key for key, (_, generation) in self.model.generations.items() if generation.report]
        generation = reported[which % len(reported)]
        who = self.moderator() if by == "moderator" else list(self.model.users)[which % len(self.model.users)]
        command = DecideCase(
            case=case_of(generation),
            job=self.model.generations[generation][0].id,
            generation=generation,
            verdict=verdict,
            by=who,
        )
        self.send(lambda: (command, lambda: self.model.decide_case(generation, verdict.value, who)))

    @rule(user=users, limit=st.sampled_from(LIMITS), by=st.sampled_from(("console", "moderator", "user")))
    @seldom(3)
    def set_waiting_limit(self, user: UUID, limit: int | None, by: str) -> None:
        who = {"console": None, "moderator": self.moderator() if by == "moderator" else None, "user": user}[
            by
        ]
        command = SetWaitingLimit(user=user, limit=limit, by=who)
        self.send(lambda: (command, lambda: self.model.set_limit(user, limit, who)))

    def moderator(self) -> UUID:
        """A user who moderates; one is made if there is none."""
        for user in self.model.users:
            if self.model.moderates(user):
                return user
        made = next(user for user in self.model.users if user != ANONYMOUS)
        grant = GrantRole(user=made, role=Role.MODERATOR)
        self.send(lambda: (grant, lambda: self.model.promote(made, Role.MODERATOR.value)))
        return made
