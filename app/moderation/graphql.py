"""The API for moderators: cases listed and decided. Nothing here shows a picture.

Resolvers only parse, call and map. Look next: `app.moderation.handlers`.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from app.moderation import handlers
from app.moderation.decider import Decided
from app.moderation.queries import CaseView
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, CaseVerdict, First, Node
from app.platform.services import Info, services_of
from events import jobs, moderation
from projections import generations


@strawberry.enum(description="Where a case stands.")
class CaseState(Enum):
    """The states of `projections.generations.CaseState`."""

    OPEN = strawberry.enum_value(
        "OPEN", description="Nobody has decided; the picture is withheld from everybody."
    )
    UPHELD = strawberry.enum_value(
        "UPHELD", description="The report was right: nobody ever sees the picture."
    )
    DISMISSED = strawberry.enum_value("DISMISSED", description="The report was not right.")


@strawberry.enum(description="What was reported.")
class CaseCause(Enum):
    """The causes of `events.jobs.CensorCause` that open a case."""

    CSAM = strawberry.enum_value("CSAM", description="The sexual abuse of a child.")


@strawberry.type(
    description="A worker's report of a generation, for moderators. The picture is shown to nobody."
)
class ModeratorCase(Node):
    """A case."""

    state: CaseState = strawberry.field(description="Where it stands.")
    cause: CaseCause = strawberry.field(description="What was reported.")
    opened_at: datetime = strawberry.field(description="When it was reported.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    job_id: strawberry.ID = strawberry.field(description="The job.")
    generation_id: strawberry.ID = strawberry.field(description="The generation.")
    requester_id: strawberry.ID = strawberry.field(description="Who submitted the job, by the id in the log.")
    worker_id: strawberry.ID = strawberry.field(description="The worker that reported it.")
    prompt: str | None = strawberry.field(description="What the client wrote; null once it was erased.")
    negative_prompt: str | None = strawberry.field(
        description="What the client did not want; null once it was erased."
    )


@strawberry.type(description="An edge of a page of cases.")
class ModeratorCaseEdge:
    """A case and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: ModeratorCase = strawberry.field(description="The case.")


@strawberry.type(description="A page of cases, newest first.")
class ModeratorCaseConnection:
    """Cases."""

    edges: list[ModeratorCaseEdge] = strawberry.field(description="The cases.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="A case and what is decided of it.")
class DecideCaseInput:
    """Input of decideCase."""

    case: strawberry.ID = strawberry.field(description="The case.")
    verdict: CaseVerdict = strawberry.field(description="The decision; it stands.")


@strawberry.type(description="The case is decided.")
class DecideCaseSuccess:
    """Result of decideCase."""

    case: ModeratorCase = strawberry.field(description="The case.")
    position: Position = strawberry.field(description="The log position at which it stands.")


DecideCaseResult = Annotated[
    DecideCaseSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("DecideCaseResult", description="What came of decideCase."),
]


@strawberry.type
class ModerationQueries:
    """Queries of moderators."""

    @strawberry.field(description="Reports of workers, newest first. For moderators and operators.")
    async def moderator_cases(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        state: Annotated[
            CaseState | None, strawberry.argument(description="Only cases in this state.")
        ] = None,
    ) -> ModeratorCaseConnection:
        """A page of the cases; they appear a moment after the report."""
        size = page_size(first)
        before = 2**62 if after is None else decode_cursor(after, tuple[int])[0]
        wanted = None if state is None else generations.CaseState[state.name]
        viewer = info.context.viewer.subject
        views = await handlers.page_of_cases(services_of(info), viewer, before, wanted, size + 1)
        edges, page = build_page(
            views,
            size,
            key=lambda view: (view.case.opened,),
            edge=lambda cursor, view: ModeratorCaseEdge(cursor=cursor, node=_case(view)),
            after=after,
        )
        return ModeratorCaseConnection(edges=edges, page_info=page)


@strawberry.type
class ModerationMutations:
    """Mutations of moderators."""

    @strawberry.mutation(
        description="Uphold or dismiss a report. For moderators and operators.", graphql_type=DecideCaseResult
    )
    async def decide_case(
        self,
        info: Info,
        input: Annotated[
            DecideCaseInput, strawberry.argument(description="Which case, and what is decided.")
        ],
    ) -> Any:
        """Deciding a case the same way again changes nothing."""
        outcome = await handlers.decide_case(
            services_of(info),
            info.context.viewer.subject,
            input.case,
            moderation.Verdict[input.verdict.name],
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, view = outcome
        result: Decided = done.result
        case = _case(view)
        case.state = CaseState(result.verdict.value)  # the list follows the log a moment later
        return DecideCaseSuccess(case=case, position=Position(done.position))


def _case(view: CaseView) -> ModeratorCase:
    case = view.case
    assert case.cause is jobs.CensorCause.CSAM, "only this opens a case"
    return ModeratorCase(
        id=strawberry.ID(str(case.id)),
        state=CaseState(case.state.value),
        cause=CaseCause(case.cause.value),
        opened_at=case.opened_at,
        decided_at=case.decided_at,
        job_id=strawberry.ID(str(case.job)),
        generation_id=strawberry.ID(str(case.generation)),
        requester_id=strawberry.ID(str(case.requester)),
        worker_id=strawberry.ID(str(case.worker)),
        prompt=view.prompt,
        negative_prompt=view.negative_prompt,
    )
