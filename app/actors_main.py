"""Composition root of the actors: one process with threads for messages, loops and regular work, and one writer.

Four threads of messages; loops for fetching sources and telling webhooks; a librarian, a mirrorer and an examiner of raters,
which look now and then. May not hold rules of its own: it only joins slices to the broker, the database and storage. Look next:
`app.sharing.actors`, `app.sources.actors`, `app.webhooks.actors`, `app.platform.broker`, `app.relay.main`, which sends the messages.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

import psycopg
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from app.images import actors as images_actors
from app.images import decider as images
from app.images.mirroring import Limits, Mirrorer
from app.images.takedown import Remover
from app.jobs.image_params import upscale_factor
from app.platform import metrics
from app.platform.background import Background, Steps
from app.platform.broker import make_broker
from app.platform.commands import rules
from app.platform.logging import configure_logging
from app.platform.objects import ObjectStore
from app.platform.outside import Outside
from app.platform.post_processors import PostProcessor
from app.platform.settings import Settings
from app.platform.stopping import stop_on_signals
from app.platform.versions import LOOK_SECONDS, look
from app.platform.writer import Writer
from app.platform.writer.gather import VersionMismatchError
from app.raters import decider as raters
from app.raters.examining import Examiner
from app.sharing import actors, decider
from app.sharing.publish import SETTINGS, Buckets, Publisher
from app.sources import actors as sources_actors
from app.sources import decider as sources
from app.sources.fetching import Fetcher
from app.webhooks import actors as webhooks_actors
from app.webhooks import decider as webhooks
from app.webhooks.delivering import Deliverer

_log = logging.getLogger(__name__)

THREADS: Final = 4
#: what fetching sources, and telling webhooks, reads with, between the threads' connections
FETCHER_CONNECTIONS: Final = 2
DELIVERER_CONNECTIONS: Final = 2
#: seconds between two looks at the bucket of data sets
LIBRARIAN_SECONDS: Final = 20.0
#: and at what is to be mirrored
MIRRORER_SECONDS: Final = 2.0
#: and at raters
EXAMINER_SECONDS: Final = 5.0
#: milliseconds after which an idle thread looks again
POLL_MS: Final = 100
#: milliseconds that running actors have to finish in; what they leave undone is done again
GRACE_MS: Final = 6_000


def run(settings: Settings, stop: threading.Event | None = None) -> int:
    """Run actors until `stop` is set, or without one until SIGINT or SIGTERM; the exit status of the command."""
    own_process = stop is None
    if stop is None:
        configure_logging(settings.log_level)
        stop = stop_on_signals()
    stopped = stop
    fatal: list[BaseException] = []

    def give_up(error: BaseException) -> None:
        _log.error("actors_stop", extra={"reason": str(error)})
        fatal.append(error)
        stopped.set()

    if own_process:
        threading.excepthook = end_with_any_thread(give_up)
        metrics.expose(*settings.metrics_at("actors"))
    writer = Writer(
        settings.database_url,
        settings.realm,
        rules(decider.RULES, sources.RULES, webhooks.RULES, images.RULES, raters.RULES),
        on_fatal=give_up,
        rows=settings.writer_rows,
    )
    broker = make_broker(settings)
    metrics.WRITER_QUEUE.set_function(lambda: writer.waiting)
    metrics.WRITER_ROWS.set_function(lambda: writer.rows_kept)
    with make_pool(settings) as pool:
        metrics.measure_pool(pool.get_stats)
        metrics.POOL_WAITING.set_function(lambda: pool.get_stats().get("requests_waiting", 0))
        publisher = make_publisher(settings, pool, writer)
        actors.declare(broker, publisher.publish, publisher.withdraw)
        fetcher = make_fetcher(settings, pool, writer)
        sources_actors.declare(broker, fetcher.begin)
        deliverer = make_deliverer(settings, pool, writer)
        webhooks_actors.declare(broker, deliverer.begin)
        remover = make_remover(settings, pool, writer)
        images_actors.declare(broker, remover.carry_out, remover.uphold)
        librarian = Background("librarian", LIBRARIAN_SECONDS, partial(make_librarian, settings))
        mirrorer = Background("mirrorer", MIRRORER_SECONDS, partial(make_mirrorer, settings, writer))
        examiner = Background("examiner", EXAMINER_SECONDS, partial(make_examiner, settings, writer))
        writer.start()
        fetcher.start()
        deliverer.start()
        librarian.start()
        mirrorer.start()
        examiner.start()
        try:
            _work(broker, stop, partial(_look, pool, settings.realm, give_up))
        finally:
            examiner.stop()
            mirrorer.stop()
            librarian.stop()
            deliverer.stop()
            fetcher.stop()
            writer.stop()
    return 1 if fatal else 0


class ThreadDiedError(Exception):
    """A thread of this process ended by an exception; the message names both, and not what the exception says."""


def end_with_any_thread(give_up: Callable[[BaseException], None]) -> Callable[[Any], None]:
    """A `threading.excepthook` by which the process ends with any of its threads: its supervisor starts a whole one.

    A consumer of Dramatiq's dies if Valkey goes away at the wrong moment, and nothing starts another one.
    """

    def ended(died: Any) -> None:
        name = died.thread.name if died.thread else "a thread"
        give_up(ThreadDiedError(f"{name} died of {died.exc_type.__name__}"))

    return ended


def make_pool(settings: Settings) -> ConnectionPool[Connection[Any]]:
    """One connection for each thread and a few for fetching, made when it is needed; one that died is noticed before it is used."""
    return ConnectionPool(
        settings.database_url,
        min_size=1,
        max_size=THREADS + FETCHER_CONNECTIONS + DELIVERER_CONNECTIONS,
        open=False,
        timeout=10.0,
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "options": SETTINGS, "connect_timeout": 5},
        name="actors",
    )


def make_publisher(settings: Settings, pool: ConnectionPool[Connection[Any]], writer: Writer) -> Publisher:
    """The sharing slice joined to storage, and to what jobs know of post-processors."""
    return Publisher(
        realm=settings.realm,
        pool=pool,
        writer=writer,
        objects=_store(settings),
        buckets=Buckets(settings.bucket_results, settings.bucket_shared),
        upscale=_upscale,
    )


def make_fetcher(settings: Settings, pool: ConnectionPool[Connection[Any]], writer: Writer) -> Fetcher:
    """The sources slice joined to storage, and to what of the world may be asked."""
    return Fetcher(
        realm=settings.realm,
        pool=pool,
        writer=writer,
        objects=_store(settings),
        bucket=settings.bucket_sources,
        outside=Outside.of(settings.source_networks),
    )


def make_remover(settings: Settings, pool: ConnectionPool[Connection[Any]], writer: Writer) -> Remover:
    """The slice of images joined to storage, for takedowns."""
    return Remover(
        realm=settings.realm,
        pool=pool,
        writer=writer,
        objects=_store(settings),
        shared=settings.bucket_shared,
        datasets=settings.bucket_datasets,
    )


def make_mirrorer(settings: Settings, writer: Writer) -> Mirrorer:
    """The slice of images joined to storage, and to what of the world may be asked, for copies of imports."""
    return Mirrorer(
        realm=settings.realm,
        database_url=settings.database_url,
        writer=writer,
        objects=_store(settings),
        bucket=settings.bucket_datasets,
        outside=Outside.of(settings.source_networks),
        limits=Limits(
            at_once=settings.mirror_at_once,
            of_one_host=settings.mirror_per_host,
            most_bytes=settings.mirror_bytes,
            seconds=settings.mirror_seconds,
        ),
    )


def make_examiner(settings: Settings, writer: Writer) -> Examiner:
    """The slice of raters, by the schedule of the settings."""
    every = timedelta(hours=settings.assess_every_hours)
    return Examiner(settings.database_url, settings.realm, writer, every)


def make_librarian(settings: Settings) -> Steps:
    """The slice of data sets joined to storage. What it loads, and most processes never need, is loaded here."""
    from app.datasets.librarian import Librarian  # noqa: PLC0415

    return Librarian(settings, _store(settings))


def make_deliverer(settings: Settings, pool: ConnectionPool[Connection[Any]], writer: Writer) -> Deliverer:
    """The slice of webhooks joined to storage, for links, and to what of the world may be told."""
    return Deliverer(
        realm=settings.realm,
        pool=pool,
        writer=writer,
        objects=_store(settings),
        bucket=settings.bucket_results,
        pepper=settings.pepper,
        outside=Outside.of(settings.webhook_networks),
    )


def _store(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)


def _upscale(names: tuple[str, ...]) -> int:
    return upscale_factor(tuple(PostProcessor(name) for name in names))


def _look(
    pool: ConnectionPool[Connection[Any]], realm: int, give_up: Callable[[BaseException], None]
) -> None:
    """Stop where other projections are live: what actors read of them might be gone."""
    with contextlib.suppress(psycopg.Error, PoolTimeout), pool.connection() as connection:
        try:
            look(connection, realm)
        except VersionMismatchError as error:
            give_up(error)


def _work(broker: RedisBroker, stop: threading.Event, look_around: Callable[[], None]) -> None:
    worker = Worker(broker, worker_threads=THREADS, worker_timeout=POLL_MS)
    broker.emit_after("process_boot")
    worker.start()
    while not stop.wait(LOOK_SECONDS):
        look_around()
    worker.stop(timeout=GRACE_MS)
    broker.close()
    broker.client.close()
