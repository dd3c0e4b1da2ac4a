"""Messages that no attempt of an actor could settle: listing them and giving them a new set of attempts.

They are kept for a week and lost with the broker; the relay sends again whatever is still open. Look next:
`app.platform.broker`, `app.actors_commands`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from app.platform.broker import QUEUE

#: what earlier attempts left on a message
_TRACES: Final = frozenset({"retries", "traceback", "requeue_timestamp", "redis_message_id", "eta"})


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up."""

    #: unique among dead letters
    id: str
    actor: str
    #: the log position that the actor was called with
    position: int
    #: the last line of its last known traceback
    error: str
    at: datetime


def dead_letters(broker: RedisBroker, limit: int = 1_000) -> list[DeadLetter]:
    """At most `limit` dead letters, oldest first. Raises `redis.RedisError`."""
    index, bodies = _keys(broker)
    client: Any = broker.client
    found: list[DeadLetter] = []
    for key, milliseconds in client.zrange(index, 0, limit - 1, withscores=True):
        raw = client.hget(bodies, key)
        if raw is not None:  # requeued or trimmed meanwhile
            found.append(_letter(key.decode(), milliseconds, Message.decode(raw)))
    return found


def requeue(broker: RedisBroker, key: str) -> bool:
    """Send a dead letter again as if it were new; False if there is none. Raises `redis.RedisError`.

    Killed in the middle it is there twice, and the actor is called twice: that does no harm.
    """
    index, bodies = _keys(broker)
    client: Any = broker.client
    raw = client.hget(bodies, key)
    if raw is None:
        return False
    message = Message.decode(raw)
    options = {name: value for name, value in message.options.items() if name not in _TRACES}
    broker.enqueue(
        Message(
            queue_name=QUEUE,
            actor_name=message.actor_name,
            args=message.args,
            kwargs=message.kwargs,
            options=options,
            message_id=message.message_id,
        )
    )
    with client.pipeline(transaction=True) as both:
        both.zrem(index, key)
        both.hdel(bodies, key)
        both.execute()
    return True


def _keys(broker: RedisBroker) -> tuple[str, str]:
    return f"{broker.namespace}:{QUEUE}.XQ", f"{broker.namespace}:{QUEUE}.XQ.msgs"


def _letter(key: str, milliseconds: float, message: Message[object]) -> DeadLetter:
    lines = str(message.options.get("traceback", "")).strip().splitlines()
    return DeadLetter(
        id=key,
        actor=message.actor_name,
        position=message.args[0] if message.args else 0,
        error=lines[-1] if lines else "",
        at=datetime.fromtimestamp(milliseconds / 1000, UTC),
    )
