"""Proving the live tables: fold the log in memory and compare every row, then recompute the derived indexes.

Reads one consistent snapshot and writes nothing (temporary tables apart). Look next: `projections.memory`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from psycopg import Connection, IsolationLevel

from events.codec import fact_of
from events.store import log
from projections import memory
from projections.base import Projection
from projections.registry import ALL, INLINE, TAILING
from projections.store import derived
from projections.store.tables import LIVE, table_of


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One projection compared: digests of the rows folded from the log and of the rows in the table."""

    name: str
    rows: int
    folded: str
    live: str
    #: keys of the first rows that differ
    differing: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether the rows are the same, byte for byte."""
        return self.folded == self.live


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The findings at one position."""

    position: int
    findings: tuple[Finding, ...]
    #: sum over all accounts, in hundredths: always 0
    total: int

    @property
    def clean(self) -> bool:
        """Whether everything is as the log says."""
        return self.total == 0 and all(finding.identical for finding in self.findings)


def verify(
    connection: Connection[Any], realm: int, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Compare live tables with the log at one snapshot. `connection` must not be in a transaction."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            position = _number(connection, log.LAST_POSITION, realm)
            tailed = {p.name: _tailed(connection, realm, p.name) for p in TAILING}
            state = _fold(connection, realm, position, tailed, progress)
            findings = [_compare(connection, realm, projection, state[projection.name]) for projection in ALL]
            findings += _derived(connection, realm)
            total = _number(
                connection, "SELECT coalesce(sum(amount), 0) FROM log.posting WHERE realm = %s", realm
            )
    finally:
        connection.isolation_level = None
    return Report(position=position, findings=tuple(findings), total=total)


def _fold(
    connection: Connection[Any],
    realm: int,
    last: int,
    tailed: dict[str, int],
    progress: Callable[[int, int], None] | None,
) -> memory.State:
    state = memory.empty()
    for event in log.read_all(connection, realm, 0, last):
        fact = fact_of(event)
        memory.apply(state, fact, INLINE)
        memory.apply(state, fact, [p for p in TAILING if event.position <= tailed[p.name]])
        if progress is not None and event.position % 1000 == 0:
            progress(event.position, last)
    return state


def digest(rows: Iterable[Any]) -> str:
    """SHA-256 over rows in the order given, each as JSON on a line."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(msgspec.json.encode(row) + b"\n")
    return sha.hexdigest()


def _compare(
    connection: Connection[Any], realm: int, projection: Projection[Any], folded: dict[Any, Any]
) -> Finding:
    table = table_of(projection)
    select = table.select(LIVE, f"true ORDER BY {projection.key}")
    live = {
        getattr(row, projection.key): row
        for row in table.load_all(connection.execute(select, {"realm": realm}, binary=True))
    }
    differing = [str(key) for key in sorted(live.keys() | folded.keys()) if live.get(key) != folded.get(key)]
    return Finding(
        name=projection.name,
        rows=len(live),
        folded=digest(folded[key] for key in sorted(folded)),
        live=digest(live[key] for key in sorted(live)),
        differing=tuple(differing[:5]),
    )


def _derived(connection: Connection[Any], realm: int) -> list[Finding]:
    """Compare each derived table with what `derived.fill` computes into temporary tables."""
    findings = []
    for name in derived.NAMES:
        connection.execute(f"CREATE TEMP TABLE audit_{name} (LIKE {LIVE}.{name}) ON COMMIT DROP")
    for statement in derived.fill(LIVE, into="audit_"):
        connection.execute(statement, (realm,))
    for name in derived.NAMES:
        live = _rows(connection, f"{LIVE}.{name}", realm)
        computed = _rows(connection, f"audit_{name}", realm)
        differing = [str(row[:4]) for row in sorted(set(live) ^ set(computed))]
        findings.append(
            Finding(
                name=name,
                rows=len(live),
                folded=digest(computed),
                live=digest(live),
                differing=tuple(differing[:5]),
            )
        )
    return findings


def _rows(connection: Connection[Any], table: str, realm: int) -> list[tuple[str, ...]]:
    fetched = connection.execute(f"SELECT t::text FROM {table} AS t WHERE realm = %s", (realm,))  # noqa: S608
    return sorted(tuple(row) for row in fetched)


def _tailed(connection: Connection[Any], realm: int, name: str) -> int:
    row = connection.execute(
        "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s",
        (realm, f"projection:{name}"),
    ).fetchone()
    return int(row[0]) if row else 0


def _number(connection: Connection[Any], statement: str, realm: int) -> int:
    row = connection.execute(statement, (realm,)).fetchone()
    return int(row[0]) if row else 0
