"""What forms tell: bounded, typed, and kept so that it reads back as it was told."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.platform.form_results import Colour, FormResultError, Keyword, check, decode, encode
from events.jobs import InterrogationForm as Form

SVG = "<svg xmlns='http://www.w3.org/2000/svg'></svg>"

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("form", "told", "result"),
    [
        (Form.CAPTION, "a cat", "a cat"),
        (Form.CAPTION, "x" * 2_000, "x" * 2_000),
        (Form.DESCRIBE, "x" * 10_000, "x" * 10_000),
        (Form.NSFW, True, True),
        (Form.AESTHETIC, 0, 0.0),
        (Form.AESTHETIC, 10, 10.0),
        (Form.AESTHETIC, -0.0, 0.0),
        (Form.INTERROGATION, {}, ()),
        (Form.INTERROGATION, {"a": 0.5, "b": 1}, (Keyword("b", 1.0), Keyword("a", 0.5))),
        (Form.INTERROGATION, [{"keyword": "a", "confidence": 0}], (Keyword("a", 0.0),)),
        (Form.PALETTE, {"#ABCdef": 0.5}, (Colour("#abcdef", 0.5),)),
        (Form.PALETTE, [{"share": 1, "hex": "#000000"}], (Colour("#000000", 1.0),)),
        (Form.VECTORIZE, SVG, SVG),
        (Form.VECTORIZE, f" <?xml version='1.0'?>\n<!-- a --><!-- b -->\n{SVG}\n", None),
    ],
)
def test_what_is_told_is_kept_and_read_back(form: Form, told: Any, result: Any):
    checked = check(form, told)
    assert result is None or checked == result
    assert type(checked) is type(decode(form, encode(checked)))
    assert decode(form, encode(checked)) == checked


@pytest.mark.parametrize(
    ("form", "told", "place"),
    [
        (Form.CAPTION, "", ()),
        (Form.CAPTION, "x" * 2_001, ()),
        (Form.CAPTION, "a\0b", ()),
        (Form.CAPTION, "a\ud800b", ()),
        (Form.CAPTION, ["a"], ()),
        (Form.CAPTION, None, ()),
        (Form.DESCRIBE, "x" * 10_001, ()),
        (Form.NSFW, 0, ()),
        (Form.NSFW, "true", ()),
        (Form.NSFW, None, ()),
        (Form.AESTHETIC, 10.01, ()),
        (Form.AESTHETIC, -1, ()),
        (Form.AESTHETIC, True, ()),
        (Form.AESTHETIC, float("nan"), ()),
        (Form.INTERROGATION, "a", ()),
        (Form.INTERROGATION, None, ()),
        (Form.INTERROGATION, {"a": 1.01}, ()),
        (Form.INTERROGATION, {"": 1}, ()),
        (Form.INTERROGATION, {"x" * 201: 1}, ()),
        (Form.INTERROGATION, {str(n): 1 for n in range(501)}, ()),
        (Form.INTERROGATION, [{"keyword": "a", "confidence": 1}] * 2, ()),
        (Form.INTERROGATION, [{"keyword": "a", "confidence": 1}, {"keyword": 1, "confidence": 1}], ("1",)),
        (Form.INTERROGATION, [{"keyword": "a", "confidence": 1, "more": 1}], ("0",)),
        (Form.INTERROGATION, ["a"], ("0",)),
        (Form.PALETTE, {"red": 1}, ()),
        (Form.PALETTE, {"#12345": 1}, ()),
        (Form.PALETTE, {"#123456": 2}, ()),
        (Form.PALETTE, {"#abcdef": 0, "#ABCDEF": 0}, ()),
        (Form.PALETTE, {f"#0000{n:02x}": 0 for n in range(65)}, ()),
        (Form.VECTORIZE, "<!DOCTYPE svg>" + SVG, ()),
        (Form.VECTORIZE, "<svgs></svg>", ()),
        (Form.VECTORIZE, "<svg>", ()),
        (Form.VECTORIZE, "<!-- " + SVG, ()),
        (Form.VECTORIZE, SVG.replace("><", ">" + "x" * 500_000 + "<"), ()),
    ],
)
def test_what_breaks_a_bound_is_refused_by_its_place(form: Form, told: Any, place: tuple[str, ...]):
    with pytest.raises(FormResultError) as refused:
        check(form, told)
    assert refused.value.place == place


def test_the_refusal_does_not_repeat_the_words():
    secret = "secret" * 400
    for told in (secret, {secret: 1}, [{"keyword": secret, "confidence": 1}]):
        for form in (Form.CAPTION, Form.INTERROGATION, Form.PALETTE):
            with pytest.raises(FormResultError) as refused:
                check(form, told)
            assert "secret" not in str(refused.value) + "".join(refused.value.place)


def test_many_comments_take_no_long_time():
    begun = time.monotonic()
    with pytest.raises(FormResultError):
        check(Form.VECTORIZE, "<!---->" * 70_000)
    assert time.monotonic() - begun < 5


@given(st.dictionaries(words, shares, max_size=20))
def test_keywords_read_back_surest_first(told: dict[str, float]):
    found: Any = decode(Form.INTERROGATION, encode(check(Form.INTERROGATION, told)))
    assert {each.keyword: each.confidence for each in found} == told
    assert [each.confidence for each in found] == sorted(told.values(), reverse=True)
