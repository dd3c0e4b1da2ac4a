"""What a worker may serve: the requirements it allows, the families of its models, and at which of a job's offers.

Pure. Look next: `projections.queue` for the rules, `app.ledger.families`, `app.workers.matching`, which decides by it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Final, Protocol

from app.ledger.families import family_of, token
from events.jobs import JobKind
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import REQUIREMENTS, WORK, Search, form_model, text_model
from projections.workers import Worker

_OF_TRUSTED: Final = REQUIREMENTS["trusted_worker"] | REQUIREMENTS["untrusted_unsafe_address"]
_OF_FAST: Final = REQUIREMENTS["not_slow"]

#: work a second of one thread below which a worker is slow: half a megapixelstep, three tokens, a tenth of a form
LEAST_SPEED: Final = {JobKind.IMAGE: 500_000, JobKind.TEXT: 3 * WORK, JobKind.INTERROGATION: WORK // 10}

#: sets of models that jobs may name, each with those of a worker's models that are in it
Families = tuple[tuple[str, tuple[str, ...]], ...]


class Reference(Protocol):
    """What must be known of models; `app.platform.model_reference.ModelReference` is one."""

    def baseline(self, name: str) -> str:
        """What a model was trained from."""

    def inpainting(self, name: str) -> bool:
        """Whether a model only fills in."""


@lru_cache(maxsize=4096)
def families_of(kind: JobKind, models: tuple[str, ...], reference: Reference) -> Families:
    """What stands in the queue for sets of a worker's models, or forms, by name.

    Every poll asks; a worker's models and the reference of a process hardly change.
    """
    match kind:
        case JobKind.IMAGE:
            return _families_of_images(models, reference)
        case JobKind.TEXT:
            return (*((text_model(model), (model,)) for model in models), (text_model(), models))
        case JobKind.INTERROGATION:
            return tuple((form_model(form), (form,)) for form in models)


def _families_of_images(models: tuple[str, ...], reference: Reference) -> Families:
    """A model of one owner's own (`name::owner`) is of no family."""
    found: dict[str, list[str]] = defaultdict(list)
    for model in models:
        if "::" not in model:
            name = token(family_of(reference.baseline(model)), inpainting=reference.inpainting(model))
            found[name].append(model)
    return tuple((name, tuple(found[name])) for name in sorted(found))


def allowed_by(worker: Worker, owner: Account | None) -> int:
    """The requirement bits that a worker allows: those that it declared, and what its owner and its speed allow."""
    mask = worker.allowed
    if owner is not None and owner.trusted:
        mask |= _OF_TRUSTED
    return mask if _slow(worker) else mask | _OF_FAST


def _slow(worker: Worker) -> bool:
    """Nothing is known of a worker that has delivered nothing: it may show how fast it is."""
    return worker.extra_slow or 0 < worker.speed < LEAST_SPEED[worker.kind]


def search_of(worker: Worker, owner: Account | None, families: Families) -> Search:
    """The search of a worker that asks for work as it declared itself, with nobody preferred."""
    return Search(
        worker=worker.id,
        owner=worker.owner,
        kind=worker.kind,
        models=(*(worker.models if worker.kind is JobKind.IMAGE else ()), *(name for name, _ in families)),
        max_size=worker.max_size,
        soft_prompts=worker.soft_prompts,
        allowed=allowed_by(worker, owner),
        own_only=worker.maintenance,
    )


def offered(job: Job, worker: Worker, families: Families) -> list[tuple[str, int | None, int]]:
    """The models with which a worker may serve a job, each with what a generation earns and the surcharge on it."""
    if not job.offers:
        named = sorted(set(worker.models) & set(job.models)) or sorted(worker.models)
        return [(model, None, 0) for model in named]
    within = dict(families)
    return sorted(
        (model, price, surcharge)
        for name, price, surcharge in job.offers
        for model in within.get(name, (name,))
        if model in worker.models
    )
