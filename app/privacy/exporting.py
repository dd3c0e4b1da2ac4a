"""Everything that is kept about one person, as JSON lines: `{"kind": ..., "row": {...}}`, in a fixed order.

Streams out of one snapshot of the database, so that memory does not grow with what somebody did. Secrets and hashes of
keys are left out. Look next: `app.privacy.traces` (the vault's part), docs/privacy.md (what each kind is).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from app.privacy.traces import TRACES, binds, rows_of
from events.images import PictureReported
from events.ratings import (
    AppealMade,
    RaterAssessed,
    RaterJudged,
    RatingRewardsReversed,
    RatingsMarked,
)
from projections.store.tables import LIVE

#: rows that are brought at a time
_PAGE: Final = 500
#: facts about a rater, and reports that a rater made
_OF_RATERS: Final = (
    RaterAssessed.TYPE,
    RaterJudged.TYPE,
    RatingsMarked.TYPE,
    RatingRewardsReversed.TYPE,
    AppealMade.TYPE,
    PictureReported.TYPE,
)
_MINE: Final = f"SELECT id FROM {LIVE}.jobs WHERE realm = %(realm)s AND requester = %(user)s"  # noqa: S608


def _projected(table: str, whose: str, order: str = "id") -> str:
    return (
        f"SELECT (to_jsonb(t) - 'realm')::text FROM {LIVE}.{table} AS t WHERE t.realm = %(realm)s "  # noqa: S608
        f"AND {whose} ORDER BY t.{order}"
    )


_STATEMENT: Final = """
SELECT jsonb_build_object('position', p.position, 'account', p.account, 'amount', p.amount, 'balance', p.balance,
  'at', e.occurred_at, 'type', e.type, 'data', e.data::jsonb)::text
FROM log.posting AS p JOIN log.event AS e USING (realm, position)
WHERE p.realm = %(realm)s AND p.account = ANY(ARRAY['user:' || %(user)s::uuid::text,
  'escrow:' || %(user)s::uuid::text])
ORDER BY p.position, p.ordinal
"""
_FACTS: Final = f"""
SELECT jsonb_build_object('position', position, 'at', occurred_at, 'type', type, 'data', data::jsonb)::text
FROM log.event WHERE realm = %(realm)s AND type IN ({", ".join(f"'{name}'" for name in _OF_RATERS)})
  AND subject = %(user)s ORDER BY position
"""  # noqa: S608

#: kind -> SQL, in the order of an export
_SECTIONS: Final = {
    "account": _projected("accounts", "t.id = %(user)s"),
    "record": _projected("user_records", "t.account = %(user)s", "key"),
    "statement": _STATEMENT,
    "job": _projected("jobs", "t.requester = %(user)s", "position"),
    "generation": _projected("generations", f"t.job IN ({_MINE})"),
    "case": _projected("cases", "t.requester = %(user)s", "opened"),
    "worker": _projected("workers", "t.owner = %(user)s"),
    "team": _projected("teams", "t.creator = %(user)s"),
    "webhooks": _projected("webhooks", "t.id = %(user)s"),
    "picture": _projected("pictures", "t.owner = %(user)s"),
    "rating": _projected("ratings", "t.rater = %(user)s", "assigned_at, t.id"),
    "rater": _projected("raters", "t.id = %(user)s"),
    "fact": _FACTS,
    **{f"vault.{trace.table}": rows_of(trace) for trace in TRACES},
}


def lines_about(connection: Connection[Any], realm: int, user: UUID) -> Iterator[bytes]:
    """One line a row, without its end. The connection must not be in a transaction."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for kind, statement in _SECTIONS.items():
            with connection.cursor("export") as cursor:
                cursor.itersize = _PAGE
                cursor.execute(statement, binds(realm, user))
                for (row,) in cursor:
                    yield b'{"kind": "%s", "row": %s}' % (kind.encode(), row.encode())
