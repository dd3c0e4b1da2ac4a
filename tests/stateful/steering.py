"""Rules of steering: pause, deletion, names, teams, messages, limits of workers; by those who may and by others.

Look next: `working.py`.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, multiple, precondition, rule

from app.accounts.decider import SetPublicWorkers, SetWorkerLimit
from app.teams.decider import CreateTeam, DeleteTeam, EditTeam
from app.workers.steering_decider import ChangeWorker, DeleteMessage, DeleteWorker, PauseWorker, SendMessage
from tests.stateful.model import Done
from tests.stateful.moderating import Moderating
from tests.stateful.town import seldom, teams, users, workers

#: None is the default again; the last two are no limits
LIMITS = (0, 1, 4, None, -1, 100_001)
BY = ("owner", "owner", "moderator", "anybody")


class Steering(Moderating):
    """What owners and moderators do with workers and teams."""

    def somebody(self, by: str, owner: UUID, which: int = 0) -> UUID:
        """Who does it."""
        if by == "owner":
            return owner
        if by == "moderator":
            return self.moderator()
        return list(self.model.users)[which % len(self.model.users)]

    @rule(worker=workers, on=st.booleans(), by=st.sampled_from(("moderator", "moderator", "owner")))
    @seldom(4)
    def pause(self, worker: UUID, on: bool, by: str) -> None:
        """Given no work any more, or again; what it has it may deliver."""
        who = self.somebody(by, self.model.workers[worker].owner)
        command = PauseWorker(worker=worker, by=who, paused=on)
        self.send(lambda: (command, lambda: self.model.pause(worker, who, on=on)))

    @rule(worker=workers, by=st.sampled_from(BY), seen=st.booleans())
    @seldom(2)
    def delete_worker(self, worker: UUID, by: str, seen: bool) -> None:
        """Not while it has leases, unless it took them after they were looked for."""
        self.flush()
        row = self.model.workers[worker]
        who = self.somebody(by, row.owner, 2)
        leases = (x.id for x in self.model.leases.values() if x.worker == worker and x.state == "LIVE")
        live = tuple(leases) if seen else ()
        command = DeleteWorker(
            worker=worker, by=who, owner=row.owner, team=row.team, leases=live, messages=tuple(self.model.messages)
        )  # fmt: skip
        self.send(lambda: (command, lambda: self.model.delete(worker, who, live)))

    @rule(worker=workers, by=st.sampled_from(BY))
    @seldom(1)
    def rename(self, worker: UUID, by: str) -> None:
        who = self.somebody(by, self.model.workers[worker].owner, 1)
        name, description = self.words(str(self.ids.new("other"))), self.words("draws")
        command = ChangeWorker(worker=worker, by=who, name=name, description=description)
        self.send(lambda: (command, lambda: self.model.rename(worker, who)))

    @rule(target=teams, by=st.sampled_from(("moderator", "moderator", "anybody")))
    @seldom(2)
    def found(self, by: str) -> UUID | MultipleResults[UUID]:
        team, who = self.ids.next("team"), self.somebody(by, UUID(int=0), 3)
        command = CreateTeam(team=team, creator=who, name=self.words(str(team)), info=self.words("us"))
        answer = self.send(lambda: (command, lambda: self.model.found(team, who)))
        return self.ids.new("team") if isinstance(answer, Done) else multiple()

    @rule(
        team=teams, joins=st.booleans(), which=st.integers(0, 3), by=st.sampled_from(BY), late=st.booleans()
    )
    @seldom(6)
    def join(self, team: UUID, joins: bool, which: int, by: str, late: bool) -> None:
        """A worker goes to a team, or to none; what was seen of it may be no longer so."""
        worker = list(self.model.workers)[which % len(self.model.workers)]
        row = self.model.workers[worker]
        who, to = self.somebody(by, row.owner, which), team if joins else None
        before = team if late else row.team
        command = ChangeWorker(worker=worker, by=who, moves=True, team=to, before=before)
        self.send(lambda: (command, lambda: self.model.join(worker, who, to, before)))

    @rule(team=teams, by=st.sampled_from(BY), dissolve=st.booleans(), late=st.booleans())
    @seldom(3)
    def change_team(self, team: UUID, by: str, dissolve: bool, late: bool) -> None:
        """Other words for it, or its end; a worker may have joined since it was looked at."""
        who = self.somebody(by, self.model.teams[team].creator, 2)
        if not dissolve:
            name = self.words(str(self.ids.new("other")))
            edit = EditTeam(team=team, by=who, name=name, info=self.words("we"))
            self.send(lambda: (edit, lambda: self.model.edit_team(team, who)))
            return
        members = tuple(self.model.members(team))[1 if late else 0 :]
        command = DeleteTeam(team=team, by=who, workers=members)
        self.send(lambda: (command, lambda: self.model.dissolve(team, who, members)))

    @rule(worker=st.none() | workers, by=st.sampled_from(BY))
    @seldom(2)
    def tell(self, worker: UUID | None, by: str) -> None:
        """A worker is told something, or all are."""
        owner = self.model.workers[worker].owner if worker else next(reversed(self.model.users))
        who, message = self.somebody(by, owner, 1), self.ids.new("other")
        command = SendMessage(
            message=message, sender=who, worker=worker, words=self.words("hello"), origin=self.words("me"), hours=1
        )  # fmt: skip
        self.send(lambda: (command, lambda: self.model.tell(message, who, worker)))

    @precondition(lambda self: self.model.messages)
    @rule(by=st.sampled_from(BY))
    @seldom(1)
    def tell_no_more(self, by: str) -> None:
        message, sender = next(reversed(self.model.messages.items()))
        who = self.somebody(by, sender, 2)
        command = DeleteMessage(message=message, sender=sender, by=who)
        self.send(lambda: (command, lambda: self.model.tell_no_more(message, who)))

    @rule(user=users, limit=st.sampled_from(LIMITS), by=st.sampled_from(("console", "moderator", "owner")))
    @seldom(2)
    def set_worker_limit(self, user: UUID, limit: int | None, by: str) -> None:
        who = None if by == "console" else self.somebody(by, user)
        command = SetWorkerLimit(user=user, limit=limit, by=who)
        self.send(lambda: (command, lambda: self.model.set_worker_limit(user, limit, who)))

    @rule(user=users, public=st.booleans())
    @seldom(1)
    def show_workers(self, user: UUID, public: bool) -> None:
        command = SetPublicWorkers(user=user, public=public)
        self.send(lambda: (command, lambda: self.model.show_workers(user, public=public)))
