"""What the programs ask, held against the server's schema: every operation, and every input they can send."""

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate
from graphql.utilities import coerce_input_value

from clients import documents
from clients.generate_options import CONTROL_TYPES, POST_PROCESSORS, PROCESSINGS, SAMPLERS, wish_of
from clients.worker.calls import Note, Result
from clients.worker.offer import Offer

SCHEMA = build_schema((Path(__file__).parents[3] / "schema.graphql").read_text())
DOCUMENTS = {
    name: text for name, text in vars(documents).items() if name.isupper() and not name.startswith("_")
}


def coerced(kind: str, value: object) -> object:
    """The value as the server reads it; an exception tells where it does not fit."""
    return coerce_input_value(value, SCHEMA.type_map[kind])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_operation_is_one_of_the_schema(name):
    assert validate(SCHEMA, parse(DOCUMENTS[name])) == []


def test_every_capability_is_one_of_the_schema():
    offer = Offer(
        name="w",
        models=("m",),
        max_pixels=262144,
        img2img=False,
        painting=False,
        lora=True,
        controlnet=True,
        sdxl_controlnet=True,
        features=frozenset(SCHEMA.type_map["ImageFeature"].values),  # type: ignore[attr-defined]
        unsafe_addresses=False,
        trusted_requesters_only=True,
        require_upfront_kudos=True,
        limit_max_steps=True,
        extra_slow=True,
        priority_users=("ann#7",),
        test_mode=True,
    )
    coerced("PopJobInput", offer.as_input())


@pytest.mark.parametrize("role", ["source_image", "source_mask"])
@pytest.mark.parametrize("value", ["download_failed", "parse_failed"])
def test_every_note_is_one_of_the_schema(role, value):
    note = Note(type=role.upper(), value=value.upper())
    result = Result(generation_id="g", state="FAULTED", seed="7", notes=(note,))
    coerced("GenerationResultInput", result.as_input())


def test_every_option_of_a_job_is_one_of_the_schema():
    wish = wish_of(
        prompt="a fox",
        negative="a dog",
        models=("m",),
        width=512,
        height=512,
        steps=3,
        cfg=5.0,
        sampler="k_lms",
        karras=False,
        tiling=True,
        hires_fix=True,
        clip_skip=2,
        post_processing=("GFPGAN",),
        seed="7",
        n=1,
        loras=("ink=0.5",),
        processing="INPAINTING",
        strength=0.4,
        control="CANNY",
        image_is_control=True,
        workers=("w",),
        deny=True,
        trusted_workers=True,
        slow_workers=False,
        extra_slow_workers=True,
        downgrade=True,
        share=False,
        nsfw=True,
        censor_nsfw=False,
        max_kudos="5.00",
    )
    coerced(
        "SubmitImageJobInput", {**wish, "source": {"uploadId": "1"}, "sourceMask": {"url": "https://x/y"}}
    )


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("Sampler", SAMPLERS),
        ("PostProcessor", POST_PROCESSORS),
        ("ControlType", CONTROL_TYPES),
        ("SourceProcessing", PROCESSINGS),
    ],
)
def test_the_names_that_are_offered_are_all_there_are(kind, names):
    assert set(SCHEMA.type_map[kind].values) == set(names)  # type: ignore[attr-defined]
