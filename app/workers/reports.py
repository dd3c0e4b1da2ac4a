"""Reports: what follows when a worker says that a generation shows the sexual abuse of a child. Pure.

A report opens one case for moderators, in the same decision as the worker's outcome. Look next:
`app.workers.lease_decider`, which calls it; `app.moderation`, where cases are decided.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from app.platform.rows import Draft
from events.jobs import CensorCause
from events.moderation import CaseOpened
from projections.leases import Lease


def case_of(generation: UUID) -> UUID:
    """The id of the one case that there can be about a generation."""
    return uuid5(generation, "moderator case")


def report(draft: Draft, lease: Lease, generation: UUID) -> None:
    """Open the case about a generation, unless it is open or decided."""
    row = draft.generation(generation)
    assert row is not None, "a lease names its generations"
    if row.report is not None:
        return
    draft.add(
        CaseOpened(
            job=lease.job,
            requester=lease.requester,
            case=case_of(generation),
            generation=generation,
            lease=lease.id,
            worker=lease.worker,
            owner=lease.owner,
            cause=CensorCause.CSAM,
        )
    )
