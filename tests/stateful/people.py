"""Rules of people: registering, grants, roles, transfers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, rule

from app.accounts.decider import GrantKudos, GrantRole, SetTrust, TransferKudos
from events.accounts import Role
from tests.factories import register
from tests.stateful.model import Done
from tests.stateful.town import Town, seldom, users

#: hundredths
AMOUNTS = (1, 300, 950, 1900, 20_000, 0, -5)


class People(Town):
    """What people do with their accounts."""

    @initialize(target=users)
    def first_people(self) -> MultipleResults[UUID]:
        return multiple(*self.model.users)

    @rule(target=users)
    @seldom(2)
    def register(self) -> UUID | MultipleResults[UUID]:
        return self.enrol()

    def enrol(self) -> UUID | MultipleResults[UUID]:
        """A stranger opens an account, if strangers may."""
        user = self.ids.next("user")

        def ask() -> Any:
            one = self.fresh(user)
            return register(one, one.int % 2**32), lambda: self.model.register(one)

        answer = self.send(ask, mutation="registerUser")
        return self.ids.new("user") if isinstance(answer, Done) else multiple()

    @rule(to=users, amount=st.sampled_from(AMOUNTS))
    @seldom(4)
    def grant(self, to: UUID, amount: int) -> None:
        command = GrantKudos(user=to, amount=amount, note=self.ids.new("other"), reason=self.words("thanks"))
        self.send(lambda: (command, lambda: self.model.grant(to, amount)))

    @rule(to=users, role=st.sampled_from([role.value for role in Role]))
    @seldom(2)
    def promote(self, to: UUID, role: str) -> None:
        self.send(lambda: (GrantRole(user=to, role=Role(role)), lambda: self.model.promote(to, role)))

    @rule(to=users, by=users, console=st.booleans(), trusted=st.booleans())
    @seldom(3)
    def trust(self, to: UUID, by: UUID, console: bool, trusted: bool) -> None:
        who = None if console else by
        command = SetTrust(user=to, trusted=trusted, by=who)
        self.send(lambda: (command, lambda: self.model.set_trust(to, who, trusted=trusted)))

    @rule(source=users, to=users, amount=st.sampled_from(AMOUNTS))
    def transfer(self, source: UUID, to: UUID, amount: int) -> None:
        command = TransferKudos(source=source, target=to, amount=amount)
        self.send(
            lambda: (command, lambda: self.model.transfer(source, to, amount)),
            who=source,
            mutation="transferKudos",
        )
