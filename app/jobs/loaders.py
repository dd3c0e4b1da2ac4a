"""Dataloaders of jobs: one read for all jobs or generations that an operation shows.

Look next: `app.jobs.queries`, `app.jobs.graphql`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from strawberry.dataloader import DataLoader

from app.jobs.queries import GENERATIONS, JOBS, PROXIED_ACCOUNTS, GenerationView
from app.platform.services import Info, services_of
from projections.jobs import Job


def _loader(info: Info, name: str, load: Any) -> Any:
    """The operation's loader of a name, made at its first use."""
    loaders = info.context.loaders
    if name not in loaders:
        loaders[name] = DataLoader(load_fn=load)
    return loaders[name]


async def load_job(info: Info, job: UUID) -> Job | None:
    """A job row by id."""
    services = services_of(info)

    async def load(keys: list[UUID]) -> list[Job | None]:
        rows = {row.id: row for row in await JOBS.all(services.pool, realm=services.realm, ids=keys)}
        return [rows.get(key) for key in keys]

    row: Job | None = await _loader(info, "jobs", load).load(job)
    return row


async def load_generations(info: Info, job: UUID) -> list[GenerationView]:
    """The generations of a job, in their order."""
    services = services_of(info)

    async def load(keys: list[UUID]) -> list[list[GenerationView]]:
        rows = await GENERATIONS.all(services.pool, realm=services.realm, jobs=keys)
        return [[row for row in rows if row.job == key] for key in keys]

    views: list[GenerationView] = await _loader(info, "generations", load).load(job)
    return views


async def load_proxied_account(info: Info, job: UUID) -> str | None:
    """For whom a service asked; None where nobody is named, or the job's words are erased."""
    services = services_of(info)

    async def load(keys: list[UUID]) -> list[str | None]:
        found = dict(await PROXIED_ACCOUNTS.all(services.pool, realm=services.realm, jobs=keys))
        return [found.get(key) or None for key in keys]

    name: str | None = await _loader(info, "proxied accounts", load).load(job)
    return name
