"""Rules that play a whole scene, made of what other rules do: what rarely happens by chance, and must be right.

Look next: `working.py`, `hours.py`.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, multiple, precondition, rule

from app.workers.lease_decider import ExpireLease
from tests.stateful.town import Town, leases
from tests.stateful.working import Working

#: longer than any lease of one extension
LONG = 9_000


class Scenes(Working):
    """Races and hopeless work."""

    @precondition(Town.something_runs)
    @rule(target=leases, which=st.integers(0, 3), late=st.sampled_from(("first", "last")))
    def outrun(self, which: int, late: str) -> MultipleResults[UUID]:
        """A lease runs out, others take its work, and its worker delivers after all: before them or after them."""
        live = [lease for lease in self.model.leases.values() if lease.state == "LIVE"]
        lease = live[which % len(live)]
        self.pass_time(LONG)
        self.expire_lease_as(lease.id)
        made = [
            self.ids.new("lease")
            for worker in list(self.model.workers)
            if self.pop_as(self.ids.next("lease"), worker, 3)
        ]
        racers = [lease.id, *made] if late == "first" else [*made, lease.id]
        for key in racers:
            racer = self.model.leases[key]
            self.deliver_as(key, racer.owner, [(g.id, "OK") for g in racer.generations])
        return multiple(*made)

    @precondition(Town.something_waits)
    @rule(target=leases, by=st.sampled_from(("word", "silence")))
    def despair(self, by: str) -> MultipleResults[UUID]:
        """Every worker takes something and fails, by saying so or by saying nothing until its time is over."""
        made = []
        for worker in list(self.model.workers):
            if not self.pop_as(self.ids.next("lease"), worker, 3):
                continue
            key = self.ids.new("lease")
            made.append(key)
            lease = self.model.leases[key]
            if by == "word":
                self.deliver_as(key, lease.owner, [(g.id, "FAULTED") for g in lease.generations])
            else:
                self.pass_time(LONG)
                self.expire_lease_as(key)
        return multiple(*made)

    def expire_lease_as(self, lease: UUID) -> None:
        """Somebody proposes to end a lease."""
        self.send(lambda: (ExpireLease(lease=lease), lambda: self.model.lapse(lease)))
