"""Reads for workers: finding one by name, leases and their generations, what a lease's tasks are drawn from.

Look next: `app.platform.sql`, `projections.store.search` for the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.platform.sql import (
    Query,
    accounts,
    any_of,
    bind,
    constant,
    generation_seeds,
    generations,
    job_sources,
    job_words,
    leases,
    maintenance_messages,
    rows_of,
    worker_names,
    workers,
)
from app.platform.vault import SourceRole
from events.store.columns import Table
from projections.accounts import Account
from projections.leases import Lease, LeaseState
from projections.store import search
from projections.store.tables import TABLES
from projections.workers import Worker

_WORKER: Table[Worker] = TABLES["workers"]
_ACCOUNT: Table[Account] = TABLES["accounts"]
_COLUMNS = [
    *(workers.c[column.name] for column in _WORKER.columns),
    *(accounts.c[column.name] for column in _ACCOUNT.columns),
]


class Named(msgspec.Struct, frozen=True):
    """A worker with what the vault knows of it."""

    name: str
    message: str | None
    worker: Worker
    owner: Account


def _named(row: Sequence[Any]) -> Named:
    split = 2 + len(_WORKER.columns)
    return Named(row[0], row[1], _WORKER.load(row[2:split]), _ACCOUNT.load(row[split:]))


def _join() -> sa.Select[Any]:
    return (
        sa.select(worker_names.c.name, maintenance_messages.c.message, *_COLUMNS)
        .join(
            workers, sa.and_(workers.c.realm == worker_names.c.realm, workers.c.id == worker_names.c.worker)
        )
        .join(accounts, sa.and_(accounts.c.realm == workers.c.realm, accounts.c.id == workers.c.owner))
        .outerjoin(
            maintenance_messages,
            sa.and_(
                maintenance_messages.c.realm == worker_names.c.realm,
                maintenance_messages.c.worker == worker_names.c.worker,
            ),
        )
        .where(worker_names.c.realm == bind("realm"))
    )


BY_NAME: Query[Named] = Query(
    _join().where(sa.func.lower(worker_names.c.name) == sa.func.lower(bind("name", sa.Text))), _named
)
BY_ID: Query[Named] = Query(_join().where(worker_names.c.worker == bind("id", sa.Uuid)), _named)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", type_=postgresql.ARRAY(sa.Uuid))
_AMONG = sa.cast(bind("among", sa.Boolean), sa.Boolean)
#: a page of workers by name: of a kind, with a part in their names, of an owner, only these or all but these
NAMED_PAGE: Query[Named] = Query(
    _join()
    .where(
        sa.func.lower(worker_names.c.name) > sa.func.lower(bind("after", sa.Text)),
        sa.or_(bind("kind", sa.Text).is_(None), workers.c.kind == bind("kind", sa.Text)),
        sa.or_(
            bind("part", sa.Text).is_(None),
            sa.func.strpos(sa.func.lower(worker_names.c.name), sa.func.lower(bind("part", sa.Text)))
            > sa.literal_column("0"),
        ),
        sa.or_(bind("owner", sa.Uuid).is_(None), workers.c.owner == bind("owner", sa.Uuid)),
        sa.or_(bind("team", sa.Uuid).is_(None), workers.c.team == bind("team", sa.Uuid)),
        sa.or_(
            _AMONG.is_(None),
            (workers.c.id == sa.any_(_IDS)) == _AMONG,
        ),
    )
    .order_by(sa.func.lower(worker_names.c.name))
    .limit(bind("limit", sa.BigInteger)),
    _named,
)
#: binds: those of `search.Questions`; one text for it to read
PROBE: Query[str] = Query(search.FIND, lambda row: str(row[0]))
#: whether a poll with this key was answered with a lease before
ANSWERED: Query[bool] = Query(
    "SELECT true FROM vault.command WHERE realm = %(realm)s AND scope = %(scope)s AND key = %(key)s "
    "AND day >= current_date - 7 LIMIT 1",
    lambda row: bool(row[0]),
)
LEASE = rows_of("leases", leases.c.id == bind("id", sa.Uuid))
#: by what the URL of a job's picture is known again, if it is to be
DIGEST: Query[UUID] = Query(
    "SELECT digest FROM vault.source WHERE realm = %(realm)s AND job = %(job)s AND digest IS NOT NULL LIMIT 1",
    lambda row: row[0],
)
GENERATIONS = rows_of("generations", any_of(generations.c.id, "ids"), generations.c.ordinal.asc())


class WorkSource(msgspec.Struct, frozen=True, array_like=True):
    """A picture that a job is drawn from."""

    role: SourceRole
    ordinal: int
    strength: float
    #: in the bucket of sources
    key: str


class Work(msgspec.Struct, frozen=True):
    """A lease with what its work is done from: what the client wrote, and the seed of each generation of the job."""

    lease: Lease
    prompt: str
    negative_prompt: str
    payload: str
    seeds: dict[UUID, int]
    #: the pictures that it is drawn from, in the order of their ordinals
    sources: tuple[WorkSource, ...]


_LEASE: Table[Lease] = TABLES["leases"]
_SEEDS = (
    sa.select(
        sa.func.json_agg(sa.func.json_build_array(generation_seeds.c.generation, generation_seeds.c.seed))
    )
    .where(generation_seeds.c.realm == leases.c.realm, generation_seeds.c.job == leases.c.job)
    .scalar_subquery()
)
_SOURCES = (
    sa.select(
        sa.func.json_agg(
            sa.func.json_build_array(
                job_sources.c.role, job_sources.c.ordinal, job_sources.c.strength, job_sources.c.key
            )
        )
    )
    .where(job_sources.c.realm == leases.c.realm, job_sources.c.job == leases.c.job)
    .scalar_subquery()
)


def _work(row: Sequence[Any]) -> Work:
    width = len(_LEASE.columns)
    prompt, negative_prompt, payload, seeds, sources = row[width:]
    drawn = {UUID(generation): seed for generation, seed in seeds or ()}
    given = sorted(msgspec.convert(sources or [], list[WorkSource]), key=lambda source: source.ordinal)
    return Work(_LEASE.load(row[:width]), prompt, negative_prompt, payload, drawn, tuple(given))


_WORK = (
    sa.select(
        *(leases.c[column.name] for column in _LEASE.columns),
        job_words.c.prompt,
        job_words.c.negative_prompt,
        job_words.c.payload,
        _SEEDS,
        _SOURCES,
    )
    .join(job_words, sa.and_(job_words.c.realm == leases.c.realm, job_words.c.job == leases.c.job))
    .where(leases.c.realm == bind("realm"))
)
#: the work of a lease in one read; none once its words are erased
WORK: Query[Work] = Query(_WORK.where(leases.c.id == bind("id", sa.Uuid)), _work)
#: the work of an owner's live leases, of one worker only if one is named, those that end first before the others
LIVE_WORK: Query[Work] = Query(
    _WORK.join(workers, sa.and_(workers.c.realm == leases.c.realm, workers.c.id == leases.c.worker))
    .where(
        workers.c.owner == bind("owner", sa.Uuid),
        sa.or_(bind("worker", sa.Uuid).is_(None), workers.c.id == bind("worker", sa.Uuid)),
        leases.c.state == constant(LeaseState.LIVE.value),  # the partial index on live leases
    )
    .order_by(leases.c.expires_at, leases.c.id)
    .limit(bind("limit", sa.BigInteger)),
    _work,
)
