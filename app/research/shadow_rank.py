"""Another rank rule, tried on the jobs of the real log: at which place of the queue each would have stood. Pure.

The queue is that of the log at each submission. Whom workers would have served next under the other rule, and what
people would have asked for then, is not known. Look next: `app.ledger.priority`, docs/research.md.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import msgspec

from app.ledger.priority import RankRule, rank
from app.research.price import Submitted
from events.base import Recorded
from events.codec import fact_of
from projections import jobs, memory
from projections.queue import waits

_REQUESTERS: Final = ("registered", "anonymous")
#: jobs that are told one by one
MOST_MOVED: Final = 10


class Moved(msgspec.Struct, frozen=True):
    """One job: how many were ahead of it when it was submitted, by the rule that held and by the other."""

    job: UUID
    position: int
    ahead: int
    shadow: int


class Places(msgspec.Struct, kw_only=True):
    """The jobs of one tier."""

    jobs: int = 0
    ahead: int = 0
    shadow: int = 0
    #: how many would have stood further in front, further behind
    better: int = 0
    worse: int = 0


class ShadowRank(msgspec.Struct, kw_only=True):
    """Everything that was compared."""

    requesters: dict[str, Places] = msgspec.field(default_factory=dict)
    most_moved: tuple[Moved, ...] = ()


class _Queue:
    """Keys of waiting jobs, best first."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int]] = []

    def ahead(self, key: tuple[int, int]) -> int:
        return bisect_left(self._keys, key)

    def put(self, key: tuple[int, int]) -> None:
        insort(self._keys, key)

    def take(self, key: tuple[int, int]) -> None:
        del self._keys[bisect_left(self._keys, key)]


def shadow_rank(events: Iterable[Recorded], rule: RankRule) -> ShadowRank:
    """Try a rule on all jobs; `events` are the log from its beginning."""
    projections = (jobs.PROJECTION,)
    state = memory.empty(projections)
    rows: dict[UUID, Any] = state["jobs"]
    was, now = _Queue(), _Queue()
    keys: dict[UUID, tuple[tuple[int, int], tuple[int, int]]] = {}
    waiting: set[UUID] = set()
    places: defaultdict[str, Places] = defaultdict(Places)
    moved: list[Moved] = []
    for recorded in events:
        fact = fact_of(recorded)
        event = fact.event
        memory.apply(state, fact, projections)
        if isinstance(event, Submitted):
            other = rank(event.tier, event.priority, recorded.occurred_at, rule)
            pair = ((-event.rank, recorded.position), (-other, recorded.position))
            found = Moved(event.job, recorded.position, was.ahead(pair[0]), now.ahead(pair[1]))
            _count(places[_REQUESTERS[event.tier]], found)
            moved.append(found)
            moved.sort(key=lambda each: (-abs(each.shadow - each.ahead), each.position))
            del moved[MOST_MOVED:]
            keys[event.job] = pair
        job: UUID | None = getattr(event, "job", None)
        if job not in keys or waits(rows[job]) is (job in waiting):
            continue
        pair = keys[job]
        if job in waiting:
            waiting.remove(job)
            was.take(pair[0])
            now.take(pair[1])
        else:
            waiting.add(job)
            was.put(pair[0])
            now.put(pair[1])
    return ShadowRank(
        requesters=dict(places), most_moved=tuple(each for each in moved if each.shadow != each.ahead)
    )


def _count(places: Places, found: Moved) -> None:
    places.jobs += 1
    places.ahead += found.ahead
    places.shadow += found.shadow
    places.better += found.shadow < found.ahead
    places.worse += found.shadow > found.ahead
