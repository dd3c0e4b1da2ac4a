"""Rules of the house and of webhooks: modes switched on for a while, webhooks set, changed, given up and taken away.

Look next: `tests/stateful/rules/house.py`, `tests/stateful/rules/telling.py`.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, multiple, precondition, rule

from app.operations.decider import SetMode
from app.webhooks.decider import CreateWebhook, DeleteWebhook, RotateSecret, SuspendWebhook, UpdateWebhook
from events.operations import Mode
from events.webhooks import SuspensionCause, WebhookEvent
from tests.stateful.asking import Asking
from tests.stateful.model import FormWish, TextWish
from tests.stateful.people import People
from tests.stateful.steering import BY, Steering
from tests.stateful.town import jobs, seldom, users

#: what a webhook of a user is told of
HEARS = (frozenset(WebhookEvent), frozenset({WebhookEvent.GENERATION_DONE, WebhookEvent.JOB_DONE}))
DAYS = 86_400


class Rooms(Steering, Asking, People):
    """What is switched for everybody, and who is told."""

    @rule(
        target=jobs,
        mode=st.sampled_from(Mode),
        by=st.sampled_from(("console", "console", "moderator", "anybody")),
        who=users,
        unsafe=st.booleans(),
        stays=st.sampled_from((False, False, False, True)),
    )
    @seldom(3)
    def house(
        self, mode: Mode, by: str, who: UUID, unsafe: bool, stays: bool
    ) -> UUID | MultipleResults[UUID]:
        """While a mode is on, a stranger comes, somebody orders, and another worker shows up."""
        switcher = None if by == "console" else self.somebody(by, UUID(int=0), 2)
        self._switch(mode, switcher, on=True)
        self.enrol()
        made = self.write_as(who, TextWish(unsafe=unsafe))
        self._check_in(self.ids.new("worker"), who, "captions")
        if not stays:
            self._switch(mode, None, on=False)
        return made

    @precondition(lambda self: self.model.modes)
    @rule()
    def as_usual(self) -> None:
        """Modes are switched off."""
        for mode in sorted(self.model.modes):
            self._switch(Mode(mode), None, on=False)

    def _switch(self, mode: Mode, by: UUID | None, *, on: bool) -> None:
        command = SetMode(mode=mode, on=on, by=by)
        self.send(lambda: (command, lambda: self.model.set_mode(mode.value, by, on=on)))

    # --- webhooks

    @rule(owner=users, hears=st.sampled_from(HEARS))
    @seldom(4)
    def hook(self, owner: UUID, hears: frozenset[WebhookEvent]) -> None:
        key = self.ids.new("other")
        command = CreateWebhook(
            webhook=key, owner=owner, url=self.words("https://me"), events=tuple(sorted(hears))
        )
        events = frozenset(event.value for event in hears)
        self.send(lambda: (command, lambda: self.model.hook(key, owner, events)))

    @precondition(lambda self: self.model.hooks)
    @rule(
        which=st.integers(0, 3),
        by=st.sampled_from(BY),
        hears=st.none() | st.sampled_from(HEARS),
        active=st.none() | st.booleans(),
        moved=st.booleans(),
    )
    @seldom(5)
    def change_hook(
        self, which: int, by: str, hears: frozenset[WebhookEvent] | None, active: bool | None, moved: bool
    ) -> None:
        """Told of other things, elsewhere, no more or again."""
        key, who = self._hook(which, by)
        command = UpdateWebhook(
            webhook=key,
            owner=who,
            url=self.words("https://you") if moved else None,
            events=None if hears is None else tuple(sorted(hears)),
            active=active,
        )
        events = None if hears is None else frozenset(event.value for event in hears)
        self.send(
            lambda: (command, lambda: self.model.change_hook(key, who, events, active=active, moved=moved))
        )

    @precondition(lambda self: self.model.hooks)
    @rule(which=st.integers(0, 3), by=st.sampled_from(BY), rotates=st.booleans())
    @seldom(2)
    def unhook(self, which: int, by: str, rotates: bool) -> None:
        """Taken away, or given another secret."""
        key, who = self._hook(which, by)
        if rotates:
            self.send(lambda: (RotateSecret(webhook=key, owner=who), lambda: self.model.rotate(key, who)))
        else:
            self.send(lambda: (DeleteWebhook(webhook=key, owner=who), lambda: self.model.unhook(key, who)))

    @precondition(lambda self: self.model.hooks)
    @rule(which=st.integers(0, 3), cause=st.sampled_from(SuspensionCause), days=st.sampled_from((0, 2, 3)))
    @seldom(2)
    def give_up_hook(self, which: int, cause: SuspensionCause, days: int) -> None:
        """The house has tried for some days."""
        self.pass_time(days * DAYS)
        key, who = self._hook(which, "owner")
        command = SuspendWebhook(webhook=key, owner=who, cause=cause)
        self.send(lambda: (command, lambda: self.model.give_up_hook(key, who, cause.value)))

    def _hook(self, which: int, by: str) -> tuple[UUID, UUID]:
        """One of the webhooks, and who does something with it."""
        key = list(self.model.hooks)[which % len(self.model.hooks)]
        return key, self.somebody(by, self.model.hooks[key].owner, which)

    # --- scenes

    @rule(target=jobs, who=users, other=users, days=st.sampled_from((0, 0, 1, 5)))
    @seldom(2)
    def ask_again(self, who: UUID, other: UUID, days: int) -> MultipleResults[UUID]:
        """A picture's URL is asked about, fetched and told of, and some days later asked about again."""
        wish = FormWish(n=2, forms=("caption", "interrogation"), source="is fetched")
        first = self.interrogate_as(who, wish)
        if not isinstance(first, UUID):
            return multiple()
        self.fetched(first)
        for worker, row in list(self.model.workers.items()):
            key = self.ids.next("lease")
            if row.kind == wish.kind and self.pop_as(key, worker, 2):
                self.ids.new("lease")
                lease = self.model.leases[key]
                self.deliver_as(key, lease.owner, [(g.id, "OK") for g in lease.generations])
        self.pass_time(days * DAYS)
        again = self.interrogate_as(
            other, FormWish(n=3, forms=("caption", "nsfw", "interrogation"), source="is fetched")
        )
        return multiple(first, *([again] if isinstance(again, UUID) else []))
