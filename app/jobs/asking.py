"""From a client's input to a wish that can be decided: checked, with what is known of the models and workers it names.

Quoting and submitting ask alike. Look next: `app.jobs.image_request` and `app.jobs.image_rules` for the checks,
`app.jobs.wish` for what becomes of it, `app.jobs.handlers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.jobs import advice
from app.jobs.advice import PAINTING, Note, NoteCode, uses_mask
from app.jobs.image_params import ImageParams
from app.jobs.image_request import ImageRequest, PictureGiven, validate_image_request
from app.jobs.image_rules import combination_faults, ignores_mask
from app.jobs.known import faulty, load_of, workers_named
from app.jobs.wish import ImageWish
from app.ledger.quote import ModelChoice
from app.platform.commands import Rejection
from app.platform.model_reference import ModelReference
from app.platform.services import Services
from app.platform.sources import GivenSource
from app.platform.vault import SourceRole
from events.base import ANONYMOUS
from events.jobs import JobKind, SourceProcessing

#: accurate steps that are taken for models which say nothing
LEAST_STEPS: Final = 20
MOST_STEPS: Final = 40


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request with what follows from who asks."""

    request: ImageRequest
    wish: ImageWish
    censor_nsfw: bool
    notes: tuple[Note, ...]


async def ask(
    services: Services, actor: UUID, address: str, raw: Mapping[str, object], *, censor_nsfw: bool
) -> Asked | Rejection:
    """The request in a client's input, or a rejection that names every fault."""
    request = validate_image_request(raw)
    if isinstance(request, tuple):
        return faulty(request)
    if faults := combination_faults(request, services.models):
        return faulty(faults)
    workers = await workers_named(services, JobKind.IMAGE, request.workers)
    if isinstance(workers, Rejection):
        return workers
    wish = ImageWish(
        params=_params(request),
        models=_choices(request.models, services.models),
        nsfw=request.nsfw,
        shared=_shared(actor, request),
        max_kudos=request.max_kudos,
        allowed_workers=() if request.deny_workers else workers,
        denied_workers=workers if request.deny_workers else (),
        trusted_workers=request.trusted_workers,
        slow_workers=request.slow_workers,
        extra_slow_workers=request.extra_slow_workers,
        batching=request.batching,
        allow_downgrade=request.allow_downgrade,
        proxied_account=request.proxied_account or "",
        unsafe_address=services.unsafe_networks.holds(address),
        usual_steps=_usual_steps(request.models, services.models),
        load=await load_of(services, JobKind.IMAGE),
    )
    notes = (
        *_of_sharing(actor, request),
        *advice.of_sources(request),
        *advice.of_models(request, services.models),
    )
    return Asked(request=request, wish=wish, censor_nsfw=censor_nsfw, notes=notes)


def given_sources(request: ImageRequest) -> list[GivenSource]:
    """The pictures that came with a request, but for a mask that says nothing."""
    source, mask = request.source, request.source_mask
    if source is None:
        return []
    given = [_given(SourceRole.SOURCE, source, "source", alpha=_needs_alpha(request))]
    if mask is not None and uses_mask(request):
        given.append(_given(SourceRole.MASK, mask, "sourceMask"))
    for ordinal, extra in enumerate(request.extra_sources):
        at = ("extraSources", str(ordinal), "image")
        given.append(_given(SourceRole.EXTRA, extra.image, *at, ordinal=ordinal, strength=extra.strength))
    return given


def _given(
    role: SourceRole,
    picture: PictureGiven,
    *at: str,
    ordinal: int = 0,
    strength: float = 1.0,
    alpha: bool = False,
) -> GivenSource:
    return GivenSource(
        role=role,
        path=("input", *at),
        upload_id=picture.upload_id,
        url=picture.url,
        ordinal=ordinal,
        strength=strength,
        alpha=alpha,
    )


def _needs_alpha(request: ImageRequest) -> bool:
    """Without a mask only the source itself can say what is to be filled in."""
    inpainting = request.params.source_processing is SourceProcessing.INPAINTING
    return inpainting and request.source_mask is None and not ignores_mask(request.models)


def _params(request: ImageRequest) -> ImageParams:
    """The parameters without what does not count: where no model looks at a mask, nothing is painted."""
    params = request.params
    if params.source_processing in PAINTING and ignores_mask(request.models):
        return replace(params, source_processing=SourceProcessing.IMG2IMG, source_mask=False)
    return replace(params, source_mask=False) if params.source_mask and not uses_mask(request) else params


def _shared(actor: UUID, request: ImageRequest) -> bool:
    """Nothing that was made from a source is ever shared."""
    return request.source is None and (actor == ANONYMOUS or bool(request.share))


def _of_sharing(actor: UUID, request: ImageRequest) -> list[Note]:
    if request.source is not None:
        if not request.share and actor != ANONYMOUS:
            return []
        message = "pictures made from a source are never shared: they cost the full tax"
        return [Note(NoteCode.SOURCE_IS_NOT_SHARED, message)]
    if actor == ANONYMOUS and not request.share:
        return [Note(NoteCode.ANONYMOUS_IS_SHARED, "pictures of anonymous users are always shared")]
    return []


def _choices(names: Sequence[str], reference: ModelReference) -> tuple[ModelChoice, ...]:
    choices = []
    for name in sorted(names):
        known = reference.get(name)
        most = None if known is None else known.requirements.max_steps
        choices.append(ModelChoice(name, reference.baseline(name), most))
    return tuple(choices)


def _usual_steps(names: Sequence[str], reference: ModelReference) -> int:
    """The midpoint of the fewest and the most steps of the model for which that is least."""
    midpoints = []
    for name in names:
        known = reference.get(name)
        least = (known.requirements.min_steps if known else None) or LEAST_STEPS
        most = (known.requirements.max_steps if known else None) or max(MOST_STEPS, least)
        midpoints.append((least + most) // 2)
    return min(midpoints, default=(LEAST_STEPS + MOST_STEPS) // 2)
