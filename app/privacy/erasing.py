"""Forgetting one person: the objects in buckets, then every row of the vault that is about them, in small batches.

What the person has running was ended before, by the commands that end such things; the log is never touched. Each batch
is a transaction of its own, and objects go before the rows that lead to them, so that a run that was killed is finished
by the next one. Blocks. Look next: `app.privacy.traces` (which rows), `app.user_commands` (what is ended before).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from app.platform.objects import ObjectStore, result_key
from app.platform.sources import uploads_of
from app.privacy.traces import TRACES, Trace, binds, erasure_of
from projections.store.tables import LIVE

#: rows of a table that one transaction takes away
AT_ONCE: Final = 1_000
#: how often everything is looked through again: a program that was at work may have written something meanwhile
_PASSES: Final = 5

#: uploads under leases on jobs whose words are still kept: those of others were removed with the words
_RESULTS: Final = f"""
SELECT l.id, g.id::uuid FROM {LIVE}.leases AS l, jsonb_array_elements_text(l.generations) AS g(id)
WHERE l.realm = %(realm)s AND l.job IN (SELECT w.job FROM vault.job AS w JOIN {LIVE}.jobs AS j ON j.realm = w.realm
  AND j.id = w.job WHERE w.realm = %(realm)s AND j.requester = %(user)s)
"""  # noqa: S608
_SOURCES: Final = f"""
SELECT key FROM vault.source WHERE realm = %(realm)s AND key <> '' AND job IN (
  SELECT id FROM {LIVE}.jobs WHERE realm = %(realm)s AND requester = %(user)s)
"""  # noqa: S608
_KEYS: Final = next(trace for trace in TRACES if trace.table == "api_key")


class Eraser:
    """Erases people of one realm. The connection is in autocommit."""

    def __init__(
        self, connection: Connection[Any], realm: int, objects: ObjectStore, results: str, sources: str
    ) -> None:
        """`results` and `sources` are names of buckets."""
        self._connection = connection
        self._realm = realm
        self._objects = objects
        self._results = results
        self._sources = sources

    def lock_out(self, user: UUID) -> int:
        """Forget the user's keys, so that nothing more comes from them; how many there were."""
        return self._rows(_KEYS, user)

    def erase(self, user: UUID) -> dict[str, int]:
        """Erase objects and rows; how many rows of which table, only of those that had any.

        Raises:
            StorageUnavailableError, psycopg.Error: not now; run it again.
        """
        erased: Counter[str] = Counter()
        for _ in range(_PASSES):
            self._remove_objects(user)
            found = Counter({trace.table: self._rows(trace, user) for trace in TRACES})
            if not found.total():
                break
            erased += found
        return dict(sorted(erased.items()))

    def _remove_objects(self, user: UUID) -> None:
        asked = binds(self._realm, user)
        for lease, generation in self._connection.execute(_RESULTS, asked).fetchall():
            self._objects.remove(self._results, result_key(lease, generation))
        for (key,) in self._connection.execute(_SOURCES, asked).fetchall():
            self._objects.remove(self._sources, key)
        for entry in list(self._objects.entries(self._sources, uploads_of(user))):
            self._objects.remove(self._sources, entry.key)

    def _rows(self, trace: Trace, user: UUID) -> int:
        statement, asked = erasure_of(trace), {**binds(self._realm, user), "limit": AT_ONCE}
        count = 0
        while (erased := self._connection.execute(statement, asked).rowcount) > 0:
            count += erased
        return count
