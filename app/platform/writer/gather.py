"""The first round trip of a batch: take the lock, then read clock, head, known keys, live versions and rows.

The lock and each read are statements of their own, so that every read sees what was committed before the lock was
had. May not decide. Look next: `app.platform.writer.batch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.commands import Idempotency, Needs
from app.platform.rows import Rows
from events.store import log
from projections.queue import Search
from projections.registry import VERSIONS
from projections.store import search
from projections.store.tables import LIVE, TABLES

VERSIONS_SQL = "SELECT name, version FROM relay.projection WHERE realm = %s"


class VersionMismatchError(Exception):
    """The live projections are not those this program knows: it must stop itself."""


class Gathered(msgspec.Struct):
    """All that a batch knows when it starts to decide."""

    head: log.Head
    rows: Rows
    #: outcomes of earlier commands by (scope, key)
    known: dict[tuple[str, str], vault.CommandOutcome]


def _statements() -> dict[tuple[str, bool], str]:
    """The row reads by table, without and with searches in the batch."""
    made: dict[tuple[str, bool], str] = {}
    for searching in (False, True):
        found = f" UNION {search.FOUND_JOBS}" if searching else ""
        leased = f"SELECT job FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
        named = "SELECT unnest(%(jobs)s::uuid[])"
        jobs = f"{named} UNION {leased}{found}"
        payers = f"SELECT requester FROM {LIVE}.jobs WHERE realm = %(realm)s AND id = ANY(ARRAY({named} UNION {leased}))"  # noqa: S608
        owners = f"SELECT owner FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
        hosts = f"SELECT worker FROM {LIVE}.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[])"  # noqa: S608
        where = {
            "leases": "id = ANY(%(leases)s::uuid[])",
            "jobs": f"id = ANY(ARRAY({jobs}))",
            "generations": f"job = ANY(ARRAY({jobs}))",
            "accounts": f"id = ANY(ARRAY(SELECT unnest(%(accounts)s::uuid[]) UNION {payers} UNION {owners}))",
            "workers": f"id = ANY(ARRAY(SELECT unnest(%(workers)s::uuid[]) UNION {hosts}))",
        }
        for name, condition in where.items():
            made[name, searching] = TABLES[name].select(LIVE, condition)
    return made


_READS = _statements()
#: prompts of the jobs that a batch changes, for searches with a blacklist: these were found before the batch began
_PROMPTS = """
SELECT job, prompt FROM vault.job WHERE realm = %(realm)s AND job IN (SELECT unnest(%(jobs)s::uuid[])
  UNION SELECT job FROM projections.leases WHERE realm = %(realm)s AND id = ANY(%(leases)s::uuid[]))
"""


def _merged(needs: Sequence[Needs]) -> Needs:
    return Needs(
        accounts=tuple({key for need in needs for key in need.accounts}),
        jobs=tuple({key for need in needs for key in need.jobs}),
        generations=tuple({key for need in needs for key in need.generations}),
        leases=tuple({key for need in needs for key in need.leases}),
        workers=tuple({key for need in needs for key in need.workers}),
    )


def _wanted(needs: Needs, searches: Sequence[Search]) -> list[str]:
    """The tables that must be read at all: a statement costs, also one that finds nothing."""
    jobs = bool(needs.jobs or needs.leases or searches)
    wanted = {
        "leases": bool(needs.leases),
        "jobs": jobs,
        "generations": jobs,
        "accounts": bool(needs.accounts or needs.jobs or needs.leases),
        "workers": bool(needs.workers or needs.leases),
    }
    return [name for name, wants in wanted.items() if wants]


def gather(
    connection: Connection[Any], realm: int, needs: Sequence[Needs], keys: Sequence[Idempotency]
) -> Gathered:
    """Open the transaction, take the lock and read. Raises `VersionMismatchError`, `psycopg.Error`."""
    merged = _merged(needs)
    searches = list({need.search: None for need in needs if need.search is not None})
    parameters = {
        "realm": realm,
        "accounts": list(merged.accounts),
        "jobs": list(merged.jobs),
        "leases": list(merged.leases),
        "workers": list(merged.workers),
    }
    known = found = prompts = None
    with connection.pipeline():
        connection.execute(log.LOCK, (realm,))
        head = connection.execute(log.HEAD, (realm,), binary=True)
        versions = connection.execute(VERSIONS_SQL, (realm,))
        if keys:
            keyed = ([k.scope for k in keys], [k.key for k in keys], realm)
            known = connection.execute(vault.FIND_OUTCOMES, keyed, binary=True)
        if searches:
            found = connection.execute(search.UNDER_LOCK, search.parameters(realm, searches))
        if any(asked.blacklist for asked in searches):
            prompts = connection.execute(_PROMPTS, parameters, binary=True)
        reads = {
            name: connection.execute(_READS[name, bool(searches)], parameters, binary=True)
            for name in _wanted(merged, searches)
        }
    _check_versions(versions.fetchall())
    log_head = log.head_of(realm, head.fetchone() or ())
    rows = Rows(log_head.now)
    for name in TABLES_NAMED:
        rows.name(name, getattr(merged, name))
    for name, cursor in reads.items():
        rows.put(name, TABLES[name].load_all(cursor.fetchall()))
    if found is not None:
        (text,) = found.fetchone() or ("[]",)
        for asked_for, result in zip(searches, search.found(text), strict=True):
            rows.put_found(asked_for, result)
    if prompts is not None:
        rows.prompts.update(prompts.fetchall())
    outcomes = [vault.CommandOutcome(*row) for row in known.fetchall()] if known is not None else []
    return Gathered(log_head, rows, {(o.scope, o.key): o for o in outcomes})


TABLES_NAMED = ("accounts", "jobs", "generations", "leases", "workers")


def _check_versions(live: Sequence[tuple[str, int]]) -> None:
    if dict(live) != VERSIONS:
        message = f"live projections are {dict(live)}, this program knows {VERSIONS}"
        raise VersionMismatchError(message)
