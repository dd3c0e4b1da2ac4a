"""The API's output types that jobs of all kinds share: Job, servability, notes, pages of jobs.

Resolvers only read and map. Look next: `app.jobs.kinds` for which type a job is shown as, `app.jobs.image_types` for
one of them, `app.jobs.graphql` for the operations, `app.jobs.loaders`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

import strawberry
from strawberry.dataloader import DataLoader

from app.fleet.online import online_workers
from app.jobs.advice import Note
from app.jobs.following import Look
from app.jobs.loaders import load_generations, load_proxied_account
from app.jobs.queries import GenerationView
from app.jobs.servability import remaining
from app.jobs.standing import Standing, standings
from app.platform.generation_notes import decode_notes
from app.platform.graphql.connections import PageInfo
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import (
    JobKind,
    JobState,
    NoteType,
    NoteValue,
    Notice,
    PriceItem,
    Quote,
)
from app.platform.services import Info, services_of
from projections.jobs import Job as JobRow


@strawberry.type(description="What a worker noted of a generation.")
class GenerationNote:
    """One note."""

    type: NoteType = strawberry.field(description="What it is about.")
    value: NoteValue = strawberry.field(description="What it says.")
    ref: str | None = strawberry.field(description="Which one, or what the value leads to.")


def notes_of(view: GenerationView) -> list[GenerationNote]:
    """As the worker wrote them."""
    return [
        GenerationNote(type=NoteType(note.type.value), value=NoteValue(note.value.value), ref=note.ref)
        for note in decode_notes(view.notes)
    ]


@strawberry.type(
    description="How many workers remain after a constraint of a job and those listed before it."
)
class ServabilityConstraint:
    """One step."""

    constraint: str = strawberry.field(
        description="online (workers of the job's kind that polled lately), at_work (of them, those that serve this client: not "
        "paused, in maintenance only for their owner), models or forms, a size (max_pixels, max_length, max_context_length, max_tiles), a requirement by the name that NoJob.skipped "
        "has for it, or worker_id (the workers that the job chose)."
    )
    workers: int = strawberry.field(description="How many remain.")


@strawberry.type(description="Who could serve what waits of a job, as of at most a second ago.")
class Servability:
    """Constraint by constraint."""

    possible: bool = strawberry.field(description="Whether a worker that is online now may serve it.")
    constraints: list[ServabilityConstraint] = strawberry.field(
        description="What it requires, at most 40, each with the workers that remain: where the number falls to 0 is why "
        "nobody serves it."
    )


@strawberry.interface(description="What a client asked for, of whatever kind.")
class Job:
    """A job of any kind."""

    id: strawberry.ID = strawberry.field(description="A UUID.")
    kind: JobKind = strawberry.field(description="What it asks for.")
    state: JobState = strawberry.field(description="Where it stands.")
    submitted_at: datetime = strawberry.field(description="When it entered the log.")
    shared: bool = strawberry.field(description="Whether its pictures go to the shared bucket.")
    quote: Quote = strawberry.field(description="What it will cost at most, itemised, honoured.")
    charged: Kudos = strawberry.field(
        description="What it has cost so far, whether or not the balance could cover it."
    )
    row: strawberry.Private[JobRow]
    #: what followers of the job were shown, so that nothing is read for each of them
    look: strawberry.Private[Look | None] = None

    @strawberry.field(description="Its place among the waiting jobs, from 1; null once nothing of it waits.")
    async def queue_position(self, info: Info) -> int | None:
        """The place in the queue."""
        found = await _standing(info, self)
        return None if found is None else found.position

    @strawberry.field(
        description="Seconds until what waits of it should be done, by the work ahead and the measured speeds of the "
        "workers online; null if none of them may serve it, or nothing of it waits."
    )
    async def estimated_wait_seconds(self, info: Info) -> int | None:
        """The estimated wait."""
        found = await _standing(info, self)
        return None if found is None or found.wait_seconds is None else min(found.wait_seconds, 2**31 - 1)

    @strawberry.field(
        description="Whether it can be served, and what stands against it; null if nothing of it waits."
    )
    async def servability(self, info: Info) -> Servability | None:
        """By the rules of matching."""
        if self.row.waiting < 1 or self.row.closed or self.row.final:
            return None
        found = remaining(self.row, await online_workers(services_of(info)))
        steps = [ServabilityConstraint(constraint=each.constraint, workers=each.workers) for each in found]
        return Servability(possible=found[-1].workers > 0, constraints=steps)

    @strawberry.field(
        description="For whom its client, a service, asked; only the service sees it, until the job's words are erased."
    )
    async def proxied_account(self, info: Info) -> str | None:
        """Nobody else learns whom a service serves, not even the bearer of the access key."""
        if self.row.requester != info.context.viewer.subject:
            return None
        return await load_proxied_account(info, self.row.id)


@strawberry.type(description="An edge of a page of jobs.")
class JobEdge:
    """A job and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Job = strawberry.field(description="The job.")


@strawberry.type(description="A page of jobs, newest first.")
class JobConnection:
    """Jobs of a user."""

    edges: list[JobEdge] = strawberry.field(description="The jobs.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


def common(row: JobRow, look: Look | None) -> dict[str, Any]:
    """What jobs of all kinds are shown with: the fields of `Job`."""
    return {
        "id": strawberry.ID(str(row.id)),
        "kind": JobKind(row.kind.value),
        "state": JobState(row.state.value),
        "submitted_at": row.submitted_at,
        "shared": row.shared and row.unshared is None,
        "quote": quote_of(row.quote),
        "charged": Kudos(row.charged),
        "row": row,
        "look": look,
    }


async def views_of(info: Info, job: Job) -> list[GenerationView]:
    """The generations of a job that is shown, in their order: those read with it, or one read for all jobs shown."""
    if job.look is not None:
        return await job.look.generations()
    return await load_generations(info, job.row.id)


def quote_of(items: tuple[tuple[str, int], ...]) -> Quote:
    """A quote as the API shows it."""
    shown = [PriceItem(label=label, amount=Kudos(amount)) for label, amount in items]
    return Quote(total=Kudos(sum(amount for _, amount in items)), items=shown)


def notices(notes: Iterable[Note]) -> list[Notice]:
    """What a client should know, as the API shows it."""
    return [Notice(code=note.code.value, message=note.message) for note in notes]


async def _standing(info: Info, job: Job) -> Standing | None:
    """One statement for all jobs that an operation shows, however many of their fields."""
    if job.look is not None:
        return job.look.standing
    loaders = info.context.loaders
    if "standings" not in loaders:
        loaders["standings"] = DataLoader(load_fn=partial(standings, services_of(info)))
    found: Standing | None = await loaders["standings"].load(job.row)
    return found
