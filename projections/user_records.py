"""User records: what each user asked for, was given and delivered for others, by kind. A tailing projection.

Nothing decides by it. Look next: `projections.accounts` for the kudos of it, `app.accounts.records`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobKind,
    RedundantDeliveryPaid,
    TextJobSubmitted,
    kind_of,
)
from projections.base import Projection
from projections.queue import amount_of

_Submitted = ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted
#: the facts that touch it
FACTS = (
    ImageJobSubmitted,
    TextJobSubmitted,
    InterrogationJobSubmitted,
    FormReused,
    GenerationDelivered,
    GenerationCensored,
    RedundantDeliveryPaid,
)


class Record(msgspec.Struct, frozen=True, gc=False):
    """One user's record of one kind. Amounts are pixelsteps, tokens, or forms."""

    #: user and kind
    key: str
    account: UUID
    kind: JobKind
    #: jobs submitted, and the generations or forms asked for with them
    jobs: int
    requested: int
    #: generations delivered to the user, forms that were answered with an earlier result among them, and what was in them
    received: int
    received_amount: int
    #: generations that the user's workers delivered, withheld or delivered for nothing, and what was in those delivered
    fulfilled: int
    fulfilled_amount: int


def key_of(user: UUID, kind: JobKind) -> str:
    """The key of a user's record."""
    return f"{user}:{kind}"


def keys(fact: Fact) -> tuple[str, ...]:
    """Whoever asked for it, and whoever delivered it."""
    event = fact.event
    kind = kind_of(event)
    match event:
        case GenerationDelivered():
            return tuple(dict.fromkeys((key_of(event.requester, kind), key_of(event.owner, kind))))
        case GenerationCensored() | RedundantDeliveryPaid():
            return (key_of(event.owner, kind),)
        case _:
            assert isinstance(event, _Submitted | FormReused)
            return (key_of(event.requester, kind),)


def evolve(key: str, row: Record | None, fact: Fact) -> Record | None:
    """The record after something was asked for or delivered. Who works for themselves is on both sides of it."""
    user, _, kind = key.partition(":")
    record = row or Record(key, UUID(user), JobKind(kind), 0, 0, 0, 0, 0, 0)
    match event := fact.event:
        case ImageJobSubmitted() | TextJobSubmitted() | InterrogationJobSubmitted():
            return replace(record, jobs=record.jobs + 1, requested=record.requested + len(event.generations))
        case FormReused():
            return replace(record, received=record.received + 1, received_amount=record.received_amount + 1)
        case GenerationDelivered():
            return _delivered(record, event)
        case _:
            return replace(record, fulfilled=record.fulfilled + 1)


def _delivered(record: Record, event: GenerationDelivered) -> Record:
    amount = amount_of(event)
    if event.requester == record.account:
        record = replace(
            record, received=record.received + 1, received_amount=record.received_amount + amount
        )
    if event.owner == record.account:
        record = replace(
            record, fulfilled=record.fulfilled + 1, fulfilled_amount=record.fulfilled_amount + amount
        )
    return record


PROJECTION = Projection(
    "user_records",
    1,
    Record,
    FACTS,
    keys,
    evolve,
    indexes=("(realm, account)", "(realm, kind, fulfilled_amount)"),
)
