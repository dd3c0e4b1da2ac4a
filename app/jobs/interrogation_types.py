"""The API's output types of interrogations: the job, its forms, and what each kind of form tells.

Resolvers only read and map. Look next: `app.jobs.types` for what jobs of all kinds share, `app.platform.form_results`
for the shapes.
"""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from app.jobs import pictures
from app.jobs.following import Look
from app.jobs.image_types import LINK_SECONDS
from app.jobs.queries import GenerationView
from app.jobs.types import GenerationNote, Job, common, notes_of, views_of
from app.platform import form_results
from app.platform.graphql.enums import described_enum
from app.platform.graphql.inline import inline
from app.platform.graphql.shared import GenerationState, InterrogationForm, Node, SourceFault
from app.platform.post_processors import makes_picture
from app.platform.services import Info, services_of
from events import jobs as facts
from projections.jobs import Job as JobRow


@strawberry.type(description="A sentence that describes the picture.")
class CaptionResult:
    """Of CAPTION."""

    text: str = strawberry.field(description="At most 2,000 characters.")


@strawberry.type(description="A longer description of the picture.")
class DescribeResult:
    """Of DESCRIBE."""

    text: str = strawberry.field(description="At most 10,000 characters.")


@strawberry.type(description="Whether the picture is not safe for work.")
class NsfwResult:
    """Of NSFW."""

    nsfw: bool = strawberry.field(description="Whether the worker finds it so.")


@strawberry.type(description="What a picture shows.")
class Keyword:
    """A keyword."""

    keyword: str = strawberry.field(description="At most 200 characters.")
    confidence: float = strawberry.field(description="How sure that is, from 0 to 1.")


@strawberry.type(description="What the picture shows, by keywords.")
class InterrogationResult:
    """Of INTERROGATION."""

    keywords: list[Keyword] = strawberry.field(description="At most 500, the surest first.")


@strawberry.type(description="A vector drawing of the picture.")
class VectorizeResult:
    """Of VECTORIZE."""

    svg: str = strawberry.field(
        description="An SVG document, at most 500,000 characters, as a stranger's program wrote it: it may hold scripts, "
        "so show it as an image and never as a part of your page."
    )


@strawberry.type(description="A colour of a picture.")
class PaletteColour:
    """A colour."""

    hex: str = strawberry.field(description="As #rrggbb.")
    share: float = strawberry.field(description="How much of the picture has it, from 0 to 1.")


@strawberry.type(description="The picture's main colours.")
class PaletteResult:
    """Of PALETTE."""

    colours: list[PaletteColour] = strawberry.field(description="At most 64, the largest first.")


@strawberry.type(description="How the picture pleases.")
class AestheticResult:
    """Of AESTHETIC."""

    score: float = strawberry.field(description="From 0 to 10.")


@strawberry.type(description="The picture, post-processed.")
class PostProcessedResult:
    """Of a post-processor."""

    etag: str | None = strawberry.field(
        description="Entity tag of the picture as it was accepted (MD5 in most storages)."
    )
    view: strawberry.Private[GenerationView]

    @strawberry.field(description="A link to the picture, good for 30 minutes.")
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
        description="The picture itself in base64, read from storage when it is asked for. At most 4 pictures in one "
        "operation, of at most 5 MB each: for more, and for anything that can follow a link, there is `imageUrl`."
    )
    async def image_base64(self, info: Info) -> str | None:
        """Raises `ApiError` LIMIT_PICTURES, or TRY_AGAIN if storage does not answer."""
        place = pictures.place_of(services_of(info).settings, self.view)
        return None if place is None else await inline(info, place, limit=pictures.MAX_INLINE_BYTES)


FormResult = Annotated[
    CaptionResult
    | DescribeResult
    | NsfwResult
    | InterrogationResult
    | VectorizeResult
    | PaletteResult
    | AestheticResult
    | PostProcessedResult,
    strawberry.union("FormResult", description="What was told of a picture, or made of it, by the form."),
]

FormAbsence = described_enum(
    pictures.Absence,
    "FormAbsence",
    "Why there is no result of a form.",
    lambda absence: {
        "NOT_DELIVERED": "No worker has delivered it yet, or none ever will: see the generation's state.",
        "REPORTED": "A report about it is not dismissed.",
        "EXPIRED": "It was deleted, some hours after its job ended.",
    }[absence.name],
)


@strawberry.type(description="One form of an interrogation: it is there as soon as it is done.")
class FormGeneration(Node):
    """A generation."""

    state: GenerationState = strawberry.field(description="Where it stands.")
    form: InterrogationForm = strawberry.field(description="What is asked.")
    worker_name: str | None = strawberry.field(description="The worker that has or had it.")
    reused: bool = strawberry.field(
        description="It was told before of the same URL, to you or somebody else, and is given again, free."
    )
    view: strawberry.Private[GenerationView]

    @strawberry.field(
        description="What was told, by the form's own type; null if there is nothing, as `absence` says.",
        graphql_type=FormResult | None,
    )
    def result(self) -> Any:
        """Read together with the generation."""
        return None if pictures.absence_of(self.view) is not None else _result(self.view)

    @strawberry.field(description="Why there is no result; null if there is one.")
    def absence(self) -> FormAbsence | None:  # type: ignore[valid-type]
        """By the same rule as the result."""
        absence = pictures.absence_of(self.view)
        return None if absence is None else FormAbsence(absence.value)

    @strawberry.field(
        description="What the worker noted of it, at most 50; erased some hours after the job ended."
    )
    def notes(self) -> list[GenerationNote]:
        """As the worker wrote them."""
        return notes_of(self.view)


@strawberry.type(description="A job that asks what a picture shows, or for what becomes of it.")
class InterrogationJob(Node, Job):
    """An interrogation."""

    source_fault: SourceFault | None = strawberry.field(
        description="Why it was given up, if the picture that it named by URL could not be had."
    )
    tiles: int | None = strawberry.field(
        description="Squares of 512 x 512 pixels that the picture takes up; null while it is not fetched."
    )

    @strawberry.field(description="Its forms, in the order in which they were asked.")
    async def generations(self, info: Info) -> list[FormGeneration]:
        """At most 20."""
        return [form_generation(view) for view in await views_of(info, self)]


def interrogation_job(row: JobRow, look: Look | None = None) -> InterrogationJob:
    """A job row as the API shows it, with what was read together with it."""
    fault = row.source_fault
    return InterrogationJob(
        **common(row, look),
        source_fault=None if fault is None else SourceFault(fault.value),
        tiles=row.size or None,
    )


def form_generation(view: GenerationView) -> FormGeneration:
    """A generation as the API shows it."""
    return FormGeneration(
        id=strawberry.ID(str(view.id)),
        state=GenerationState(view.state.value),
        form=InterrogationForm(view.form),
        worker_name=view.worker_name,
        reused=view.reused is not None,
        view=view,
    )


def _result(view: GenerationView) -> Any:
    assert view.form is not None, "what is asked in an interrogation has a name"
    if makes_picture(view.form):
        return PostProcessedResult(etag=view.etag, view=view)
    form = facts.InterrogationForm(view.form)
    assert view.told is not None, "a form is done once it is told, and not erased"
    told: Any = form_results.decode(form, view.told)
    match form:
        case facts.InterrogationForm.CAPTION:
            return CaptionResult(text=told)
        case facts.InterrogationForm.DESCRIBE:
            return DescribeResult(text=told)
        case facts.InterrogationForm.NSFW:
            return NsfwResult(nsfw=told)
        case facts.InterrogationForm.INTERROGATION:
            return InterrogationResult(
                keywords=[Keyword(keyword=each.keyword, confidence=each.confidence) for each in told]
            )
        case facts.InterrogationForm.VECTORIZE:
            return VectorizeResult(svg=told)
        case facts.InterrogationForm.PALETTE:
            return PaletteResult(colours=[PaletteColour(hex=each.hex, share=each.share) for each in told])
        case facts.InterrogationForm.AESTHETIC:
            return AestheticResult(score=told)
