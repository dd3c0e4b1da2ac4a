"""Throughput: what was delivered, by kind and by model or form, in minutes, hours, days and ever. A tailing projection.

Nothing decides by it. So that the table stays small whatever is delivered, buckets of time are places in a ring: the
present minute takes the place of that of an hour ago. So it holds at most 115 rows for each kind and each form, and 55
for each model that ever delivered. A reader takes the buckets whose numbers lie in its window, and no others: a place
that nothing was put into since then still holds the old bucket. Look next: `app.operations.statistics`, `app.relay`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import GenerationDelivered, JobKind
from projections.base import Projection
from projections.queue import amount_of


class Span(StrEnum):
    """How long a bucket is."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    EVER = "EVER"


#: seconds of a bucket, and how many of them are kept: those of an hour, of a day, of thirty days
SECONDS: Final = {Span.MINUTE: 60, Span.HOUR: 3_600, Span.DAY: 86_400}
KEPT: Final = {Span.MINUTE: 60, Span.HOUR: 24, Span.DAY: 30}

#: in place of a model or form: all of a kind
ALL: Final = ""


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """What was delivered in one stretch of time."""

    #: kind, span, place in the ring and name
    key: str
    kind: JobKind
    #: the model, or the form of an interrogation; `ALL` for the whole kind
    name: str
    span: Span
    #: of the bucket, counted since 1970; 0 for ever
    number: int
    #: generations delivered; forms that were answered with an earlier result are not
    count: int
    #: pixelsteps (width x height x accurate steps), tokens, or forms in them
    amount: int


def keys(fact: Fact) -> tuple[str, ...]:
    """The buckets that a delivery falls into: of its kind, and of its model or form."""
    event = fact.event
    assert isinstance(event, GenerationDelivered)
    # of models the minutes are not kept: there may be many
    lengths = Span if event.form is not None else (Span.HOUR, Span.DAY, Span.EVER)
    return (
        *(_key(event.kind, span, fact, ALL) for span in Span),
        *(_key(event.kind, span, fact, event.form or event.model) for span in lengths),
    )


def _key(kind: JobKind, span: Span, fact: Fact, name: str) -> str:
    place = _number(span, fact) % KEPT.get(span, 1)
    return f"{kind}:{span}:{place}:{name}"


def _number(span: Span, fact: Fact) -> int:
    return 0 if span is Span.EVER else int(fact.occurred_at.timestamp()) // SECONDS[span]


def evolve(key: str, row: Bucket | None, fact: Fact) -> Bucket | None:
    """The bucket after a delivery; one of long ago makes place for that of now."""
    event = fact.event
    assert isinstance(event, GenerationDelivered)
    _, length, _, name = key.split(":", 3)
    span = Span(length)
    number = _number(span, fact)
    if row is None or row.number != number:
        row = Bucket(key, event.kind, name, span, number, 0, 0)
    return replace(row, count=row.count + 1, amount=row.amount + amount_of(event))


PROJECTION = Projection(
    "throughput", 2, Bucket, (GenerationDelivered,), keys, evolve, indexes=("(realm, kind, name)",)
)
