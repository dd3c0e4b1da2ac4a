"""Reads of raters and their appeals. Look next: `app.raters.handlers`, `projections.raters` for the indexes."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import sqlalchemy as sa

from app.platform.picture_words import AppealWords
from app.platform.sql import Query, accounts, any_of, appeals, bind, raters, rows_of
from app.platform.vault import TABLES as VAULT
from projections.accounts import Account
from projections.raters import Rater

_WORDS: Final = VAULT[AppealWords]
_FURTHER: Final = raters.c.id > bind("after", sa.Uuid)

ACCOUNT: Query[Account] = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))
RATER: Query[Rater] = rows_of("raters", raters.c.id == bind("id", sa.Uuid))
#: by id from one on: all, those of a standing, those whose appeal nobody has decided
PAGE: Query[Rater] = rows_of("raters", _FURTHER, raters.c.id, limit="limit")
OF_STANDING: Query[Rater] = rows_of(
    "raters",
    sa.and_(raters.c.standing == bind("standing", sa.Text), _FURTHER),
    raters.c.id,
    limit="limit",
)
APPEALED: Query[Rater] = rows_of(
    "raters",
    sa.and_(
        raters.c.appeal.is_not(None),
        sa.or_(bind("standing", sa.Text).is_(None), raters.c.standing == bind("standing", sa.Text)),
        _FURTHER,
    ),
    raters.c.id,
    limit="limit",
)
#: what was said in appeals
APPEALS: Query[AppealWords] = Query(
    sa.select(*(appeals.c[column.name] for column in _WORDS.columns)).where(
        appeals.c.realm == bind("realm"), any_of(appeals.c.appeal, "ids")
    ),
    _WORDS.load,
)


def nobody(rater: UUID) -> Rater:
    """The row of somebody who was never handed anything."""
    return Rater(rater)
