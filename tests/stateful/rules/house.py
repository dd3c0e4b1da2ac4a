"""The house: its modes, and what happened in it that webhooks may be told of."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tests.stateful.rules.realm import Realm
from tests.stateful.rules.shapes import (
    MAX_FAULTS,
    MAY_WAIT_IN_RAID,
    NOBODY,
    Answer,
    Done,
    Generation,
    Job,
    News,
    Refused,
)
from tests.stateful.rules.wishes import Wish


class House(Realm):
    """What is so for everybody."""

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        #: those that are on, of MAINTENANCE, INVITE_ONLY and RAID
        self.modes: set[str] = set()
        #: all that webhooks could be told of, in the order in which it happened
        self.news: list[News] = []

    def happened(self, event: str, job: Job, generation: Generation | None = None) -> None:
        """Something that webhooks may be told of."""
        unit = generation.id if generation else None
        self.news.append(News(self.now, job.requester, job.id, unit, event, job.wish.told))

    def set_mode(self, mode: str, by: UUID | None, *, on: bool) -> Answer:
        operates = by is not None and "operator" in self.users[by].roles
        moderates = by is not None and self.moderates(by) and mode != "MAINTENANCE"
        if by is not None and not (operates or moderates):
            return Refused("FORBIDDEN")
        changed = (mode in self.modes) != on
        self.modes = self.modes | {mode} if on else self.modes - {mode}
        says = {name.lower(): name in self.modes for name in ("MAINTENANCE", "INVITE_ONLY", "RAID")}
        return Done(changed, says=says)

    def keeps_out(self, requester: UUID, wish: Wish, asked: int) -> Refused | None:
        """Why no job is taken from somebody now."""
        if "MAINTENANCE" in self.modes:
            return Refused("MAINTENANCE_MODE")
        if "RAID" in self.modes and wish.unsafe and not self.trusted(requester):
            return Refused("UNSAFE_ADDRESS")
        waiting = self.waits(requester, "IMAGE") + self.waits(requester, "INTERROGATION")
        if "RAID" in self.modes and requester == NOBODY and waiting + asked > MAY_WAIT_IN_RAID:
            return Refused("TOO_MANY_JOBS")
        return None

    def register(self, user: UUID) -> Answer:
        return Refused("REGISTRATION_CLOSED") if "RAID" in self.modes else super().register(user)

    def closed_to(self, owner: UUID) -> bool:
        """Whether somebody may register no worker who was not invited."""
        invited = self.trusted(owner) or self.users[owner].worker_limit is not None
        return "INVITE_ONLY" in self.modes and not invited

    def most_faults(self) -> int:
        """How many failures of a worker within an hour are borne."""
        return MAX_FAULTS // 2 if "RAID" in self.modes else MAX_FAULTS
