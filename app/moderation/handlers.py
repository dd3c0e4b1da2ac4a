"""Looking at cases and deciding them: who asks is checked, then the writer.

Look next: `app.moderation.decider`, which checks again under the lock.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.standing import moderates
from app.moderation.decider import DecideCase
from app.moderation.queries import ACCOUNT, BY_ID, PAGE, CaseView
from app.platform.commands import Done, Rejection
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.handling import parse_id, run
from app.platform.services import Services
from events.moderation import Verdict
from projections.generations import CaseState

_FORBIDDEN = "only moderators and operators see cases"


async def is_moderator(services: Services, actor: UUID) -> bool:
    """Whether a caller may see cases."""
    return moderates(await ACCOUNT.one(services.pool, realm=services.realm, id=actor))


async def page_of_cases(
    services: Services, actor: UUID, before: int, state: CaseState | None, limit: int
) -> list[CaseView]:
    """Cases opened before a position, newest first. Raises `ApiError` FORBIDDEN."""
    if not await is_moderator(services, actor):
        raise ApiError(_FORBIDDEN, code=TopLevelCode.FORBIDDEN)
    return await PAGE.all(
        services.pool,
        realm=services.realm,
        before=before,
        state=None if state is None else state.value,
        limit=limit,
    )


async def decide_case(
    services: Services, actor: UUID, text: str, verdict: Verdict
) -> tuple[Done, CaseView] | Rejection:
    """Decide the case of an id; to all but moderators no case exists."""
    if not await is_moderator(services, actor):
        return Rejection(code="FORBIDDEN", message="only moderators and operators decide cases")
    key = parse_id(text)
    found = None if key is None else await BY_ID.one(services.pool, realm=services.realm, ids=[key])
    if found is None:
        return Rejection(code="NOT_FOUND", message="no such case", path=("input", "case"))
    case = found.case
    command = DecideCase(case=case.id, job=case.job, generation=case.generation, verdict=verdict, by=actor)
    outcome = await run(services, command, actor=actor)
    return outcome if isinstance(outcome, Rejection) else (outcome, found)
