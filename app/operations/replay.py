"""Replaying the log in memory with the folds that the server itself uses, and summing up where it stands.

Pure apart from the clock of its callers: a researcher can run it on a downloaded copy. May import nothing that
connects to anything. Look next: `projections.memory`, `app.operations.segments.read_copy`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from app.ledger.priority import priority_of
from events.base import Recorded, postings_of
from events.codec import fact_of
from events.jobs import JobKind
from projections import memory
from projections.accounts import USER, Account
from projections.generations import Generation
from projections.jobs import Job
from projections.queue import waits
from projections.ratings import Rating

Progress = Callable[[int, int], None]


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One user's money in hundredths of kudos."""

    subject: str
    balance: int
    held: int
    consumed: int
    earned: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A job of which something waits, at its place in the queue."""

    job: str
    kind: JobKind
    #: 0 registered, 1 anonymous
    tier: int
    #: the constant key of the queue: higher is served first
    rank: int
    #: hundredths of kudos that the requester had in hand before this job, as the rank holds it
    priority: int
    #: generations that wait
    waiting: int
    position: int
    submitted_at: datetime


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a picture: ratings of others, and of its owner, each rater's once."""

    picture: str
    ratings: int
    mean: float | None
    #: without ratings that are marked as suspect
    mean_trusted: float | None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The log summed up after `position`. Amounts are hundredths of kudos."""

    position: int
    events: dict[str, int]
    accounts: int
    workers: int
    jobs: dict[str, int]
    generations: dict[str, int]
    #: balances of treasury, sinks, subsidies and escrows, which no projection keeps
    system: dict[str, int]
    #: sum over all users, as folded, and all system accounts: 0 in any sound log
    total: int
    balances: tuple[Balance, ...]
    #: what waits, of all kinds, best first
    queue: tuple[Waiting, ...]
    ratings: tuple[Rated, ...]


def replay(
    events: Iterable[Recorded], upto: int, progress: Progress | None = None
) -> tuple[Replayed, memory.State]:
    """Fold events, which must start at position 1 and be dense, in memory.

    Args:
        events: the log or its beginning.
        upto: the position that progress counts towards.
        progress: told (position, `upto`).

    Returns:
        The summary, and the rows of every projection.

    Raises:
        UnknownEventError, msgspec.ValidationError: an event cannot be decoded.
        FoldError: an event cannot have happened after those before it.
    """
    state = memory.empty()
    types: Counter[str] = Counter()
    system: Counter[str] = Counter()
    position = 0
    for recorded in events:
        fact = fact_of(recorded)
        memory.apply(state, fact)
        position = recorded.position
        types[recorded.type] += 1
        for account, amount in postings_of(fact.event):
            if not account.startswith(USER):
                system[account] += amount
        if progress is not None and (position % 1000 == 0 or position == upto):
            progress(position, upto)
    return _summary(position, types, system, state), state


def _summary(position: int, types: Counter[str], system: Counter[str], state: memory.State) -> Replayed:
    balances = balances_of(state)
    jobs = Counter(row.state.value for row in state["jobs"].values() if isinstance(row, Job))
    generations = Counter(
        row.state.value for row in state["generations"].values() if isinstance(row, Generation)
    )
    return Replayed(
        position=position,
        events=dict(sorted(types.items())),
        accounts=len(balances),
        workers=len(state["workers"]),
        jobs=dict(sorted(jobs.items())),
        generations=dict(sorted(generations.items())),
        system=dict(sorted(system.items())),
        total=sum(balance.balance for balance in balances) + sum(system.values()),
        balances=balances,
        queue=queue_of(state),
        ratings=ratings_of(state),
    )


def balances_of(state: memory.State) -> tuple[Balance, ...]:
    """Every user's money, by subject."""
    rows = sorted(
        (row for row in state["accounts"].values() if isinstance(row, Account)), key=lambda row: row.id
    )
    return tuple(
        Balance(
            subject=str(row.id), balance=row.balance, held=row.held, consumed=row.consumed, earned=row.earned
        )
        for row in rows
    )


def queue_of(state: memory.State) -> tuple[Waiting, ...]:
    """Every job of which something may be handed out, best first."""
    jobs = [row for row in state["jobs"].values() if isinstance(row, Job) and waits(row)]
    return tuple(
        Waiting(
            job=str(job.id),
            kind=job.kind,
            tier=job.tier,
            rank=job.rank,
            priority=priority_of(job.tier, job.rank, job.submitted_at),
            waiting=job.waiting,
            position=job.position,
            submitted_at=job.submitted_at,
        )
        for job in sorted(jobs, key=lambda job: (-job.rank, job.position))
    )


def ratings_of(state: memory.State) -> tuple[Rated, ...]:
    """Every picture that was rated, by its id; repeats do not count."""
    values: defaultdict[UUID, list[tuple[int, bool]]] = defaultdict(list)
    for row in state["ratings"].values():
        if isinstance(row, Rating) and row.value is not None and not row.again:
            values[row.picture].append((row.value, row.suspect))
    return tuple(
        Rated(
            picture=str(picture),
            ratings=len(found),
            mean=_mean([value for value, _ in found]),
            mean_trusted=_mean([value for value, suspect in found if not suspect]),
        )
        for picture, found in sorted(values.items())
    )


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None
