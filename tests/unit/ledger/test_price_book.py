"""What one generation costs: the anchors, and the laws that every version keeps."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import ImageParams, PostProcessor, Sampler
from app.ledger.price_book import CURRENT, PRICE_BOOKS
from app.ledger.quote import PriceItem, decimal_text, quote_image
from app.ledger.work import accurate_steps

sides = st.integers(1, 48).map(lambda tiles: tiles * 64)
post_processing = st.lists(st.sampled_from(PostProcessor), unique=True, max_size=4).map(tuple)
images = st.builds(
    ImageParams,
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    sampler=st.sampled_from(Sampler),
    post_processing=post_processing,
)


@pytest.mark.parametrize(
    ("side", "steps", "hundredths"),
    [(512, 30, 650), (512, 50, 1083), (768, 30, 1545), (1024, 30, 3604), (1024, 50, 6006), (64, 1, 12)],
)
def test_the_first_book_agrees_with_the_published_prices(side: int, steps: int, hundredths: int):
    assert PRICE_BOOKS[1].base_price(side, side, steps) == hundredths


def test_a_post_processor_makes_a_generation_a_fifth_dearer():
    assert PRICE_BOOKS[1].price(512, 512, 30, ("GFPGAN",)) == 780
    assert PRICE_BOOKS[1].price(512, 512, 30, ("GFPGAN", "CodeFormers")) == 936


def test_the_price_is_rounded_to_the_nearest_hundredth_after_each_post_processor():
    assert list(PRICE_BOOKS[1].surcharges(1083, ("GFPGAN", "CodeFormers"))) == [
        ("GFPGAN", 217),
        ("CodeFormers", 260),
    ]
    assert list(PRICE_BOOKS[1].surcharges(12, ("GFPGAN",) * 2)) == [("GFPGAN", 2), ("GFPGAN", 3)]


@given(sides, sides, st.integers(1, 1000))
def test_the_decimal_price_is_the_formula_to_the_nearest_hundredth(width: int, height: int, steps: int):
    ratio = (width * height - 4096) ** 1.75 / (1048576 - 4096) ** 1.75
    formula = 100 * (0.1232 * steps + ratio * 0.1232 * steps * 8.75)
    assert abs(PRICE_BOOKS[1].base_price(width, height, steps) - formula) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        ("k_euler", 30),
        ("k_heun", 60),
        ("k_dpm_2", 60),
        ("k_dpm_2_a", 60),
        ("k_dpmpp_2s_a", 60),
        ("k_dpmpp_sde", 60),
        ("k_dpm_adaptive", 50),
        ("DDIM", 30),
        ("lcm", 30),
    ],
)
def test_samplers_are_counted_in_evaluations_of_the_model(sampler: str, steps: int):
    assert accurate_steps(30, sampler) == steps


def test_quotes_of_every_version_stay_what_they_were():
    # A line here is never edited: a changed price is a new version of the book.
    assert {
        version: (book.tax, book.tax_shared, book.step, book.price(832, 1216, 44, ("GFPGAN", "NMKD_Siax")))
        for version, book in PRICE_BOOKS.items()
    } == {1: (300, 100, Decimal("0.1232"), 7194)}


def test_the_items_say_what_is_paid_for():
    params = ImageParams(post_processing=(PostProcessor.GFPGAN,))
    assert quote_image(params, n=4, shared=True, book=PRICE_BOOKS[1]).items == (
        PriceItem("4 x 512x512, 30 steps", 2600),
        PriceItem("post-processing GFPGAN x1.2", 520),
        PriceItem("Horde tax, 4 x 1.00 (shared)", 400),
    )


def test_steps_that_count_otherwise_are_explained():
    params = ImageParams(steps=1, sampler=Sampler.K_HEUN)
    quote = quote_image(params, n=1, shared=False, book=PRICE_BOOKS[1])
    assert quote.items == (
        PriceItem("1 x 512x512, 1 step (count as 2 with k_heun)", 43),
        PriceItem("Horde tax, 1 x 3.00", 300),
    )


@given(images, st.integers(1, 20), st.booleans())
def test_the_items_of_a_quote_sum_to_its_total(params: ImageParams, n: int, shared: bool):
    quote = quote_image(params, n=n, shared=shared, book=CURRENT)
    assert sum(item.amount for item in quote.items) == quote.total == n * (quote.price + quote.tax)
    assert quote.price == CURRENT.price(
        params.width, params.height, accurate_steps(params.steps, params.sampler), params.post_processing
    )


@given(images, st.integers(1, 20))
def test_the_tax_is_flat_and_sharing_lowers_only_it(params: ImageParams, n: int):
    private = quote_image(params, n=n, shared=False, book=CURRENT)
    shared = quote_image(params, n=n, shared=True, book=CURRENT)
    assert (private.price, private.tax, shared.tax) == (shared.price, 300, 100)
    assert private.total - shared.total == 200 * n


@given(images, sides, st.integers(1, 500))
def test_more_pixels_or_more_steps_never_cost_less(params: ImageParams, width: int, steps: int):
    low, high = sorted((width, params.width))
    few, many = sorted((steps, params.steps))
    assert CURRENT.base_price(low, params.height, few) <= CURRENT.base_price(high, params.height, many)


@pytest.mark.parametrize(("amount", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-5000, "-50.00")])
def test_hundredths_are_written_with_two_places(amount: int, text: str):
    assert decimal_text(amount) == text
