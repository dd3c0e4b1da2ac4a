"""What asking for a job of any kind takes: its faults as one rejection, the workers that it names, the load of the cluster.

Look next: `app.jobs.asking` and its like, which make wishes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.fleet.online import capacity
from app.jobs.fields import Fault
from app.jobs.queries import QUEUED, WORKERS_NAMED
from app.ledger.upfront import Load
from app.platform.caching import fresh
from app.platform.commands import Rejection
from app.platform.handling import parse_id
from app.platform.services import Services
from events.jobs import JobKind

#: how old what is known of the load may be, in seconds
LOAD_SECONDS: Final = 1.0


def faulty(faults: Sequence[Fault]) -> Rejection:
    """What a client is told of everything that is wrong with its input, by the path of the first."""
    first, *others = faults
    message = f"{_named(first)} {first.message}"
    if others:
        message += "; also " + "; ".join(f"{_named(f)} {f.message}" for f in others)
    return Rejection(code="INVALID_INPUT", message=message, path=first.path)


def _named(fault: Fault) -> str:
    """The field at fault, as a client wrote it."""
    return ".".join(fault.path[1:])


async def workers_named(
    services: Services, kind: JobKind, names: Sequence[str]
) -> tuple[UUID, ...] | Rejection:
    """The workers of a kind that a client names by ids or names, in its `workers`."""
    if not names:
        return ()
    found = dict(
        await WORKERS_NAMED.all(
            services.pool,
            realm=services.realm,
            kind=kind,
            names=list(names),
            ids=[parse_id(name) for name in names],
        )
    )
    chosen: list[UUID] = []
    for index in range(len(names)):
        path = ("input", "workers", str(index))
        worker = found.get(index)
        if worker is None:
            message = f"no {kind.lower()} worker has this id or name"
            return Rejection(code="NOT_FOUND", message=message, path=path)
        if worker in chosen:
            return Rejection(code="INVALID_INPUT", message="this worker is named twice", path=path)
        chosen.append(worker)
    return tuple(chosen)


async def load_of(services: Services, kind: JobKind) -> Load:
    """How busy the workers of a kind are, at most a second ago."""

    async def load() -> Load:
        queued = await QUEUED.one(services.pool, realm=services.realm, kind=kind)
        return Load(threads=(await capacity(services, kind)).threads, queued=queued or 0)

    return await fresh(services.caches, f"load:{kind}", LOAD_SECONDS, load)
