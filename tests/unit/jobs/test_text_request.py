"""What a client may ask of a text job: every bound, by the path of its field, and every fault at once."""

import msgspec
import pytest

from app.jobs.text_params import FLAGS, FLOATS, INTEGERS, TextParams, payload_of, shortened
from app.jobs.text_request import MAX_PROMPT_CHARS, TextRequest, validate_text_request


def checked(**raw: object) -> TextRequest:
    found = validate_text_request({"prompt": "once", **raw})
    assert isinstance(found, TextRequest), found
    return found


def faults(**raw: object) -> list[tuple[str, str]]:
    found = validate_text_request({"prompt": "once", **raw})
    assert isinstance(found, tuple), found
    return [(".".join(fault.path[1:]), fault.message) for fault in found]


def test_defaults():
    request = checked()
    assert request == TextRequest(prompt="once")
    assert (request.params.n, request.params.max_length, request.params.max_context_length) == (1, 80, 2048)
    assert checked(params=None, models=None, nsfw=None) == request


def test_every_field_is_taken():
    given = {
        "models": ["a/b", "c::d#7"], "soft_prompt": "pirates", "nsfw": True, "workers": ["w"], "deny_workers": True,
        "trusted_workers": True, "validated_backends": True, "slow_workers": False, "extra_slow_workers": True,
        "batching": False, "allow_downgrade": True, "proxied_account": "who", "max_kudos": 0,
    }  # fmt: skip
    request = checked(**given)
    for name, value in given.items():
        found = getattr(request, name)
        assert (list(found) if isinstance(found, tuple) else found) == value, name


@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
def test_bounds_of_numbers_are_inclusive(name):
    low, high = (FLOATS | INTEGERS)[name]
    camel = name.split("_")[0] + "".join(part.capitalize() for part in name.split("_")[1:])
    for value in (low, high):
        assert getattr(checked(params={name: value}).params, name) == value
    step = 1 if name in INTEGERS else 1e-6
    for value in (low - step, high + step, True, "1"):
        ((path, message),) = faults(params={name: value})
        assert path == f"params.{camel}"
        assert f"from {low:g} to {high:g}" in message


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_true_or_false(name):
    assert getattr(checked(params={name: False}).params, name) is False
    assert faults(params={name: 1})[0][1] == "must be true or false"


def test_an_order_of_samplers_names_seven_different_ones():
    assert checked(params={"sampler_order": [6, 0, 1, 3, 4, 2, 5]}).params.sampler_order == (
        6,
        0,
        1,
        3,
        4,
        2,
        5,
    )
    assert checked(params={"sampler_order": []}).params.sampler_order == ()
    for wrong in ([1], [0, 1, 2, 3, 4, 5, 5, 5]):
        assert "MissingFullSamplerOrder" in faults(params={"sampler_order": wrong})[0][1]
    assert faults(params={"sampler_order": [*range(7), 101]})
    assert "at most 30 items" in faults(params={"sampler_order": list(range(31))})[0][1]


def test_stop_sequences_are_counted_once_each_and_all_together():
    repeated = checked(params={"stop_sequence": ["a", "b", "a"]}).params
    assert repeated.stop_sequence == ("a", "b")
    assert (
        len(checked(params={"stop_sequence": [str(n) for n in range(128)] * 2}).params.stop_sequence) == 128
    )
    assert "TooManyStop" in faults(params={"stop_sequence": [str(n) for n in range(129)]})[0][1]
    checked(params={"stop_sequence": ["a" * 1000, "b" * 1000]})
    assert "ExcessiveStop" in faults(params={"stop_sequence": ["a" * 1000, "b" * 1001]})[0][1]
    assert faults(params={"stop_sequence": [""]}) == [("params.stopSequence", "must not be empty")]


def test_a_context_holds_what_is_to_be_written():
    checked(params={"max_length": 4096, "max_context_length": 4096})
    ((path, message),) = faults(params={"max_length": 4096})
    assert (path, "TokenOverflow" in message, "4096" in message) == ("params.maxContextLength", True, True)


def test_all_faults_are_told_at_once_and_never_the_clients_text():
    found = faults(prompt=" ", models=["*text"], soft_prompt="$secret", params={"n": 21}, workers=["a"] * 6)
    assert [path for path, _ in found] == ["prompt", "models.0", "softPrompt", "workers", "params.n"]
    assert "secret" not in repr(found)
    assert "MissingPrompt" in found[0][1]
    assert faults(prompt="x" * (MAX_PROMPT_CHARS + 1))
    assert validate_text_request({})[0].message == "is required"


def test_workers_are_given_what_was_asked_for_by_the_names_that_backends_know():
    params = checked(params={"min_p": 0.1, "stop_sequence": ["x"], "singleline": False, "n": 3}).params
    assert msgspec.json.decode(payload_of(params, "pirates")) == {
        "max_length": 80, "max_context_length": 2048, "min_p": 0.1, "stop_sequence": ["x"], "singleline": False,
        "soft_prompt": "pirates",
    }  # fmt: skip
    shorter = shortened(payload_of(params, None), TextParams(max_length=20))
    assert msgspec.json.decode(shorter)["max_length"] == 20
