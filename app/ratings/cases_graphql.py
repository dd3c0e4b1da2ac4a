"""The API of reported pictures: reporting them, and for moderators the cases.

Resolvers only parse, call and map. Look next: `app.ratings.case_handlers`, docs/rating.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.enums import described_enum
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Position
from app.platform.graphql.shared import After, CaseVerdict, First
from app.platform.rates import REPORTS
from app.platform.services import Info, services_of
from app.ratings import case_handlers
from app.ratings.case_decider import PictureCaseClosed, Reported
from app.ratings.links import links_of
from app.ratings.types import PictureState
from events import images, moderation
from events.base import ANONYMOUS
from projections.pictures import Picture

PictureReportReason = described_enum(
    images.PictureReportReason,
    "PictureReportReason",
    "What is wrong with a picture.",
    lambda reason: {
        "ILLEGAL": "It must not be shown.",
        "PERSONAL": "It shows somebody who may not want that.",
        "BROKEN": "It does not load, or is no picture.",
    }[reason.value],
)


@strawberry.type(description="A rater's report of a picture, for moderators.")
class PictureCase:
    """A case."""

    id: strawberry.ID = strawberry.field(description="The case.")
    picture_id: strawberry.ID = strawberry.field(description="The picture.")
    image_set_id: strawberry.ID = strawberry.field(description="The set it is of.")
    job_id: strawberry.ID | None = strawberry.field(
        description="The job it was drawn for; null for an import."
    )
    state: PictureState = strawberry.field(
        description="HIDDEN until it is decided; then UPHELD and soon REMOVED, or OPEN again if it was dismissed."
    )
    reason: PictureReportReason | None = strawberry.field(  # type: ignore[valid-type]
        description="What is said to be wrong with it."
    )
    reporter_id: strawberry.ID | None = strawberry.field(description="Who says so, by the id in the log.")
    reported_at: datetime | None = strawberry.field(description="When.")
    url: str | None = strawberry.field(
        description="Where to look at it, for half an hour; null if its address was erased."
    )


@strawberry.type(description="An edge of a page of cases.")
class PictureCaseEdge:
    """A case and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: PictureCase = strawberry.field(description="The case.")


@strawberry.type(description="A page of cases.")
class PictureCaseConnection:
    """Cases."""

    edges: list[PictureCaseEdge] = strawberry.field(description="The cases.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(
    description="A picture that should not be shown. Name the assignment, the picture, or both."
)
class ReportImageInput:
    """Input of reportImage."""

    assignment: strawberry.ID | None = strawberry.field(
        default=None, description="What you were handed; it is given back by this."
    )
    picture: strawberry.ID | None = strawberry.field(
        default=None, description="The picture: of two that were handed out, which."
    )
    reason: PictureReportReason = strawberry.field(description="What is wrong with it.")  # type: ignore[valid-type]


@strawberry.input(description="A case and what is decided of it.")
class DecidePictureCaseInput:
    """Input of decidePictureCase."""

    case: strawberry.ID = strawberry.field(description="The case.")
    verdict: CaseVerdict = strawberry.field(
        description="UPHELD: nobody is shown it again. DISMISSED: it is shown as before. It stands."
    )


@strawberry.type(description="The picture is hidden until moderators have looked at it.")
class ReportImageSuccess:
    """Result of reportImage."""

    case_id: strawberry.ID = strawberry.field(
        description="The case; of who reported it first, if others did."
    )
    picture_id: strawberry.ID = strawberry.field(description="The picture.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The case is decided.")
class DecidePictureCaseSuccess:
    """Result of decidePictureCase."""

    case: PictureCase = strawberry.field(description="The case.")
    position: Position = strawberry.field(description="The log position at which it stands.")


ReportImageResult = Annotated[
    ReportImageSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("ReportImageResult", description="What came of reportImage."),
]
DecidePictureCaseResult = Annotated[
    DecidePictureCaseSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("DecidePictureCaseResult", description="What came of decidePictureCase."),
]


@strawberry.type
class PictureCaseQueries:
    """Queries of moderators."""

    @strawberry.field(
        description="Pictures that raters reported and nobody has decided. For moderators and operators."
    )
    async def picture_cases(
        self, info: Info, first: First = 20, after: After = None
    ) -> PictureCaseConnection:
        """A page of the open cases."""
        services, size = services_of(info), page_size(first)
        start = UUID(int=0) if after is None else decode_cursor(after, tuple[UUID])[0]
        found = await case_handlers.open_cases(services, info.context.viewer.subject, start, size + 1)
        links = await links_of(services, [(picture.id, picture.image_set) for picture in found])
        edges, page = build_page(
            found,
            size,
            key=lambda picture: (picture.id,),
            edge=lambda cursor, picture: PictureCaseEdge(cursor=cursor, node=_case(picture, links)),
            after=after,
        )
        return PictureCaseConnection(edges=edges, page_info=page)


@strawberry.type
class PictureCaseMutations:
    """Mutations of raters who report, and of moderators."""

    @strawberry.mutation(
        description="Report a picture: it is hidden at once, and moderators look at it.",
        graphql_type=ReportImageResult,
    )
    async def report_image(
        self,
        info: Info,
        input: Annotated[ReportImageInput, strawberry.argument(description="Which, and why.")],
    ) -> Any:
        """Limited by address, and by account."""
        services, actor = services_of(info), info.context.viewer.subject
        counted = [info.context.address] if actor == ANONYMOUS else [info.context.address, str(actor)]
        for each in counted:
            if (delay := await services.rates.delay(REPORTS, "report", each)) is not None:
                message = "too many reports in this minute"
                return errors.TryAgain(message=message, path=[], retry_after_seconds=delay)
        given: Any = input.reason
        reason = images.PictureReportReason(given.value)
        outcome = await case_handlers.report(services, actor, input.assignment, input.picture, reason)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: Reported = outcome.result
        return ReportImageSuccess(
            case_id=strawberry.ID(str(result.case)),
            picture_id=strawberry.ID(str(result.picture)),
            position=Position(outcome.position),
        )

    @strawberry.mutation(
        description="Uphold or dismiss a rater's report. For moderators and operators.",
        graphql_type=DecidePictureCaseResult,
    )
    async def decide_picture_case(
        self,
        info: Info,
        input: Annotated[
            DecidePictureCaseInput, strawberry.argument(description="Which case, and what is decided.")
        ],
    ) -> Any:
        """Deciding a case the same way again changes nothing."""
        services = services_of(info)
        outcome = await case_handlers.decide(
            services, info.context.viewer.subject, input.case, moderation.Verdict[input.verdict.name]
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        done, picture = outcome
        closed: PictureCaseClosed = done.result
        assert closed.case == picture.report, "it was found by its case"
        links = await links_of(services, [(picture.id, picture.image_set)])
        return DecidePictureCaseSuccess(case=_case(picture, links), position=Position(done.position))


def _case(picture: Picture, links: Mapping[UUID, str]) -> PictureCase:
    return PictureCase(
        id=strawberry.ID(str(picture.report)),
        picture_id=strawberry.ID(str(picture.id)),
        image_set_id=strawberry.ID(str(picture.image_set)),
        job_id=None if picture.job is None else strawberry.ID(str(picture.job)),
        state=PictureState(picture.state.value),
        reason=None if picture.reason is None else PictureReportReason(picture.reason.value),
        reporter_id=None if picture.reporter is None else strawberry.ID(str(picture.reporter)),
        reported_at=picture.reported_at,
        url=links.get(picture.id),
    )
