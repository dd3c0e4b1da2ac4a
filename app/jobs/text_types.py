"""The API's output types of text jobs: the job and its texts.

Resolvers only read and map. Look next: `app.jobs.types` for what jobs of all kinds share.
"""

from __future__ import annotations

from enum import StrEnum

import strawberry

from app.jobs.following import Look
from app.jobs.queries import GenerationView
from app.jobs.types import GenerationNote, Job, common, notes_of, views_of
from app.ledger.text_price import tokens_of
from app.platform.graphql.enums import described_enum
from app.platform.graphql.shared import GenerationState, Node
from app.platform.services import Info
from projections.generations import HIDING
from projections.generations import GenerationState as State
from projections.jobs import Job as JobRow
from projections.queue import text_bounds


class Absence(StrEnum):
    """Why there is no text."""

    NOT_DELIVERED = "NOT_DELIVERED"
    REPORTED = "REPORTED"
    EXPIRED = "EXPIRED"


def absence_of(view: GenerationView) -> Absence | None:
    """Why a generation has no text to show; None if it has one."""
    if view.state is not State.DONE:
        return Absence.NOT_DELIVERED
    if view.report in HIDING:
        return Absence.REPORTED
    return Absence.EXPIRED if view.erased or view.text is None else None


TextAbsence = described_enum(
    Absence,
    "TextAbsence",
    "Why there is no text of a generation.",
    lambda absence: {
        "NOT_DELIVERED": "No worker has delivered it yet, or none ever will: see the generation's state.",
        "REPORTED": "A report about it is not dismissed.",
        "EXPIRED": "It was deleted, some hours after its job ended.",
    }[absence.name],
)


@strawberry.type(description="One text of a text job.")
class TextGeneration(Node):
    """A generation."""

    state: GenerationState = strawberry.field(description="Where it stands.")
    seed: str | None = strawberry.field(description="The seed it is or was written with; null once erased.")
    model: str | None = strawberry.field(description="The model that writes or wrote it.")
    worker_name: str | None = strawberry.field(description="The worker that has or had it.")
    text: str | None = strawberry.field(
        description="What was written; null if there is none, as `textAbsence` says."
    )
    text_absence: TextAbsence | None = strawberry.field(  # type: ignore[valid-type]
        description="Why there is no text; null if there is one."
    )
    tokens: int | None = strawberry.field(
        description="Tokens of the text as they are estimated and charged: a quarter of its characters, at least 20, at "
        "most maxLength; null if there is no text."
    )
    view: strawberry.Private[GenerationView]

    @strawberry.field(
        description="What the worker noted of it, at most 50; erased some hours after the job ended."
    )
    def notes(self) -> list[GenerationNote]:
        """As the worker wrote them."""
        return notes_of(self.view)


@strawberry.type(description="A job that asks for texts.")
class TextJob(Node, Job):
    """A text job."""

    max_length: int = strawberry.field(description="Tokens that are written at most.")
    max_context_length: int = strawberry.field(description="Tokens that are read at most.")
    soft_prompt: str | None = strawberry.field(description="The soft prompt that it asks for.")

    @strawberry.field(description="Its texts, in their order.")
    async def generations(self, info: Info) -> list[TextGeneration]:
        """At most 20."""
        return [text_generation(view, self.max_length) for view in await views_of(info, self)]


def text_job(row: JobRow, look: Look | None = None) -> TextJob:
    """A job row as the API shows it, with what was read together with it."""
    context, length = text_bounds(row.size)
    return TextJob(
        **common(row, look), max_length=length, max_context_length=context, soft_prompt=row.soft_prompt
    )


def text_generation(view: GenerationView, max_length: int) -> TextGeneration:
    """A generation of a job as the API shows it."""
    absence = absence_of(view)
    text = view.text if absence is None else None
    seed = view.result_seed or (None if view.seed is None else str(view.seed))
    return TextGeneration(
        id=strawberry.ID(str(view.id)),
        state=GenerationState(view.state.value),
        seed=seed,
        model=view.model,
        worker_name=view.worker_name,
        text=text,
        text_absence=None if absence is None else TextAbsence(absence.value),
        tokens=None if text is None else min(tokens_of(len(text)), max_length),
        view=view,
    )
