"""Speeds: how fast each worker draws, measured from taking a lease to delivering.

A tailing projection: nothing decides by it. Throughput (`projections.throughput`) says how much was asked for; this
says how much could be done. Look next: `app.platform.fleet`, which makes estimates of waits from it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    LeaseExpired,
    LeaseReleased,
)
from projections.base import FoldError, Projection

#: the facts that touch it
FACTS = (
    GenerationsLeased,
    GenerationDelivered,
    GenerationCensored,
    GenerationFailed,
    LeaseReleased,
    LeaseExpired,
)

#: each delivery takes a tenth from the weight of those before it: about the last ten count
FORGET = 10
#: leases of a worker whose beginning is kept; it has 50 threads at most
MAX_LEASES = 100


class Speed(msgspec.Struct, frozen=True, gc=False):
    """One worker: what it delivered lately and the time that a thread of it took for that, the old fading out."""

    worker: UUID
    #: width x height x accurate steps
    pixelsteps: int
    microseconds: int
    deliveries: int
    #: (lease, since when the next picture under it is drawn), oldest first
    leases: tuple[tuple[UUID, datetime], ...]


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The worker that an event touches."""
    event = fact.event
    assert isinstance(event, FACTS)
    return (event.worker,)


def evolve(key: UUID, row: Speed | None, fact: Fact) -> Speed | None:
    """The worker's speed after a fact."""
    speed = row or Speed(key, 0, 0, 0, ())
    match event := fact.event:
        case GenerationsLeased():
            return _since(speed, event.lease, fact.occurred_at)
        case GenerationDelivered():
            return _delivered(speed, event, fact.occurred_at)
        case GenerationCensored() | GenerationFailed():
            # what it took is not counted, but the next picture begins only now
            held = any(lease == event.lease for lease, _ in speed.leases)
            return _since(speed, event.lease, fact.occurred_at) if held else speed
        case LeaseReleased() | LeaseExpired():
            return _since(speed, event.lease, None)
        case _:
            message = f"{event.TYPE} is no fact about a worker's speed"
            raise FoldError(message)


def _since(speed: Speed, lease: UUID, instant: datetime | None) -> Speed:
    """From now on the next picture of a lease is drawn; or none is."""
    others = tuple(each for each in speed.leases if each[0] != lease)
    if instant is None:
        return replace(speed, leases=others)
    return replace(speed, leases=(*others, (lease, instant))[-MAX_LEASES:])


def _delivered(speed: Speed, event: GenerationDelivered, instant: datetime) -> Speed:
    began = next((since for lease, since in speed.leases if lease == event.lease), None)
    if began is None:  # late, after its lease had ended: how long it took is not known
        return speed
    took = (instant - began) // timedelta(microseconds=1)
    faded = replace(
        speed,
        pixelsteps=speed.pixelsteps - speed.pixelsteps // FORGET + event.pixelsteps,
        microseconds=speed.microseconds - speed.microseconds // FORGET + took,
        deliveries=speed.deliveries + 1,
    )
    return _since(faded, event.lease, instant)


PROJECTION = Projection("speeds", 1, Speed, FACTS, keys, evolve)
