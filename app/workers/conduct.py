"""What a worker's conduct brings about by rule: suspicions of speeds that cannot be, a rest after too many failures. Pure.

The watching functions are called in the midst of a decision and add events to its draft. Look next: `docs/earning.md`,
`projections.workers` for what is counted, `app.workers.lease_decider`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.ledger.modes import most_faults
from app.ledger.trust import SUSPICIOUS
from app.platform.commands import Command, Decision, Needs, Result, Rule
from app.platform.rows import Draft, Rows
from events.jobs import JobKind
from events.workers import (
    AutoMaintenanceStarted,
    MaintenanceEnded,
    SuspicionKind,
    SuspicionRaised,
    WorkerPaused,
)
from projections.leases import Lease, LeaseState
from projections.queue import WORK
from projections.workers import Worker

#: work a second that no worker's thread does: 20 megapixelsteps, 150 tokens. Forms are too unlike one another to be
#: judged so: a palette takes milliseconds
UNREASONABLE_SPEED: Final = {JobKind.IMAGE: 20_000_000, JobKind.TEXT: 150 * WORK}
#: tokens a second that no thread writes with a model of so many parameters, first match; of mixtures of eight experts
#: (`8x7B`), of which each token passes two, three times as many
UNREASONABLE_TEXT_SPEED: Final = ((70_000_000_000, 30 * WORK), (14_000_000_000, 100 * WORK))
MIXTURE: Final = "8x"
MIXTURE_FACTOR: Final = 3
#: a burst of deliveries is one observation: a worker is suspected at most once in so long
SUSPECTED_EVERY: Final = timedelta(minutes=10)
#: with more failures than this in an hour, by its own fault, a worker rests; during a raid with half as many
MAX_FAULTS: Final = 20
#: for so long
REST: Final = timedelta(hours=1)


class EndRest(Command, frozen=True, kw_only=True):
    """A worker that rests polls again: its rest ends, if its time is over by the log's clock."""

    worker: UUID


class RestEnded(Result, frozen=True, kw_only=True):
    """Whether it serves everybody again."""

    ended: bool


def unreasonable_text_speed(model: str, parameters: int | None) -> int:
    """Thousandths of tokens a second of which more cannot be, of a text model."""
    most = UNREASONABLE_SPEED[JobKind.TEXT]
    of_size = next((speed for size, speed in UNREASONABLE_TEXT_SPEED if (parameters or 0) >= size), most)
    factor = MIXTURE_FACTOR if MIXTURE in model.lower() else 1
    return min(most, factor * of_size)


def watch_speed(draft: Draft, lease: Lease, fastest: int | None = None) -> None:
    """Suspect a worker of what it just delivered, unless its owner is trusted; with too many suspicions it is paused.

    Measured is all that was delivered under the lease since it was taken, since pictures drawn as a batch come one
    right after the other. Where the log's clock stood still nothing can be measured.

    Args:
        draft: the decision.
        lease: as it was before.
        fastest: work a second of which more cannot be with the lease's model; None: with any.
    """
    worker, owner = _worker(draft, lease.worker), draft.account(lease.owner)
    assert owner is not None, "a lease brings its owner"
    seconds = (draft.now - lease.taken_at).total_seconds()
    most = fastest or UNREASONABLE_SPEED.get(lease.kind)
    if owner.trusted or lease.state is not LeaseState.LIVE or seconds <= 0 or most is None:
        return
    now = draft.lease(lease.id)
    assert now is not None, "a lease never vanishes"
    lately = worker.suspected_at is not None and draft.now - worker.suspected_at < SUSPECTED_EVERY
    if lately or now.done / seconds <= most:
        return
    draft.add(SuspicionRaised(worker=worker.id, owner=worker.owner, kind=SuspicionKind.UNREASONABLY_FAST))
    worker = _worker(draft, lease.worker)
    if worker.suspicions >= SUSPICIOUS and not worker.paused:
        draft.add(WorkerPaused(worker=worker.id, owner=worker.owner))


def watch_failures(draft: Draft, key: UUID) -> None:
    """Let a worker rest under whose leases too much failed within an hour by its own fault."""
    worker = _worker(draft, key)
    if len(worker.faults) > most_faults(draft.modes(), MAX_FAULTS) and not worker.maintenance:
        draft.add(
            AutoMaintenanceStarted(
                worker=worker.id, owner=worker.owner, until=draft.now + REST, failures=len(worker.faults)
            )
        )


def _worker(draft: Draft, key: UUID) -> Worker:
    worker = draft.worker(key)
    assert worker is not None, "a lease brings its worker"
    return worker


def end_rest(command: EndRest, rows: Rows) -> Decision:
    """Only a rest by rule ends by rule; maintenance that an owner wanted lasts until they want it no more."""
    worker = rows.worker(command.worker)
    over = (
        worker is not None and worker.maintenance_until is not None and worker.maintenance_until <= rows.now
    )
    if worker is None or not over:
        return Decision((), RestEnded(ended=False))
    return Decision((MaintenanceEnded(worker=worker.id, owner=worker.owner),), RestEnded(ended=True))


RULES = (Rule(EndRest, RestEnded, lambda c: Needs(workers=(c.worker,)), end_rest),)
