"""What the leading relay tells of the horde as a whole: queue, workers, calls of actors, lags, kudos. Reads only.

Every few seconds, on a thread and connection of its own, so that neither a slow statement nor a scrape holds up what the
relay is for; a scrape reads no database. Kudos are counted from where the log stood when this relay began to lead. Who
does not lead tells none of this, so that nothing is counted twice. Look next: `app.platform.metrics`,
`projections.store.derived` (demand).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import psycopg
import redis
from psycopg import Connection

from app.platform import metrics
from app.platform.broker import QUEUE, make_sender
from app.platform.presence import online_prefix
from app.platform.settings import Settings
from app.raters.examining import FOLLOWER as EXAMINER
from app.relay.retention import FOLLOWER as RETENTION
from events.store import log
from projections.store.tables import LIVE

_log = logging.getLogger(__name__)

#: how old what is told may be, in seconds
LOOK_SECONDS: Final = 5.0
#: the same for one that may begin to lead
STANDBY_SECONDS: Final = 0.5
#: positions whose postings one look adds up at most
AT_ONCE: Final = 100_000
#: how long it waits for Valkey, in seconds
_VALKEY_SECONDS: Final = 1.0

_SETTINGS = "-c statement_timeout=5s -c timezone=UTC -c jit=off -c application_name=hoard-statistics"
#: what retention and the examiner of raters have not seen says nothing: they look at it when it is old enough
_FOLLOWERS = """
SELECT c.follower, greatest(0, %(last)s - c.position),
  coalesce(greatest(0, extract(epoch FROM now() - (SELECT e.occurred_at FROM log.event AS e
    WHERE e.realm = c.realm AND e.position = c.position + 1))), 0)::float8
FROM relay.checkpoint AS c WHERE c.realm = %(realm)s AND c.follower <> ALL(%(unhurried)s)
"""
_REACTIONS = """
SELECT o.actor, o.calls, o.again, coalesce(greatest(0, extract(epoch FROM now() - (SELECT e.occurred_at
  FROM log.event AS e WHERE e.realm = %(realm)s AND e.position = o.first))), 0)::float8
FROM (SELECT actor, count(*) AS calls, count(*) FILTER (WHERE attempts > 1) AS again, min(position) AS first
  FROM relay.reaction WHERE realm = %(realm)s AND completed_by IS NULL GROUP BY actor) AS o
"""
_QUEUE = (
    f"SELECT kind, sum(jobs)::bigint, sum(generations)::bigint, sum(work)::float8 FROM {LIVE}.queue_demand "  # noqa: S608
    "WHERE realm = %(realm)s GROUP BY kind"
)
_WORKERS = f"SELECT id, kind, threads FROM {LIVE}.workers WHERE realm = %(realm)s AND NOT deleted"  # noqa: S608
_KUDOS = """
SELECT p.account, e.type, p.amount > 0, sum(abs(p.amount))::float8
FROM log.posting AS p JOIN log.event AS e ON e.realm = p.realm AND e.position = p.position
WHERE p.realm = %(realm)s AND p.position > %(after)s AND p.position <= %(last)s AND p.account NOT LIKE 'user:%%'
GROUP BY 1, 2, 3
"""

_FROM_VALKEY: Final = (
    metrics.WORKERS_ONLINE,
    metrics.THREADS_ONLINE,
    metrics.DEAD_LETTERS,
    metrics.BROKER_MESSAGES,
)
#: gauges that only the one that leads has
_OF_THE_LEADER: Final = (
    *_FROM_VALKEY,
    metrics.LOG_POSITION,
    metrics.FOLLOWER_LAG,
    metrics.FOLLOWER_LAG_SECONDS,
    metrics.REACTIONS_OPEN,
    metrics.REACTIONS_OVERDUE,
    metrics.REACTIONS_OLDEST,
    metrics.QUEUE_JOBS,
    metrics.QUEUE_GENERATIONS,
    metrics.QUEUE_WORK,
)


class Statistics:
    """Reads figures of the whole horde. `start` it once; it looks while `leading` is set, until `stop` is."""

    def __init__(self, settings: Settings, *, leading: threading.Event, stop: threading.Event) -> None:
        self._url = settings.database_url
        self._realm = settings.realm
        self._broker = make_sender(settings)
        self._valkey = redis.Redis.from_url(
            settings.redis_url, socket_timeout=_VALKEY_SECONDS, socket_connect_timeout=_VALKEY_SECONDS
        )
        self._leading = leading
        self._stop = stop
        self._connection: Connection[Any] | None = None
        #: up to where kudos are counted; None before it leads
        self._counted: int | None = None
        self._thread = threading.Thread(target=self._run, name="statistics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `stop` was set."""
        self._thread.join(timeout=seconds)

    def look(self) -> None:
        """Read everything and tell it.

        Raises:
            psycopg.Error: the database does not answer.
            redis.RedisError: Valkey does not answer; what the database says is told all the same.
        """
        connection = self._connected()
        with connection.transaction():
            workers = self._look_at_log(connection)
        self._look_at_valkey(workers)

    def _look_at_log(self, connection: Connection[Any]) -> list[tuple[Any, ...]]:
        """Everything of the database; (id, kind, threads) of all workers."""
        row = connection.execute(log.LAST_POSITION, (self._realm,)).fetchone()
        last = row[0] if row else 0
        asked = {"realm": self._realm, "last": last, "unhurried": [RETENTION, EXAMINER]}
        metrics.LOG_POSITION.labels(str(self._realm)).set(last)
        lags = (metrics.FOLLOWER_LAG, metrics.FOLLOWER_LAG_SECONDS)
        metrics.tell(lags, connection.execute(_FOLLOWERS, asked))
        calls = (metrics.REACTIONS_OPEN, metrics.REACTIONS_OVERDUE, metrics.REACTIONS_OLDEST)
        metrics.tell(calls, connection.execute(_REACTIONS, asked))
        waiting = (metrics.QUEUE_JOBS, metrics.QUEUE_GENERATIONS, metrics.QUEUE_WORK)
        metrics.tell(waiting, connection.execute(_QUEUE, asked))
        self._count_kudos(connection, last)
        return connection.execute(_WORKERS, asked).fetchall()

    def close(self) -> None:
        """Close the connection, and tell nothing: what was told is not known to be so any more."""
        for gauge in _OF_THE_LEADER:
            gauge.clear()
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _count_kudos(self, connection: Connection[Any], last: int) -> None:
        if self._counted is None:
            self._counted = last
        upto = min(last, self._counted + AT_ONCE)
        if upto == self._counted:
            return
        asked = {"realm": self._realm, "after": self._counted, "last": upto}
        for account, reason, gained, amount in connection.execute(_KUDOS, asked).fetchall():
            metrics.KUDOS.labels(account, reason, "in" if gained else "out").inc(amount)
        self._counted = upto

    def _look_at_valkey(self, workers: Sequence[tuple[Any, ...]]) -> None:
        prefix = online_prefix(self._realm)
        marks: Any = self._valkey.mget([f"{prefix}{key}" for key, _, _ in workers]) if workers else []
        threads: defaultdict[str, list[int]] = defaultdict(list)
        for (_, kind, count), mark in zip(workers, marks, strict=True):
            if mark:
                threads[kind].append(count)
        online = (metrics.WORKERS_ONLINE, metrics.THREADS_ONLINE)
        metrics.tell(online, ((kind, len(each), sum(each)) for kind, each in threads.items()))
        client: Any = self._broker.client
        queue = f"{self._broker.namespace}:{QUEUE}"
        metrics.BROKER_MESSAGES.labels(QUEUE).set(client.llen(queue))
        metrics.DEAD_LETTERS.labels(QUEUE).set(client.zcard(f"{queue}.XQ"))

    def _run(self) -> None:
        pause = STANDBY_SECONDS
        while not self._stop.wait(pause):
            pause = STANDBY_SECONDS
            if not self._leading.is_set():
                self.close()
                self._counted = None  # another relay counts
                continue
            pause = LOOK_SECONDS
            try:
                self.look()
            except redis.RedisError as error:
                self._failed(error)
                for gauge in _FROM_VALKEY:
                    gauge.clear()
            except Exception as error:  # the thread must outlive anything  # noqa: BLE001
                self._failed(error)
                self.close()
        self.close()
        self._valkey.close()
        self._broker.client.close()

    def _failed(self, error: Exception) -> None:
        metrics.STATISTICS_FAILURES.inc()
        _log.warning("statistics_failed", extra={"reason": type(error).__name__})

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, options=_SETTINGS, connect_timeout=5
            )
        return self._connection
