"""Proving the live tables: fold the log in memory and compare every row, then recompute the derived indexes.

Reads one consistent snapshot and writes nothing (temporary tables apart). Look next: `projections.memory`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection, IsolationLevel, errors

from events.base import Fact, postings_of
from events.codec import fact_of
from events.store import log
from projections import memory
from projections.accounts import USER
from projections.base import Projection
from projections.registry import ALL, INLINE, TAILING
from projections.store import derived
from projections.store.build import REBUILD_LOCK
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
    # a rebuild would wait for this long reader, and all writers for the rebuild
    connection.execute("SELECT pg_advisory_lock_shared(%s)", (REBUILD_LOCK,))
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            position = _number(connection, log.LAST_POSITION, realm)
            tailed = {p.name: _tailed(connection, realm, p.name) for p in TAILING}
            state, postings = _fold(connection, realm, position, tailed, progress)
            findings = [postings.finding()]
            findings += [
                _compare(connection, realm, projection, state[projection.name]) for projection in ALL
            ]
            findings += _derived(connection, realm)
            total = _number(
                connection, "SELECT coalesce(sum(amount), 0) FROM log.posting WHERE realm = %s", realm
            )
    finally:
        connection.isolation_level = None
        connection.execute("SELECT pg_advisory_unlock_shared(%s)", (REBUILD_LOCK,))
    return Report(position=position, findings=tuple(findings), total=total)


def _fold(
    connection: Connection[Any],
    realm: int,
    last: int,
    tailed: dict[str, int],
    progress: Callable[[int, int], None] | None,
) -> tuple[memory.State, _Postings]:
    state = memory.empty()
    postings = _Postings(connection, realm)
    for event in log.read_all(connection, realm, 0, last):
        fact = fact_of(event)
        memory.apply(state, fact, INLINE)
        memory.apply(state, fact, [p for p in TAILING if event.position <= tailed[p.name]])
        postings.expect(fact, state["accounts"])
        if progress is not None and event.position % 1000 == 0:
            progress(event.position, last)
    postings.compare()
    return state, postings


class _Postings:
    """The typed rows of postings compared with the events they were copied from, some thousand at a time."""

    def __init__(self, connection: Connection[Any], realm: int) -> None:
        self._connection = connection
        self._realm = realm
        self._expected: list[tuple[Any, ...]] = []
        self._compared = 0
        self._upto = 0
        self._rows = 0
        self._digests = hashlib.sha256(), hashlib.sha256()
        self._differing: list[str] = []

    def expect(self, fact: Fact, accounts: dict[Any, Any]) -> None:
        """The rows that an event must have, with users' balances as folded up to it."""
        for ordinal, (name, amount) in enumerate(postings_of(fact.event)):
            owner = accounts[UUID(name[len(USER) :])].balance if name.startswith(USER) else None
            self._expected.append((fact.position, ordinal, name, amount, owner))
        self._upto = fact.position
        if self._upto - self._compared >= log.PAGE:
            self.compare()

    def compare(self) -> None:
        """Compare what has been expected since the last time."""
        asked = (self._realm, self._compared, self._upto)
        live = [tuple(row) for row in self._connection.execute(_POSTINGS, asked, binary=True)]
        for sha, rows in zip(self._digests, (self._expected, live), strict=True):
            sha.update(msgspec.json.encode(rows))
        self._differing += [str(row[0]) for row in sorted(set(live) ^ set(self._expected), key=str)]
        self._rows += len(live)
        self._expected, self._compared = [], self._upto

    def finding(self) -> Finding:
        """The result; rows beyond the last event are found as well."""
        beyond = self._connection.execute(_POSTINGS, (self._realm, self._upto, 2**62)).fetchall()
        folded, live = (sha.hexdigest() for sha in self._digests)
        return Finding(
            name="postings",
            rows=self._rows + len(beyond),
            folded=folded,
            live=digest(beyond) if beyond else live,
            differing=tuple([*self._differing, *(str(row[0]) for row in beyond)][:5]),
        )


_POSTINGS = (
    "SELECT position, ordinal, account, amount, balance FROM log.posting "
    "WHERE realm = %s AND position > %s AND position <= %s ORDER BY position, ordinal"
)


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
        # a row that is no longer what it should be may not even be computed with: nothing follows from it then
        with contextlib.suppress(errors.DataError), connection.transaction():
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
