"""The API's output types of jobs: Job, ImageJob, its generations, pages of jobs.

Resolvers only read and map. Look next: `app.jobs.graphql` for the operations, `app.jobs.loaders`.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

import strawberry
from strawberry.dataloader import DataLoader

from app.fleet.online import online_workers
from app.jobs import pictures
from app.jobs.following import Look
from app.jobs.loaders import load_generations, load_proxied_account
from app.jobs.queries import GenerationView
from app.jobs.servability import remaining
from app.jobs.standing import Standing, standings
from app.platform.generation_notes import decode_notes
from app.platform.graphql.connections import PageInfo
from app.platform.graphql.enums import described_enum
from app.platform.graphql.inline import inline
from app.platform.graphql.scalars import Kudos
from app.platform.graphql.shared import (
    GenerationState,
    JobKind,
    JobState,
    Node,
    NoteType,
    NoteValue,
    PriceItem,
    Quote,
    SourceFault,
)
from app.platform.services import Info, services_of
from projections.jobs import Job as JobRow

#: how long a link to a picture is good, in seconds
LINK_SECONDS = 1_800


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


ImageAbsence = described_enum(
    pictures.Absence,
    "ImageAbsence",
    "Why there is no picture of a generation.",
    lambda absence: {
        "NOT_DELIVERED": "No worker has delivered it yet, or none ever will: see the generation's state.",
        "REPORTED": "A report about it is not dismissed.",
        "EXPIRED": "It was deleted, some hours after its job ended, and is not shared.",
    }[absence.name],
)


@strawberry.type(description="What a worker noted of a generation.")
class GenerationNote:
    """One note."""

    type: NoteType = strawberry.field(description="What it is about.")
    value: NoteValue = strawberry.field(description="What it says.")
    ref: str | None = strawberry.field(description="Which one, or what the value leads to.")


@strawberry.type(description="One picture of an image job.")
class ImageGeneration(Node):
    """A generation."""

    state: GenerationState = strawberry.field(description="Where it stands.")
    seed: str | None = strawberry.field(description="The seed it is or was drawn with.")
    model: str | None = strawberry.field(description="The model that draws or drew it.")
    worker_name: str | None = strawberry.field(description="The worker that has or had it.")
    sha256: str | None = strawberry.field(
        description="SHA-256 of the published file, once it is in the shared bucket."
    )
    withheld: str | None = strawberry.field(
        description="Why a picture that was to be shared is not in the shared bucket."
    )
    etag: str | None = strawberry.field(
        description="Entity tag of the picture as it was accepted (MD5 in most storages), to compare with what "
        "imageUrl leads to: where storage keeps no versions, the worker could replace it for a few minutes."
    )
    view: strawberry.Private[GenerationView]

    @strawberry.field(
        description="A link to the picture, good for 30 minutes; null if there is no picture, as `imageAbsence` says."
    )
    def image_url(self, info: Info) -> str | None:
        """The link is made anew each time it is asked for."""
        services = services_of(info)
        place = pictures.place_of(services.settings, self.view)
        if place is None:
            return None
        return services.objects.presign_get(
            place.bucket, place.key, LINK_SECONDS, "image/webp", version=place.version
        )

    @strawberry.field(
        description="The picture itself in base64, read from storage when it is asked for; null if there is none, as "
        "`imageAbsence` says. At most 4 pictures in one operation, of at most 5 MB each: for more, and for anything "
        "that can follow a link, there is `imageUrl`."
    )
    async def image_base64(self, info: Info) -> str | None:
        """Raises `ApiError` LIMIT_PICTURES, or TRY_AGAIN if storage does not answer."""
        place = pictures.place_of(services_of(info).settings, self.view)
        return None if place is None else await inline(info, place, limit=pictures.MAX_INLINE_BYTES)

    @strawberry.field(description="Why there is no picture; null if there is one.")
    def image_absence(self) -> ImageAbsence | None:  # type: ignore[valid-type]
        """By the same rule as the link."""
        absence = pictures.absence_of(self.view)
        return None if absence is None else ImageAbsence(absence.value)

    @strawberry.field(
        description="What the worker noted of it, at most 50; erased some hours after the job ended."
    )
    def notes(self) -> list[GenerationNote]:
        """As the worker wrote them."""
        return [
            GenerationNote(type=NoteType(note.type.value), value=NoteValue(note.value.value), ref=note.ref)
            for note in decode_notes(self.view.notes)
        ]


@strawberry.type(
    description="How many workers remain after a constraint of a job and those listed before it."
)
class ServabilityConstraint:
    """One step."""

    constraint: str = strawberry.field(
        description="online (image workers that polled lately), at_work (of them, those that serve this client: not "
        "paused, in maintenance only for their owner), models, max_pixels, a requirement by the name that NoJob.skipped "
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


@strawberry.type(description="A job that asks for pictures.")
class ImageJob(Node, Job):
    """An image job."""

    source_fault: SourceFault | None = strawberry.field(
        description="Why it was given up, if a source image that it named by URL could not be had."
    )

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

    @strawberry.field(description="Its pictures, in their order.")
    async def generations(self, info: Info) -> list[ImageGeneration]:
        """At most 20."""
        views = load_generations(info, self.row.id) if self.look is None else self.look.generations()
        return [image_generation(view) for view in await views]


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


def image_job(row: JobRow, look: Look | None = None) -> ImageJob:
    """A job row as the API shows it, with what was read together with it."""
    return ImageJob(
        id=strawberry.ID(str(row.id)),
        kind=JobKind(row.kind.value),
        state=JobState(row.state.value),
        submitted_at=row.submitted_at,
        shared=row.shared and row.unshared is None,
        quote=quote_of(row.quote),
        charged=Kudos(row.charged),
        source_fault=None if row.source_fault is None else SourceFault(row.source_fault.value),
        row=row,
        look=look,
    )


def image_generation(view: GenerationView) -> ImageGeneration:
    """A generation as the API shows it."""
    seed = view.result_seed or (None if view.seed is None else str(view.seed))
    return ImageGeneration(
        id=strawberry.ID(str(view.id)),
        state=GenerationState(view.state.value),
        seed=seed,
        model=view.model,
        worker_name=view.worker_name,
        sha256=view.sha256,
        withheld=view.withheld,
        etag=None if view.erased else view.etag,
        view=view,
    )


def quote_of(items: tuple[tuple[str, int], ...]) -> Quote:
    """A quote as the API shows it."""
    shown = [PriceItem(label=label, amount=Kudos(amount)) for label, amount in items]
    return Quote(total=Kudos(sum(amount for _, amount in items)), items=shown)


async def _standing(info: Info, job: Job) -> Standing | None:
    """One statement for all jobs that an operation shows, however many of their fields."""
    if job.look is not None:
        return job.look.standing
    loaders = info.context.loaders
    if "standings" not in loaders:
        loaders["standings"] = DataLoader(load_fn=partial(standings, services_of(info)))
    found: Standing | None = await loaders["standings"].load(job.row)
    return found
