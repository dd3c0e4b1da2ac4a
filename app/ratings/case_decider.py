"""Reports of bad pictures by raters, and what moderators decide of them. Pure.

A reported picture is handed out to nobody at once. Upheld it is gone for good; dismissed it comes back. Look next:
`app.ratings.cases_graphql`, docs/rating.md; `app.moderation` for reports of workers.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from events.base import Event
from events.images import PictureCaseDecided, PictureReported, PictureReportReason
from events.moderation import Verdict
from events.ratings import PictureSkipped
from projections.pictures import PictureState
from projections.ratings import RatingState

#: states of a picture that is not shown to anybody again
_GONE: Final = frozenset({PictureState.UPHELD, PictureState.REMOVED})


class ReportPicture(Command, frozen=True, kw_only=True):
    """Say that something is wrong with a picture."""

    picture: UUID
    rater: UUID
    reason: PictureReportReason
    #: random: of the case that this may open
    case: UUID
    #: the assignment that showed it, which is given back by this; None where there was none
    rating: UUID | None


class DecidePictureCase(Command, frozen=True, kw_only=True):
    """Uphold or dismiss a report."""

    case: UUID
    picture: UUID
    verdict: Verdict
    #: who asks, and must be a moderator or operator
    by: UUID


class Reported(Result, frozen=True, kw_only=True):
    """The case, this one's or that of who reported it before."""

    case: UUID
    picture: UUID


class PictureCaseClosed(Result, frozen=True, kw_only=True):
    """The case and what was decided of it."""

    case: UUID
    picture: UUID
    verdict: Verdict


def report_picture(command: ReportPicture, rows: Rows) -> Decision | Rejection:
    """Whatever is shown may be reported, once by each; what is hidden already stays so."""
    picture = rows.picture(command.picture)
    events: list[Event] = []
    row = None if command.rating is None else rows.rating(command.rating)
    if row is not None and row.rater == command.rater and row.state is RatingState.ASSIGNED:
        events.append(PictureSkipped(rater=row.rater, rating=row.id, picture=row.picture, other=row.other))
    if picture is None or picture.state in _GONE:
        return Rejection(code="NOT_FOUND", message="no such picture is shown", path=("input", "picture"))
    if picture.state is PictureState.HIDDEN and picture.report is not None:
        return Decision(events, Reported(case=picture.report, picture=picture.id))
    if picture.reporter == command.rater:
        message = "you reported this picture before, and moderators found nothing wrong with it"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "picture"))
    events.append(
        PictureReported(
            picture=picture.id,
            image_set=picture.image_set,
            case=command.case,
            rater=command.rater,
            reason=command.reason,
        )
    )
    return Decision(events, Reported(case=command.case, picture=picture.id))


def decide_picture_case(command: DecidePictureCase, rows: Rows) -> Decision | Rejection:
    """A decision stands: repeating it changes nothing, and another is refused."""
    if not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators decide cases")
    picture = rows.picture(command.picture)
    if picture is None or picture.report != command.case:
        return Rejection(code="NOT_FOUND", message="no such case", path=("input", "case"))
    result = PictureCaseClosed(case=command.case, picture=picture.id, verdict=command.verdict)
    if picture.state is PictureState.HIDDEN:
        event = PictureCaseDecided(
            picture=picture.id, image_set=picture.image_set, case=command.case, verdict=command.verdict
        )
        return Decision((event,), result)
    if (picture.state in _GONE) == (command.verdict is Verdict.UPHELD):
        return Decision((), result)
    message = f"the picture is {picture.state.lower()} by what was decided, and that stands"
    return Rejection(code="INVALID_INPUT", message=message, path=("input", "verdict"))


def _reporting(command: ReportPicture) -> Needs:
    return Needs(
        pictures=(command.picture,),
        raters=(command.rater,),
        ratings=() if command.rating is None else (command.rating,),
    )


RULES = (
    Rule(ReportPicture, Reported, _reporting, report_picture),
    Rule(
        DecidePictureCase,
        PictureCaseClosed,
        lambda c: Needs(accounts=(c.by,), pictures=(c.picture,)),
        decide_picture_case,
    ),
)
