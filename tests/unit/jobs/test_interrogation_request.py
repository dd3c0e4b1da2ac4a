"""What a client may ask of a picture, and every fault in it by its path."""

from typing import Any

import pytest

from app.jobs.interrogation_request import InterrogationRequest, validate_interrogation_request
from app.platform.post_processors import PostProcessor
from events.jobs import InterrogationForm

UPLOADED = {"upload_id": "u", "url": None}
BY_URL = {"upload_id": None, "url": "https://example.com/a"}
FORMS = [form.value for form in (*InterrogationForm, *PostProcessor)]


def accepted(**raw: Any) -> InterrogationRequest:
    made = validate_interrogation_request({"source": UPLOADED, "forms": ["caption"], **raw})
    assert isinstance(made, InterrogationRequest), made
    return made


def faults(**raw: Any) -> set[str]:
    made = validate_interrogation_request({"source": UPLOADED, "forms": ["caption"], **raw})
    assert isinstance(made, tuple), made
    return {".".join(fault.path) for fault in made}


def test_what_is_not_said_takes_its_default():
    made = accepted()
    assert (made.forms, made.nsfw, made.reuse, made.slow_workers) == (("caption",), False, True, True)
    assert accepted(nsfw=None, reuse=None, slow_workers=None, workers=None, max_kudos=None) == made


@pytest.mark.parametrize("form", [*InterrogationForm, *PostProcessor])
def test_a_form_is_known_by_its_name_and_as_workers_know_it(form: InterrogationForm | PostProcessor):
    assert accepted(forms=[form.value]).forms == accepted(forms=[form.name]).forms == (form.value,)


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ({"forms": []}, {"input.forms"}),
        ({"forms": None}, {"input.forms"}),
        ({"forms": "caption"}, {"input.forms"}),
        ({"forms": ["caption", "unheard-of", "caption"]}, {"input.forms.1", "input.forms.2"}),
        ({"forms": FORMS[:21]}, {"input.forms"}),
        ({"source": None}, {"input.source"}),
        ({"source": {"upload_id": "u", "url": "https://example.com"}}, {"input.source"}),
        ({"source": {"upload_id": None, "url": "x" * 2_001}}, {"input.source.url"}),
        ({"source": BY_URL, "forms": ["caption", "GFPGAN"]}, {"input.source.url"}),
        ({"workers": [str(n) for n in range(6)], "max_kudos": -1}, {"input.workers", "input.maxKudos"}),
        ({"proxied_account": ""}, {"input.proxiedAccount"}),
        ({"nsfw": 1, "reuse": "no"}, {"input.nsfw", "input.reuse"}),
    ],
)
def test_every_fault_is_named(raw: dict[str, Any], at: set[str]):
    assert faults(**raw) == at


def test_as_many_forms_as_a_worker_takes_at_once():
    assert len(accepted(forms=FORMS[:20]).forms) == 20
