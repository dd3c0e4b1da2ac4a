"""Figures about the horde as a whole: queue, workers, what was delivered lately, models, by kind. Never decided by.

At most a second old. Everything is counted in the unit of its kind: megapixelsteps, tokens, or forms. Look next:
`projections.store.derived` (demand), `app.operations.statistics`, `app.fleet.online`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import ceil
from typing import Final

import msgspec

from app.fleet.online import capacity, fleet_of
from app.operations.statistics import totals_of_kinds
from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query
from events.jobs import JobKind
from projections.queue import WORK, form_model, text_model

#: how old figures may be, in seconds
AGE_SECONDS = 1.0
#: models shown at most
MAX_MODELS = 500

#: what a unit of a kind is in `work` and `speed`: a megapixelstep, a token, a form
UNIT: Final = {JobKind.IMAGE: 1_000_000, JobKind.TEXT: WORK, JobKind.INTERROGATION: WORK}

_QUEUED: Query[tuple[JobKind, tuple[int, int, int]]] = Query(
    "SELECT kind, sum(jobs)::bigint, sum(generations)::bigint, sum(work)::bigint FROM projections.queue_demand "
    "WHERE realm = %(realm)s GROUP BY kind",
    lambda row: (JobKind(row[0]), (row[1], row[2], row[3])),
)
_BY_MODEL: Query[tuple[JobKind, str, int, int]] = Query(
    "SELECT kind, m.model, sum(jobs)::bigint, sum(work)::bigint FROM projections.queue_demand, "
    "jsonb_array_elements_text(models) AS m(model) WHERE realm = %(realm)s GROUP BY 1, 2",
    lambda row: (JobKind(row[0]), row[1], row[2], row[3]),
)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the horde for one kind, in the kind's unit."""

    kind: JobKind
    queued_jobs: int
    queued_generations: int
    queued_amount: float
    past_minute_count: int
    past_minute_amount: float
    workers: int
    threads: int


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A model or form, who serves it and what waits for it, in the kind's unit."""

    name: str
    kind: JobKind
    #: the model reference describes it; every form is known
    known: bool
    workers: int
    threads: int
    queued_jobs: int
    queued_amount: float
    #: what its workers that serve everybody make of it together in a second
    speed: float
    #: None where nobody makes any
    estimated_wait_seconds: int | None


class Knowledge(StrEnum):
    """Which models to show."""

    ALL = "ALL"
    KNOWN = "KNOWN"
    CUSTOM = "CUSTOM"


async def figures(services: Services) -> dict[JobKind, Figures]:
    """The figures of each kind, computed at most once a second."""
    return await fresh(services.caches, "figures", AGE_SECONDS, lambda: _figures(services))


async def _figures(services: Services) -> dict[JobKind, Figures]:
    queued = dict(await _QUEUED.all(services.pool, realm=services.realm))
    delivered = await totals_of_kinds(services)
    made = {}
    for kind in JobKind:
        jobs, generations, work = queued.get(kind, (0, 0, 0))
        fleet = await fleet_of(services, kind)
        made[kind] = Figures(
            kind=kind,
            queued_jobs=jobs,
            queued_generations=generations,
            queued_amount=work / UNIT[kind],
            past_minute_count=delivered[kind].minute.count,
            past_minute_amount=delivered[kind].minute.amount,
            workers=len(fleet),
            threads=sum(each.worker.threads for each in fleet),
        )
    return made


def knows(services: Services, kind: JobKind, name: str) -> bool:
    """Whether the model reference describes a model; there is no form that is not known."""
    return kind is JobKind.INTERROGATION or services.models.knows(kind, name)


async def models(services: Services) -> list[ModelFigures]:
    """Models and forms that are served or asked for, most work first."""
    return await fresh(services.caches, "models", AGE_SECONDS, lambda: _models(services))


async def _models(services: Services) -> list[ModelFigures]:
    waiting: defaultdict[JobKind, dict[str, tuple[int, float]]] = defaultdict(dict)
    for kind, token, jobs, work in await _BY_MODEL.all(services.pool, realm=services.realm):
        if (name := named(kind, token)) is not None:
            # of the forms of an interrogation each waits once, with a part of the job's work
            amount = jobs if kind is JobKind.INTERROGATION else work / UNIT[kind]
            waiting[kind][name] = (jobs, amount)
    made = [model for kind in JobKind for model in await _models_of(services, kind, waiting[kind])]
    return sorted(made, key=lambda model: (-model.queued_amount, -model.workers, model.name))


async def _models_of(
    services: Services, kind: JobKind, waiting: dict[str, tuple[int, float]]
) -> list[ModelFigures]:
    served: defaultdict[str, list[int]] = defaultdict(list)
    for each in await fleet_of(services, kind):
        for name in each.worker.models:
            served[name].append(each.worker.threads)
    speeds: defaultdict[str, float] = defaultdict(float)
    for each, speed in (await capacity(services, kind)).workers:
        for name in each.worker.models:
            speeds[name] += each.worker.threads * speed / UNIT[kind]
    return [
        _model(services, kind, name, waiting.get(name, (0, 0.0)), served.get(name, ()), speeds.get(name, 0.0))
        for name in waiting.keys() | served.keys()
    ]


def _model(
    services: Services,
    kind: JobKind,
    name: str,
    waiting: tuple[int, float],
    threads: Sequence[int],
    speed: float,
) -> ModelFigures:
    jobs, amount = waiting
    return ModelFigures(
        name=name,
        kind=kind,
        known=knows(services, kind, name),
        workers=len(threads),
        threads=sum(threads),
        queued_jobs=jobs,
        queued_amount=amount,
        speed=speed,
        estimated_wait_seconds=ceil(amount / speed) if speed else None,
    )


def named(kind: JobKind, token: str) -> str | None:
    """The model or form that something in the queue stands for; None for what stands for many of them."""
    match kind:
        case JobKind.IMAGE:
            return None if not token or token.startswith("*") else token
        case JobKind.TEXT:
            prefix = text_model("")
            return token.removeprefix(prefix) if token.startswith(prefix) else None
        case JobKind.INTERROGATION:
            return token.removeprefix(form_model(""))


async def model(services: Services, kind: JobKind, name: str) -> ModelFigures | None:
    """One model or form; None if nobody serves it, nobody asks for it and the reference does not describe it."""
    for each in await models(services):
        if (each.kind, each.name) == (kind, name):
            return each
    # of forms it is not known which there are
    if kind is not JobKind.INTERROGATION and knows(services, kind, name):
        return _model(services, kind, name, (0, 0.0), (), 0.0)
    return None


def chosen(
    found: Iterable[ModelFigures],
    kind: JobKind,
    knowledge: Knowledge,
    *,
    min_workers: int = 0,
    max_workers: int | None = None,
) -> list[ModelFigures]:
    """Those of a kind with so many workers, known or not as wished; at most `MAX_MODELS`."""
    wanted = [
        each
        for each in found
        if each.kind is kind
        and (knowledge is Knowledge.ALL or each.known is (knowledge is Knowledge.KNOWN))
        and each.workers >= min_workers
        and (max_workers is None or each.workers <= max_workers)
    ]
    return wanted[:MAX_MODELS]
