"""The actor of webhooks: told of a log position by the relay, it begins what is due of its deliveries.

It takes a log position and nothing else: no URL ever goes through the broker. It only begins the work, so that a slow
server holds no thread. What is due is not an open reaction but a pending delivery: the log is not told of each. Look
next: `app.webhooks.delivering`, `app.relay.webhooks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import dramatiq

from app.platform.broker import QUEUE

TELL_WEBHOOKS: Final = "tell_webhooks"


def declare(broker: dramatiq.Broker, begin: Callable[[int], None]) -> None:
    """Let a broker's workers call `begin` with the position of a fact."""

    @dramatiq.actor(actor_name=TELL_WEBHOOKS, queue_name=QUEUE, broker=broker)
    def tell_webhooks(position: int) -> None:
        begin(position)
