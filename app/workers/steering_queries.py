"""Reads of what is said to and of workers: descriptions, owners' names, teams, messages, live leases.

Apart from `app.workers.queries`, which polls read by. Look next: `app.workers.types`, `app.workers.messages`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.platform.sql import (
    Query,
    accounts,
    any_of,
    bind,
    constant,
    leases,
    persons,
    rows_of,
    worker_descriptions,
    worker_messages,
    workers,
)
from app.platform.vault import WorkerMessage
from projections.leases import LeaseState

ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))
#: the leases at which a worker is
LIVE_LEASES = rows_of(
    "leases",
    sa.and_(leases.c.worker == bind("worker", sa.Uuid), leases.c.state == constant(LeaseState.LIVE.value)),
    leases.c.expires_at.asc(),
    leases.c.id.asc(),
    limit="limit",
)


class Detail(msgspec.Struct, frozen=True):
    """What is shown of a worker beside its row."""

    worker: UUID
    description: str | None
    #: whether everybody may know the owner's name
    public: bool
    #: name and number; None once they were erased
    username: str | None
    number: int | None

    @property
    def alias(self) -> str | None:
        """The owner's alias."""
        return None if self.username is None else f"{self.username}#{self.number}"


DETAILS: Query[Detail] = Query(
    sa.select(
        workers.c.id,
        worker_descriptions.c.description,
        accounts.c.public_workers,
        persons.c.username,
        persons.c.number,
    )
    .join(accounts, sa.and_(accounts.c.realm == workers.c.realm, accounts.c.id == workers.c.owner))
    .outerjoin(persons, sa.and_(persons.c.realm == workers.c.realm, persons.c.subject == workers.c.owner))
    .outerjoin(
        worker_descriptions,
        sa.and_(worker_descriptions.c.realm == workers.c.realm, worker_descriptions.c.worker == workers.c.id),
    )
    .where(workers.c.realm == bind("realm"), any_of(workers.c.id, "ids")),
    lambda row: Detail(*row),
)

_COLUMNS = [worker_messages.c[name] for name in WorkerMessage.__struct_fields__]


def _message(row: Any) -> WorkerMessage:
    return WorkerMessage(*row)


MESSAGES: Query[WorkerMessage] = Query(
    sa.select(*_COLUMNS).where(
        worker_messages.c.realm == bind("realm"), any_of(worker_messages.c.message, "ids")
    ),
    _message,
)
#: (message, worker, when it was sent) of those that are still told: those to all first, then the newest
TOLD: Query[tuple[UUID, UUID | None, datetime]] = Query(
    sa.select(worker_messages.c.message, worker_messages.c.worker, worker_messages.c.sent_at)
    .where(worker_messages.c.realm == bind("realm"), worker_messages.c.expires_at > sa.func.now())
    .order_by(worker_messages.c.worker.is_not(None), worker_messages.c.sent_at.desc())
    .limit(bind("limit", sa.BigInteger)),
    lambda row: (row[0], row[1], row[2]),
)
MESSAGES_TO: Query[tuple[UUID, datetime]] = Query(
    sa.select(worker_messages.c.message, worker_messages.c.expires_at).where(
        worker_messages.c.realm == bind("realm"), worker_messages.c.worker == bind("worker", sa.Uuid)
    ),
    lambda row: (row[0], row[1]),
)
#: how many messages are still told to a worker, or to all, and how many a sender has told
COUNTS: Query[tuple[int, int]] = Query(
    "SELECT count(*) FILTER (WHERE worker IS NOT DISTINCT FROM %(worker)s::uuid), "
    "count(*) FILTER (WHERE sender = %(sender)s::uuid) FROM vault.worker_message "
    "WHERE realm = %(realm)s AND expires_at > now()",
    lambda row: (row[0], row[1]),
)
_ACTIVE = sa.cast(bind("active", sa.Boolean), sa.Boolean)
#: a page of messages, the newest first: a moderator sees all, others those to their workers and those they wrote
MESSAGE_PAGE: Query[WorkerMessage] = Query(
    sa.select(*_COLUMNS)
    .outerjoin(
        workers, sa.and_(workers.c.realm == worker_messages.c.realm, workers.c.id == worker_messages.c.worker)
    )
    .where(
        worker_messages.c.realm == bind("realm"),
        sa.or_(
            sa.cast(bind("everything", sa.Boolean), sa.Boolean),
            worker_messages.c.worker.is_(None),
            workers.c.owner == bind("viewer", sa.Uuid),
            worker_messages.c.sender == bind("viewer", sa.Uuid),
        ),
        sa.or_(
            bind("worker", sa.Uuid).is_(None),
            worker_messages.c.worker == bind("worker", sa.Uuid),
        ),
        sa.or_(
            _ACTIVE.is_(None),
            (worker_messages.c.expires_at > sa.func.now()) == _ACTIVE,
        ),
        sa.tuple_(worker_messages.c.sent_at, worker_messages.c.message)
        < sa.tuple_(bind("sent_at", sa.DateTime(timezone=True)), bind("message", sa.Uuid)),
    )
    .order_by(worker_messages.c.sent_at.desc(), worker_messages.c.message.desc())
    .limit(bind("limit", sa.BigInteger)),
    _message,
)
