"""The API of the horde as a whole: queue, workers, models, and what was delivered, by kind.

Resolvers only read and map; all of it is public. Look next: `app.operations.status`, `app.operations.statistics`,
`docs/status.md`.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from typing import Annotated

import strawberry

from app.operations import statistics, status
from app.operations.statistics import ModelTotals as ModelCounts
from app.operations.status import Figures, ModelFigures
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import UNIT_OF, After, First, JobKind, WorkUnit
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.services import Info, services_of
from events import jobs

#: what GraphQL's Int holds
_MOST = 2**31 - 1
#: models of jobs are at most so long
_MAX_NAME = 100


@strawberry.enum(description="Which models to show, by whether the model reference describes them.")
class ModelKnowledge(Enum):
    """The values of `app.operations.status.Knowledge`."""

    ALL = strawberry.enum_value("ALL", description="All of them.")
    KNOWN = strawberry.enum_value("KNOWN", description="Those that it describes.")
    CUSTOM = strawberry.enum_value("CUSTOM", description="Those that it does not.")


@strawberry.type(description="How the horde is doing with one kind of work.")
class KindStatus:
    """Figures of a kind, in its unit."""

    kind: JobKind = strawberry.field(description="The kind.")
    unit: WorkUnit = strawberry.field(description="What its work is counted in.")
    queued_jobs: int = strawberry.field(description="Jobs of which something waits.")
    queued_generations: int = strawberry.field(description="Generations or forms that wait.")
    queued_work: float = strawberry.field(description="What is to be done for them, at most.")
    past_minute_generations: int = strawberry.field(description="Delivered in the past minute.")
    past_minute_work: float = strawberry.field(description="What was in that.")
    workers: int = strawberry.field(description="Workers of the kind that are online.")
    threads: int = strawberry.field(description="Their threads.")


@strawberry.type(description="How the horde is doing.")
class HordeStatus:
    """Figures at most a second old."""

    queued_jobs: int = strawberry.field(description="Image jobs of which something waits.")
    queued_generations: int = strawberry.field(description="Pictures that wait.")
    queued_megapixelsteps: float = strawberry.field(
        description="Width x height x accurate steps of what waits, in millions."
    )
    past_minute_images: int = strawberry.field(description="Pictures delivered in the past minute.")
    past_minute_megapixelsteps: float = strawberry.field(
        description="Width x height x accurate steps delivered in the past minute, in millions."
    )
    workers: int = strawberry.field(description="Image workers online.")
    threads: int = strawberry.field(description="Threads of image workers online.")
    kinds: list[KindStatus] = strawberry.field(description="The same for each kind of work, images first.")
    position: Position = strawberry.field(description="The last log position that this process has seen.")


@strawberry.type(description="A model, or a form of interrogation, that somebody serves or asks for.")
class Model:
    """A model and its queue."""

    name: str = strawberry.field(description="Its name.")
    kind: JobKind = strawberry.field(description="What it is for.")
    known: bool = strawberry.field(
        description="Whether the model reference describes it; every form is known."
    )
    workers: int = strawberry.field(description="Workers online that have it.")
    threads: int = strawberry.field(description="Their threads.")
    queued_jobs: int = strawberry.field(
        description="Waiting jobs that name it; jobs for any model are counted with none."
    )
    queued_megapixelsteps: float = strawberry.field(
        description="Of an image model their waiting work, in millions; of others 0."
    )
    unit: WorkUnit = strawberry.field(description="What its work is counted in.")
    queued_work: float = strawberry.field(description="Their waiting work.")
    speed: float = strawberry.field(
        description="What its workers that serve everybody make of it together in a second, by their measured speeds."
    )
    estimated_wait_seconds: int | None = strawberry.field(
        description="That work at that speed; null if no worker that has it is online and serves everybody."
    )


@strawberry.type(description="What was delivered in some time.")
class Delivered:
    """A number of generations and what is in them."""

    count: int = strawberry.field(description="Generations or forms that workers delivered.")
    work: float = strawberry.field(description="What was in them, in the kind's unit.")


@strawberry.type(description="What was delivered of one form of interrogation.")
class FormTotals:
    """Each form is one unit of work."""

    form: str = strawberry.field(description="The form.")
    minute: int = strawberry.field(description="In the past minute.")
    hour: int = strawberry.field(description="In the past hour.")
    day: int = strawberry.field(description="In the past 24 hours.")
    month: int = strawberry.field(description="In the past 30 days.")
    ever: int = strawberry.field(description="Since the log began.")


@strawberry.type(
    description="What was delivered of one kind. Windows end now and begin with a whole minute, hour or day."
)
class Totals:
    """Totals of a kind."""

    kind: JobKind = strawberry.field(description="The kind.")
    unit: WorkUnit = strawberry.field(description="What its work is counted in.")
    minute: Delivered = strawberry.field(description="In the past minute.")
    hour: Delivered = strawberry.field(description="In the past hour.")
    day: Delivered = strawberry.field(description="In the past 24 hours.")
    month: Delivered = strawberry.field(description="In the past 30 days.")
    ever: Delivered = strawberry.field(description="Since the log began.")
    forms: list[FormTotals] = strawberry.field(
        description="Of interrogations, the same for each form; empty of other kinds."
    )


@strawberry.type(description="What was delivered with one model, or of one form.")
class ModelTotals:
    """Totals of a model."""

    name: str = strawberry.field(description="The model, or the form.")
    kind: JobKind = strawberry.field(description="What it is for.")
    known: bool = strawberry.field(
        description="Whether the model reference describes it; every form is known."
    )
    day: Delivered = strawberry.field(description="In the past 24 hours.")
    month: Delivered = strawberry.field(description="In the past 30 days.")
    ever: Delivered = strawberry.field(description="Since the log began.")


@strawberry.type(description="An edge of a page of models.")
class ModelTotalsEdge:
    """A model's totals and their cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: ModelTotals = strawberry.field(description="The model's totals.")


@strawberry.type(description="A page of models, those with which most was ever delivered first.")
class ModelTotalsConnection:
    """Totals of models."""

    edges: list[ModelTotalsEdge] = strawberry.field(description="The models.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


Kind = Annotated[JobKind, strawberry.argument(description="Of which kind.")]
Knowledge = Annotated[ModelKnowledge, strawberry.argument(description="Which of them.")]


@strawberry.type
class StatusQueries:
    """Queries of the horde as a whole."""

    @strawberry.field(description="How the horde is doing.")
    async def horde_status(self, info: Info) -> HordeStatus:
        """Figures at most a second old."""
        services = services_of(info)
        found = await status.figures(services)
        images = found[jobs.JobKind.IMAGE]
        return HordeStatus(
            queued_jobs=images.queued_jobs,
            queued_generations=images.queued_generations,
            queued_megapixelsteps=images.queued_amount,
            past_minute_images=images.past_minute_count,
            past_minute_megapixelsteps=images.past_minute_amount,
            workers=images.workers,
            threads=images.threads,
            kinds=[_kind_status(figures) for figures in found.values()],
            position=Position(services.tail.position),
        )

    @strawberry.field(
        description="Models or forms that are served or asked for, most work first, at most 500."
    )
    async def models(
        self,
        info: Info,
        kind: Kind = JobKind.IMAGE,
        knowledge: Knowledge = ModelKnowledge.ALL,
        min_workers: Annotated[
            int, strawberry.argument(description="Only those that at least so many workers online have.")
        ] = 0,
        max_workers: Annotated[
            int | None, strawberry.argument(description="Only those that at most so many have.")
        ] = None,
    ) -> list[Model]:
        """Models with their queues, at most a second old."""
        found = status.chosen(
            await status.models(services_of(info)),
            jobs.JobKind[kind.name],
            status.Knowledge[knowledge.name],
            min_workers=min_workers,
            max_workers=max_workers,
        )
        return [_model(each) for each in found]

    @strawberry.field(
        description="One model or form; null if nobody serves it or asks for it, and the reference does not describe it."
    )
    async def model(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="Its name, to the letter.")],
        kind: Kind = JobKind.IMAGE,
    ) -> Model | None:
        """At most a second old."""
        if not 1 <= len(name) <= _MAX_NAME:
            message = f"`name` must have 1 to {_MAX_NAME} characters."
            raise ApiError(message, code=TopLevelCode.INVALID_ARGUMENT)
        found = await status.model(services_of(info), jobs.JobKind[kind.name], name)
        return None if found is None else _model(found)

    @strawberry.field(
        description="What was delivered of a kind in the past minute, hour, day, month and ever."
    )
    async def totals(self, info: Info, kind: Kind) -> Totals:
        """At most a second old, and what the relay has counted."""
        services, wanted = services_of(info), jobs.JobKind[kind.name]
        found = (await statistics.totals_of_kinds(services))[wanted]
        of_forms = wanted is jobs.JobKind.INTERROGATION
        forms = await statistics.totals_of_forms(services) if of_forms else []
        return Totals(
            kind=kind,
            unit=UNIT_OF[wanted],
            minute=_delivered(found.minute),
            hour=_delivered(found.hour),
            day=_delivered(found.day),
            month=_delivered(found.month),
            ever=_delivered(found.ever),
            forms=[_form_totals(form) for form in forms],
        )

    @strawberry.field(description="What was delivered with each model of a kind, or of each form.")
    async def model_totals(
        self,
        info: Info,
        kind: Kind,
        knowledge: Knowledge = ModelKnowledge.ALL,
        first: First = 20,
        after: After = None,
    ) -> ModelTotalsConnection:
        """At most ten seconds old; of the 10,000 models with which most was delivered."""
        services, wanted, size = services_of(info), jobs.JobKind[kind.name], page_size(first)
        found = [
            each
            for each in await statistics.totals_of_models(services, wanted)
            if knowledge is ModelKnowledge.ALL
            or status.knows(services, wanted, each.name) is (knowledge is ModelKnowledge.KNOWN)
        ]
        begin = 0
        if after is not None:
            begin = bisect_right(found, decode_cursor(after, tuple[int, str]), key=_place)
        edges, page = build_page(
            found[begin : begin + size + 1],
            size,
            key=_place,
            edge=lambda cursor, each: ModelTotalsEdge(
                cursor=cursor,
                node=ModelTotals(
                    name=each.name,
                    kind=kind,
                    known=status.knows(services, wanted, each.name),
                    day=_delivered(each.day),
                    month=_delivered(each.month),
                    ever=_delivered(each.ever),
                ),
            ),
            after=after,
        )
        return ModelTotalsConnection(edges=edges, page_info=page)


def _place(each: ModelCounts) -> tuple[int, str]:
    return -each.ever.count, each.name


def _kind_status(figures: Figures) -> KindStatus:
    return KindStatus(
        kind=JobKind[figures.kind.name],
        unit=UNIT_OF[figures.kind],
        queued_jobs=figures.queued_jobs,
        queued_generations=figures.queued_generations,
        queued_work=figures.queued_amount,
        past_minute_generations=figures.past_minute_count,
        past_minute_work=figures.past_minute_amount,
        workers=figures.workers,
        threads=figures.threads,
    )


def _model(found: ModelFigures) -> Model:
    return Model(
        name=found.name,
        kind=JobKind[found.kind.name],
        known=found.known,
        workers=found.workers,
        threads=found.threads,
        queued_jobs=found.queued_jobs,
        queued_megapixelsteps=found.queued_amount if found.kind is jobs.JobKind.IMAGE else 0.0,
        unit=UNIT_OF[found.kind],
        queued_work=found.queued_amount,
        speed=found.speed,
        estimated_wait_seconds=None
        if found.estimated_wait_seconds is None
        else min(found.estimated_wait_seconds, _MOST),
    )


def _delivered(found: statistics.Delivered) -> Delivered:
    return Delivered(count=min(found.count, _MOST), work=found.amount)


def _form_totals(found: statistics.Totals) -> FormTotals:
    return FormTotals(
        form=found.name,
        minute=found.minute.count,
        hour=found.hour.count,
        day=found.day.count,
        month=found.month.count,
        ever=min(found.ever.count, _MOST),
    )
