"""A user's records in the API: what they asked for, were given and delivered for others, by kind.

Look next: `app.accounts.records`, `app.accounts.profile_graphql`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import strawberry

from app.accounts.records import RECORDS
from app.platform.graphql.shared import UNIT_OF, JobKind, WorkUnit
from app.platform.services import Services
from events import jobs
from projections.user_records import Record

_MEGA = 1_000_000
#: what GraphQL's Int holds
_MOST = 2**31 - 1


@strawberry.type(description="What a user asked for, was given and delivered for others, of one kind, ever.")
class UserRecord:
    """A record of one kind."""

    kind: JobKind = strawberry.field(description="The kind.")
    unit: WorkUnit = strawberry.field(description="What its work is counted in.")
    jobs: int = strawberry.field(description="Jobs submitted, each counted once.")
    requested: int = strawberry.field(description="Generations or forms asked for with them.")
    received: int = strawberry.field(description="Generations or forms that were delivered to the user.")
    received_work: float = strawberry.field(description="What was in those.")
    delivered: int = strawberry.field(
        description="Generations or forms that the user's workers did, those among them that were withheld."
    )
    delivered_work: float = strawberry.field(description="What was in those that were delivered.")


def shown(record: Record) -> UserRecord:
    """A record as the API shows it."""
    unit = _MEGA if record.kind is jobs.JobKind.IMAGE else 1
    return UserRecord(
        kind=JobKind[record.kind.name],
        unit=UNIT_OF[record.kind],
        jobs=min(record.jobs, _MOST),
        requested=min(record.requested, _MOST),
        received=min(record.received, _MOST),
        received_work=record.received_amount / unit,
        delivered=min(record.fulfilled, _MOST),
        delivered_work=record.fulfilled_amount / unit,
    )


async def records_of(services: Services, users: Sequence[UUID]) -> dict[UUID, list[UserRecord]]:
    """The records of each user, images first."""
    made: dict[UUID, list[UserRecord]] = {user: [] for user in users}
    found = await RECORDS.all(services.pool, realm=services.realm, users=list(users))
    order = list(jobs.JobKind)
    for record in sorted(found, key=lambda record: order.index(record.kind)):
        made[record.account].append(shown(record))
    return made
