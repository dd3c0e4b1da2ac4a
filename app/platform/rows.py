"""The working set of a batch: the rows that its commands may see, folded forward event by event. Pure.

A row that was not gathered is a fault, never a zero: reading one raises. Look next: `app.platform.writer.gather`,
which fills it under the lock, and `projections.registry`, whose folds move it on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from events.base import Event, Fact
from events.operations import HOUSE
from projections.accounts import Account
from projections.generations import Generation
from projections.image_sets import ImageSet
from projections.jobs import Job
from projections.leases import Lease
from projections.modes import UNSET, Modes
from projections.pictures import Picture
from projections.queue import Found, Search, waits
from projections.raters import Rater
from projections.ratings import Rating
from projections.registry import INLINE, INLINE_OF
from projections.takedowns import Takedown
from projections.teams import Team
from projections.webhooks import Webhooks
from projections.workers import Worker


class UngatheredRowError(Exception):
    """A decider or fold reached for a row that its command did not name."""


class Rows:
    """Rows by projection and id, with changes that are kept only if their command is accepted."""

    def __init__(self, now: datetime) -> None:
        #: the batch's instant, read under the lock
        self.now = now
        self.tables: dict[str, dict[Any, Any]] = {projection.name: {} for projection in INLINE}
        #: ids that commands of this batch made: nothing has them yet
        self.made: set[UUID] = set()
        #: jobs that wait because of this batch: no search saw them so
        self.queued: dict[UUID, Job] = {}
        #: jobs of which nothing waits any more because of this batch
        self.gone: set[UUID] = set()
        self._pending: dict[str, dict[Any, Any]] = {}
        #: the generations of a job; a draft and the batch itself may both come to one
        self._members: dict[UUID, dict[UUID, None]] = {}
        self._found: dict[Search, Found] = {}
        #: prompts of jobs that this batch submits or changes, for blacklists
        self.prompts: dict[UUID, str] = {}

    def name(self, projection: str, ids: Iterable[Any]) -> None:
        """Declare rows that may be read; until one is put they do not exist."""
        table = self.tables[projection]
        for key in ids:
            table.setdefault(key, None)

    def put(self, projection: str, rows: Iterable[Any]) -> None:
        """Put gathered rows."""
        table = self.tables[projection]
        for row in rows:
            if projection == "generations":
                self._members.setdefault(row.job, {})[row.id] = None
            table[row.id] = row

    def put_found(self, search: Search, found: Found) -> None:
        """Put what a search found."""
        self._found[search] = found

    def found(self, search: Search) -> Found:
        """What a search found under the lock."""
        return self._found[search]

    def _get(self, projection: str, key: UUID) -> Any:
        pending = self._pending.get(projection)
        if pending is not None and key in pending:
            return pending[key]
        try:
            return self.tables[projection][key]
        except KeyError:
            if key in self.made:
                return None
            message = f"{projection} {key} was not gathered"
            raise UngatheredRowError(message) from None

    def account(self, key: UUID) -> Account | None:
        """An account, or None where there is none. Raises `UngatheredRowError`."""
        row: Account | None = self._get("accounts", key)
        return row

    def job(self, key: UUID) -> Job | None:
        """A job, or None."""
        row: Job | None = self._get("jobs", key)
        return row

    def generation(self, key: UUID) -> Generation | None:
        """A generation, or None."""
        row: Generation | None = self._get("generations", key)
        return row

    def lease(self, key: UUID) -> Lease | None:
        """A lease, or None."""
        row: Lease | None = self._get("leases", key)
        return row

    def worker(self, key: UUID) -> Worker | None:
        """A worker, or None."""
        row: Worker | None = self._get("workers", key)
        return row

    def team(self, key: UUID) -> Team | None:
        """A team, or None."""
        row: Team | None = self._get("teams", key)
        return row

    def modes(self) -> Modes:
        """What the house is set to: gathered for every batch. All off before the realm is opened."""
        row: Modes | None = self._get("modes", HOUSE)
        return row or UNSET

    def webhooks(self, owner: UUID) -> Webhooks | None:
        """A user's webhooks, or None where there never was any."""
        row: Webhooks | None = self._get("webhooks", owner)
        return row

    def image_set(self, key: UUID) -> ImageSet | None:
        """A set of pictures, or None. The set of shared pictures has no row."""
        row: ImageSet | None = self._get("image_sets", key)
        return row

    def picture(self, key: UUID) -> Picture | None:
        """A picture that is rated, or None."""
        row: Picture | None = self._get("pictures", key)
        return row

    def takedown(self, key: UUID) -> Takedown | None:
        """A takedown, or None."""
        row: Takedown | None = self._get("takedowns", key)
        return row

    def rating(self, key: UUID) -> Rating | None:
        """An assignment and what came of it, or None."""
        row: Rating | None = self._get("ratings", key)
        return row

    def rater(self, key: UUID) -> Rater | None:
        """A rater, or None where that user was never handed a picture."""
        row: Rater | None = self._get("raters", key)
        return row

    def generations_of(self, job: UUID) -> list[Generation]:
        """A job's generations in their order."""
        rows = (self.generation(key) for key in self._members.get(job, ()))
        return sorted((row for row in rows if row is not None), key=lambda row: row.ordinal)

    def fold(self, fact: Fact) -> None:
        """Move the rows on by one fact; not kept before `accept`."""
        for projection in INLINE_OF[type(fact.event)]:
            pending = self._pending.setdefault(projection.name, {})
            for key in projection.keys(fact):
                before = self._get(projection.name, key)
                pending[key] = row = projection.evolve(key, before, fact)
                if before is None and isinstance(row, Generation):
                    self._members.setdefault(row.job, {})[key] = None

    def draft(self) -> Draft:
        """These rows as a decider may move them on while it composes events; they themselves stay as they are."""
        return Draft(self)

    def accept(self) -> None:
        """Keep what was folded since the last accept or discard."""
        for name, rows in self._pending.items():
            self.tables[name].update(rows)
        for key, job in self._pending.get("jobs", {}).items():
            if waits(job):
                self.queued[key] = job
                self.gone.discard(key)
            else:
                self.queued.pop(key, None)
                self.gone.add(key)
        self._pending = {}

    def discard(self) -> None:
        """Forget what was folded since the last accept or discard."""
        self._pending = {}

    def snapshot(self) -> dict[str, dict[Any, msgspec.Struct | None]]:
        """The rows as they are now, to compare with after the batch."""
        return {name: dict(rows) for name, rows in self.tables.items()}


class Draft(Rows):
    """Rows that a decider moves on event by event, to decide the next event on top of those before it."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows.now)
        self.tables = rows.tables
        self.made = rows.made
        self.prompts = rows.prompts
        self._members = rows._members  # noqa: SLF001 - the same rows
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        """Append an event to the draft and fold it. Its position is not known yet, and no inline fold shows one."""
        self.events.append(event)
        self.fold(Fact(0, self.now, event))
