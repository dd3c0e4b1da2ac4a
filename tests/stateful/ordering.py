"""What ordering a job of any kind takes: ids, keys, where its client is told, what it is made of.

Look next: `clients.py` for pictures, `asking.py` for texts and forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hypothesis.stateful import MultipleResults, multiple

from app.platform.commands import Command
from app.platform.vault import JobSource, JobWebhook, SourceRole
from app.sources.decider import AcceptSources
from events.webhooks import WebhookEvent
from tests.stateful.model import Done, Wish
from tests.stateful.town import Town

#: what the webhook of a job may be told of
TOLD = ((), (), ("job.done", "job.cancelled", "job.expired", "job.faulted"), tuple(WebhookEvent))


class Ordering(Town):
    """How jobs are ordered."""

    def order_as(
        self,
        who: UUID,
        wish: Wish,
        made: Callable[[UUID], Any],
        mutation: str,
        told: dict[str, UUID] | None = None,
    ) -> UUID | MultipleResults[UUID]:
        """Order a job by the command that is made for its id; the job, if it is accepted."""
        first = self.ids.next("job")

        def ask() -> tuple[Command, Callable[[], Any]]:
            job = self.fresh(first)
            command = made(job)
            return command, lambda: self.model.submit(job, who, command.generations, wish, told)

        answer = self.send(ask, who=who, mutation=mutation)
        return self.ids.new("job") if isinstance(answer, Done) else multiple()

    def hook_of(self, job: UUID, who: UUID, wish: Wish) -> JobWebhook | None:
        """Where its client is told of it."""
        if not wish.told:
            return None
        events = tuple(WebhookEvent(event) for event in wish.told)
        return JobWebhook(job, who, self.words("https://me"), events, "")

    def fetched(self, job: UUID) -> None:
        """The picture that a job is made of is there."""
        wish = self.model.jobs[job].wish
        url = self.url_of(wish) if wish.kind == "INTERROGATION" else None
        came = AcceptSources(job=job, sources=(source_of(job, key=f"jobs/{job}", digest=url),), tiles=1)
        self.send(lambda: (came, lambda: self.model.source_comes(job)))

    def url_of(self, wish: Wish) -> UUID:
        """By what the URL of the picture that a wish is about is known again."""
        return UUID(bytes=wish.about.encode().rjust(16))


def sources_of(job: UUID, wish: Wish, words: str, digest: UUID | None = None) -> tuple[JobSource, ...]:
    """What a job is made of: nothing, a URL, or an upload."""
    if not wish.source:
        return ()
    if wish.source == "is fetched":
        return (source_of(job, url=f"https://{words}", digest=digest),)
    return (source_of(job, key="k"),)


def source_of(job: UUID, *, key: str = "", url: str = "", digest: UUID | None = None) -> JobSource:
    """A picture that a job is made of."""
    return JobSource(job, SourceRole.SOURCE, 0, 1.0, key, url, digest=digest)
