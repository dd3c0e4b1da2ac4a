"""What the leading relay tells of the horde as a whole is what the database and Valkey hold."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
import redis

from app.platform import metrics
from app.platform.broker import make_broker
from app.platform.presence import online_prefix
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.leader import lead
from app.relay.main import REACTIONS
from app.relay.reactions import Reactions
from app.relay.statistics import STANDBY_SECONDS, Statistics
from app.sharing.actors import PUBLISH_PICTURE
from tests.factories import request, submit
from tests.gallery import ALL_RULES, Gallery, eventually, picture

LAG = metrics.FOLLOWER_LAG


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    make_broker(settings).client.flushdb()
    return Gallery(settings, start_writer(rules=ALL_RULES))


def statistics(settings: Settings) -> Statistics:
    return Statistics(settings, leading=threading.Event(), stop=threading.Event())


def told(metric: Any, **labels: str) -> float | None:
    found = [
        s.value
        for f in metric.collect()
        for s in f.samples
        if s.labels == labels and s.name[-8:] != "_created"
    ]
    return found[0] if found else None


def follow(settings: Settings) -> None:
    """Let reactions follow the log to its end, and call nobody."""
    with lead(settings.database_url, settings.realm, threading.Event()) as term:
        assert term is not None
        reactions = Reactions(term, REACTIONS, lambda *_: None)
        while reactions.advance():
            pass


def test_queue_workers_calls_and_lags(gallery: Gallery, application: psycopg.Connection[Any]) -> None:
    settings = gallery.settings
    shared = gallery.deliver(picture())
    follow(settings)
    gallery.writer.execute_sync(waiting_job(gallery, n=3))
    (worker, threads) = application.execute("SELECT id, threads FROM projections.workers").fetchone() or ()
    client = redis.Redis.from_url(settings.redis_url)
    client.set(f"{online_prefix(settings.realm)}{worker}", "1", ex=60)
    application.execute("UPDATE relay.reaction SET attempts = 2")
    seen = statistics(settings)
    seen.look()
    (last,) = application.execute("SELECT max(position) FROM log.event").fetchone() or ()
    assert told(metrics.LOG_POSITION, realm="0") == last
    assert (told(metrics.QUEUE_JOBS, kind="IMAGE"), told(metrics.QUEUE_GENERATIONS, kind="IMAGE")) == (1, 3)
    assert told(metrics.WORKERS_ONLINE, kind="IMAGE") == 1
    assert told(metrics.THREADS_ONLINE, kind="IMAGE") == threads
    assert told(metrics.REACTIONS_OPEN, actor=PUBLISH_PICTURE) == 1
    assert told(metrics.REACTIONS_OVERDUE, actor=PUBLISH_PICTURE) == 1
    assert told(LAG, follower="projection:throughput") == last
    (reached,) = application.execute(
        "SELECT position FROM relay.checkpoint WHERE follower = 'reactions'"
    ).fetchone() or (0,)
    assert shared.position <= reached < last
    assert told(LAG, follower="reactions") == last - reached
    assert told(LAG, follower="retention") is None
    gallery.publish(shared.position)
    follow(settings)
    client.delete(f"{online_prefix(settings.realm)}{worker}")
    seen.look()
    assert told(metrics.REACTIONS_OPEN, actor=PUBLISH_PICTURE) is None
    assert told(metrics.WORKERS_ONLINE, kind="IMAGE") is None
    assert told(LAG, follower="reactions") == 0
    seen.close()
    assert told(metrics.QUEUE_JOBS, kind="IMAGE") is None


def test_kudos_are_counted_once_and_from_the_first_look_on(
    gallery: Gallery, application: psycopg.Connection[Any]
) -> None:
    gallery.deliver(picture())
    tax = {"account": "sink:tax", "reason": "jobs.GenerationDelivered", "direction": "in"}
    kudos = metrics.KUDOS
    seen = statistics(gallery.settings)
    seen.look()
    before = told(kudos, **tax) or 0
    (start,) = application.execute("SELECT max(position) FROM log.event").fetchone() or ()
    gallery.deliver(picture(seed=1))
    for _ in range(2):
        seen.look()
    (paid,) = (
        application.execute(
            "SELECT sum(amount) FROM log.posting WHERE account = 'sink:tax' AND position > %s", (start,)
        ).fetchone()
        or ()
    )
    assert paid > 0
    assert (told(kudos, **tax) or 0) - before == paid
    seen.close()


def test_without_valkey_the_database_is_told_all_the_same(gallery: Gallery) -> None:
    gallery.writer.execute_sync(waiting_job(gallery, n=1))
    seen = statistics(msgspec.structs.replace(gallery.settings, redis_url="redis://127.0.0.1:1/0"))
    with pytest.raises(redis.RedisError):
        seen.look()
    assert told(metrics.QUEUE_JOBS, kind="IMAGE") == 1
    seen.close()


def test_who_leads_no_more_tells_nothing(gallery: Gallery) -> None:
    leading, stop = threading.Event(), threading.Event()
    seen = Statistics(gallery.settings, leading=leading, stop=stop)
    seen.start()
    assert told(metrics.LOG_POSITION, realm="0") is None
    leading.set()
    eventually(lambda: told(metrics.LOG_POSITION, realm="0"), 10 * STANDBY_SECONDS, "it tells")
    stop.set()
    seen.join(10)
    assert told(metrics.LOG_POSITION, realm="0") is None


def waiting_job(gallery: Gallery, n: int) -> Any:
    """A job that waits, of a model that nobody serves."""
    return request(submit(gallery.requester, n=n, models=("unserved",)))
