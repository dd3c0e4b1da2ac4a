"""The modes of the house: read for display, and switched through the writer.

Never cached: what only moderators see must not reach anybody else by somebody else's copy. Look next:
`app.operations.decider`, `app.ledger.modes`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.ledger.standing import moderates
from app.operations.decider import SetMode
from app.platform.commands import Done, Rejection
from app.platform.handling import run
from app.platform.services import Services
from app.platform.sql import Query, accounts, bind, modes, rows_of
from events.operations import HOUSE, Mode
from projections.modes import UNSET, Modes

_MODES: Query[Modes] = rows_of("modes", modes.c.id == bind("id", sa.Uuid))
_ACCOUNT: Query[Any] = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))


async def present(services: Services) -> Modes:
    """What the house is set to."""
    return await _MODES.one(services.pool, realm=services.realm, id=HOUSE) or UNSET


async def sees_everything(services: Services, viewer: UUID) -> bool:
    """Whether somebody may know of a raid."""
    return moderates(await _ACCOUNT.one(services.pool, realm=services.realm, id=viewer))


async def set_mode(services: Services, actor: UUID, mode: Mode, *, on: bool) -> Done | Rejection:
    """Switch a mode on behalf of a moderator or operator."""
    return await run(services, SetMode(mode=mode, on=on, by=actor), actor=actor)
