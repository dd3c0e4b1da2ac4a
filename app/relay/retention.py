"""Forgetting: some time after a job's end its words and its pictures are deleted; the log keeps what happened.

Follows the facts after which a job may be due, with a checkpoint of its own, so that nothing is ever searched for. What
is deleted: all uploads under the job's leases and its source images, then its prompts, seeds, links to sources and
results in the vault; the shared copy of a published picture is apart and stays. A job waits while a report about it is
open and while a picture of it is still to be published: the fact that ends this is followed too. The vault's rows go
last and with the checkpoint, so that a step that dies is done again, and two relays at once do no harm. On a thread and
connection of its own, only while its relay leads. Look next: `app.platform.vault`, `docs/lifecycle.md`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import Connection

from app.platform import metrics
from app.platform.objects import ObjectStore, result_key
from app.platform.settings import Settings
from events.base import Fact
from events.codec import fact_of
from events.jobs import JobEnded, JobEvent
from events.moderation import CaseDecided
from events.sharing import PicturePublished, PictureWithheld
from events.store import log
from projections.store.tables import LIVE

_log = logging.getLogger(__name__)

FOLLOWER: Final = "retention"
#: seconds between two looks, and while there is more to delete than one step takes
LOOK_SECONDS: Final = 5.0
HURRY_SECONDS: Final = 0.05
#: facts that one step looks at
AT_ONCE: Final = 100

#: after each of these a job may have nothing left that keeps it from being forgotten
_NAMES: Final = [cls.TYPE for cls in (JobEnded, CaseDecided, PicturePublished, PictureWithheld)]
_SETTINGS = "-c statement_timeout=20s -c lock_timeout=5s -c timezone=UTC -c jit=off -c application_name=hoard-retention"
_CHECKPOINT = "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s"
#: two that delete at once must not take each other back
_ADVANCE = (
    "INSERT INTO relay.checkpoint AS c (realm, follower, position) VALUES (%s, %s, %s) ON CONFLICT (realm, follower) "
    "DO UPDATE SET position = greatest(c.position, excluded.position)"
)
_CUT_OFF = "SELECT now() - %s::interval"
_FORGETTABLE = f"""
SELECT id FROM {LIVE}.jobs AS j WHERE realm = %(realm)s AND id = ANY(%(jobs)s) AND ended_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM {LIVE}.generations AS g WHERE g.realm = j.realm AND g.job = j.id AND (g.report = 'OPEN'
    OR (j.shared AND g.state = 'DONE' AND g.sha256 IS NULL AND g.withheld IS NULL)))
"""  # noqa: S608
_UPLOADS = f"""
SELECT l.id, g.id::uuid FROM {LIVE}.leases AS l, jsonb_array_elements_text(l.generations) AS g(id)
WHERE l.realm = %(realm)s AND l.job = ANY(%(jobs)s)
"""  # noqa: S608
_SOURCES = "SELECT key FROM vault.source WHERE realm = %(realm)s AND job = ANY(%(jobs)s) AND key <> ''"
_FORGET: Final = (
    """DELETE FROM vault.result WHERE realm = %(realm)s AND generation = ANY(ARRAY(
       SELECT generation FROM vault.generation WHERE realm = %(realm)s AND job = ANY(%(jobs)s)))""",
    "DELETE FROM vault.generation WHERE realm = %(realm)s AND job = ANY(%(jobs)s)",
    "DELETE FROM vault.source WHERE realm = %(realm)s AND job = ANY(%(jobs)s)",
    "DELETE FROM vault.job WHERE realm = %(realm)s AND job = ANY(%(jobs)s)",
)

#: what workers are told no more, as long after that as a job's words are kept after its end
_FORGET_MESSAGES = "DELETE FROM vault.worker_message WHERE realm = %s AND expires_at < now() - %s::interval"
#: what was told of pictures at URLs: when its time is over, and of what a worker reported, by a picture's every job
_FORGET_TOLD: Final = (
    "DELETE FROM vault.told WHERE realm = %(realm)s AND expires_at < now()",
    f"""DELETE FROM vault.told AS t USING {LIVE}.cases AS c WHERE t.realm = %(realm)s AND c.realm = t.realm
       AND c.state <> 'DISMISSED' AND c.opened_at > now() - interval '6 days' AND (t.job = c.job OR t.source = ANY(ARRAY(
         SELECT s.digest FROM vault.source AS s WHERE s.realm = c.realm AND s.job = c.job AND s.digest IS NOT NULL)))""",  # noqa: S608
)
#: from which network a rating came serves to find who rates as one; after so long nothing is judged by it any more
_FORGET_ORIGINS = "DELETE FROM vault.rating_origin WHERE realm = %s AND at < now() - interval '90 days'"


class Retention:
    """Forgets what is due. `start` it once; it works while `leading` is set, until `stop` is."""

    def __init__(
        self, settings: Settings, objects: ObjectStore, *, leading: threading.Event, stop: threading.Event
    ) -> None:
        self._url = settings.database_url
        self._realm = settings.realm
        self._results = settings.bucket_results
        self._sources = settings.bucket_sources
        self._kept = timedelta(seconds=settings.retention_seconds)
        self._objects = objects
        self._leading = leading
        self._stop = stop
        self._connection: Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `stop` was set."""
        self._thread.join(timeout=seconds)

    def step(self) -> bool:
        """Forget what the next facts make due; True if there may be more at once.

        Raises:
            StorageUnavailableError: the storage fails: nothing of this step is forgotten in the vault.
            psycopg.Error: the database does not answer.
        """
        connection = self._connected()
        connection.execute(_FORGET_MESSAGES, (self._realm, self._kept))
        connection.execute(_FORGET_ORIGINS, (self._realm,))
        for statement in _FORGET_TOLD:
            connection.execute(statement, {"realm": self._realm})
        due = self._due(connection)
        if not due:
            return False
        jobs = {fact.event.job for fact in due if isinstance(fact.event, JobEvent)}
        asked = {"realm": self._realm, "jobs": list(jobs)}
        forgettable = [row[0] for row in connection.execute(_FORGETTABLE, asked)]
        self._remove_uploads(connection, forgettable)
        self._remove_sources(connection, forgettable)
        with connection.transaction():
            for statement in _FORGET:
                connection.execute(statement, {"realm": self._realm, "jobs": forgettable})
            connection.execute(_ADVANCE, (self._realm, FOLLOWER, due[-1].position))
        metrics.FORGOTTEN.inc(len(forgettable))
        return len(due) == AT_ONCE

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _due(self, connection: Connection[Any]) -> list[Fact]:
        """The next facts that are old enough: instants never run backwards in the log."""
        row = connection.execute(_CHECKPOINT, (self._realm, FOLLOWER)).fetchone()
        cut_off = connection.execute(_CUT_OFF, (self._kept,)).fetchone()
        assert cut_off is not None
        asked = {"realm": self._realm, "after": row[0] if row else 0, "names": _NAMES, "limit": AT_ONCE}
        facts = (fact_of(log.recorded(r)) for r in connection.execute(log.READ_TYPES, asked, binary=True))
        return [fact for fact in facts if fact.occurred_at <= cut_off[0]]

    def _remove_uploads(self, connection: Connection[Any], jobs: Sequence[UUID]) -> None:
        """Whatever any lease on these jobs may have uploaded, delivered or not."""
        rows = connection.execute(_UPLOADS, {"realm": self._realm, "jobs": list(jobs)})
        if keys := [result_key(lease, generation) for lease, generation in rows]:
            self._objects.remove_many(self._results, keys)

    def _remove_sources(self, connection: Connection[Any], jobs: Sequence[UUID]) -> None:
        """The pictures that these jobs were drawn from: copies of their own, whatever became of the uploads."""
        rows = connection.execute(_SOURCES, {"realm": self._realm, "jobs": list(jobs)})
        if keys := [key for (key,) in rows]:
            self._objects.remove_many(self._sources, keys)

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._stop.wait(pause):
            pause = LOOK_SECONDS
            if not self._leading.is_set():
                continue
            try:
                if self.step():
                    pause = HURRY_SECONDS
                metrics.child(metrics.RETENTION_STEPS, "done").inc()
            except Exception as error:  # the thread must outlive anything  # noqa: BLE001
                metrics.child(metrics.RETENTION_STEPS, "failed").inc()
                _log.warning("retention_failed", extra={"reason": type(error).__name__})
                self.close()
        self.close()

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, options=_SETTINGS, connect_timeout=5
            )
        return self._connection
