"""From a checked request to a wish: which pictures are fetched and how, what is known of models, what is shared."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from app.jobs import asking
from app.jobs.image_request import ImageRequest, validate_image_request
from app.platform.sources import GivenSource
from events.base import ANONYMOUS
from tests.factories import REFERENCE, uid

ALICE = uid(1)
PICTURE = {"upload_id": "x"}
DEPTH = {"models": ["Stable Diffusion 2 Depth"]}


def asked(raw: Mapping[str, object]) -> ImageRequest:
    request = validate_image_request({"prompt": "a cat", **raw})
    assert isinstance(request, ImageRequest), request
    return request


def sources(**raw: Any) -> list[GivenSource]:
    return asking.given_sources(asked({"source": PICTURE, **raw}))


@pytest.mark.parametrize(
    ("raw", "roles", "alpha"),
    [
        ({}, ["source"], False),
        ({"source_processing": "inpainting"}, ["source"], True),
        ({"source_processing": "inpainting", "source_mask": PICTURE}, ["source", "mask"], False),
        ({"source_processing": "outpainting"}, ["source"], False),
        ({"source_mask": PICTURE}, ["source"], False),
        ({"source_processing": "inpainting", "source_mask": PICTURE, **DEPTH}, ["source"], False),
        ({"source_processing": "inpainting", **DEPTH}, ["source"], False),
    ],
)
def test_pictures_that_say_nothing_are_not_fetched_and_alpha_is_a_mask(raw, roles, alpha):
    found = sources(**raw)
    assert [each.role.value for each in found] == roles
    assert [each.alpha for each in found] == [alpha, *([False] * (len(roles) - 1))]


def test_further_sources_keep_their_order_and_strength():
    extras = [{"image": {"url": f"https://example.org/{n}"}, "strength": n / 4} for n in range(3)]
    found = sources(source_processing="remix", extra_sources=extras)[1:]
    assert [(each.ordinal, each.strength, each.url) for each in found] == [
        (n, n / 4, f"https://example.org/{n}") for n in range(3)
    ]
    assert [each.path for each in found] == [("input", "extraSources", str(n), "image") for n in range(3)]


@pytest.mark.parametrize(
    ("models", "usual"),
    [
        ([], 30),
        (["unknown"], 30),
        (["Flux.1-Schnell fp8 (Compact)"], 4),
        (["unknown", "Z-Image-Turbo"], 8),
        (["Qwen-Image_fp8"], 30),
    ],
)
def test_usual_steps_are_the_least_midpoint_of_the_models(models, usual):
    assert asking._usual_steps(models, REFERENCE) == usual


def test_models_come_in_one_order_with_what_is_known_of_them():
    found = asking._choices(["Z-Image-Turbo", "Mine [SDXL]"], REFERENCE)
    assert [(each.name, each.baseline, each.max_steps) for each in found] == [
        ("Mine [SDXL]", "stable_diffusion_xl", None),
        ("Z-Image-Turbo", "z_image_turbo", 12),
    ]


@pytest.mark.parametrize(
    ("actor", "raw", "shared", "notes"),
    [
        (ALICE, {}, False, []),
        (ALICE, {"share": True}, True, []),
        (ANONYMOUS, {}, True, ["ANONYMOUS_IS_SHARED"]),
        (ANONYMOUS, {"share": True}, True, []),
        (ALICE, {"source": PICTURE}, False, []),
        (ALICE, {"source": PICTURE, "share": True}, False, ["SOURCE_IS_NOT_SHARED"]),
        (ANONYMOUS, {"source": PICTURE}, False, ["SOURCE_IS_NOT_SHARED"]),
    ],
)
def test_nothing_from_a_source_is_shared(actor: UUID, raw, shared, notes):
    request = asked(raw)
    assert asking._shared(actor, request) is shared
    assert [note.code.value for note in asking._of_sharing(actor, request)] == notes


@pytest.mark.parametrize(
    ("raw", "processing", "mask"),
    [
        ({"source_processing": "inpainting", "source_mask": PICTURE}, "inpainting", True),
        ({"source_mask": PICTURE}, "img2img", False),
        ({"source_processing": "inpainting", "source_mask": PICTURE, **DEPTH}, "img2img", False),
        ({"source_processing": "outpainting", **DEPTH}, "img2img", False),
        (
            {
                "source_processing": "inpainting",
                "source_mask": PICTURE,
                "models": [*DEPTH["models"], "Deliberate"],
            },
            "inpainting",
            True,
        ),
    ],
)
def test_where_no_model_looks_at_a_mask_nothing_is_painted(raw, processing, mask):
    params = asking._params(asked({"source": PICTURE, **raw}))
    assert (params.source_processing, params.source_mask) == (processing, mask)
