"""Carrying out a takedown: what there is with its hash leaves the buckets, then the log says so.

Files first, then the event, a page at a time: killed anywhere and run again, it ends the same. What is published or
imported later is held against the takedown by itself (`app.platform.takedowns`). Look next: `app.images.actors`.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.images.decider import (
    FinishTakedown,
    OrderTakedown,
    TakeDownPictures,
    takedown_of_case,
)
from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.commands import Command, Done, Request
from app.platform.ids import new_id
from app.platform.objects import ObjectStore, imported_prefix, shared_keys
from app.platform.writer import Writer
from events.codec import fact_of
from events.images import PictureCaseDecided, TakedownOrdered
from events.moderation import Verdict
from events.store import log
from projections.store.tables import LIVE, TABLES

#: pictures in one event
PAGE: Final = 50

_FOUND = f"""
SELECT p.id, p.job FROM {LIVE}.pictures p JOIN {LIVE}.takedowns t ON t.realm = p.realm AND t.id = %(takedown)s
WHERE p.realm = %(realm)s AND p.state <> 'REMOVED' AND NOT t.lifted AND (p.sha256 = t.sha256 OR
  p.original_sha256 = t.sha256 OR
  bit_count(('x' || p.perceptual_hash)::bit(64) # ('x' || t.perceptual_hash)::bit(64)) <= t.distance)
ORDER BY p.id LIMIT %(page)s"""  # noqa: S608
_PICTURE = TABLES["pictures"].select(LIVE, "id = %(id)s")
#: when a shared picture was delivered: that names the lock under which it is published
_SETTLED = f"SELECT settled FROM {LIVE}.generations WHERE realm = %s AND id = %s"  # noqa: S608


class UnsettledError(Exception):
    """The log did not take what was done: the next attempt goes by what stands."""


class Remover:
    """Carries out takedowns. Safe to share between threads; everything blocks."""

    def __init__(
        self,
        *,
        realm: int,
        pool: ConnectionPool[Connection[Any]],
        writer: Writer,
        objects: ObjectStore,
        shared: str,
        datasets: str,
    ) -> None:
        """Name what to work with.

        Args:
            realm: whose log.
            pool: autocommitting connections.
            writer: knows `app.images.decider.RULES`.
            objects: the storage of both buckets.
            shared: the bucket of shared pictures.
            datasets: that of copies of imported ones.
        """
        self._realm = realm
        self._pool = pool
        self._writer = writer
        self._objects = objects
        self._shared = shared
        self._datasets = datasets

    def carry_out(self, position: int) -> None:
        """Carry out the takedown that was ordered at `position`.

        Raises:
            UnsettledError, StorageUnavailableError, WriterBusyError, psycopg.Error: not now.
        """
        with self._pool.connection() as connection:
            event = self._event(connection, position)
            if not isinstance(event, TakedownOrdered):
                return
            asked = {"realm": self._realm, "takedown": event.takedown, "page": PAGE}
            while found := connection.execute(_FOUND, asked).fetchall():
                for picture, job in found:
                    self._remove(connection, picture, job)
                pictures = tuple(picture for picture, _ in found)
                jobs = tuple({job for _, job in found if job is not None})
                take = TakeDownPictures(takedown=event.takedown, pictures=pictures, jobs=jobs)
                self._execute(take, position)
            self._execute(FinishTakedown(takedown=event.takedown), position)

    def uphold(self, position: int) -> None:
        """Order the takedown that follows from a rater's report which a moderator upheld at `position`.

        Raises:
            UnsettledError, WriterBusyError, psycopg.Error: not now.
        """
        with self._pool.connection() as connection:
            event = self._event(connection, position)
            if not isinstance(event, PictureCaseDecided) or event.verdict is not Verdict.UPHELD:
                return
            asked = {"realm": self._realm, "id": event.picture}
            rows = TABLES["pictures"].load_all(connection.execute(_PICTURE, asked, binary=True))
        if rows and rows[0].sha256 is not None:
            self._execute(
                OrderTakedown(
                    takedown=takedown_of_case(event.case),
                    sha256=rows[0].sha256,
                    perceptual_hash=None,
                    distance=0,
                    by=None,
                ),
                position,
            )

    def _remove(self, connection: Connection[Any], picture: UUID, job: UUID | None) -> None:
        if job is None:
            copies = self._objects.entries(self._datasets, imported_prefix(picture))
            self._objects.remove_many(self._datasets, [copy.key for copy in copies])
            return
        row = connection.execute(_SETTLED, (self._realm, picture)).fetchone()
        assert row is not None, "a shared picture is a generation"
        # an attempt to publish it, or to put it back, must not come in between
        with alone(connection, locks.picture(self._realm, row[0])):
            for key in reversed(shared_keys(picture)):
                self._objects.remove(self._shared, key)

    def _execute(self, command: Command, position: int) -> None:
        outcome = self._writer.execute_sync(Request(command, new_id(), causation=position))
        if not isinstance(outcome, Done):
            message = f"the takedown of {position} does not stand"
            raise UnsettledError(message)

    def _event(self, connection: Connection[Any], position: int) -> msgspec.Struct | None:
        page = connection.execute(log.READ, (self._realm, position - 1, 1), binary=True).fetchall()
        fact = fact_of(log.recorded(page[0])) if page else None
        return fact.event if fact is not None and fact.position == position else None
