"""The Dramatiq broker on Valkey: where the relay leaves messages and actors find them. It may lose everything.

What is in it can be made again from the log (`app.relay.reactions`), so nothing else may be kept there. It has a
database of its own, one above the one in the URL, because its maintenance lists keys. Look next:
`app.platform.dead_letters`.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid5

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.platform import metrics
from app.platform.settings import Settings

_log = logging.getLogger(__name__)

QUEUE: Final = "default"
#: attempts after the first one, at growing intervals: about three minutes in all
MAX_RETRIES: Final = 8
MIN_BACKOFF_MS: Final = 500
MAX_BACKOFF_MS: Final = 60_000
#: a process whose workers were silent for so long is dead, and its messages go to others
HEARTBEAT_TIMEOUT_MS: Final = 20_000
#: seconds a sender waits for Valkey
SENDER_TIMEOUT: Final = 2.0

_MESSAGES = UUID("3f0d3c5e-7a0b-4b53-9f6e-0a2f8f1c6b11")


class Journal(Middleware):
    """Logs and counts each message once it was worked on: ids, seconds and outcome, never arguments."""

    def __init__(self) -> None:
        self._started = threading.local()

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:  # noqa: ARG002
        """Remember when."""
        self._started.at = time.perf_counter()

    def after_process_message(
        self,
        broker: dramatiq.Broker,  # noqa: ARG002
        message: dramatiq.MessageProxy,
        *,
        result: Any = None,  # noqa: ARG002
        exception: BaseException | None = None,
    ) -> None:
        """Say how it went."""
        seconds = time.perf_counter() - self._started.at
        outcome = "failed" if exception else "done"
        metrics.child(metrics.ACTOR_SECONDS, message.actor_name, outcome).observe(seconds)
        facts = {
            "actor": message.actor_name,
            "message_id": message.message_id,
            "seconds": round(seconds, 3),
            "error": type(exception).__name__ if exception else None,
        }
        _log.log(logging.WARNING if exception else logging.INFO, "actor_finished", extra=facts)

    def after_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:  # noqa: ARG002
        """Count what becomes a dead letter."""
        metrics.child(metrics.ACTOR_GIVEN_UP, message.actor_name).inc()


def make_broker(settings: Settings) -> RedisBroker:
    """The broker of a process that runs actors; nothing is contacted."""
    return _broker(settings, redis.Redis.from_url(broker_url(settings.redis_url), socket_connect_timeout=5))


def make_sender(settings: Settings) -> RedisBroker:
    """The broker of a process that only leaves messages, and rather fails than waits."""
    client = redis.Redis.from_url(
        broker_url(settings.redis_url),
        socket_connect_timeout=SENDER_TIMEOUT,
        socket_timeout=SENDER_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return _broker(settings, client)


def send(broker: dramatiq.Broker, realm: int, actor: str, position: int) -> None:
    """Leave a message for an actor about the fact at a position. Raises `redis.RedisError`."""
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name=QUEUE,
        actor_name=actor,
        args=(position,),
        kwargs={},
        options={},
        message_id=str(uuid5(_MESSAGES, f"{realm}:{actor}:{position}")),
    )
    broker.enqueue(message)


def broker_url(redis_url: str) -> str:
    """The URL of the broker's own database."""
    parts = urlsplit(redis_url)
    number = int(parts.path.strip("/") or 0) + 1
    return urlunsplit(parts._replace(path=f"/{number}"))


def _broker(settings: Settings, client: redis.Redis) -> RedisBroker:
    retries = Retries(max_retries=MAX_RETRIES, min_backoff=MIN_BACKOFF_MS, max_backoff=MAX_BACKOFF_MS)
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        middleware=[retries, Journal()],
        namespace=f"hoard-actors-{settings.realm}",
        # in every command: messages of a process that died come back soon
        maintenance_chance=1_000_000,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
    )
