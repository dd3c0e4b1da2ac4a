"""What a client should know though its image job is accepted: what will not count, and what its models draw badly with.

Pure. Look next: `app.platform.model_reference` for what is known of models, `app.jobs.image_rules` for what is refused.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from app.jobs.image_params import ImageParams, accurate_steps
from app.jobs.image_request import ImageRequest
from app.jobs.image_rules import DEPTH_MODEL, ignores_mask
from app.platform.model_reference import ModelReference, Requirements
from events.jobs import SourceProcessing

#: what is done with a source of which only a part may change
PAINTING: Final = frozenset({SourceProcessing.INPAINTING, SourceProcessing.OUTPAINTING})
_KARRAS: Final = "karras"


class NoteCode(StrEnum):
    """What warnings are about: what clients switch on."""

    NO_AVAILABLE_WORKER = "NO_AVAILABLE_WORKER"
    ANONYMOUS_IS_SHARED = "ANONYMOUS_IS_SHARED"
    SOURCE_IS_NOT_SHARED = "SOURCE_IS_NOT_SHARED"
    MASK_IGNORED = "MASK_IGNORED"
    SOURCE_PARAMETER_IGNORED = "SOURCE_PARAMETER_IGNORED"
    CLIP_SKIP_MISMATCH = "CLIP_SKIP_MISMATCH"
    STEPS_TOO_FEW = "STEPS_TOO_FEW"
    STEPS_TOO_MANY = "STEPS_TOO_MANY"
    CFG_SCALE_MISMATCH = "CFG_SCALE_MISMATCH"
    CFG_SCALE_TOO_SMALL = "CFG_SCALE_TOO_SMALL"
    CFG_SCALE_TOO_LARGE = "CFG_SCALE_TOO_LARGE"
    SAMPLER_MISMATCH = "SAMPLER_MISMATCH"
    SCHEDULER_MISMATCH = "SCHEDULER_MISMATCH"
    INSUFFICIENT_KUDOS = "INSUFFICIENT_KUDOS"
    TOO_MANY_JOBS = "TOO_MANY_JOBS"
    FORBIDDEN = "FORBIDDEN"
    INVALID_INPUT = "INVALID_INPUT"
    DOWNGRADED = "DOWNGRADED"


class Note(msgspec.Struct, frozen=True):
    """Something that a client should know, though its request was accepted."""

    code: NoteCode
    message: str


def uses_mask(request: ImageRequest) -> bool:
    """Whether the mask that came with a request says anything: only painting looks at one."""
    return request.params.source_processing in PAINTING and not ignores_mask(request.models)


def of_sources(request: ImageRequest) -> Iterator[Note]:
    """What of the sources will not count."""
    if request.source_mask is not None:
        if DEPTH_MODEL in request.models:
            yield Note(NoteCode.MASK_IGNORED, f"{DEPTH_MODEL} looks at no mask: sourceMask is ignored")
        elif not uses_mask(request):
            message = "sourceMask counts only with sourceProcessing INPAINTING or OUTPAINTING: it is ignored"
            yield Note(NoteCode.MASK_IGNORED, message)
    if request.source is None and request.params.denoising_strength is not None:
        message = "params.denoisingStrength counts only with a source: it is ignored"
        yield Note(NoteCode.SOURCE_PARAMETER_IGNORED, message)


def of_models(request: ImageRequest, reference: ModelReference) -> Iterator[Note]:
    """What the models of a request draw badly with, by the model reference; a code once for each model."""
    for name in request.models:
        known = reference.get(name)
        if known is not None:
            yield from _of_model(name, known.requirements, request.params)


def _of_model(name: str, wants: Requirements, params: ImageParams) -> Iterator[Note]:
    steps = accurate_steps(params)
    if wants.clip_skip is not None and params.clip_skip != wants.clip_skip:
        message = f"{name} draws best with clipSkip {wants.clip_skip}"
        yield Note(NoteCode.CLIP_SKIP_MISMATCH, message)
    if wants.min_steps is not None and steps < wants.min_steps:
        yield Note(NoteCode.STEPS_TOO_FEW, f"{name} wants at least {wants.min_steps} steps")
    if wants.max_steps is not None and steps > wants.max_steps:
        yield Note(NoteCode.STEPS_TOO_MANY, f"{name} gains nothing from more than {wants.max_steps} steps")
    yield from _of_scale(name, wants, params.cfg_scale)
    if wants.samplers and params.sampler.value not in wants.samplers:
        message = f"{name} draws best with one of the samplers {', '.join(wants.samplers)}"
        yield Note(NoteCode.SAMPLER_MISMATCH, message)
    if wants.schedulers and not _fits_schedule(wants.schedulers, karras=params.karras):
        message = f"{name} draws best with karras {str(not params.karras).lower()}"
        yield Note(NoteCode.SCHEDULER_MISMATCH, message)


def _fits_schedule(schedulers: tuple[str, ...], *, karras: bool) -> bool:
    return _KARRAS in schedulers if karras else any(name != _KARRAS for name in schedulers)


def _of_scale(name: str, wants: Requirements, scale: float) -> Iterator[Note]:
    if wants.cfg_scale is not None and scale != wants.cfg_scale:
        yield Note(NoteCode.CFG_SCALE_MISMATCH, f"{name} draws best with cfgScale {wants.cfg_scale:g}")
    if wants.min_cfg_scale is not None and scale < wants.min_cfg_scale:
        yield Note(
            NoteCode.CFG_SCALE_TOO_SMALL, f"{name} wants a cfgScale of at least {wants.min_cfg_scale:g}"
        )
    if wants.max_cfg_scale is not None and scale > wants.max_cfg_scale:
        yield Note(
            NoteCode.CFG_SCALE_TOO_LARGE, f"{name} wants a cfgScale of at most {wants.max_cfg_scale:g}"
        )
