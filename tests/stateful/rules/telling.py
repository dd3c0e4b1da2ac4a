"""What is told on: webhooks, which hear what happens; forms, which are told again to who asks the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from tests.stateful.rules.pictures import Pictures
from tests.stateful.rules.shapes import (
    GIVES_UP,
    MOST_WEBHOOKS,
    NEWS_LIVES,
    NOBODY,
    TOLD_AGAIN,
    Answer,
    Done,
    Hook,
    Refused,
    Retold,
)


class Telling(Pictures):
    """Who is told what besides who asked."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self.hooks: dict[UUID, Hook] = {}
        #: (webhook, news' number) of what is, or was, to be told
        self.tellings: set[tuple[UUID, int]] = set()
        #: pings, which only one webhook is told of: (webhook, when, number among all news)
        self._followed = 0
        self.retold: dict[UUID, Retold] = {}

    # --- webhooks

    def hook(self, key: UUID, owner: UUID, events: frozenset[str]) -> Answer:
        if owner == NOBODY:
            return Refused("FORBIDDEN")
        if sum(hook.owner == owner for hook in self.hooks.values()) >= MOST_WEBHOOKS:
            return Refused("INVALID_INPUT")
        self.hooks[key] = Hook(owner, events, since=len(self.news), begun=self.now)
        return Done(changed=True, says={"webhook": key})

    def change_hook(
        self, key: UUID, by: UUID, events: frozenset[str] | None, *, active: bool | None, moved: bool
    ) -> Answer:
        hook = self.hooks.get(key)
        if hook is None or hook.owner != by:
            return Refused("NOT_FOUND")
        before = (hook.events, hook.active)
        begins = active is True and not hook.active
        hook.events = hook.events if events is None else events
        hook.active = hook.active if active is None else active
        changed = moved or before != (hook.events, hook.active)
        if changed and hook.active:
            hook.suspended = None
        if begins:
            hook.since = len(self.news)
        if begins or moved:
            hook.begun = self.now
        return Done(changed)

    def unhook(self, key: UUID, by: UUID) -> Answer:
        hook = self.hooks.get(key)
        if hook is None or hook.owner != by:
            return Refused("NOT_FOUND")
        del self.hooks[key]
        return Done(changed=True)

    def rotate(self, key: UUID, by: UUID) -> Answer:
        hook = self.hooks.get(key)
        if hook is None or hook.owner != by:
            return Refused("NOT_FOUND")
        hook.rotations += 1
        return Done(changed=True, says={"rotations": hook.rotations})

    def give_up_hook(self, key: UUID, owner: UUID, cause: str) -> Answer:
        """The house tells it nothing more; for its failures only when it had days."""
        hook = self.hooks.get(key)
        early = hook is not None and cause == "FAILING" and self.now - hook.begun < GIVES_UP
        if hook is None or hook.owner != owner or not hook.active or early:
            return Done(changed=False)
        hook.active, hook.suspended = False, cause
        return Done(changed=True)

    def tell_all(self, now: datetime) -> None:
        """The relay reads what is new: webhooks as they stand then are told of what is not too old."""
        for number, news in list(enumerate(self.news))[self._followed :]:
            if now - news.at >= NEWS_LIVES:
                continue
            self.tellings |= {
                (key, number)
                for key, hook in self.hooks.items()
                if hook.owner == news.owner
                and hook.active
                and news.event in hook.events
                and number >= hook.since
            }
            if news.event in news.hooked:
                self.tellings.add((news.job, number))
        self._followed = len(self.news)
        gone = {key for key, _ in self.tellings} - self.hooks.keys() - self.jobs.keys()
        self.tellings = {telling for telling in self.tellings if telling[0] not in gone}

    def told_webhooks(self) -> list[tuple[UUID, UUID, UUID | None, str, datetime]]:
        """(webhook, job, generation, event, when) of each."""
        told = ((hook, self.news[number]) for hook, number in self.tellings)
        return [(hook, news.job, news.generation, news.event, news.at) for hook, news in told]

    # --- forms

    def tell_again(
        self, lease: UUID, results: Iterable[tuple[UUID, str]], about: UUID, was: set[UUID]
    ) -> None:
        """What was just delivered of the picture at a URL is kept, unless somebody reported the picture; `was` was before."""
        job = self.leases[lease].job
        if any(generation.report in ("OPEN", "UPHELD") for generation in job.generations):
            return
        for key, state in results:
            _, generation = self.generations[key]
            fresh = key not in was and generation.state == "DONE" and generation.lease == lease
            if state == "OK" and fresh and generation.form != "GFPGAN":
                assert generation.form
                until = self.now + TOLD_AGAIN
                self.retold[key] = Retold(job, lease, about, generation.form, job.wish.nsfw, until)

    def told_before(self, about: UUID, form: str, now: datetime, *, nsfw: bool, reported: bool) -> set[UUID]:
        """The generations any of which may be given again for a form: the last that were told."""
        if reported:
            return set()
        found = {
            key: told.until
            for key, told in self.retold.items()
            if (told.about, told.form, told.nsfw) == (about, form, nsfw)
            and told.until > now
            and not any(g.report in ("OPEN", "UPHELD") for g in told.job.generations)
        }
        return {key for key, until in found.items() if until == max(found.values())}

    def reported(self, about: UUID, pictures: dict[UUID, UUID]) -> bool:
        """Whether somebody reported what is at a URL; `pictures` says of which jobs it is."""
        jobs = (self.jobs[job] for job, url in pictures.items() if url == about)
        return any(g.report in ("OPEN", "UPHELD") for job in jobs for g in job.generations)
