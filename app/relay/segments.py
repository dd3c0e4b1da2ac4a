"""Segments of the log: each stretch that is complete is copied to `log/` in the datasets bucket, whole, as the log grows.

Only whole segments are written, so that a name always has the same bytes: a step that dies is done again, and two relays
at once write the same. Nothing is kept in the database: the manifest in the bucket says how far it is. On a thread and
connection of its own, only while its relay leads. Look next: `app.operations.export`, `docs/research.md`.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

import psycopg

from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from events.store import log

_log = logging.getLogger(__name__)

#: seconds between two looks
LOOK_SECONDS: Final = 60.0

_SETTINGS = "-c statement_timeout=20s -c timezone=UTC -c jit=off -c application_name=hoard-segments"


class Segments:
    """Copies what is complete. `start` it once; it works while `leading` is set, until `stop` is."""

    def __init__(
        self,
        settings: Settings,
        objects: ObjectStore,
        *,
        leading: threading.Event,
        stop: threading.Event,
        segment_events: int | None = None,
    ) -> None:
        """Name the parts; nothing is contacted. `segment_events` is for a bucket that holds no copy yet."""
        self._settings = settings
        self._objects = objects
        self._leading = leading
        self._stop = stop
        self._events = segment_events
        #: position up to which the bucket has it, and events in a segment there; None: not known
        self._sealed: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `stop` was set."""
        self._thread.join(timeout=seconds)

    def step(self) -> tuple[str, ...]:
        """Copy what is complete; the names of the segments that were added.

        Raises:
            ExportError: what stands in the bucket is the copy of another log, or the log is broken.
            StorageError: the storage fails: what was written stays, and the next step goes on from there.
            psycopg.Error: the database does not answer.
        """
        # pyarrow is loaded by the one relay that leads, and only when it first looks
        from app.operations.export import BucketTarget, export  # noqa: PLC0415
        from app.operations.segments import MANIFEST, SEGMENT_EVENTS  # noqa: PLC0415

        target, realm = BucketTarget(self._objects, self._settings.bucket_datasets), self._settings.realm
        # made for each step: one a minute, and none is left open at a database that restarts
        with psycopg.connect(
            self._settings.database_url, autocommit=True, options=_SETTINGS, connect_timeout=5
        ) as connection:
            row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
            assert row is not None
            if self._sealed is not None and int(row[0]) < sum(self._sealed):
                return ()
            there = target.read(MANIFEST) is not None
            size = None if there else self._events or SEGMENT_EVENTS
            exported = export(connection, realm, target, size, sealed=True)
        self._sealed = exported.manifest.exported_at, exported.manifest.segment_events
        return exported.added

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if not self._leading.is_set():
                self._sealed = None
                continue
            try:
                for name in self.step():
                    _log.info("segment_copied", extra={"segment": name})
            except Exception as error:  # the thread must outlive anything  # noqa: BLE001
                self._sealed = None
                _log.warning("segments_failed", extra={"reason": type(error).__name__})
