"""Rows as this process last wrote or read them under the lock, moved on by what others have appended since.

A batch that needs them again does not read them again. They are exact, not a guess: they stand at a position, the
events behind it are read under the lock and folded into them, and nothing but events changes a row (an invariant of
the projections). Anything unusual (a failed batch, a long gap, a lost connection) empties them. May not decide, and
never remembers that a row does not exist. Look next: `app.platform.writer.gather`, `app.platform.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from app.platform.rows import Rows
from events.base import Recorded
from events.codec import UnknownEventError, fact_of
from projections.registry import INLINE, INLINE_OF

#: how many rows are kept at least, of the latest used, if not told otherwise (`HOARD_WRITER_ROWS`); at most twice as
#: many are, and a batch's (about a kilobyte each)
LIMIT = 20_000
#: how many events of others are folded in at most; behind a longer gap the rows are read afresh
GAP = 500

_NAMES = tuple(projection.name for projection in INLINE)


class Recent:
    """Rows by projection and id as they stand at `position`. Of a job that is here, all generations are."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        #: where in the log the rows stand, and the hash of the event there; None while there are none
        self.position: int | None = None
        self._hash = b""
        self._young: dict[str, dict[UUID, Any]] = {}
        self._old: dict[str, dict[UUID, Any]] = {}
        self._members: dict[UUID, tuple[UUID, ...]] = {}
        self.clear()

    def __len__(self) -> int:
        """How many are kept; one that was kept before and is used again counts twice, for its two places."""
        return sum(map(len, [*self._young.values(), *self._old.values()]))

    def clear(self) -> None:
        """Forget everything."""
        self.position = None
        self._young = {name: {} for name in _NAMES}
        self._old = {name: {} for name in _NAMES}
        self._members = {}

    def get(self, projection: str, key: UUID) -> Any:
        """A row, or None where it is not here, which says nothing about whether it exists."""
        row = self._young[projection].get(key)
        if row is None and (row := self._old[projection].get(key)) is not None:
            self._young[projection][key] = row
            if projection == "jobs":
                self.generations_of(key)  # they stay as long as their job does
        return row

    def generations_of(self, job: UUID) -> list[Any]:
        """All generations of a job that is here."""
        return [self.get("generations", key) for key in self._members[job]]

    def catch_up(self, events: Sequence[Recorded]) -> None:
        """Fold what was appended behind `position`: the events from that place on to the log's end.

        Forgets everything if the log is another one than the rows are of, or a newer program's, which appends what
        this one cannot read: the rows themselves it may still read.
        """
        if self.position is None:
            return
        if not events or (events[0].position, events[0].hash) != (self.position, self._hash):
            self.clear()
            return
        try:
            facts = [fact_of(event) for event in events[1:]]
        except (UnknownEventError, msgspec.ValidationError):
            self.clear()
            return
        for fact in facts:
            for projection in INLINE_OF[type(fact.event)]:
                for key in projection.keys(fact):
                    if (row := self.get(projection.name, key)) is not None:
                        self._young[projection.name][key] = projection.evolve(key, row, fact)
        self.position, self._hash = events[-1].position, events[-1].hash

    def put(self, read: Mapping[str, Sequence[Any]], position: int, digest: bytes) -> None:
        """Add rows that were read under the lock at the log's end; generations come with all others of their job."""
        self.position, self._hash = position, digest
        for name, rows in read.items():
            self._young[name].update((row.id, row) for row in rows)
        members: dict[UUID, list[UUID]] = {}
        for generation in read.get("generations", ()):
            members.setdefault(generation.job, []).append(generation.id)
        self._members.update((job, tuple(ids)) for job, ids in members.items())

    def keep(self, rows: Rows, position: int, digest: bytes) -> None:
        """Take over a batch's rows after its commit, with the log's end that it left."""
        if sum(map(len, self._young.values())) > self._limit:
            self._old, self._young = self._young, {name: {} for name in _NAMES}
            self._members = {job: self._members[job] for job in self._old["jobs"]}
        for name, table in rows.tables.items():
            self._young[name].update((key, row) for key, row in table.items() if row is not None)
        for job, row in rows.tables["jobs"].items():
            if row is not None and job not in self._members:
                self._members[job] = tuple(generation.id for generation in rows.generations_of(job))
        self.position, self._hash = position, digest
