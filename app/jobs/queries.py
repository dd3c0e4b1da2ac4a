"""Reads of jobs for display: a job, a user's jobs, generations with what workers and vault know of them.

Look next: `app.platform.sql`, `app.jobs.standing` for queue positions.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.platform.sql import (
    Query,
    accounts,
    any_of,
    bind,
    generation_seeds,
    generations,
    job_words,
    jobs,
    result_words,
    rows_of,
    worker_names,
)
from projections.generations import CaseState, GenerationState

ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))
JOBS = rows_of("jobs", any_of(jobs.c.id, "ids"))
PAGE = rows_of(
    "jobs",
    sa.and_(
        jobs.c.requester == bind("requester", sa.Uuid),
        jobs.c.position < bind("before", sa.BigInteger),
        sa.or_(bind("state", sa.Text).is_(None), jobs.c.state == bind("state", sa.Text)),
    ),
    jobs.c.position.desc(),
    limit="limit",
)

#: jobs of a user whose pictures are shared, oldest first
STILL_SHARED = rows_of(
    "jobs",
    sa.and_(
        jobs.c.requester == bind("requester", sa.Uuid),
        jobs.c.position > bind("after", sa.BigInteger),
        jobs.c.shared,
        jobs.c.unshared.is_(None),
    ),
    jobs.c.position.asc(),
    limit="limit",
)


class GenerationView(msgspec.Struct, frozen=True, array_like=True):
    """A generation as its client sees it."""

    id: UUID
    job: UUID
    ordinal: int
    state: GenerationState
    lease: UUID | None
    model: str | None
    worker_name: str | None
    seed: int | None
    result_seed: str | None
    sha256: str | None
    withheld: str | None
    etag: str | None
    version: str | None
    report: CaseState | None
    notes: str | None
    #: what a text worker wrote
    text: str | None
    #: what is asked of a picture, what a worker told as a JSON text, and the generation whose result was given again
    form: str | None
    told: str | None
    reused: UUID | None

    @property
    def erased(self) -> bool:
        """Whether its words were deleted, and its picture with them."""
        return self.seed is None


GENERATIONS: Query[GenerationView] = Query(
    sa.select(
        generations.c.id,
        generations.c.job,
        generations.c.ordinal,
        generations.c.state,
        generations.c.lease,
        generations.c.model,
        worker_names.c.name,
        generation_seeds.c.seed,
        result_words.c.seed,
        generations.c.sha256,
        generations.c.withheld,
        generations.c.etag,
        generations.c.version,
        generations.c.report,
        result_words.c.notes,
        result_words.c.text,
        generations.c.form,
        result_words.c.form,
        generations.c.reused,
    )
    .outerjoin(
        worker_names,
        sa.and_(worker_names.c.realm == generations.c.realm, worker_names.c.worker == generations.c.worker),
    )
    .outerjoin(
        generation_seeds,
        sa.and_(
            generation_seeds.c.realm == generations.c.realm, generation_seeds.c.generation == generations.c.id
        ),
    )
    .outerjoin(
        result_words,
        sa.and_(result_words.c.realm == generations.c.realm, result_words.c.generation == generations.c.id),
    )
    .where(generations.c.realm == bind("realm"), any_of(generations.c.job, "jobs"))
    .order_by(generations.c.job, generations.c.ordinal),
    lambda row: msgspec.convert(row, GenerationView),
)

JOB_OF_GENERATION: Query[UUID] = Query(
    sa.select(generations.c.job).where(
        generations.c.realm == bind("realm"), generations.c.id == bind("id", sa.Uuid)
    ),
    lambda row: row[0],
)

#: workers of one kind of ids or names, by their places in the two arrays, which are equally long
WORKERS_NAMED: Query[tuple[int, UUID]] = Query(
    "SELECT asked.ordinal - 1, w.id FROM unnest(%(names)s::text[], %(ids)s::uuid[]) WITH ORDINALITY "
    "AS asked(name, id, ordinal) JOIN vault.worker n ON n.realm = %(realm)s "
    "AND (n.worker = asked.id OR lower(n.name) = lower(asked.name)) "
    "JOIN projections.workers w ON w.realm = n.realm AND w.id = n.worker AND w.kind = %(kind)s AND NOT w.deleted",
    lambda row: (row[0], row[1]),
)
#: generations of one kind that wait or are under way
QUEUED: Query[int] = Query(
    "SELECT ((SELECT coalesce(sum(generations), 0) FROM projections.queue_demand "
    "WHERE realm = %(realm)s AND kind = %(kind)s) + "
    "(SELECT coalesce(sum(jsonb_array_length(pending)), 0) FROM projections.leases "
    "WHERE realm = %(realm)s AND kind = %(kind)s AND state = 'LIVE'))::bigint",
    lambda row: row[0],
)
#: for whom services asked
PROXIED_ACCOUNTS: Query[tuple[UUID, str]] = Query(
    sa.select(job_words.c.job, job_words.c.proxied_account).where(
        job_words.c.realm == bind("realm"), any_of(job_words.c.job, "jobs")
    ),
    lambda row: (row[0], row[1]),
)
