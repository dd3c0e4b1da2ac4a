"""What a person still has running, found by small pages: whoever erases them ends it first, by the usual commands.

Only reads. Look next: `app.user_commands`, which makes commands of it.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection

from app.privacy.traces import binds
from projections.store.tables import LIVE

#: jobs, leases, workers or teams of one page
PAGE: Final = 100

_OPEN_JOBS: Final = (
    f"SELECT id FROM {LIVE}.jobs WHERE realm = %(realm)s AND requester = %(user)s AND ended_at IS NULL "  # noqa: S608
    "AND state <> 'CANCELLED' ORDER BY position LIMIT %(limit)s"
)
#: leases on the user's jobs, and those that the user's workers took
_LIVE_LEASES: Final = (
    f"SELECT id, owner FROM {LIVE}.leases WHERE realm = %(realm)s AND state = 'LIVE' AND (owner = %(user)s "  # noqa: S608
    "OR requester = %(user)s) ORDER BY id LIMIT %(limit)s"
)
_SHARED_JOBS: Final = (
    f"SELECT id FROM {LIVE}.jobs WHERE realm = %(realm)s AND requester = %(user)s AND shared "  # noqa: S608
    "AND unshared IS NULL ORDER BY position LIMIT %(limit)s"
)
_WORKERS: Final = (
    "SELECT w.id, w.team, ARRAY(SELECT m.message FROM vault.worker_message AS m WHERE m.realm = w.realm "  # noqa: S608
    f"AND m.worker = w.id) FROM {LIVE}.workers AS w WHERE w.realm = %(realm)s AND w.owner = %(user)s "
    "AND NOT w.deleted ORDER BY w.id LIMIT %(limit)s"
)
_TEAMS: Final = (
    f"SELECT t.id, ARRAY(SELECT w.id FROM {LIVE}.workers AS w WHERE w.realm = t.realm AND w.team = t.id) "  # noqa: S608
    f"FROM {LIVE}.teams AS t WHERE t.realm = %(realm)s AND t.creator = %(user)s AND NOT t.deleted "
    "ORDER BY t.id LIMIT %(limit)s"
)
_WEBHOOKS: Final = "SELECT webhook FROM vault.webhook WHERE realm = %(realm)s AND owner = %(user)s ORDER BY 1"


class OwnWorker(msgspec.Struct, frozen=True):
    """A worker that is not deleted, its team, and messages to it."""

    id: UUID
    team: UUID | None
    messages: tuple[UUID, ...]


class OwnTeam(msgspec.Struct, frozen=True):
    """A team that the user founded, and the workers in it."""

    id: UUID
    workers: tuple[UUID, ...]


class Running:
    """What one user has running; each list is a page: ask again until it is empty."""

    def __init__(self, connection: Connection[Any], realm: int, user: UUID) -> None:
        self._connection = connection
        self._asked = {**binds(realm, user), "limit": PAGE}

    def open_jobs(self) -> list[UUID]:
        """Jobs that are not over and not cancelled."""
        return [row[0] for row in self._rows(_OPEN_JOBS)]

    def shared_jobs(self) -> list[UUID]:
        """Jobs whose pictures are shared."""
        return [row[0] for row in self._rows(_SHARED_JOBS)]

    def live_leases(self) -> list[tuple[UUID, UUID]]:
        """Leases on the user's jobs and by the user's workers, with whose worker it is."""
        return [(row[0], row[1]) for row in self._rows(_LIVE_LEASES)]

    def workers(self) -> list[OwnWorker]:
        """Workers that are not deleted."""
        return [OwnWorker(row[0], row[1], tuple(row[2])) for row in self._rows(_WORKERS)]

    def teams(self) -> list[OwnTeam]:
        """Teams that are not dissolved."""
        return [OwnTeam(row[0], tuple(row[1])) for row in self._rows(_TEAMS)]

    def webhooks(self) -> list[UUID]:
        """Webhooks that lead somewhere."""
        return [row[0] for row in self._rows(_WEBHOOKS)]

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, self._asked).fetchall()
