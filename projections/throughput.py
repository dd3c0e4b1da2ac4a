"""Throughput: what was delivered in each minute. A tailing projection: nothing decides by it.

Look next: `app.relay`, which tails the log for it, and `hordeStatus`, which shows the past minute.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import GenerationDelivered
from projections.base import Projection


class Minute(msgspec.Struct, frozen=True, gc=False):
    """One minute since 1970: pictures delivered and the pixelsteps (width x height x accurate steps) in them."""

    minute: int
    images: int
    pixelsteps: int


def keys(fact: Fact) -> tuple[int, ...]:
    """The minute of a delivery."""
    return (int(fact.occurred_at.timestamp()) // 60,)


def evolve(key: int, row: Minute | None, fact: Fact) -> Minute | None:
    """The minute after a delivery."""
    event = fact.event
    assert isinstance(event, GenerationDelivered)
    minute = row or Minute(key, 0, 0)
    return replace(minute, images=minute.images + 1, pixelsteps=minute.pixelsteps + event.pixelsteps)


PROJECTION = Projection("throughput", 1, Minute, (GenerationDelivered,), keys, evolve)
