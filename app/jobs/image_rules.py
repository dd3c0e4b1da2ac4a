"""What does not go together in an image job: sources, masks, control, workflows, and what models of a baseline cannot do.

Pure. Every fault is named, with the field that is too much. Whose job it is makes no difference here: that is
`app.jobs.permission`. Look next: `app.jobs.image_request`, which checks each field alone; `app.jobs.advice` for what
is allowed and unwise.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from app.jobs import image_params as bounds
from app.jobs.fields import Fault
from app.jobs.image_params import ControlType, ImageParams, Workflow
from app.jobs.image_request import ImageRequest
from app.platform.model_reference import Baseline, ModelReference
from events.jobs import SourceProcessing

#: models that draw from the depth of a source, or edit it; the first looks at no mask
DEPTH_MODEL: Final = "Stable Diffusion 2 Depth"
EDIT_MODEL: Final = "pix2pix"
#: an extra text with this reference is what a QR code says
QR_CODE_REFERENCE: Final = "qr_code"

#: what models of a baseline are called in messages
_NAMES: Final = {
    Baseline.SD1: "Stable Diffusion 1",
    Baseline.SD2: "Stable Diffusion 2",
    Baseline.SD2_512: "Stable Diffusion 2",
    Baseline.SDXL: "SDXL",
    Baseline.CASCADE: "Stable Cascade",
    Baseline.FLUX: "Flux",
    Baseline.QWEN: "Qwen",
    Baseline.Z_IMAGE: "Z-Image",
}
_SD2: Final = frozenset({Baseline.SD2, Baseline.SD2_512})
_CONTROLLED: Final = frozenset({Baseline.SD1, Baseline.SD2, Baseline.SD2_512})
_TRANSPARENT: Final = frozenset({Baseline.SD1, Baseline.SDXL})
_QR_CODE: Final = frozenset({Baseline.SD1, Baseline.SDXL})
_ONE_PASS: Final = frozenset({Baseline.FLUX, Baseline.QWEN, Baseline.Z_IMAGE})
_REMIXED: Final = frozenset({Baseline.CASCADE})
_NOT_WITH_SD2: Final = frozenset({ControlType.NORMAL, ControlType.HOUGH})

_Found = Iterator[Fault]


def combination_faults(request: ImageRequest, reference: ModelReference) -> tuple[Fault, ...]:
    """Everything in a request that does not go together."""
    baselines = [Baseline(reference.baseline(name)) for name in request.models]
    found: list[Fault] = []
    for rule in (_of_sources, _of_remixes, _of_control, _of_models):
        found += rule(request)
    for of_baselines in (_control_models, _other_models):
        found += of_baselines(request.params, baselines)
    return tuple(found)


def ignores_mask(models: Collection[str]) -> bool:
    """Whether none of the models looks at a mask, so that nothing is painted."""
    return bool(models) and all(name == DEPTH_MODEL for name in models)


def _of_sources(request: ImageRequest) -> _Found:
    if request.source is not None:
        return
    if request.source_mask is not None:
        yield _fault("sourceMask", "needs a source")
    if request.extra_sources:
        yield _fault("extraSources", "need a source")
    if request.params.source_processing is not None:
        yield _fault("sourceProcessing", "needs a source, unless it is IMG2IMG")


def _of_remixes(request: ImageRequest) -> _Found:
    remix = request.params.source_processing is SourceProcessing.REMIX
    if request.extra_sources and not remix:
        yield _fault("extraSources", "are only for sourceProcessing REMIX")
    if remix and not request.models:
        yield _fault("models", "must be Stable Cascade models for sourceProcessing REMIX")


def _of_control(request: ImageRequest) -> _Found:
    params = request.params
    if params.control_type is None:
        if params.image_is_control:
            yield _param("imageIsControl", "needs a controlType")
        if params.return_control_map:
            yield _param("returnControlMap", "needs a controlType")
        return
    if request.source is None:
        yield _param("controlType", "needs a source")
    if params.source_processing is SourceProcessing.INPAINTING:
        yield _param("controlType", "does not go with sourceProcessing INPAINTING")
    if params.image_is_control and params.return_control_map:
        yield _param("returnControlMap", "does not go with imageIsControl: the map is what you gave")
    if params.steps > bounds.MAX_CONTROL_STEPS:
        yield _param("steps", f"must be at most {bounds.MAX_CONTROL_STEPS} with a controlType")
    if params.transparent:
        yield _param("transparent", "does not go with a controlType")


def _of_models(request: ImageRequest) -> _Found:
    params = request.params
    for index, name in enumerate(request.models):
        if name in (DEPTH_MODEL, EDIT_MODEL) and request.source is None:
            yield _fault("source", f"is required: models.{index} draws from one")
        if name == EDIT_MODEL and params.control_type is not None:
            yield _param("controlType", f"does not go with models.{index}")
    if params.transparent and request.extra_sources:
        yield _param("transparent", "does not go with extraSources")
    if params.extra_texts and params.workflow is None:
        yield _param("extraTexts", "need a workflow")
    if params.workflow is Workflow.QR_CODE and not any(
        text.reference == QR_CODE_REFERENCE for text in params.extra_texts
    ):
        yield _param(
            "extraTexts", f"must hold one with the reference {QR_CODE_REFERENCE} for the workflow QR_CODE"
        )


def _control_models(params: ImageParams, baselines: list[Baseline]) -> _Found:
    if params.control_type is None:
        return
    yield from _only(baselines, _CONTROLLED.__contains__, _param, "controlType")
    if params.control_type in _NOT_WITH_SD2:
        name = params.control_type.name
        yield from _only(baselines, lambda each: each not in _SD2, _param, "controlType", f"{name} ")


def _other_models(params: ImageParams, baselines: list[Baseline]) -> _Found:
    if params.hires_fix:
        yield from _only(baselines, lambda each: each not in _ONE_PASS, _param, "hiresFix")
    if params.transparent:
        yield from _only(baselines, _TRANSPARENT.__contains__, _param, "transparent")
    if params.workflow is Workflow.QR_CODE:
        yield from _only(baselines, _QR_CODE.__contains__, _param, "workflow", "QR_CODE ")
    if params.source_processing is SourceProcessing.REMIX:
        yield from _only(baselines, _REMIXED.__contains__, _fault, "sourceProcessing", "REMIX ")


def _only(
    baselines: list[Baseline],
    able: Callable[[Baseline], bool],
    fault: Callable[[str, str], Fault],
    field: str,
    what: str = "",
) -> _Found:
    """A fault if one of the models cannot do what a field asks for."""
    for index, baseline in enumerate(baselines):
        if not able(baseline):
            yield fault(
                field, f"{what}cannot be had from models.{index}, which is a {_NAMES[baseline]} model"
            )
            return


def _fault(field: str, message: str) -> Fault:
    return Fault(("input", field), message)


def _param(field: str, message: str) -> Fault:
    return Fault(("input", "params", field), message)
