"""Warnings: what will not count, and what models draw badly with by the reference."""

import pytest

from app.jobs import advice
from app.jobs.image_request import ImageRequest, validate_image_request
from app.platform.model_reference import Model, ModelReference, Requirements

SOURCE = {"source": {"upload_id": "x"}, "source_mask": {"upload_id": "y"}}


def asked(**raw: object) -> ImageRequest:
    request = validate_image_request({"prompt": "a cat", **raw})
    assert isinstance(request, ImageRequest), request
    return request


def codes(requirements: Requirements, **params: object) -> list[str]:
    reference = ModelReference({"m": Model(name="m", requirements=requirements)})
    found = advice.of_models(asked(models=["m", "unknown"], params=params), reference)
    return [note.code.value for note in found]


@pytest.mark.parametrize(
    ("wants", "good", "bad", "code"),
    [
        ({"clip_skip": 2}, {"clip_skip": 2}, {"clip_skip": 1}, "CLIP_SKIP_MISMATCH"),
        ({"min_steps": 10}, {"steps": 10}, {"steps": 9}, "STEPS_TOO_FEW"),
        ({"max_steps": 8}, {"steps": 8}, {"steps": 9}, "STEPS_TOO_MANY"),
        (
            {"max_steps": 8},
            {"steps": 4, "sampler": "k_heun"},
            {"steps": 5, "sampler": "k_heun"},
            "STEPS_TOO_MANY",
        ),
        ({"cfg_scale": 1.0}, {"cfg_scale": 1}, {"cfg_scale": 1.5}, "CFG_SCALE_MISMATCH"),
        ({"min_cfg_scale": 2.0}, {"cfg_scale": 2}, {"cfg_scale": 1.99}, "CFG_SCALE_TOO_SMALL"),
        ({"max_cfg_scale": 3.0}, {"cfg_scale": 3}, {"cfg_scale": 3.01}, "CFG_SCALE_TOO_LARGE"),
        ({"samplers": ("k_euler",)}, {"sampler": "k_euler"}, {"sampler": "k_heun"}, "SAMPLER_MISMATCH"),
        ({"schedulers": ("karras",)}, {"karras": True}, {"karras": False}, "SCHEDULER_MISMATCH"),
        ({"schedulers": ("simple",)}, {"karras": False}, {"karras": True}, "SCHEDULER_MISMATCH"),
    ],
)
def test_each_requirement_of_a_model_has_its_warning(wants, good, bad, code):
    assert codes(Requirements(**wants), **good) == []
    assert codes(Requirements(**wants), **bad) == [code]


@pytest.mark.parametrize("karras", [True, False])
def test_a_model_that_knows_both_kinds_of_schedules_takes_either(karras):
    assert codes(Requirements(schedulers=("karras", "normal")), karras=karras) == []


def test_a_model_without_a_description_has_no_warnings():
    assert codes(Requirements(), steps=500, cfg_scale=100, clip_skip=12) == []


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({}, []),
        (SOURCE, ["MASK_IGNORED"]),
        ({**SOURCE, "source_processing": "inpainting"}, []),
        ({**SOURCE, "source_processing": "outpainting"}, []),
        (
            {**SOURCE, "source_processing": "inpainting", "models": ["Stable Diffusion 2 Depth"]},
            ["MASK_IGNORED"],
        ),
        ({"params": {"denoising_strength": 0.5}}, ["SOURCE_PARAMETER_IGNORED"]),
        ({"source": {"upload_id": "x"}, "params": {"denoising_strength": 0.5}}, []),
    ],
)
def test_what_of_the_sources_does_not_count_is_told(raw, found):
    assert [note.code.value for note in advice.of_sources(asked(**raw))] == found
    assert advice.uses_mask(asked(**raw)) is (
        raw.get("source_processing") in ("inpainting", "outpainting") and not found
    )
