"""Workers and teams: registering, steering, presence, teams, messages."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tests.stateful.rules.house import House
from tests.stateful.rules.shapes import (
    NOBODY,
    PRESENT,
    PRESENT_KUDOS,
    PRESENT_LORA,
    PRESENT_MODEL,
    PRESENT_MODELS,
    Answer,
    Done,
    Refused,
    Team,
    Worker,
)


class Fleet(House):
    """What owners and moderators do with workers."""

    def check_in(self, key: UUID, worker: Worker) -> Answer:
        known = self.workers.get(key)
        if worker.owner == NOBODY:
            return Refused("FORBIDDEN")
        if known and known.deleted:
            return Refused("NOT_FOUND")
        if known and known.owner != worker.owner:
            return Refused("FORBIDDEN")
        if known and known.kind != worker.kind:
            return Refused("FORBIDDEN")
        if known is None and self.closed_to(worker.owner):
            return Refused("INVITE_ONLY")
        if known is None and self.owns(worker.owner) >= self.may_own(worker.owner):
            return Refused("TOO_MANY_WORKERS")
        if known is None:
            self.workers[key] = replace(worker, rewarded=self.now)
            return Done(changed=True)
        changed = known.able() != worker.able()
        known.models, known.side, known.allows, known.extra_slow = worker.able()
        return Done(changed)

    def steers(self, key: UUID, by: UUID) -> bool:
        worker = self.workers.get(key)
        return worker is not None and not worker.deleted and (worker.owner == by or self.moderates(by))

    def maintenance(self, key: UUID, by: UUID, *, on: bool) -> Answer:
        if not self.steers(key, by):
            return Refused("NOT_FOUND")
        worker = self.workers[key]
        changed = worker.maintenance != on or (on and worker.rests)
        worker.maintenance, worker.rests = on, False
        return Done(changed)

    def pause(self, key: UUID, by: UUID, *, on: bool) -> Answer:
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        if not self.steers(key, by):
            return Refused("NOT_FOUND")
        worker = self.workers[key]
        changed, worker.paused = worker.paused != on, on
        if changed and not on:
            worker.suspicions = 0
        return Done(changed)

    def delete(self, key: UUID, by: UUID, seen: tuple[UUID, ...]) -> Answer:
        """Not while one of the leases that were seen of it is live."""
        if not self.steers(key, by):
            return Refused("NOT_FOUND")
        if any(self.leases[lease].state == "LIVE" for lease in seen):
            return Refused("WORKER_BUSY")
        worker = self.workers[key]
        worker.deleted, worker.team = True, None
        return Done(changed=True)

    def rename(self, key: UUID, by: UUID) -> Answer:
        return Done(changed=True) if self.steers(key, by) else Refused("NOT_FOUND")

    def claim_uptime(self, key: UUID, owner: UUID, seconds: int) -> Answer:
        worker = self.workers[key]
        assert worker.rewarded is not None
        if worker.owner != owner:
            return Refused("NOT_FOUND")
        seen = min(seconds, int((self.now - worker.rewarded).total_seconds()))
        if worker.maintenance or worker.paused or worker.deleted or seen < PRESENT:
            return Done(changed=False, says={"amount": 0})
        amount = PRESENT_KUDOS + PRESENT_MODEL * min(len(worker.models), PRESENT_MODELS)
        amount += PRESENT_LORA if "lora" in worker.allows else 0
        worker.rewarded = self.now
        worker.uptime += seen
        if worker.team is not None:
            self.teams[worker.team].uptime += seen
        self.earn(owner, amount, by_work=False)
        return Done(changed=True, says={"amount": amount})

    # --- teams

    def members(self, team: UUID) -> list[UUID]:
        return [key for key, worker in self.workers.items() if worker.team == team]

    def found(self, team: UUID, creator: UUID) -> Answer:
        if not self.trusted(creator):
            return Refused("FORBIDDEN")
        self.teams[team] = Team(creator)
        return Done(changed=True, says={"team": team})

    def leads(self, team: UUID, by: UUID) -> Refused | None:
        if self.teams[team].deleted:
            return Refused("NOT_FOUND")
        return None if self.teams[team].creator == by or self.moderates(by) else Refused("FORBIDDEN")

    def edit_team(self, team: UUID, by: UUID) -> Answer:
        return self.leads(team, by) or Done(changed=True)

    def dissolve(self, team: UUID, by: UUID, seen: tuple[UUID, ...]) -> Answer:
        """Those who were seen in it leave it; nobody may be overlooked."""
        if refused := self.leads(team, by):
            return refused
        if set(self.members(team)) - set(seen):
            return Refused("TRY_AGAIN")
        for worker in self.members(team):
            self.workers[worker].team = None
        self.teams[team].deleted = True
        return Done(changed=True)

    def join(self, key: UUID, by: UUID, team: UUID | None, before: UUID | None) -> Answer:
        """A worker that was seen in one team goes to another, or to none."""
        if not self.steers(key, by) or (team is not None and self.teams[team].deleted):
            return Refused("NOT_FOUND")
        worker = self.workers[key]
        if worker.team == team:
            return Done(changed=False)
        if worker.team != before:
            return Refused("TRY_AGAIN")
        worker.team = team
        return Done(changed=True)

    # --- messages, whose words are nobody's here

    def tell(self, message: UUID, sender: UUID, worker: UUID | None) -> Answer:
        if worker is None and not self.moderates(sender):
            return Refused("FORBIDDEN")
        if worker is not None and not self.steers(worker, sender):
            return Refused("NOT_FOUND")
        self.messages[message] = sender
        return Done(changed=True)

    def tell_no_more(self, message: UUID, by: UUID) -> Answer:
        if self.messages[message] != by and not self.moderates(by):
            return Refused("NOT_FOUND")
        return Done(changed=True)
