"""The actor that keeps the bucket of data sets: withdrawals, hourly ratings, releases by a schedule.

A thread of each actor process with a connection of its own; a lock of the database lets one work at a time. It follows
what ends sharing from a checkpoint, and rewrites every release that is there before it moves on: a step that dies is
done again. Look next: `app.datasets.shelf`, `app.datasets.hourly`, `app.actors_main`.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import Connection

from app.datasets.build import Source
from app.datasets.hourly import HourlyRatings
from app.datasets.people import People
from app.datasets.reading import Buckets, LiveLog
from app.datasets.scratch import REMOVAL_NAMES
from app.datasets.shelf import Shelf
from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.objects import ObjectStore
from app.platform.settings import Settings

_log = logging.getLogger(__name__)

FOLLOWER: Final = "datasets"

_SETTINGS: Final = "-c timezone=UTC -c jit=off -c application_name=hoard-datasets"
_CHECKPOINT: Final = "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s"
_ADVANCE: Final = (
    "INSERT INTO relay.checkpoint AS c (realm, follower, position) VALUES (%s, %s, %s) ON CONFLICT (realm, follower) "
    "DO UPDATE SET position = greatest(c.position, excluded.position)"
)
_NOW: Final = "SELECT clock_timestamp()"


class Librarian:
    """Keeps the bucket of data sets, step by step."""

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        """Name what to work with; nothing is contacted."""
        self._settings = settings
        self._objects = objects
        self._shelf = Shelf(objects, settings.bucket_datasets)
        self._people = People(settings.pepper, settings.realm)
        self._every = timedelta(hours=settings.release_every_hours)
        self._hourly: HourlyRatings | None = None
        self._connection: Connection[Any] | None = None

    def step(self) -> bool:
        """Do what is due; False if another one is at it.

        Raises:
            BuildError: a release cannot be built.
            OSError, StorageError, psycopg.Error: not now.
        """
        connection = self._connected()
        with alone(connection, locks.releases(self._settings.realm), wait=False) as held:
            if held:
                log = LiveLog(connection, self._settings.realm)
                self._clear(connection, log)
                self._append(connection, log)
                self._release(connection, log)
        return held

    def close(self) -> None:
        """Close what is open."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
        self._forget_hourly()

    def _clear(self, connection: Connection[Any], log: LiveLog) -> None:
        """Rewrite the releases that are there without what was withdrawn since the checkpoint."""
        realm = self._settings.realm
        row = connection.execute(_CHECKPOINT, (realm, FOLLOWER)).fetchone()
        after, head = (row[0] if row else 0), log.last()
        if head == after:
            return
        if any(True for _ in log.events(after, head, REMOVAL_NAMES)):
            self._shelf.remove_unfinished()
            for release in self._shelf.releases():
                self._shelf.publish(self._source(connection), release.position)
                _log.info("release_rewritten", extra={"position": release.position})
        connection.execute(_ADVANCE, (realm, FOLLOWER, head))

    def _append(self, connection: Connection[Any], log: LiveLog) -> None:
        if self._hourly is None:
            self._hourly = HourlyRatings(self._objects, self._settings.bucket_datasets, self._people)
        try:
            self._hourly.advance(log, _now(connection))
        except BaseException:
            self._forget_hourly()
            raise

    def _release(self, connection: Connection[Any], log: LiveLog) -> None:
        head = log.last()
        if not self._every or not head:
            return
        releases = self._shelf.releases()
        if releases:
            newest = releases[-1]
            due = datetime.fromisoformat(newest.cut_at) + self._every <= _now(connection)
            if newest.position >= head or not due:
                return
        release = self._shelf.publish(self._source(connection), head)
        _log.info("release_built", extra={"position": release.position})

    def _source(self, connection: Connection[Any]) -> Source:
        return source_of(self._settings, connection, self._objects)

    def _forget_hourly(self) -> None:
        if self._hourly is not None:
            self._hourly.__exit__()
            self._hourly = None

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._settings.database_url, autocommit=True, connect_timeout=5, options=_SETTINGS
            )
        return self._connection


def source_of(settings: Settings, connection: Connection[Any], objects: ObjectStore) -> Source:
    """What releases of this house are made from."""
    return Source(
        LiveLog(connection, settings.realm),
        Buckets(
            connection,
            settings.realm,
            objects,
            shared=settings.bucket_shared,
            datasets=settings.bucket_datasets,
        ),
        People(settings.pepper, settings.realm),
        address=settings.releases_url or "",
    )


def _now(connection: Connection[Any]) -> datetime:
    row = connection.execute(_NOW).fetchone()
    assert row is not None, "a clock has a time"
    now: datetime = row[0]
    return now.astimezone(UTC)
