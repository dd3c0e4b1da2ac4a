"""What a client may ask of an image job: every fault is named, with its field and bound."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import ImageParams, PostProcessor, Sampler
from app.jobs.image_request import Fault, ImageRequest, validate_image_request

MODEL_BOUND = "may hold letters, digits, spaces and ._+:#()[]/- and starts with a letter or digit"


def faults(raw: Mapping[str, object]) -> dict[str, str]:
    result = validate_image_request({"prompt": "a cat", **raw})
    assert isinstance(result, tuple), result
    return {".".join(fault.path): fault.message for fault in result}


def accepted(raw: Mapping[str, object]) -> ImageRequest:
    result = validate_image_request({"prompt": "a cat", **raw})
    assert isinstance(result, ImageRequest), result
    return result


def test_a_prompt_alone_takes_every_default():
    assert accepted({}) == ImageRequest(prompt="a cat", params=ImageParams())
    params = ImageParams()
    assert (params.width, params.height, params.steps, params.cfg_scale) == (512, 512, 30, 5.0)
    assert (params.sampler, params.n, params.karras, params.tiling) == (Sampler.K_EULER_A, 1, True, False)
    assert (params.hires_fix, params.clip_skip, params.post_processing, params.seed) == (False, 1, (), None)


def test_null_is_as_good_as_missing():
    nothing = dict.fromkeys(ImageParams.__struct_fields__)
    assert accepted({"params": nothing, "models": None, "nsfw": None, "share": None}) == accepted({})
    assert accepted({"params": None}) == accepted({})


def test_every_fault_is_named_at_once():
    assert faults(
        {
            "prompt": " \n",
            "negative_prompt": "\0",
            "models": ["ok", "-no", "ok"],
            "params": {
                "width": 100,
                "height": 4096,
                "steps": 0,
                "cfg_scale": 5.001,
                "n": 21,
                "seed_variation": 0,
            },
            "nsfw": "yes",
            "max_kudos": -1,
        }
    ) == {
        "input.prompt": "must not be empty",
        "input.negativePrompt": "must not contain a NUL character",
        "input.models.1": MODEL_BOUND,
        "input.models.2": "must not be repeated",
        "input.params.width": "must be a multiple of 64 from 64 to 3072",
        "input.params.height": "must be a multiple of 64 from 64 to 3072",
        "input.params.steps": "must be a whole number from 1 to 500",
        "input.params.cfgScale": "must have at most 2 decimals",
        "input.params.n": "must be a whole number from 1 to 20",
        "input.params.seedVariation": "must be a whole number from 1 to 1000",
        "input.nsfw": "must be true or false",
        "input.maxKudos": "must be a whole number from 0 to 9223372036854775807",
    }


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("width", [64, 3072, 576], [0, 63, 65, 3136, True, 512.0, "512"]),
        ("height", [64, 3072], [-64, 10**30]),
        ("steps", [1, 500], [0, 501, 1.5, False]),
        ("cfg_scale", [0, 7, 7.5, 7.25, 100.0, 0.07], [-0.01, 100.01, 7.255, 1e-9, "7", True]),
        ("n", [1, 20], [0, 21]),
        ("seed_variation", [1, 1000], [0, 1001]),
        ("clip_skip", [1, 12], [0, 13]),
        ("sampler", ["k_heun", "K_HEUN", Sampler.LCM, "DDIM"], ["heun", "K_heun", 3, []]),
        ("karras", [True, False], [0, 1, "true"]),
        ("hires_fix_denoising_strength", [0.01, 1], [0, 1.01]),
        ("facefixer_strength", [0, 0.5, 1.0], [-0.1, 2]),
        ("seed", ["", "42", "x" * 100], ["x" * 101, "\0", 42, "\ud800"]),
        (
            "post_processing",
            [[], ["GFPGAN", "CODEFORMERS"], ["4x_AnimeSharp", "strip_background"]],
            [["nope"], ["GFPGAN", "GFPGAN"], "GFPGAN", ["RealESRGAN_x2plus", "NMKD_Siax"], ["GFPGAN"] * 17],
        ),
    ],
)
def test_each_parameter_has_its_bound(field: str, good: list[object], bad: list[object]):
    for value in good:
        accepted({"params": {field: value}})
    for value in bad:
        found = faults({"params": {field: value}})
        first, *others = field.split("_")
        path = f"input.params.{first}{''.join(word.title() for word in others)}"
        assert all(place == path or place.startswith(f"{path}.") for place in found)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_refused(value: float):
    assert list(faults({"params": {"cfg_scale": value}})) == ["input.params.cfgScale"]


def test_enumerations_may_be_given_by_name_or_by_value():
    params = accepted({"params": {"sampler": "K_DPMPP_2M", "post_processing": ["GFPGANv1.3"]}}).params
    assert params.sampler is Sampler.K_DPMPP_2M
    assert params.post_processing == (PostProcessor.GFPGAN_V1_3,)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "is required"),
        ("", "must not be empty"),
        (7, "must be text"),
        ("a\0b", "must not contain a NUL character"),
        ("a\udfffb", "must be valid Unicode text"),
        ("x" * 20_001, "must have at most 20000 characters"),
        ("x " * 7_501, "must have at most 7500 words"),
    ],
)
def test_a_prompt_is_text_of_a_reasonable_length(prompt: object, message: str):
    assert faults({"prompt": prompt}) == {"input.prompt": message}


def test_the_longest_prompts_are_accepted():
    assert accepted({"prompt": "x " * 7_500, "negative_prompt": "y" * 20_000}).prompt.endswith("x ")


@pytest.mark.parametrize(
    "name", ["stable_diffusion", "SDXL 1.0", "Flux.1-Schnell fp8 (Compact)", "a/b:c#[d]+e", "7", "x" * 100]
)
def test_model_names_that_are_accepted(name: str):
    assert accepted({"models": [name]}).models == (name,)


@pytest.mark.parametrize(
    "name", ["", " x", "_x", "x\n", "x\t", "a,b", "ä", "x" * 101, "GFPGAN", "gfpgan", None, 3]
)
def test_model_names_that_are_refused(name: object):
    assert list(faults({"models": [name]})) == ["input.models.0"]


def test_at_most_twenty_models():
    assert len(accepted({"models": [f"m{number}" for number in range(20)]}).models) == 20
    assert faults({"models": [f"m{number}" for number in range(21)]}) == {
        "input.models": "must have at most 20 items"
    }


def test_a_fault_never_repeats_what_the_client_wrote():
    secret = "\0my secret words"
    found = validate_image_request(
        {"prompt": secret, "models": [secret], "params": {"seed": secret, "sampler": secret, "width": secret}}
    )
    assert isinstance(found, tuple)
    assert len(found) == 5
    assert "secret" not in str(found)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(ImageRequest.__struct_fields__, anything)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(ImageParams.__struct_fields__, anything)),
)
def test_whatever_comes_is_accepted_or_refused_but_never_an_error(
    request: dict[str, object], params: dict[str, object]
):
    for raw in (request, {**request, "params": params}):
        result = validate_image_request(raw)
        if isinstance(result, tuple):
            assert all(isinstance(fault, Fault) and fault.path[0] == "input" for fault in result)
        else:
            assert result.prompt.strip()


@pytest.mark.parametrize(
    ("prompt", "negative", "made"),
    [
        ("a cat ### fog", None, ("a cat", "fog")),
        ("a cat###fog###rain", None, ("a cat", "fog###rain")),
        ("a cat ### fog", "rain", ("a cat ### fog", "rain")),
        ("a cat ###", None, ("a cat", "")),
        ("### fog", None, ("### fog", None)),
        ("a cat", None, ("a cat", None)),
    ],
)
def test_a_prompt_may_hold_its_negative_one(prompt: str, negative: str | None, made: tuple[str, str | None]):
    request = accepted({"prompt": prompt, "negative_prompt": negative})
    assert (request.prompt, request.negative_prompt) == made


def test_steps_are_fewer_with_a_control_type_unless_the_client_says_how_many():
    source = {"source": {"upload_id": "x"}}
    assert accepted({**source, "params": {"control_type": "canny"}}).params.steps == 20
    assert accepted({**source, "params": {"control_type": "canny", "steps": 30}}).params.steps == 30
    assert accepted(source).params.steps == 30


def test_what_came_as_sources_is_in_the_parameters():
    source = {"upload_id": "x"}
    extras = [{"image": {"url": "https://example.org"}, "strength": 0.5}, {"image": source}]
    params = accepted({"source": source, "source_mask": source, "extra_sources": extras}).params
    assert (params.source_processing, params.source_mask, params.extra_sources) == ("img2img", True, 2)
    none = accepted({"source_processing": "img2img"}).params
    assert (none.source_processing, none.source_mask, none.extra_sources) == (None, False, 0)


@pytest.mark.parametrize(
    ("raw", "places"),
    [
        ({"source": {}}, ["input.source"]),
        ({"source": {"upload_id": "x", "url": "https://example.org"}}, ["input.source"]),
        ({"source": {"url": "x" * 2_001}}, ["input.source.url"]),
        ({"source": {"upload_id": ""}}, ["input.source.uploadId"]),
        ({"source_mask": {}}, ["input.sourceMask"]),
        ({"extra_sources": [{"image": {}}]}, ["input.extraSources.0.image"]),
        ({"extra_sources": [{"image": {"upload_id": "x"}, "strength": 1.1}]}, ["input.extraSources.0.strength"]),
        ({"extra_sources": [{"image": {"upload_id": str(n)}} for n in range(6)]}, ["input.extraSources"]),
        ({"source_processing": "paint"}, ["input.sourceProcessing"]),
        ({"workers": ["a"] * 6}, ["input.workers"]),
        ({"workers": ["a", "", "a"]}, ["input.workers.1", "input.workers.2"]),
        ({"proxied_account": "x" * 256}, ["input.proxiedAccount"]),
        ({"params": {"loras": [{}]}}, ["input.params.loras.0.name"]),
        ({"params": {"loras": [{"name": "7a", "is_version": True}]}}, ["input.params.loras.0.name"]),
        ({"params": {"loras": [{"name": "x", "clip": -5.1}]}}, ["input.params.loras.0.clip"]),
        ({"params": {"loras": [{"name": "x", "inject_trigger": "y" * 31}]}}, ["input.params.loras.0.injectTrigger"]),
        ({"params": {"loras": [{"name": "x"}, {"name": "x"}]}}, ["input.params.loras.1"]),
        ({"params": {"loras": [{"name": str(n)} for n in range(6)]}}, ["input.params.loras"]),
        ({"params": {"tis": [{"name": str(n)} for n in range(21)]}}, ["input.params.tis"]),
        ({"params": {"tis": [{"name": "x", "inject_ti": "both"}]}}, ["input.params.tis.0.injectTi"]),
        ({"params": {"extra_texts": [{"text": "", "reference": "qr"}]}}, [
            "input.params.extraTexts.0.text", "input.params.extraTexts.0.reference",
        ]),
        ({"params": {"control_type": "mlsd"}}, ["input.params.controlType"]),
        ({"params": {"denoising_strength": 0.001}}, ["input.params.denoisingStrength"]),
    ],
)  # fmt: skip
def test_each_new_field_has_its_bound(raw: dict[str, object], places: list[str]):
    assert list(faults(raw)) == places


def test_the_most_that_may_be_asked_for_is_accepted():
    accepted({"params": {
        "loras": [{"name": "x" * 255, "model": -5, "clip": 5, "inject_trigger": "y" * 30}, *({"name": str(n)} for n in range(4))],
        "tis": [{"name": str(n), "strength": 5} for n in range(20)],
        "extra_texts": [{"text": str(n) * 2_000, "reference": "abc"} for n in range(10)],
    }})  # fmt: skip
