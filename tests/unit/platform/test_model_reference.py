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
    assert set(json.loads(SHIPPED.read_bytes())) == set(reference.models) | set(reference.texts)
    assert not set(reference.models) & set(reference.texts)
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


@pytest.mark.parametrize(
    "name",
    [
        "MythoMax-L2-13b",
        "koboldcpp/MythoMax-L2-13b",
        "aphrodite/TheBloke/mythomax-l2-13b-GPTQ",
        "MythoMax-L2-13b.Q4_K_M.gguf",
        "MythoMax-L2-13b-IQ3_XXS",
        "MythoMax-L2-13b-4.65bpw-h6-exl2",
        "MythoMax-L2-13b-AWQ-4bit",
        "MythoMax-L2-13b-Q8_0::bob#7",
    ],
)
def test_a_text_model_is_known_however_it_is_packed_and_whoever_serves_it(name: str) -> None:
    assert ModelReference.load(None).parameters(name) == 13_000_000_000


@pytest.mark.parametrize(
    "name", ["MythoMax", "MythoMax-L2-13b-Uncensored", "", "SDXL 1.0", "Q4_K_M", "::bob#7"]
)
def test_of_other_text_models_nothing_is_known(name: str) -> None:
    assert ModelReference.load(None).parameters(name) is None


def test_an_operators_file_tells_parameters_of_text_models_beside_what_nobody_looks_at(tmp_path) -> None:
    given = {
        "mine": {"name": "mine", "parameters": 7e9, "baseline": "whatever", "settings": {"temperature": 1}},
        "packed-Q4_0": {"parameters": 3_000_000_000},
        "drawn": {"baseline": "stable diffusion 1", "parameters": None},
    }
    reference = load(tmp_path, json.dumps(given))
    assert (reference.parameters("mine"), reference.parameters("packed-Q8_0")) == (7 * 10**9, 3 * 10**9)
    assert set(reference.models) == {"drawn"}


@pytest.mark.parametrize("parameters", [0, -1, 1e30, "7B"])
def test_parameters_have_bounds(tmp_path, parameters: object) -> None:
    with pytest.raises(SettingsError, match=r"model 'mine': .*parameters"):
        load(tmp_path, json.dumps({"mine": {"parameters": parameters}}))
