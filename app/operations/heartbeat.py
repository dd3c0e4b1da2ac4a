"""How this one process is: its version, what waits and what is under way in it. Asks nobody, so that it always answers.

Look next: `app.main` for `/healthz` and `/readyz`, which asks the others as well.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from app.platform.services import Services
from app.platform.writer.thread import BATCH_LIMIT

#: of this program; the same as in `pyproject.toml`
VERSION: Final = "0.1.0"


class Condition(StrEnum):
    """How a process is."""

    OK = "OK"
    #: more commands wait for its writer than go into one batch
    OVERLOADED = "OVERLOADED"


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """What a process knows of itself."""

    status: Condition
    version: str
    #: commands that wait for the writer
    queue: int
    #: round trips of reads that are under way
    active: int
    #: polls that wait for a job
    polls: int


def heartbeat(services: Services) -> Heartbeat:
    """As it is now."""
    queue = services.writer.waiting
    return Heartbeat(
        status=Condition.OVERLOADED if queue > BATCH_LIMIT else Condition.OK,
        version=VERSION,
        queue=queue,
        active=services.pool.trips,
        polls=len(services.polls),
    )
