"""The actor of sources, and which facts wake it and let it rest.

It takes a log position and nothing else: no URL ever goes through the broker. It only begins the work, so that a slow
server holds no thread; until a fact settles it, the relay asks again. Look next: `app.sources.fetching`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import dramatiq
from psycopg import Connection

from app.platform.broker import QUEUE
from app.platform.reactions import Reaction
from events.base import Event
from events.jobs import (
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobCancelled,
    JobEvent,
    JobExpired,
    SourcesFetched,
    SourcesRefused,
)

FETCH_SOURCES: Final = "fetch_sources"
#: jobs that are made from pictures
SUBMISSIONS: Final = (ImageJobSubmitted, InterrogationJobSubmitted)


def declare(broker: dramatiq.Broker, begin: Callable[[int], None]) -> None:
    """Let a broker's workers call `begin` with the position of a submission."""

    @dramatiq.actor(actor_name=FETCH_SOURCES, queue_name=QUEUE, broker=broker)
    def fetch_sources(position: int) -> None:
        begin(position)


def _job(event: Event) -> UUID:
    assert isinstance(event, JobEvent)
    return event.job


def _fetches(event: Event) -> bool:
    return isinstance(event, SUBMISSIONS) and event.fetching


def _all(_: Connection[Any], __: int, events: Sequence[Event]) -> set[UUID]:
    return {_job(event) for event in events}


REACTIONS: Final = tuple(
    Reaction(
        to=submission,
        calls=_fetches,
        actor=FETCH_SOURCES,
        # a job of which nothing runs ends in one decision: these come once, or never while it fetches
        completed_by=(SourcesFetched, SourcesRefused, JobCancelled, JobExpired),
        subject=_job,
        wanted=_all,
    )
    for submission in SUBMISSIONS
)
