"""Reports of pictures and moderators' cases: who asks is checked and ids are found, then the writer decides.

Look next: `app.ratings.case_decider`.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Done, Rejection
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.handling import parse_id, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.ratings.case_decider import DecidePictureCase, ReportPicture
from app.ratings.queries import ACCOUNTS, BY_CASE, HIDDEN, PICTURES, RATINGS
from events.base import ANONYMOUS
from events.images import PictureReportReason
from events.moderation import Verdict
from projections.pictures import Picture


async def report(
    services: Services,
    actor: UUID,
    assignment: str | None,
    picture: str | None,
    reason: PictureReportReason,
) -> Done | Rejection:
    """Report a picture by the assignment that showed it, or by its id."""
    key = None if assignment is None else parse_id(assignment)
    row = None if key is None else await RATINGS.one(services.pool, realm=services.realm, ids=[key])
    if assignment is not None and (row is None or row.rater != actor):
        message = "you were handed no such assignment"
        return Rejection(code="NOT_FOUND", message=message, path=("input", "assignment"))
    named = None if picture is None else parse_id(picture)
    if picture is not None and named is None:
        return Rejection(code="NOT_FOUND", message="no such picture is shown", path=("input", "picture"))
    if row is None and actor == ANONYMOUS:
        message = "without an account name the assignment that showed the picture"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "assignment"))
    if row is not None:
        shown = [row.picture] if row.other is None else [row.picture, row.other]
        if named is None and len(shown) == 1:
            named = row.picture
        if named not in shown:
            message = "say which picture of the assignment"
            return Rejection(code="INVALID_INPUT", message=message, path=("input", "picture"))
    if named is None:
        message = "name an assignment or a picture"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    command = ReportPicture(
        picture=named, rater=actor, reason=reason, case=new_id(), rating=None if row is None else row.id
    )
    return await run(services, command, actor=actor)


async def is_moderator(services: Services, actor: UUID) -> bool:
    """Whether a caller may see cases."""
    return moderates(await ACCOUNTS.one(services.pool, realm=services.realm, id=actor))


async def open_cases(services: Services, actor: UUID, after: UUID, limit: int) -> list[Picture]:
    """Pictures that are reported and not decided, by id. Raises `ApiError` FORBIDDEN."""
    if not await is_moderator(services, actor):
        raise ApiError("only moderators and operators see cases", code=TopLevelCode.FORBIDDEN)
    return await HIDDEN.all(services.pool, realm=services.realm, after=after, limit=limit)


async def decide(
    services: Services, actor: UUID, text: str, verdict: Verdict
) -> tuple[Done, Picture] | Rejection:
    """Decide the case of an id; to all but moderators no case exists."""
    if not await is_moderator(services, actor):
        return Rejection(code="FORBIDDEN", message="only moderators and operators decide cases")
    key = parse_id(text)
    found = None if key is None else await BY_CASE.one(services.pool, realm=services.realm, case=key)
    if found is None:
        return Rejection(code="NOT_FOUND", message="no such case", path=("input", "case"))
    assert found.report is not None, "it was found by its case"
    command = DecidePictureCase(case=found.report, picture=found.id, verdict=verdict, by=actor)
    outcome = await run(services, command, actor=actor)
    if isinstance(outcome, Rejection):
        return outcome
    now = await PICTURES.one(services.pool, realm=services.realm, ids=[found.id])
    return outcome, now or found
