"""The actors of takedowns, and which facts wake them. They take a log position and nothing else.

Look next: `app.images.takedown`, `app.actors_main`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import dramatiq
from psycopg import Connection

from app.images.decider import takedown_of_case
from app.platform.broker import QUEUE
from app.platform.reactions import Reaction
from events.base import Event
from events.images import PictureCaseDecided, TakedownCarriedOut, TakedownOrdered
from events.moderation import Verdict
from projections.store.tables import LIVE

CARRY_OUT_TAKEDOWN: Final = "carry_out_takedown"
UPHOLD_REPORT: Final = "uphold_picture_report"

_WITH_FILES = f"SELECT id FROM {LIVE}.pictures WHERE realm = %s AND id = ANY(%s) AND sha256 IS NOT NULL"  # noqa: S608


def declare(broker: dramatiq.Broker, carry_out: Callable[[int], None], uphold: Callable[[int], None]) -> None:
    """Let a broker's workers call both with the position of what wakes them."""

    @dramatiq.actor(actor_name=CARRY_OUT_TAKEDOWN, queue_name=QUEUE, broker=broker)
    def carry_out_takedown(position: int) -> None:
        carry_out(position)

    @dramatiq.actor(actor_name=UPHOLD_REPORT, queue_name=QUEUE, broker=broker)
    def uphold_picture_report(position: int) -> None:
        uphold(position)


def _takedown(event: Event) -> UUID:
    if isinstance(event, PictureCaseDecided):
        return takedown_of_case(event.case)
    assert isinstance(event, TakedownOrdered | TakedownCarriedOut)
    return event.takedown


def _all(_: Connection[Any], __: int, events: Sequence[Event]) -> set[UUID]:
    return {_takedown(event) for event in events}


def _upheld(event: Event) -> bool:
    return isinstance(event, PictureCaseDecided) and event.verdict is Verdict.UPHELD


def _with_files(connection: Connection[Any], realm: int, events: Sequence[Event]) -> set[UUID]:
    """Of a picture that is only an address there is nothing to take down."""
    decided = [event for event in events if isinstance(event, PictureCaseDecided)]
    rows = connection.execute(_WITH_FILES, (realm, [event.picture for event in decided]))
    there = {row[0] for row in rows}
    return {_takedown(event) for event in decided if event.picture in there}


REACTIONS: Final = (
    Reaction(
        to=TakedownOrdered,
        actor=CARRY_OUT_TAKEDOWN,
        completed_by=(TakedownCarriedOut,),
        subject=_takedown,
        wanted=_all,
    ),
    Reaction(
        to=PictureCaseDecided,
        calls=_upheld,
        actor=UPHOLD_REPORT,
        completed_by=(TakedownOrdered,),
        subject=_takedown,
        wanted=_with_files,
    ),
)
