"""What the programs ask, held against the server's schema: every operation, and every input they can send."""

from pathlib import Path
from typing import get_args

import pytest
from graphql import build_schema, parse, validate
from graphql.utilities import coerce_input_value

from clients import documents
from clients.generate_options import CONTROL_TYPES, POST_PROCESSORS, PROCESSINGS, SAMPLERS, wish_of
from clients.worker.backends import Abilities
from clients.worker.backends.procedural import ProceduralBackend
from clients.worker.calls import Note, Result
from clients.worker.crafts.images import Images
from clients.worker.crafts.interrogations import Interrogations
from clients.worker.crafts.texts import Texts
from clients.worker.settings import Form, Settings
from clients.worker.tellers.statistics import StatisticsTeller
from clients.worker.writers.procedural import ProceduralWriter

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


#: What every kind of worker may settle, each with another value than the API's own.
UNUSUAL = {
    "name": "w",
    "unsafe_addresses": False,
    "trusted_requesters_only": True,
    "require_upfront_kudos": True,
    "extra_slow": True,
    "priority_users": ("ann#7",),
    "test_mode": True,
}


def test_every_capability_of_an_image_worker_is_one_of_the_schema():
    backend = ProceduralBackend()
    features = frozenset(SCHEMA.type_map["ImageFeature"].values)  # type: ignore[attr-defined]
    backend.abilities = Abilities(lora=True, controlnet=True, features=features)
    settings = Settings(
        **UNUSUAL,
        img2img=False,
        painting=False,
        lora=True,
        controlnet=True,
        sdxl_controlnet=True,
        limit_max_steps=True,
    )
    coerced("PopJobInput", Images(backend).offered(settings).as_input())


def test_every_capability_of_a_text_worker_is_one_of_the_schema():
    settings = Settings(**UNUSUAL, kind="text", max_length=99, max_context_length=999)
    offer = Texts(ProceduralWriter()).offered(settings).as_input()
    assert offer["text"]["maxLength"] == 99
    coerced("PopJobInput", offer)


def test_every_capability_of_an_interrogation_worker_is_one_of_the_schema():
    coerced("PopJobInput", Interrogations(StatisticsTeller()).offered(Settings(**UNUSUAL)).as_input())


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
        ("InterrogationForm", get_args(Form)),
    ],
)
def test_the_names_that_are_offered_are_all_there_are(kind, names):
    assert set(SCHEMA.type_map[kind].values) == set(names)  # type: ignore[attr-defined]
