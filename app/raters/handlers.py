"""Raters for moderators and for themselves: who asks is checked, words are checked, then the writer decides.

Look next: `app.raters.decider`, which checks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Done, Rejection
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.handling import idempotency, parse_id, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.raters.decider import AppealStanding, JudgeRater
from app.raters.queries import ACCOUNT, APPEALED, APPEALS, OF_STANDING, PAGE, RATER, nobody
from events.base import ANONYMOUS
from events.ratings import RaterVerdict, Standing
from projections.raters import Rater


async def rater_of(services: Services, actor: UUID, text: str | None) -> Rater | None:
    """The caller's own row, empty where there is none; for moderators anybody's. None: no such rater, or not theirs to see."""
    key = actor if text is None else parse_id(text)
    if key is None or key == ANONYMOUS or (key != actor and not await _moderates(services, actor)):
        return None
    found: Rater | None = await RATER.one(services.pool, realm=services.realm, id=key)
    return found or (nobody(key) if key == actor else None)


async def page_of_raters(
    services: Services, actor: UUID, standing: Standing | None, after: UUID, limit: int, *, appealed: bool
) -> list[Rater]:
    """Raters by id. Raises `ApiError` FORBIDDEN."""
    if not await _moderates(services, actor):
        raise ApiError("only moderators and operators see raters", code=TopLevelCode.FORBIDDEN)
    named = None if standing is None else standing.value
    place = {"realm": services.realm, "after": after, "limit": limit}
    if appealed:
        return await APPEALED.all(services.pool, standing=named, **place)
    if named is not None:
        return await OF_STANDING.all(services.pool, standing=named, **place)
    return await PAGE.all(services.pool, **place)


async def words_of(services: Services, raters: Sequence[Rater]) -> dict[UUID, str]:
    """What raters say in their open appeals, by appeal; without what was erased."""
    keys = [rater.appeal for rater in raters if rater.appeal is not None]
    if not keys:
        return {}
    found = await APPEALS.all(services.pool, realm=services.realm, ids=keys)
    return {each.appeal: each.note for each in found}


async def judge(
    services: Services, actor: UUID, text: str, verdict: RaterVerdict
) -> tuple[Done, Rater] | Rejection:
    """A moderator decides of a rater; marks and rewards follow by an actor."""
    key = parse_id(text)
    if key is None:
        return Rejection(code="NOT_FOUND", message="no such rater", path=("input", "rater"))
    command = JudgeRater(rater=key, verdict=verdict, by=actor)
    return await _with_row(services, await run(services, command, actor=actor), key)


async def appeal(
    services: Services, actor: UUID, note: str, key: str | None, parameters: object
) -> tuple[Done, Rater] | Rejection:
    """A rater asks moderators to look at its standing."""
    promise = idempotency(actor, "appealStanding", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    command = AppealStanding(rater=actor, appeal=new_id(), note=note)
    outcome = await run(services, command, actor=actor, promise=promise)
    return await _with_row(services, outcome, actor)


async def _with_row(
    services: Services, outcome: Done | Rejection, rater: UUID
) -> tuple[Done, Rater] | Rejection:
    if isinstance(outcome, Rejection):
        return outcome
    row: Rater | None = await RATER.one(services.pool, realm=services.realm, id=rater)
    assert row is not None, "it was there to be decided of"
    return outcome, row


async def _moderates(services: Services, actor: UUID) -> bool:
    return moderates(await ACCOUNT.one(services.pool, realm=services.realm, id=actor))
