"""The API's output types of image jobs: the job and its pictures.

Resolvers only read and map. Look next: `app.jobs.types` for what jobs of all kinds share, `app.jobs.pictures`.
"""

from __future__ import annotations

import strawberry

from app.jobs import pictures
from app.jobs.following import Look
from app.jobs.queries import GenerationView
from app.jobs.types import GenerationNote, Job, common, notes_of, views_of
from app.platform.graphql.enums import described_enum
from app.platform.graphql.inline import inline
from app.platform.graphql.shared import GenerationState, Node, SourceFault
from app.platform.services import Info, services_of
from projections.jobs import Job as JobRow

#: how long a link to a picture is good, in seconds
LINK_SECONDS = 1_800


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
        return notes_of(self.view)


@strawberry.type(description="A job that asks for pictures.")
class ImageJob(Node, Job):
    """An image job."""

    source_fault: SourceFault | None = strawberry.field(
        description="Why it was given up, if a source image that it named by URL could not be had."
    )

    @strawberry.field(description="Its pictures, in their order.")
    async def generations(self, info: Info) -> list[ImageGeneration]:
        """At most 20."""
        return [image_generation(view) for view in await views_of(info, self)]


def image_job(row: JobRow, look: Look | None = None) -> ImageJob:
    """A job row as the API shows it, with what was read together with it."""
    fault = row.source_fault
    return ImageJob(**common(row, look), source_fault=None if fault is None else SourceFault(fault.value))


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
