"""Takedowns for moderators: who asks is checked, then the writer. Look next: `app.images.decider`, which checks again."""

from __future__ import annotations

from uuid import UUID

from app.images.decider import LiftTakedown, OrderTakedown
from app.images.queries import ACCOUNT, BY_ID, PAGE
from app.ledger.standing import moderates
from app.platform.commands import Command, Done, Rejection
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.handling import parse_id, run
from app.platform.ids import new_id
from app.platform.services import Services
from projections.takedowns import Takedown


async def page_of_takedowns(services: Services, actor: UUID, before: int, limit: int) -> list[Takedown]:
    """Takedowns ordered before a position, newest first. Raises `ApiError` FORBIDDEN."""
    if not moderates(await ACCOUNT.one(services.pool, realm=services.realm, id=actor)):
        raise ApiError("only moderators and operators see takedowns", code=TopLevelCode.FORBIDDEN)
    return await PAGE.all(services.pool, realm=services.realm, before=before, limit=limit)


async def order_takedown(
    services: Services, actor: UUID, sha256: str | None, perceptual_hash: str | None, distance: int
) -> tuple[Done, Takedown] | Rejection:
    """Order one."""
    key = new_id()
    command = OrderTakedown(
        takedown=key, sha256=sha256, perceptual_hash=perceptual_hash, distance=distance, by=actor
    )
    return await _settled(services, actor, command, key)


async def lift_takedown(services: Services, actor: UUID, text: str) -> tuple[Done, Takedown] | Rejection:
    """Lift one."""
    key = parse_id(text)
    if key is None:
        return Rejection(code="NOT_FOUND", message="no such takedown", path=("input", "takedown"))
    return await _settled(services, actor, LiftTakedown(takedown=key, by=actor), key)


async def _settled(
    services: Services, actor: UUID, command: Command, key: UUID
) -> tuple[Done, Takedown] | Rejection:
    outcome = await run(services, command, actor=actor)
    if isinstance(outcome, Rejection):
        return outcome
    takedown: Takedown | None = await BY_ID.one(services.pool, realm=services.realm, id=key)
    assert takedown is not None, "rows are written with their events"
    return outcome, takedown
