"""The pool of reading connections of a process. Every connection is autocommitting: a read is one round trip.

Writes of facts go through `app.platform.writer` only. Look next: `app.platform.sql` for how statements are made.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

#: how many reads a process runs at a time
POOL_SIZE = 8
SETTINGS = "-c timezone=UTC -c plan_cache_mode=force_generic_plan -c jit=off -c statement_timeout=10s -c application_name=hoard-read"

#: a peer that vanished is noticed within seconds, not hours
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

Pool = AsyncConnectionPool[AsyncConnection[Any]]


def make_pool(url: str, size: int = POOL_SIZE) -> Pool:
    """A pool that is not open yet: `await pool.open()`."""
    return AsyncConnectionPool(
        url,
        min_size=2,
        max_size=size,
        open=False,
        timeout=3.0,
        kwargs={"autocommit": True, "prepare_threshold": 0, "options": SETTINGS, **NETWORK},
        name="reads",
    )
