"""Reads for moderators: takedowns. Look next: `projections.takedowns`, `app.images.graphql`."""

from __future__ import annotations

import sqlalchemy as sa

from app.platform.sql import accounts, bind, rows_of, takedowns

ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))
BY_ID = rows_of("takedowns", takedowns.c.id == bind("id", sa.Uuid))
#: newest first
PAGE = rows_of(
    "takedowns",
    takedowns.c.ordered < bind("before", sa.BigInteger),
    takedowns.c.ordered.desc(),
    limit="limit",
)
