"""Ratings as they arrive: a Parquet part for each hour of the log that had any, named by its positions.

An hour is one of the log's own clock, so that parts depend on nothing but the log: marks and estimates of raters are those
at the hour's end. What is there is not made again; after a loss of the bucket the same parts come again. Rows of pictures
that are withdrawn later stay: they hold an id and numbers, which the public log has, too. Look next:
`app.datasets.scores`, `app.datasets.librarian`.
"""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from app.datasets.people import People
from app.datasets.reading import Log
from app.datasets.scores import rating_rows
from app.datasets.scratch import NAMES, Scratch
from app.datasets.tables import RATINGS, TableWriter
from app.platform.objects import ObjectStore
from events.base import Recorded
from events.ratings import ImageRated

PREFIX: Final = "ratings/"
_NAME: Final = re.compile(r"ratings/part-(\d{12})-(\d{12})\.parquet")
_HOUR: Final = timedelta(hours=1)
_KIND: Final = "application/vnd.apache.parquet"


def part_name(first: int, last: int) -> str:
    """Where the ratings of an hour lie in the bucket, by the positions of its first and its last one."""
    return f"{PREFIX}part-{first:012}-{last:012}.parquet"


class HourlyRatings:
    """Follows the log and puts parts. Not thread-safe; everything blocks."""

    def __init__(self, objects: ObjectStore, bucket: str, people: People) -> None:
        self._objects = objects
        self._bucket = bucket
        self._people = people
        self._folder = tempfile.TemporaryDirectory(prefix="hoard-ratings-")
        self._scratch = Scratch(Path(self._folder.name) / "scratch.sqlite", _CACHE)
        self._position = 0
        self._end: datetime | None = None
        self._first: int | None = None
        self._last = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.connection.close()
        self._folder.cleanup()

    def advance(self, log: Log, now: datetime) -> list[str]:
        """Put the parts of hours that are over; their names.

        Raises:
            OSError, StorageUnavailableError, psycopg.Error: not now; start with a new object.
        """
        put: list[str] = []
        there = self._there()
        head = log.last()
        batch: list[Recorded] = []
        for recorded in log.events(self._position, head, NAMES):
            if self._end is not None and recorded.occurred_at >= self._end:
                put += self._close(batch, there)
                batch = []
            if self._end is None or recorded.occurred_at >= self._end:
                self._end = (
                    recorded.occurred_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR
                )
            batch.append(recorded)
            if recorded.type == ImageRated.TYPE:
                self._first, self._last = self._first or recorded.position, recorded.position
            if len(batch) == _BATCH:
                self._scratch.fold(batch)
                batch = []
        self._scratch.fold(batch)
        self._position = head
        # what comes later is of a later hour: the log's clock never runs backwards
        if self._end is not None and now >= self._end:
            put += self._close([], there)
        return put

    def _close(self, batch: list[Recorded], there: set[str]) -> list[str]:
        """Put the part of the hour that is over, unless it is there or has no rating."""
        self._scratch.fold(batch)
        first, self._first = self._first, None
        if first is None:
            return []
        name = part_name(first, self._last)
        if name in there:
            return []
        path = Path(self._folder.name) / "part.parquet"
        self._scratch.settle()
        with TableWriter(path, RATINGS) as table:
            for row in rating_rows(self._scratch, self._people, first, self._last):
                table.add(row)
        self._objects.put_file(self._bucket, name, path, _KIND)
        return [name]

    def _there(self) -> set[str]:
        return {
            entry.key for entry in self._objects.entries(self._bucket, PREFIX) if _NAME.fullmatch(entry.key)
        }


#: events that are folded at a time
_BATCH: Final = 10_000
#: KiB of the index that stay in memory: an actor process has it as long as it lives
_CACHE: Final = 2 * 1024
