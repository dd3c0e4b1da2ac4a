"""The model reference: the shipped file, an operator's file with every fault listed, what names tell of unknown models."""

import json

import pytest

from app.platform.model_reference import SHIPPED, Baseline, ModelReference, Requirements
from app.platform.settings import SettingsError


def load(tmp_path, text: str | bytes) -> ModelReference:
    path = tmp_path / "models.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return ModelReference.load(str(path))


def test_the_shipped_reference_knows_models_of_every_baseline() -> None:
    reference = ModelReference.load(None)
    assert set(json.loads(SHIPPED.read_bytes())) == set(reference.models)
    assert {model.baseline for model in reference.models.values()} == set(Baseline)
    assert reference.baseline("SDXL 1.0") == "stable_diffusion_xl"
    assert reference.inpainting("Deliberate Inpainting")
    assert not reference.inpainting("Deliberate")
    flux = reference.get("Flux.1-Schnell fp8 (Compact)")
    assert flux is not None
    assert flux.requirements.cfg_scale == 1.0


@pytest.mark.parametrize(
    ("name", "baseline"),
    [
        ("Mine", "stable diffusion 1"),
        ("Mine [SDXL]", "stable_diffusion_xl"),
        ("Mine [Flux]", "flux_1"),
        ("Mine [Qwen]", "qwen_image"),
        ("Mine [ZModel]", "z_image_turbo"),
        ("Mine [ZImage]", "z_image_turbo"),
        ("Mine [sdxl]", "stable diffusion 1"),
    ],
)
def test_an_unknown_model_is_what_its_name_says(name: str, baseline: str) -> None:
    reference = ModelReference.load(None)
    assert reference.get(name) is None
    assert reference.baseline(name) == baseline
    assert not reference.inpainting(name)


def test_a_file_may_say_more_than_is_looked_at_and_nulls_are_missing(tmp_path) -> None:
    given = {"baseline": "flux_1", "style": "x", "inpainting": None, "requirements": {"min_steps": 4, "y": 1}}
    model = load(tmp_path, json.dumps({"Mine [SDXL]": given})).get("Mine [SDXL]")
    assert model is not None
    assert (model.baseline, model.inpainting, model.nsfw) == (Baseline.FLUX, False, False)
    assert model.requirements == Requirements(min_steps=4)


def test_every_fault_of_a_file_is_listed(tmp_path) -> None:
    faulty = {
        "A": {"baseline": "sdxl"},
        "B": {},
        "C": {"baseline": "flux_1", "inpainting": "yes"},
        "D": {"baseline": "flux_1", "requirements": {"min_steps": 0}},
        "E": {"baseline": "flux_1", "requirements": {"min_steps": 9, "max_steps": 8}},
        "F": {"baseline": "flux_1", "requirements": {"min_cfg_scale": 2, "max_cfg_scale": 1}},
        "G": {"baseline": "flux_1", "requirements": {"clip_skip": 13}},
        "Good": {"baseline": "flux_1"},
    }
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, json.dumps(faulty))
    assert [fault.split("'")[1] for fault in caught.value.faults] == list("ABCDEFG")
    assert all(fault.startswith("HOARD_MODEL_REFERENCE ") for fault in caught.value.faults)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1', b"\xff{}"])
def test_what_is_no_reference_is_refused(tmp_path, text) -> None:
    with pytest.raises(SettingsError):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        ModelReference.load("/nowhere/models.json")
