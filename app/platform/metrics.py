"""Every metric of every process, declared once: name, labels, what it says. Prometheus' own client counts them.

Nothing else may make a metric: `docs/metrics.md` lists these, and a test holds the two together. Each process tells its
own on a port of its own (`expose`): they are never behind a public address by accident, and processes that share a port
are told apart. Labels are words of this program (fields of the schema, codes, kinds, names of actors), never a client's;
nobody's id, name or address is in them. Look next: `docs/metrics.md`, `docs/runbook.md`, `deploy/`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.process_collector import ProcessCollector

_log = logging.getLogger(__name__)

#: bounds in seconds: of what waits for others, and of what should take milliseconds
SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
BRIEFLY: Final = (
    0.0005,
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    4.0,
)
COUNTS: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 256)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for
#: metrics of this program, and what the operating system says of the process (memory, processor time, open files)
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"hoard_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"hoard_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"hoard_{name}", text, labels, registry=REGISTRY, buckets=bounds)


# The writer of a process.

WRITER_BATCH_COMMANDS: Final = _histogram("writer_batch_commands", "Commands that one batch decided.", COUNTS)
WRITER_QUEUE_SECONDS: Final = _histogram(
    "writer_queue_seconds", "How long a command waited in this process before its batch began.", BRIEFLY
)
WRITER_LOCK_WAIT_SECONDS: Final = _histogram(
    "writer_lock_wait_seconds",
    "How long a batch waited for the log's lock, by the database's clock.",
    BRIEFLY,
)
WRITER_HELD_SECONDS: Final = _histogram(
    "writer_held_seconds", "How long a batch held the log's lock: reading, deciding, committing.", BRIEFLY
)
WRITER_COMMIT_SECONDS: Final = _histogram(
    "writer_commit_seconds", "How long writing and committing took of that, one round trip.", BRIEFLY
)
WRITER_COMMANDS: Final = _counter(
    "writer_commands",
    "Commands by what became of them: accepted, repeated, rejected, failed.",
    "command",
    "outcome",
)
WRITER_REJECTIONS: Final = _counter(
    "writer_rejections", "Commands that were rejected, by the code of why.", "code"
)
WRITER_UNKNOWN: Final = _counter(
    "writer_unknown_outcomes",
    "Commits whose answer never came, by what the log said of them: there, gone, or unknown.",
    "outcome",
)
WRITER_FAILURES: Final = _counter(
    "writer_failures",
    "Batches that came to nothing, by why: connection (tried again), command, version, bug.",
    "reason",
)
WRITER_BUSY: Final = _counter(
    "writer_busy", "Commands turned away: the queue was full, or the database away for too long.", "reason"
)
WRITER_QUEUE: Final = _gauge("writer_queue_commands", "Commands that wait for a batch now.")
WRITER_ROWS: Final = _gauge("writer_rows", "Rows that the writer keeps at hand, about a kilobyte each.")

# The API's operations.

GRAPHQL_SECONDS: Final = _histogram(
    "graphql_seconds",
    "Queries and mutations by their root field, from reading the document to the result; a poll's wait counts.",
    SECONDS,
    "kind",
    "field",
)
GRAPHQL_ERRORS: Final = _counter(
    "graphql_errors",
    "Top-level errors told to clients, by root field (empty: not known) and code.",
    "field",
    "code",
)
REFUSALS: Final = _counter("refusals", "Expected failures told as members of result unions, by code.", "code")
SUBSCRIPTIONS: Final = _gauge(
    "subscriptions_open", "Subscriptions that are open now, by root field.", "field"
)
WEBSOCKETS: Final = _gauge("websockets_open", "WebSocket connections that are open now.")
SLOW_READERS: Final = _counter(
    "slow_readers", "Readers of subscriptions that were cut off for not reading.", "wire"
)
RATE_LIMITED: Final = _counter("rate_limited", "Calls refused by a rate limit, by what is counted.", "limit")
RATES_UNKNOWN: Final = _counter("rates_unknown", "Times that Valkey did not say who asked how often.")
PRESENCE_UNKNOWN: Final = _counter(
    "presence_unknown", "Times that Valkey did not say which workers are online."
)

# Polls for work.

POPS: Final = _counter(
    "pops", "Polls by what they came to: leased, nothing, or the code of a refusal.", "kind", "outcome"
)
PROBE_SECONDS: Final = _histogram(
    "pop_probe_seconds", "One look at the queue without the lock, with its turn on a connection.", BRIEFLY
)
POLLS_WAITING: Final = _gauge("polls_waiting", "Polls that wait for a job in this process now.")
POLLS_TURNED_AWAY: Final = _counter(
    "polls_turned_away", "Polls that were not let wait: too many wait already."
)

# Following the log.

TAIL_POSITION: Final = _gauge("tail_position", "The last position that this process has seen.")
TAIL_SILENT_SECONDS: Final = _gauge(
    "tail_silent_seconds", "How long ago this process last read the log to its end."
)
TAIL_DELAY_SECONDS: Final = _histogram(
    "tail_delay_seconds",
    "From an event's instant (the database's clock) until this process saw it, once a page.",
    SECONDS,
)
TAIL_RECONNECTS: Final = _counter("tail_reconnects", "Times that following the log was begun anew.")

# Connections for reading.

POOL_CONNECTIONS: Final = _gauge(
    "pool_connections", "Connections of the process's pool, used or idle.", "state"
)
POOL_WAITING: Final = _gauge("pool_waiting", "Who waits for a connection of the pool, or for a turn on one.")

# Object storage.

STORAGE_CHECK_SECONDS: Final = _histogram(
    "storage_check_seconds",
    "Checks of delivered objects, by outcome: there, missing, failed.",
    SECONDS,
    "outcome",
)
STORAGE_FAILURES: Final = _counter(
    "storage_failures", "Calls that object storage did not answer as it should."
)

# The relay.

RELAY_LEADING: Final = _gauge("relay_leading", "1 while this relay leads, else 0.")
RELAY_TERMS: Final = _counter("relay_terms", "Times that this relay began to lead.")
FOLLOWER_FAILURES: Final = _counter(
    "follower_failures", "Times that a follower of the log raised.", "follower"
)
FOLLOWER_LAG: Final = _gauge(
    "follower_lag_events", "Events that a follower of the log has not seen.", "follower"
)
FOLLOWER_LAG_SECONDS: Final = _gauge(
    "follower_lag_seconds", "Age of the first event that a follower of the log has not seen.", "follower"
)
REACTIONS_OPEN: Final = _gauge("reactions_open", "Calls of actors that no fact has completed.", "actor")
REACTIONS_OVERDUE: Final = _gauge(
    "reactions_overdue", "Those of them that were sent more than once.", "actor"
)
REACTIONS_OLDEST: Final = _gauge("reactions_oldest_seconds", "Age of the oldest of them.", "actor")
REACTIONS_SENT: Final = _counter("reactions_sent", "Messages left for actors.")
BROKER_AWAY: Final = _counter("broker_away", "Times that a message could not be left.")
SWEEPS: Final = _counter("sweeps", "Looks for what is over by the clock: done or failed.", "outcome")
SWEPT: Final = _counter(
    "swept", "What was over by the clock and was ended, and allowances paid, by command.", "command"
)
RETENTION_STEPS: Final = _counter(
    "retention_steps", "Looks for what is to be forgotten: done or failed.", "outcome"
)
FORGOTTEN: Final = _counter("forgotten_jobs", "Jobs whose words and uploads were deleted.")

# Actors.

ACTOR_SECONDS: Final = _histogram(
    "actor_seconds",
    "Messages that actors worked on, by actor and outcome: done or failed.",
    SECONDS,
    "actor",
    "outcome",
)
ACTOR_GIVEN_UP: Final = _counter("actor_given_up", "Messages that became dead letters.", "actor")
DEAD_LETTERS: Final = _gauge("dead_letters", "Dead letters that are kept now, by queue.", "queue")
BROKER_MESSAGES: Final = _gauge("broker_messages", "Messages that wait for an actor now, by queue.", "queue")
PUBLICATIONS: Final = _counter(
    "publications", "Verdicts on shared pictures: published, or why not.", "outcome"
)
SOURCES_FETCHED: Final = _counter("sources_fetched", "Source pictures: fetched, or why not.", "outcome")
MIRRORS: Final = _counter(
    "mirrors", "Copies of imported pictures: mirrored, put off, or why there is none.", "outcome"
)
WEBHOOK_SECONDS: Final = _histogram(
    "webhook_seconds", "Attempts to tell a webhook something: HEARD, or why not.", SECONDS, "outcome"
)

# The horde as a whole: told by the relay that leads, some seconds old.

LOG_POSITION: Final = _gauge(
    "log_position", "The last position of the log, told by the relay that leads.", "realm"
)
QUEUE_JOBS: Final = _gauge("queue_jobs", "Jobs of which something waits, by kind.", "kind")
QUEUE_GENERATIONS: Final = _gauge("queue_generations", "Generations, or forms, that wait, by kind.", "kind")
QUEUE_WORK: Final = _gauge(
    "queue_work", "Work that waits, by kind: pixelsteps, or thousandths of tokens or of forms.", "kind"
)
WORKERS_ONLINE: Final = _gauge(
    "workers_online", "Workers that polled within the last 300 seconds, by kind.", "kind"
)
THREADS_ONLINE: Final = _gauge("threads_online", "Their threads, by kind.", "kind")
KUDOS: Final = _counter(
    "kudos_hundredths",
    "Hundredths of kudos that moved to or from the system's accounts while this relay led, by what moved them.",
    "account",
    "reason",
    "direction",
)
STATISTICS_FAILURES: Final = _counter(
    "statistics_failures", "Times that figures of the whole horde could not be read."
)


M = TypeVar("M", Counter, Gauge, Histogram)
_children: dict[tuple[Any, tuple[str, ...]], Any] = {}


def child(metric: M, *labels: str) -> M:
    """The child of a metric for these labels, as `metric.labels` gives it, ten times as fast."""
    key = (metric, labels)
    found: M | None = _children.get(key)
    if found is None:
        found = _children[key] = metric.labels(*labels)
    return found


def tell(gauges: Sequence[Gauge], rows: Iterable[Sequence[Any]]) -> None:
    """Set gauges of one label from rows of its value and one figure each; what has no row any more is taken back."""
    figures = {row[0]: row[1:] for row in rows}
    for column, gauge in enumerate(gauges):
        told = {
            label for each in gauge.collect() for sample in each.samples for label in sample.labels.values()
        }
        for label in told - figures.keys():
            gauge.remove(label)
        for label, values in figures.items():
            gauge.labels(label).set(values[column])


def measure_pool(statistics: Callable[[], Mapping[str, int]]) -> None:
    """Have the connections of the process's pool counted whenever metrics are asked for."""

    def idle() -> int:
        return statistics().get("pool_available", 0)

    POOL_CONNECTIONS.labels("idle").set_function(idle)
    POOL_CONNECTIONS.labels("used").set_function(lambda: statistics().get("pool_size", 0) - idle())


def expose(host: str, port: int) -> None:
    """Serve `/metrics` on a thread of its own; port 0 is for none. A port that is taken is told, and stops nothing."""
    if not port:
        return
    try:
        start_http_server(port, host, registry=REGISTRY)
    except OSError as error:
        _log.warning("metrics_not_exposed", extra={"port": port, "reason": type(error).__name__})
