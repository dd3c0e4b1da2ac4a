"""Which rows of the vault are about a person: one condition a table, by which they are exported and erased.

Every table of the vault is in `TRACES` or in `NOBODYS`; a test compares both with the schema, so that a new table cannot
be forgotten. Only SQL, no I/O. Look next: `app.platform.vault`, `app.privacy.erasing`, docs/privacy.md.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.platform.vault import SCHEMA, TABLES
from events.kudos import KudosAdjusted, KudosGranted
from projections.store.tables import LIVE

#: ids of what is the user's; bind `realm` and `user`
_JOBS: Final = f"SELECT id FROM {LIVE}.jobs WHERE realm = %(realm)s AND requester = %(user)s"  # noqa: S608
_WORKERS: Final = f"SELECT id FROM {LIVE}.workers WHERE realm = %(realm)s AND owner = %(user)s"  # noqa: S608
_TEAMS: Final = f"SELECT id FROM {LIVE}.teams WHERE realm = %(realm)s AND creator = %(user)s"  # noqa: S608
#: of results a worker's words are kept by the generation's id alone, perhaps longer than the generation's seed
_GENERATIONS: Final = f"SELECT id FROM {LIVE}.generations WHERE realm = %(realm)s AND job IN ({_JOBS})"  # noqa: S608
#: commands by which kudos came to the user for a reason that somebody wrote
_REASONS: Final = f"""
SELECT (e.metadata::jsonb ->> 'command')::uuid FROM log.posting AS p JOIN log.event AS e USING (realm, position)
WHERE p.realm = %(realm)s AND p.account = 'user:' || %(user)s::uuid::text
  AND e.type IN ('{KudosGranted.TYPE}', '{KudosAdjusted.TYPE}')
"""  # noqa: S608


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """How a table of the vault is about people."""

    table: str
    #: its key without the realm, which is also the order of an export
    key: tuple[str, ...]
    #: SQL: whether a row `t` is about the user; binds `realm` and `user`
    whose: str
    #: columns that are not the user's to read: hashes and secrets
    hidden: tuple[str, ...] = ()


_BY_NAME: Final = {table.name: table for table in TABLES.values()}


def _trace(table: str, whose: str, *hidden: str) -> Trace:
    return Trace(table=table, key=_BY_NAME[table].key, whose=whose, hidden=hidden)


#: the person's row is last: until everything else is erased, a run that died can be repeated by the same name
TRACES: Final[tuple[Trace, ...]] = (
    _trace("api_key", "t.subject = %(user)s", "hash"),
    _trace("result", f"t.generation IN ({_GENERATIONS})"),
    _trace("generation", f"t.job IN ({_JOBS})"),
    _trace("source", f"t.job IN ({_JOBS})", "digest"),
    _trace("told", f"t.job IN ({_JOBS})", "source"),
    _trace("job", f"t.job IN ({_JOBS})"),
    _trace("job_webhook", "t.owner = %(user)s", "secret"),
    _trace("webhook_delivery", "t.owner = %(user)s"),
    _trace("webhook", "t.owner = %(user)s"),
    _trace("worker_message", f"(t.sender = %(user)s OR t.worker IN ({_WORKERS}))"),
    _trace("worker_description", f"t.worker IN ({_WORKERS})"),
    _trace("maintenance", f"t.worker IN ({_WORKERS})"),
    _trace("worker", f"t.worker IN ({_WORKERS})"),
    _trace("team", f"t.team IN ({_TEAMS})"),
    _trace("note", f"t.command IN ({_REASONS})"),
    _trace("rating_note", "t.rater = %(user)s"),
    _trace("rating_origin", "t.rater = %(user)s", "network"),
    _trace("appeal", "t.rater = %(user)s"),
    # its scope is the user and the mutation; the hash is of the user's input
    Trace(
        table="command",
        key=("scope", "key", "day"),
        whose="starts_with(t.scope, %(user)s::uuid::text || '/')",
        hidden=("request_hash", "outcome"),
    ),
    _trace("person", "t.subject = %(user)s"),
)

#: tables about nobody, and why nothing of them is exported or erased with a person
NOBODYS: Final[dict[str, str]] = {
    "image_set": "what operators say of sets of pictures from elsewhere",
    "imported_picture": "what other data sets say of their pictures; a takedown removes one",
    "image_import": "how far an operator's import has come",
    "mirror_wait": "which imported pictures are to be fetched again",
    "known_answer": "how operators know a picture is to be rated",
}


def binds(realm: int, user: Any) -> dict[str, Any]:
    """What the conditions take."""
    return {"realm": realm, "user": user}


def rows_of(trace: Trace) -> str:
    """SQL: the user's rows of a table as JSON texts, in order of the key."""
    shown = "".join(f" - '{column}'" for column in ("realm", *trace.hidden))
    order = ", ".join(f"t.{column}" for column in trace.key)
    return (
        f"SELECT (to_jsonb(t){shown})::text FROM {SCHEMA}.{trace.table} AS t "  # noqa: S608
        f"WHERE t.realm = %(realm)s AND {trace.whose} ORDER BY {order}"
    )


def erasure_of(trace: Trace) -> str:
    """SQL: erase at most `limit` of the user's rows of a table."""
    key = ", ".join(("realm", *trace.key))
    found = ", ".join(f"t.{column}" for column in ("realm", *trace.key))
    return (
        f"DELETE FROM {SCHEMA}.{trace.table} WHERE ({key}) IN (SELECT {found} FROM {SCHEMA}.{trace.table} AS t "  # noqa: S608
        f"WHERE t.realm = %(realm)s AND {trace.whose} LIMIT %(limit)s)"
    )
