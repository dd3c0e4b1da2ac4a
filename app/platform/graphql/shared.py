"""Types of the API that more than one slice shows: nodes, price items, quotes, kinds and states.

Look next: `app.jobs.graphql`, `app.accounts.graphql`.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import strawberry

from app.platform import generation_notes, post_processors
from app.platform.graphql.enums import described_enum
from app.platform.graphql.scalars import Kudos
from events import jobs
from projections import generations


@strawberry.interface(description="A thing with an id, by which `node` finds it again.")
class Node:
    """Relay's Node. Ids are the same in the API, the log and the names of objects."""

    id: strawberry.ID = strawberry.field(description="A UUID; the same id that the log uses.")


@strawberry.type(description="One item of a price or of a statement line.")
class PriceItem:
    """A label and an amount."""

    label: str = strawberry.field(description="What it is for.")
    amount: Kudos = strawberry.field(description="How much.")


@strawberry.type(description="What something costs at most, itemised.")
class Quote:
    """A promise that is kept."""

    total: Kudos = strawberry.field(description="The most it can cost.")
    items: list[PriceItem] = strawberry.field(description="What it is made of; sums to the total.")


@strawberry.enum(description="What a job asks for.")
class JobKind(Enum):
    """Kinds of jobs and workers."""

    IMAGE = strawberry.enum_value("IMAGE", description="Pictures from words.")
    TEXT = strawberry.enum_value("TEXT", description="Text from text.")
    INTERROGATION = strawberry.enum_value("INTERROGATION", description="What a picture shows.")


@strawberry.enum(description="What work of a kind is counted in.")
class WorkUnit(Enum):
    """One for each kind."""

    MEGAPIXELSTEPS = strawberry.enum_value(
        "MEGAPIXELSTEPS", description="Of images: width x height x accurate steps, in millions."
    )
    TOKENS = strawberry.enum_value(
        "TOKENS",
        description="Of texts: as they are estimated from what is delivered; of what waits, at most.",
    )
    FORMS = strawberry.enum_value("FORMS", description="Of interrogations.")


#: of each kind
UNIT_OF = {
    jobs.JobKind.IMAGE: WorkUnit.MEGAPIXELSTEPS,
    jobs.JobKind.TEXT: WorkUnit.TOKENS,
    jobs.JobKind.INTERROGATION: WorkUnit.FORMS,
}


@strawberry.enum(description="Where a job stands. The last four are final.")
class JobState(Enum):
    """States of jobs."""

    WAITING = strawberry.enum_value("WAITING", description="No worker has taken any of it yet.")
    PROCESSING = strawberry.enum_value("PROCESSING", description="Workers are at it.")
    DONE = strawberry.enum_value("DONE", description="All that could be delivered was.")
    FAULTED = strawberry.enum_value("FAULTED", description="Nothing could be delivered.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Its client wanted no more of it.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Nobody served it in time.")


_PROCESSING = {
    jobs.SourceProcessing.IMG2IMG: "A new picture after the source.",
    jobs.SourceProcessing.INPAINTING: "What the mask, or the source's transparency, leaves open is painted anew.",
    jobs.SourceProcessing.OUTPAINTING: "The source goes on beyond its margins.",
    jobs.SourceProcessing.REMIX: "A new picture of several sources.",
}
SourceProcessing = described_enum(
    jobs.SourceProcessing,
    "SourceProcessing",
    "What a worker does with a source image.",
    _PROCESSING.__getitem__,
)

_SOURCE_FAULTS = {
    jobs.SourceFault.UNREACHABLE: "Nothing was to be had from its URL, several times.",
    jobs.SourceFault.FORBIDDEN_ADDRESS: "Its URL leads, or was redirected, to a place that is not asked.",
    jobs.SourceFault.TOO_SLOW: "It did not come within the time for one picture.",
    jobs.SourceFault.TOO_LARGE: "It has too many bytes or pixels.",
    jobs.SourceFault.NO_IMAGE: "It is no still WebP, PNG or JPEG picture.",
    jobs.SourceFault.NO_MASK: "Inpainting needs a mask or an alpha channel, and it has none.",
}
SourceFault = described_enum(
    jobs.SourceFault,
    "SourceFault",
    "Why a source image could not be had, so that its job was given up.",
    _SOURCE_FAULTS.__getitem__,
)

GenerationState = described_enum(
    generations.GenerationState,
    "GenerationState",
    "Where a generation stands. The last four are final.",
    lambda state: {
        "WAITING": "No worker has it.",
        "PROCESSING": "A worker has it under a lease.",
        "DONE": "Delivered.",
        "CENSORED": "A worker did it and withheld the picture.",
        "FAULTED": "Given up after failures.",
        "CANCELLED": "Given up with its job.",
    }[state.value],
)

FailureCause = described_enum(
    jobs.FailureCause,
    "FailureCause",
    "Why a lease on a generation came to nothing. Clients must expect new values.",
    lambda cause: {
        "LEASE_EXPIRED": "Its time ran out.",
        "REPORTED_BY_WORKER": "The worker said that it could not be drawn.",
        "SERVER_AWAY": "Its time ran out while the server was away: no fault of the worker's.",
        "STORAGE_AWAY": "The worker could not deliver while storage was away: no fault of its own.",
    }[cause.value],
)


_FORMS = {
    jobs.InterrogationForm.CAPTION: "A sentence that describes it.",
    jobs.InterrogationForm.NSFW: "Whether it is not safe for work.",
    jobs.InterrogationForm.INTERROGATION: "Keywords with confidence.",
    jobs.InterrogationForm.VECTORIZE: "A vector drawing of it.",
    jobs.InterrogationForm.PALETTE: "Its main colours.",
    jobs.InterrogationForm.DESCRIBE: "A longer description.",
    jobs.InterrogationForm.AESTHETIC: "A score of how it pleases.",
}
InterrogationForm = described_enum(
    [*jobs.InterrogationForm, *post_processors.PostProcessor],
    "InterrogationForm",
    "What is told of a picture, or made of it.",
    lambda form: _FORMS.get(form) or f"The picture, post-processed; workers know it as {form.value}.",
)

NoteType = described_enum(
    generation_notes.NoteType,
    "GenerationNoteType",
    "What a note of a worker is about.",
    lambda kind: {
        "LORA": "A LoRA.",
        "TI": "A textual inversion.",
        "CENSORSHIP": "The picture was censored.",
        "SOURCE_IMAGE": "The source.",
        "SOURCE_MASK": "The mask.",
        "EXTRA_SOURCE_IMAGES": "The further sources.",
        "BATCH_INDEX": "Its place in the batch that it was drawn in, as the reference.",
        "INFORMATION": "Anything else, as the reference.",
        "AESTHETIC_SCORE": "How the picture pleases, as the reference.",
    }[kind.name],
)
NoteValue = described_enum(
    generation_notes.NoteValue,
    "GenerationNoteValue",
    "What a note of a worker says.",
    lambda value: {
        "DOWNLOAD_FAILED": "It could not be had, and was left out.",
        "PARSE_FAILED": "It could not be read, and was left out.",
        "BASELINE_MISMATCH": "It is for another kind of models, and was left out.",
        "CSAM": "Child abuse material.",
        "NSFW": "Not safe for work.",
        "SEE_REF": "The reference says it.",
    }[value.name],
)


@strawberry.type(
    name="Warning", description="Something that a client should know, though its request was accepted."
)
class Notice:
    """A warning."""

    code: str = strawberry.field(description="What clients switch on.")
    message: str = strawberry.field(description="For people to read.")


@strawberry.enum(description="What a moderator decides of a case.")
class CaseVerdict(Enum):
    """The verdicts of `events.moderation.Verdict`."""

    UPHELD = strawberry.enum_value("UPHELD", description="The report was right.")
    DISMISSED = strawberry.enum_value(
        "DISMISSED", description="It was not: the requester sees what was delivered; it is not shared again."
    )


#: arguments that many fields take, with their descriptions
First = Annotated[int | None, strawberry.argument(description="How many, 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="A cursor: only what follows it.")]
AccessKey = Annotated[str | None, strawberry.argument(description="Needed unless you are the job's owner.")]
JobId = Annotated[strawberry.ID, strawberry.argument(description="The job's id.")]
