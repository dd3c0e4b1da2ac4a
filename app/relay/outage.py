"""Telling workers that drop their work from a server that they could not reach, when leases run out.

Leases of many owners run out within a minute, and nobody has delivered anything meanwhile: then it was not the workers.
Whatever ran out while nothing swept is told apart by the log's time alone. Look next: `app.relay.sweeper`,
`app.workers.lease_decider.expire_lease`, `docs/earning.md`.
"""

from __future__ import annotations

import time
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from events.jobs import GenerationDelivered

#: so many owners, within so many seconds
MANY_OWNERS: Final = 5
WITHIN_SECONDS: Final = 60.0
#: so much of the log's end is looked through for a delivery; where more was written, the server was reached
_LATEST: Final = 1_000
_DELIVERED: Final = (
    "SELECT count(*) >= %(latest)s OR coalesce(bool_or(type = %(delivered)s), false) FROM (SELECT type FROM log.event "
    "WHERE realm = %(realm)s AND occurred_at > now() - %(within)s * interval '1 second' "
    "AND position > (SELECT max(position) FROM log.event WHERE realm = %(realm)s) - %(latest)s) AS latest"
)


class Outage:
    """Remembers whose leases ran out in the last minute."""

    def __init__(self) -> None:
        self._lapsed: dict[UUID, float] = {}

    def seen(self, connection: Connection[Any], realm: int, owners: set[UUID]) -> bool:
        """Whether leases of these owners, which run out now, tell of an outage. Raises `psycopg.Error`."""
        now = time.monotonic()
        self._lapsed = {owner: at for owner, at in self._lapsed.items() if now - at < WITHIN_SECONDS}
        self._lapsed |= dict.fromkeys(owners, now)
        if len(self._lapsed) < MANY_OWNERS:
            return False
        asked = {
            "realm": realm,
            "latest": _LATEST,
            "within": WITHIN_SECONDS,
            "delivered": GenerationDelivered.TYPE,
        }
        row = connection.execute(_DELIVERED, asked).fetchone()
        return row is not None and not row[0]
