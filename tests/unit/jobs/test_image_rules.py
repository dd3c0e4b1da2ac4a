"""What does not go together in an image job: every rule by table, and what is allowed beside it."""

import pytest

from app.jobs.image_request import ImageRequest, validate_image_request
from app.jobs.image_rules import combination_faults
from app.platform.model_reference import ModelReference

REFERENCE = ModelReference.load(None)

SD1, SD2, SDXL = "Deliberate", "stable_diffusion_2.1", "SDXL 1.0"
CASCADE, FLUX = "Stable Cascade 1.0", "Flux.1-Schnell fp8 (Compact)"
QWEN, Z_IMAGE = "Qwen-Image_fp8", "Z-Image-Turbo"
DEPTH, EDIT = "Stable Diffusion 2 Depth", "pix2pix"
LARGE = (SDXL, CASCADE, FLUX, QWEN, Z_IMAGE)

SOURCE = {"source": {"upload_id": "x"}}
MASK = {"source_mask": {"url": "https://example.org/m.png"}}
EXTRAS = {"extra_sources": [{"image": {"upload_id": "y"}}]}
QR_TEXT = [{"text": "https://example.org", "reference": "qr_code"}]


def faults(raw: dict) -> dict[str, str]:
    request = validate_image_request({"prompt": "a cat", **raw})
    assert isinstance(request, ImageRequest), request
    return {".".join(fault.path[1:]): fault.message for fault in combination_faults(request, REFERENCE)}


def controlled(control: str = "canny", **more: object) -> dict:
    return {**SOURCE, "params": {"control_type": control, **more}}


REFUSED = [
    (MASK, {"sourceMask"}),
    (EXTRAS, {"extraSources"}),
    ({"source_processing": "inpainting"}, {"sourceProcessing"}),
    ({"source_processing": "outpainting"}, {"sourceProcessing"}),
    ({"source_processing": "remix", "models": [CASCADE]}, {"sourceProcessing"}),
    ({**SOURCE, **EXTRAS}, {"extraSources"}),
    ({**SOURCE, **EXTRAS, "source_processing": "inpainting"}, {"extraSources"}),
    ({**SOURCE, "source_processing": "remix"}, {"models"}),
    ({**SOURCE, "source_processing": "remix", "models": [CASCADE, SDXL]}, {"sourceProcessing"}),
    ({"params": {"control_type": "canny"}}, {"params.controlType"}),
    ({**controlled(), "source_processing": "inpainting"}, {"params.controlType"}),
    ({**SOURCE, "params": {"image_is_control": True}}, {"params.imageIsControl"}),
    ({**SOURCE, "params": {"return_control_map": True}}, {"params.returnControlMap"}),
    (controlled(image_is_control=True, return_control_map=True), {"params.returnControlMap"}),
    (controlled(steps=41), {"params.steps"}),
    (controlled(transparent=True), {"params.transparent"}),
    *(({**controlled(), "models": [SD1, large]}, {"params.controlType"}) for large in LARGE),
    ({**controlled("normal"), "models": [SD2]}, {"params.controlType"}),
    ({**controlled("hough"), "models": [SD2]}, {"params.controlType"}),
    ({**controlled(), "models": [EDIT]}, {"params.controlType"}),
    ({"models": [DEPTH]}, {"source"}),
    ({"models": [EDIT]}, {"source"}),
    *(
        ({"models": [each], "params": {"hires_fix": True}}, {"params.hiresFix"})
        for each in (FLUX, QWEN, Z_IMAGE)
    ),
    *(
        ({"models": [each], "params": {"transparent": True}}, {"params.transparent"})
        for each in (SD2, CASCADE, FLUX, QWEN, Z_IMAGE)
    ),
    (
        {
            **SOURCE,
            **EXTRAS,
            "source_processing": "remix",
            "models": [CASCADE],
            "params": {"transparent": True},
        },
        {"params.transparent"},
    ),
    ({"params": {"extra_texts": QR_TEXT}}, {"params.extraTexts"}),
    ({"params": {"workflow": "qr_code"}}, {"params.extraTexts"}),
    (
        {"params": {"workflow": "qr_code", "extra_texts": [{"text": "x", "reference": "other"}]}},
        {"params.extraTexts"},
    ),
    *(
        ({"models": [each], "params": {"workflow": "qr_code", "extra_texts": QR_TEXT}}, {"params.workflow"})
        for each in (SD2, CASCADE, FLUX, QWEN, Z_IMAGE)
    ),
]


@pytest.mark.parametrize(("raw", "fields"), REFUSED)
def test_what_does_not_go_together_is_refused_at_its_field(raw, fields):
    assert set(faults(raw)) == fields


@pytest.mark.parametrize(
    "raw",
    [
        {},
        SOURCE,
        {"source_processing": "img2img"},
        {**SOURCE, **MASK},
        {**SOURCE, **MASK, "source_processing": "inpainting"},
        {**SOURCE, "source_processing": "outpainting", "models": [SD1]},
        {**SOURCE, "source_processing": "remix", "models": [CASCADE]},
        {**SOURCE, **EXTRAS, "source_processing": "remix", "models": [CASCADE]},
        {**controlled(), "models": [SD1, SD2]},
        {**controlled("normal"), "models": [SD1]},
        {**controlled(), "source_processing": "outpainting"},
        controlled(steps=40),
        controlled(image_is_control=True),
        controlled(return_control_map=True),
        {**SOURCE, "models": [DEPTH, EDIT]},
        {"models": [SD1, SD2, SDXL, CASCADE], "params": {"hires_fix": True}},
        {"models": [SD1, SDXL], "params": {"transparent": True}},
        {"models": [SD1, SDXL], "params": {"workflow": "qr_code", "extra_texts": QR_TEXT}},
        {"params": {"workflow": "qr_code", "extra_texts": [{"text": "x", "reference": "other"}, *QR_TEXT]}},
        {"params": {"hires_fix": True, "transparent": True}},
    ],
)
def test_what_goes_together_is_not(raw):
    assert faults(raw) == {}


def test_an_unknown_model_is_taken_for_what_its_name_says():
    assert faults({**controlled(), "models": ["Mine"]}) == {}
    assert set(faults({**controlled(), "models": ["Mine [SDXL]"]})) == {"params.controlType"}


def test_the_message_names_the_limit_and_the_model_that_is_at_fault():
    assert faults(controlled(steps=50)) == {"params.steps": "must be at most 40 with a controlType"}
    message = faults({"models": [SD1, FLUX], "params": {"hires_fix": True}})["params.hiresFix"]
    assert message == "cannot be had from models.1, which is a Flux model"


def test_every_fault_is_named_at_once():
    raw = {**MASK, **EXTRAS, "params": {"control_type": "hed", "extra_texts": QR_TEXT}, "models": [SDXL]}
    assert set(faults(raw)) == {"sourceMask", "extraSources", "params.controlType", "params.extraTexts"}
