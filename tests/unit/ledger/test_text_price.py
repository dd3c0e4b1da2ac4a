"""What texts cost: the reference's formula in exact arithmetic, and the classes of models."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.text_classes import TextClass, class_of, text_token
from app.ledger.text_price import TextPrices, prompt_tokens_of, text_share, tokens_of
from app.ledger.text_quote import TextModelChoice, TextShape, TextTerms, least_total, quote_text
from app.ledger.text_upfront import FreeTexts, check_text_upfront, free_texts, shorten, text_within_reach
from app.ledger.upfront import Load

PRICES = TextPrices()
BILLION = 1_000_000_000


@pytest.mark.parametrize(
    ("tokens", "multiplier"),
    [(512, "1.65"), (1024, "2.20"), (2048, "3.40"), (4096, "6.04"), (8192, "11.85"), (16384, "24.63"), (32768, "30.00")],
)  # fmt: skip
def test_a_longer_prompt_makes_every_token_dearer_up_to_thirty_times(tokens, multiplier):
    assert PRICES.multiplier(tokens).quantize(Decimal("0.01")) == Decimal(multiplier)


@pytest.mark.parametrize(
    ("billions", "length", "prompt", "price"),
    [
        # the reference's examples, by the divisor with which it pays: 80 tokens after 2,048
        (7, 80, 2048, 1523),
        (13, 80, 2048, 2829),
        (70, 80, 2048, 21330),
        (2.7, 80, 20, 209),
        (0.135, 16, 20, 2),
        (405, 4096, 1_048_576, 79_200_614),
    ],
)
def test_prices_in_hundredths(billions, length, prompt, price):
    assert PRICES.price(round(billions * BILLION), length=length, prompt_tokens=prompt) == price


@given(st.integers(1_000_000, 500 * BILLION), st.integers(16, 4096), st.integers(20, 1_048_576))
def test_the_exact_price_is_that_of_the_formula(parameters, length, prompt):
    billions = parameters / BILLION
    multiplier = min(30, max(0.1, 1.2 + 2.2 ** math.log2(prompt / 1024)))
    kudos = length * (max(billions, 13) / 13) ** 0.2 * billions / 125 * multiplier
    assert PRICES.price(parameters, length=length, prompt_tokens=prompt) == pytest.approx(
        100 * kudos, rel=1e-9, abs=0.51
    )


@given(st.integers(0, 10**9), st.integers(0, 100_000), st.integers(16, 4096))
def test_a_share_never_exceeds_the_price_and_grows_with_what_was_written(price, tokens, length):
    share = text_share(price, tokens, length)
    assert 0 <= share <= price
    assert share <= text_share(price, tokens + 1, length)
    assert text_share(price, length, length) == price


def test_tokens_are_a_quarter_of_the_characters_and_at_least_twenty():
    assert [tokens_of(n) for n in (0, 80, 81, 84, 85)] == [20, 20, 21, 21, 22]
    assert prompt_tokens_of(40_000, 2048) == 2048, "no more is read than the context holds"


def test_classes_by_size():
    assert [class_of(n * BILLION) for n in (1, 3, 4, 9, 13, 32, 70, 123)] == [
        "3b", "3b", "9b", "9b", "15b", "36b", "73b", "larger",
    ]  # fmt: skip
    assert class_of(None) is TextClass.UP_TO_3B
    assert set(CURRENT.texts.classes) == set(TextClass)
    prices = [CURRENT.texts.classes[size] for size in TextClass]
    assert prices == sorted(prices)
    for size in TextClass:
        assert class_of(CURRENT.texts.classes[size]) is size, "a class costs what a model of it does"
    assert CURRENT.texts.classes[TextClass.UP_TO_3B] == CURRENT.texts.undescribed


SHAPE = TextShape(max_length=100, prompt_tokens=1024)


def terms(
    *billions: float | None, n: int = 1, max_kudos: int | None = None, slow: bool = False, denied: int = 0
):
    models = tuple(
        TextModelChoice(f"m{i}", None if size is None else round(size * BILLION))
        for i, size in enumerate(billions)
    )
    choice = WorkerChoice(slow_refused=slow, denied=denied)
    return TextTerms(n=n, models=models, choice=choice, max_kudos=max_kudos, book=CURRENT)


def test_the_quote_is_that_of_the_dearest_model_and_sums_up():
    quote = quote_text(SHAPE, terms(7, 13, None, n=3))
    assert quote.offers == (("*text:m0", 1232, 0), ("*text:m1", 2288, 0), ("*text:m2", 475, 0))
    assert (quote.price, quote.tax, quote.total) == (2288, 100, 3 * 2388)
    assert sum(item.amount for item in quote.items) == quote.total
    assert [item.label for item in quote.items] == [
        "3 x at most 100 tokens by a model of 13B, after a prompt of 1024 (x2.20)", "Horde tax, 3 x 1.00",
    ]  # fmt: skip


def test_narrowing_the_workers_costs_what_it_does_of_pictures_and_the_tax_is_never_multiplied():
    quote = quote_text(SHAPE, terms(7, slow=True, denied=2))
    assert (quote.price, quote.surcharge, quote.tax) == (1232, 246 + 148, 100)
    assert [item.amount for item in quote.items] == [1232, 246, 148, 100]


def test_any_model_is_of_the_usual_classes_or_of_all_that_the_limit_allows():
    usual = quote_text(SHAPE, terms())
    assert [name for name, _, _ in usual.offers] == [text_token(size) for size in list(TextClass)[:3]]
    assert "any model up to 15B" in usual.items[0].label
    assert len(quote_text(SHAPE, terms(max_kudos=10**9)).offers) == len(TextClass)
    one = quote_text(SHAPE, terms(max_kudos=575))
    assert [name for name, _, _ in one.offers] == ["*texts:3b"]
    assert one.total == 575 == least_total(SHAPE, terms())
    assert quote_text(SHAPE, terms(max_kudos=1)).total == 575, "the caller refuses it"


def test_free_limits():
    assert free_texts(established=False, load=Load(threads=100, queued=0)) == FreeTexts(
        length=256, prompt=1024
    )
    found = [
        free_texts(established=True, load=Load(threads=threads, queued=queued)).length
        for threads, queued in ((0, 0), (10, 100), (0, 10_000), (9, 0))
    ]
    assert found == [512, 472, 256, 512]
    assert free_texts(established=True, load=None) == FreeTexts(length=512, prompt=2048)


LIMITS = FreeTexts(length=50, prompt=2048)


def test_beyond_the_limits_the_longest_text_that_is_affordable_is_named():
    quote = quote_text(SHAPE, terms(7))
    assert check_text_upfront(SHAPE, quote, limits=LIMITS, available=1332) is None
    beyond = check_text_upfront(SHAPE, quote, limits=LIMITS, available=1000)
    assert beyond is not None
    assert (beyond.required, beyond.missing, beyond.largest_length) == (1332, 332, 73)
    poor = check_text_upfront(SHAPE, quote, limits=LIMITS, available=0)
    assert poor is not None
    assert poor.largest_length == 50
    slow = check_text_upfront(SHAPE, quote_text(SHAPE, terms(7, slow=True)), limits=LIMITS, available=0)
    assert slow is not None
    assert slow.largest_length is None


def test_what_is_shortened_is_accepted_afterwards():
    quote = quote_text(SHAPE, terms(7, slow=True))
    shorter = shorten(SHAPE, quote, limits=LIMITS, available=1000)
    assert shorter is not None
    assert shorter.max_length == 73, "longer than the free length, since slow workers may serve"
    assert shorten(SHAPE, quote, limits=LIMITS, available=10_000) is None
    deep = TextShape(max_length=100, prompt_tokens=4096)
    assert shorten(deep, quote_text(deep, terms(7)), limits=LIMITS, available=0) is None


def test_a_job_that_must_be_in_hand_is_offered_to_what_it_can_pay():
    quote = quote_text(SHAPE, terms(slow=True))
    within = text_within_reach(SHAPE, quote, limits=LIMITS, available=1000)
    assert [name for name, _, _ in within.offers] == ["*texts:3b"]
    named = quote_text(SHAPE, terms(13, slow=True))
    assert text_within_reach(SHAPE, named, limits=LIMITS, available=0) == named
