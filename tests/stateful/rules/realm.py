"""All that a realm holds, and the accounts in it: kudos, roles, trust, limits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tests.stateful.rules.shapes import (
    FORMS_FOR_ONE,
    MAY_WAIT,
    MAY_WAIT_ANONYMOUS,
    MODERATORS,
    MOST_MAY_WAIT,
    MOST_WORKERS,
    NOBODY,
    SUSPICIOUS,
    TRUST_AGE,
    TRUST_EARNED,
    TRUST_OVER,
    TRUSTED,
    WORKERS,
    WORKERS_TRUSTED,
    Answer,
    Done,
    Generation,
    Job,
    Lease,
    Refused,
    Team,
    User,
    Worker,
)


class Realm:
    """People, and where everything is kept."""

    def __init__(self, now: datetime) -> None:
        #: the instant at which the next command is decided
        self.now = now
        self.users: dict[UUID, User] = {NOBODY: User(balance=-5000)}
        self.workers: dict[UUID, Worker] = {}
        self.teams: dict[UUID, Team] = {}
        #: who wrote each message to workers
        self.messages: dict[UUID, UUID] = {}
        self.jobs: dict[UUID, Job] = {}
        self.generations: dict[UUID, tuple[Job, Generation]] = {}
        self.leases: dict[UUID, Lease] = {}

    def held(self, user: UUID) -> int:
        return sum(job.held for job in self.jobs.values() if job.requester == user)

    def available(self, user: UUID) -> int:
        return self.users[user].balance - self.held(user)

    def register(self, user: UUID) -> Answer:
        self.users[user] = User(opened=self.now)
        return Done(changed=True, says={"user": user})

    def grant(self, user: UUID, amount: int) -> Answer:
        if user == NOBODY or user not in self.users:
            return Refused("NOT_FOUND")
        if amount <= 0:
            return Refused("INVALID_INPUT")
        self.users[user].balance += amount
        return Done(changed=True)

    def transfer(self, source: UUID, target: UUID, amount: int) -> Answer:
        if source == NOBODY:
            return Refused("FORBIDDEN")
        if target not in self.users:
            return Refused("NOT_FOUND")
        if target in (NOBODY, source) or amount <= 0:
            return Refused("INVALID_INPUT")
        if amount > self.available(source):
            return Refused("INSUFFICIENT_KUDOS")
        self.users[source].balance -= amount
        self.users[target].balance += amount
        return Done(changed=True, says={"amount": amount})

    # --- roles and trust

    def moderates(self, user: UUID) -> bool:
        return bool(self.users[user].roles & MODERATORS)

    def trusted(self, user: UUID) -> bool:
        return bool(self.users[user].roles & TRUSTED)

    def promote(self, user: UUID, role: str) -> Answer:
        if user == NOBODY or user not in self.users:
            return Refused("NOT_FOUND")
        changed = role not in self.users[user].roles
        if changed:
            self._trust(user, role)
        return Done(changed)

    def _trust(self, user: UUID, role: str) -> int:
        """Give a role; who is trusted by it may spend what waited in escrow."""
        account = self.users[user]
        account.roles.add(role)
        account.distrusted = account.distrusted and role != "trusted"
        released = account.escrow - account.of_ratings if self.trusted(user) else 0
        account.escrow -= released
        account.balance += released
        return released

    def set_trust(self, user: UUID, by: UUID | None, *, trusted: bool) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        if user == NOBODY:
            return Refused("NOT_FOUND")
        account = self.users[user]
        has, released = "trusted" in account.roles, 0
        if trusted and not has:
            released = self._trust(user, "trusted")
        changed = not has if trusted else has or not account.distrusted
        if not trusted:
            account.roles.discard("trusted")
            account.distrusted = True
        return Done(changed, says={"trusted": self.trusted(user), "released": released})

    def earn(self, owner: UUID, amount: int, *, by_work: bool = True) -> None:
        """Half of what is earned by work, or all of another reward, waits until its owner is trusted."""
        user = self.users[owner]
        kept = 0 if self.trusted(owner) else amount // 2 if by_work else amount
        user.balance += amount - kept
        user.escrow += kept
        user.earned += amount if by_work else 0
        user.uptime += 0 if by_work else amount
        worthy = (
            user.escrow - user.of_ratings > TRUST_OVER
            and user.earned >= TRUST_EARNED
            and user.suspicions < SUSPICIOUS
        )
        if worthy and not user.distrusted and user.opened and self.now - user.opened >= TRUST_AGE:
            self._trust(owner, "trusted")

    # --- limits

    def waits(self, user: UUID, kind: str) -> int:
        """Forms are counted by themselves."""
        forms = kind == "INTERROGATION"
        theirs = (job for job in self.jobs.values() if job.requester == user)
        return sum(job.count("WAITING") for job in theirs if (job.wish.kind == "INTERROGATION") == forms)

    def may_wait(self, user: UUID, kind: str = "IMAGE") -> int:
        limit = self.users[user].limit
        most = limit if limit is not None else MAY_WAIT_ANONYMOUS if user == NOBODY else MAY_WAIT
        return most * (FORMS_FOR_ONE if kind == "INTERROGATION" else 1)

    def set_limit(self, user: UUID, limit: int | None, by: UUID | None) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        if limit is not None and not 0 <= limit <= MOST_MAY_WAIT:
            return Refused("INVALID_INPUT")
        changed, self.users[user].limit = self.users[user].limit != limit, limit
        return Done(changed, says={"limit": self.may_wait(user)})

    def owns(self, user: UUID) -> int:
        return sum(worker.owner == user and not worker.deleted for worker in self.workers.values())

    def may_own(self, user: UUID) -> int:
        limit = self.users[user].worker_limit
        return limit if limit is not None else WORKERS_TRUSTED if self.trusted(user) else WORKERS

    def set_worker_limit(self, user: UUID, limit: int | None, by: UUID | None) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        if user == NOBODY:
            return Refused("NOT_FOUND")
        if limit is not None and not 0 <= limit <= MOST_WORKERS:
            return Refused("INVALID_INPUT")
        changed, self.users[user].worker_limit = self.users[user].worker_limit != limit, limit
        return Done(changed, says={"limit": self.may_own(user)})

    def show_workers(self, user: UUID, *, public: bool) -> Answer:
        if user == NOBODY:
            return Refused("FORBIDDEN")
        changed, self.users[user].public_workers = self.users[user].public_workers != public, public
        return Done(changed)
