"""The actors of sharing, and which facts wake them.

An actor takes a log position and nothing else: no words ever go through the broker. Importing this module starts
nothing; a composition root declares the actors on its broker. Look next: `app.sharing.publish`, `app.actors_main`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import dramatiq
from psycopg import Connection

from app.platform.broker import MAX_RETRIES, QUEUE
from app.platform.reactions import Reaction
from app.sharing.story import NotShareableError, shared_jobs
from events.base import Event
from events.jobs import GenerationDelivered, JobEvent
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import PicturePublished, PicturesWithdrawn, PictureWithheld, ShareConsentWithdrawn

PUBLISH_PICTURE: Final = "publish_picture"
WITHDRAW_PICTURES: Final = "withdraw_pictures"


def declare(
    broker: dramatiq.Broker,
    publish: Callable[[int], None],
    withdraw: Callable[[int], None],
    *,
    max_retries: int = MAX_RETRIES,
) -> None:
    """Let a broker's workers call `publish` with the position of a delivery, `withdraw` with that of an end of sharing."""

    def again(retries: int, error: BaseException) -> bool:
        # What never succeeds is tried a second time only, so that its dead letter tells the error.
        return retries < (1 if isinstance(error, NotShareableError) else max_retries)

    @dramatiq.actor(actor_name=PUBLISH_PICTURE, queue_name=QUEUE, broker=broker, retry_when=again)
    def publish_picture(position: int) -> None:
        publish(position)

    @dramatiq.actor(actor_name=WITHDRAW_PICTURES, queue_name=QUEUE, broker=broker, retry_when=again)
    def withdraw_pictures(position: int) -> None:
        withdraw(position)


def _generation(event: Event) -> UUID:
    assert isinstance(event, GenerationDelivered | PicturePublished | PictureWithheld)
    return event.generation


def _of_shared_jobs(connection: Connection[Any], realm: int, events: Sequence[Event]) -> set[UUID]:
    delivered = [event for event in events if isinstance(event, GenerationDelivered)]
    shared = shared_jobs(connection, realm, {event.job for event in delivered})
    return {event.generation for event in delivered if event.job in shared}


def _job(event: Event) -> UUID:
    assert isinstance(event, JobEvent)
    return event.job


def _shared_jobs(connection: Connection[Any], realm: int, events: Sequence[Event]) -> set[UUID]:
    return shared_jobs(connection, realm, {_job(event) for event in events})


def _ends_sharing(event: Event) -> bool:
    """A report that was dismissed ends nothing: no fact would ever complete the call."""
    return not (isinstance(event, CaseDecided) and event.verdict is Verdict.DISMISSED)


REACTIONS: Final = (
    Reaction(
        to=GenerationDelivered,
        actor=PUBLISH_PICTURE,
        completed_by=(PicturePublished, PictureWithheld),
        subject=_generation,
        wanted=_of_shared_jobs,
    ),
    *(
        Reaction(
            to=ended,
            actor=WITHDRAW_PICTURES,
            completed_by=(PicturesWithdrawn,),
            subject=_job,
            calls=_ends_sharing,
            wanted=_shared_jobs,
        )
        for ended in (ShareConsentWithdrawn, CaseOpened, CaseDecided)
    ),
)
