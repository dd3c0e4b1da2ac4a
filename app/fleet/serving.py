"""What a worker may serve: the requirements it allows, the families of its models, and at which of a job's offers.

Pure. Look next: `projections.queue` for the rules, `app.ledger.families` and `app.ledger.text_classes`,
`app.workers.matching`, which decides by it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from app.ledger.families import family_of, token
from app.ledger.text_classes import class_of, text_token
from events.jobs import JobKind
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import REQUIREMENTS, WORK, Search, form_model, text_model
from projections.workers import Worker

_OF_TRUSTED: Final = REQUIREMENTS["trusted_worker"] | REQUIREMENTS["untrusted_unsafe_address"]
_OF_FAST: Final = REQUIREMENTS["not_slow"]
_OF_VALIDATED: Final = REQUIREMENTS["validated_backend"]

#: work a second of one thread below which a worker is slow: half a megapixelstep, five tokens, a tenth of a form
LEAST_SPEED: Final = {JobKind.IMAGE: 500_000, JobKind.TEXT: 5 * WORK, JobKind.INTERROGATION: WORK // 10}
#: tokens a second below which a text worker is slow whose largest model has so many parameters; first match
LEAST_TEXT_SPEED: Final = ((20_000_000_000, 3 * WORK), (13_000_000_000, 4 * WORK))
#: names of programs that are known to write texts as they are asked to; an operator may name more
VALIDATED_BACKENDS: Final = frozenset(
    {
        "AI Horde Worker",
        "AI Horde Worker~aphrodite~oai",
        "AI Horde Worker~aphrodite~kai",
        "KoboldCppEmbedWorker",
        "TabbyAPI",
        "hoard-worker",
    }
)

#: sets of models that jobs may name, each with those of a worker's models that are in it
Families = tuple[tuple[str, tuple[str, ...]], ...]


class Reference(Protocol):
    """What must be known of models; `app.platform.model_reference.ModelReference` is one."""

    def baseline(self, name: str) -> str:
        """What a model was trained from."""

    def inpainting(self, name: str) -> bool:
        """Whether a model only fills in."""

    def parameters(self, name: str) -> int | None:
        """How many parameters a text model has; None where nobody knows."""


class Judged(msgspec.Struct, frozen=True):
    """What this server's settings and its model reference say of a worker, besides the families of its models."""

    #: work a second of one thread below which it is slow
    least_speed: int
    #: it says that it runs a program which the operator knows
    validated: bool = False


@lru_cache(maxsize=8)
def backends_of(more: str | None) -> frozenset[str]:
    """The names of known text backends, with those that a setting names, divided by commas."""
    named = (name.strip() for name in (more or "").split(","))
    return VALIDATED_BACKENDS | {name for name in named if name}


def judged(worker: Worker, reference: Reference, more_backends: str | None) -> Judged:
    """What is to be known of a worker. Nobody can check which program it runs: its name is a word of its own.

    Args:
        worker: as the log has it.
        reference: what is known of models.
        more_backends: names of backends, divided by commas, that the operator knows besides the usual ones.
    """
    least = LEAST_SPEED[worker.kind]
    if worker.kind is JobKind.TEXT:
        largest = max((reference.parameters(model) or 0 for model in worker.models), default=0)
        least = next((speed for size, speed in LEAST_TEXT_SPEED if largest >= size), least)
    return Judged(least, worker.agent.partition(":")[0] in backends_of(more_backends))


@lru_cache(maxsize=4096)
def families_of(kind: JobKind, models: tuple[str, ...], reference: Reference) -> Families:
    """What stands in the queue for sets of a worker's models, or forms, by name.

    Every poll asks; a worker's models and the reference of a process hardly change.
    """
    match kind:
        case JobKind.IMAGE:
            return _families_of_images(models, reference)
        case JobKind.TEXT:
            return _families_of_texts(models, reference)
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


def _families_of_texts(models: tuple[str, ...], reference: Reference) -> Families:
    """Each by its name, and by the class of its size; a model of one owner's own only by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for model in models:
        if "::" not in model:
            found[text_token(class_of(reference.parameters(model)))].append(model)
    named = ((text_model(model), (model,)) for model in models)
    return (*named, *((name, tuple(found[name])) for name in sorted(found)))


def allowed_by(worker: Worker, owner: Account | None, known: Judged | None = None) -> int:
    """The requirement bits that a worker allows: those that it declared, and what its owner and its speed allow.

    Args:
        worker: as the log has it.
        owner: its account.
        known: by `judged`; None is as if it ran a program that nobody knows and no model were large.
    """
    known = known or Judged(LEAST_SPEED[worker.kind])
    mask = worker.allowed
    if owner is not None and owner.trusted:
        mask |= _OF_TRUSTED
    if known.validated:
        mask |= _OF_VALIDATED
    return mask if _slow(worker, known) else mask | _OF_FAST


def _slow(worker: Worker, known: Judged) -> bool:
    """Nothing is known of a worker that has delivered nothing: it may show how fast it is."""
    return worker.extra_slow or 0 < worker.speed < known.least_speed


def search_of(
    worker: Worker, owner: Account | None, families: Families, known: Judged | None = None
) -> Search:
    """The search of a worker that asks for work as it declared itself, with nobody preferred."""
    return Search(
        worker=worker.id,
        owner=worker.owner,
        kind=worker.kind,
        models=(*(worker.models if worker.kind is JobKind.IMAGE else ()), *(name for name, _ in families)),
        max_size=worker.max_size,
        soft_prompts=worker.soft_prompts,
        allowed=allowed_by(worker, owner, known),
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
