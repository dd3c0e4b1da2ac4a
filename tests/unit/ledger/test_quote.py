"""Quotes: what they promise for every shape, the offers behind them, and what is written of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import (
    ControlType,
    ImageParams,
    Lora,
    PostProcessor,
    Sampler,
    TextualInversion,
    Workflow,
)
from app.ledger.families import Family
from app.ledger.price_book import CURRENT, PRICE_BOOKS, WorkerChoice
from app.ledger.quote import (
    ImageQuote,
    ModelChoice,
    PriceItem,
    decimal_text,
    least_total,
    quote_image,
    quote_on,
)
from events.jobs import SourceProcessing

SD = ModelChoice("Deliberate", "stable diffusion 1")
SDXL = ModelChoice("AlbedoBase XL", "stable_diffusion_xl")
FLUX = ModelChoice("Flux.1-Schnell fp8", "flux_1")
QWEN = ModelChoice("Qwen-Image", "qwen_image")
ANY_WORKER = WorkerChoice()

sides = st.integers(1, 48).map(lambda tiles: tiles * 64)
images = st.builds(
    ImageParams,
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    sampler=st.sampled_from(Sampler),
    post_processing=st.lists(st.sampled_from(PostProcessor), unique=True, max_size=4).map(tuple),
    hires_fix=st.booleans(),
    source_processing=st.none() | st.sampled_from(SourceProcessing),
    control_type=st.none() | st.sampled_from(ControlType),
    return_control_map=st.booleans(),
    loras=st.integers(0, 5).map(lambda count: (Lora(name="a"),) * count),
    tis=st.integers(0, 3).map(lambda count: (TextualInversion(name="a"),) * count),
    workflow=st.none() | st.just(Workflow.QR_CODE),
    transparent=st.booleans(),
)
choices = st.builds(WorkerChoice, slow_refused=st.booleans(), denied=st.integers(0, 5))
model_lists = st.lists(st.sampled_from([SD, SDXL, FLUX, QWEN]), unique=True, max_size=4).map(tuple)
budgets = st.none() | st.integers(0, 5_000_000)


def quoted(
    params: ImageParams,
    *models: ModelChoice,
    n: int = 1,
    shared: bool = False,
    choice: WorkerChoice = ANY_WORKER,
    max_kudos: int | None = None,
    version: int = CURRENT.version,
) -> ImageQuote:
    return quote_image(
        params,
        n=n,
        shared=shared,
        models=models,
        choice=choice,
        max_kudos=max_kudos,
        book=PRICE_BOOKS[version],
    )


def test_the_items_of_the_first_book_say_what_is_paid_for():
    params = ImageParams(post_processing=(PostProcessor.GFPGAN,))
    assert quoted(params, n=4, shared=True, version=1).items == (
        PriceItem("4 x 512x512, 30 steps", 2600),
        PriceItem("post-processing GFPGAN x1.2", 520),
        PriceItem("Horde tax, 4 x 1.00 (shared)", 400),
    )


def test_the_items_name_work_model_surcharges_and_the_tax_last():
    params = ImageParams(
        post_processing=(PostProcessor.GFPGAN, PostProcessor.NMKD_SIAX),
        loras=(Lora(name="a"),),
        tis=(TextualInversion(name="b"),),
        source_processing=SourceProcessing.IMG2IMG,
    )
    quote = quoted(params, SDXL, n=2, choice=WorkerChoice(slow_refused=True, denied=2))
    assert quote.items == (
        PriceItem("2 x 512x512, 30 steps", 1300),
        PriceItem("post-processing GFPGAN x1.2", 260),
        PriceItem("post-processing NMKD_Siax x1.2", 312),
        PriceItem("1 LoRA", 600),
        PriceItem("textual inversion", 200),
        PriceItem("SDXL model x2", 2672),
        PriceItem("source image x1.3", 1604),
        PriceItem("surcharge for NMKD_Siax x1.05", 348),
        PriceItem("slow workers refused x1.2", 1460),
        PriceItem("workers denied x1.1", 876),
        PriceItem("Horde tax, 2 x 3.00", 600),
    )
    assert (quote.price, quote.surcharge, quote.tax, quote.total) == (2672, 2144, 300, 10232)


def test_steps_that_count_otherwise_are_explained():
    assert quoted(ImageParams(steps=1, sampler=Sampler.K_HEUN), SD).items == (
        PriceItem("1 x 512x512, 1 step (count as 2 with k_heun)", 43),
        PriceItem("Horde tax, 1 x 3.00", 300),
    )


def test_each_model_has_its_offer_and_the_dearest_is_the_quote():
    quote = quoted(ImageParams(), FLUX, SD, SDXL, choice=WorkerChoice(slow_refused=True), n=3)
    assert quote.offers == (
        ("Flux.1-Schnell fp8", 5200, 1040),
        ("Deliberate", 650, 130),
        ("AlbedoBase XL", 1300, 260),
    )
    assert (quote.price, quote.surcharge, quote.total) == (5200, 1040, 3 * 6540)
    # What they may cost together says nothing about models that were named.
    assert quoted(ImageParams(), FLUX, SD, max_kudos=0).offers == (
        ("Flux.1-Schnell fp8", 5200, 0),
        ("Deliberate", 650, 0),
    )


@pytest.mark.parametrize(
    ("max_kudos", "families"),
    [
        (None, ["*plain"]),
        # Nothing is refused here: that it is more than it may be is the caller's to see.
        (0, ["*plain"]),
        (1599, ["*plain"]),
        (1600, ["*plain", "*sdxl"]),
        (2900, ["*plain", "*sdxl", "*cascade"]),
        (5500, ["*plain", "*sdxl", "*cascade", "*flux"]),
        (8099, ["*plain", "*sdxl", "*cascade", "*flux"]),
        (8100, ["*plain", "*sdxl", "*cascade", "*flux", "*qwen"]),
    ],
)
def test_a_job_that_names_no_model_has_plain_ones_unless_it_may_cost_more(
    max_kudos: int | None, families: list[str]
):
    quote = quoted(ImageParams(), max_kudos=max_kudos)
    assert [name for name, _, _ in quote.offers] == families
    assert (
        quote.total
        == {"*plain": 950, "*sdxl": 1600, "*cascade": 2900, "*flux": 5500, "*qwen": 8100}[families[-1]]
    )
    # Twice as many pictures are twice as dear: it is the whole quote that counts.
    if max_kudos is not None:
        assert [name for name, _, _ in quoted(ImageParams(), n=2, max_kudos=2 * max_kudos).offers] == families


@pytest.mark.parametrize(
    ("params", "families"),
    [
        (ImageParams(), ["*plain", "*sdxl", "*cascade", "*flux", "*qwen"]),
        (ImageParams(hires_fix=True), ["*plain", "*sdxl"]),
        (ImageParams(control_type=ControlType.HED), ["*plain"]),
        (ImageParams(workflow=Workflow.QR_CODE), ["*plain"]),
        (ImageParams(transparent=True), ["*plain"]),
        (
            ImageParams(source_processing=SourceProcessing.INPAINTING, hires_fix=True),
            ["*plain:inpainting", "*sdxl:inpainting"],
        ),
        (
            ImageParams(source_processing=SourceProcessing.OUTPAINTING, hires_fix=True),
            ["*plain:inpainting", "*sdxl:inpainting"],
        ),
        (
            ImageParams(source_processing=SourceProcessing.IMG2IMG),
            ["*plain", "*sdxl", "*cascade", "*flux", "*qwen"],
        ),
    ],
)
def test_any_model_means_any_that_can_draw_it(params: ImageParams, families: list[str]):
    assert [name for name, _, _ in quoted(params, max_kudos=10_000_000).offers] == families


@given(images, model_lists, choices, st.integers(1, 20), st.booleans(), budgets)
def test_items_sum_offers_are_within_the_quote_and_large_jobs_cost_more(
    params: ImageParams,
    models: tuple[ModelChoice, ...],
    choice: WorkerChoice,
    n: int,
    shared: bool,
    max_kudos: int | None,
):
    quote = quoted(params, *models, n=n, shared=shared, choice=choice, max_kudos=max_kudos)
    assert sum(item.amount for item in quote.items) == quote.total
    assert quote.total == n * (quote.price + quote.surcharge + quote.tax)
    assert (max(price for _, price, _ in quote.offers)) == quote.price
    assert all(n * (price + burnt + quote.tax) <= quote.total for _, price, burnt in quote.offers)
    assert all(price > 0 and burnt >= 0 for _, price, burnt in quote.offers)
    if models:
        assert [name for name, _, _ in quote.offers] == [model.name for model in models]
    # Without families that it need not have, it costs no more, and nothing where nothing else was offered.
    least = least_total(params, quote.terms, width=params.width, height=params.height, steps=params.steps)
    assert (
        least == quote_on(params, msgspec.structs.replace(quote.terms, max_kudos=None)).total <= quote.total
    )
    larger = msgspec.structs.replace(params, width=params.width + 64, steps=params.steps + 1)
    terms = msgspec.structs.replace(quote.terms, max_kudos=None)
    assert least <= quote_on(larger, terms).total


@given(images, model_lists, choices)
def test_the_tax_is_flat_whatever_is_multiplied(
    params: ImageParams, models: tuple[ModelChoice, ...], choice: WorkerChoice
):
    private = quoted(params, *models, n=7, choice=choice)
    shared = quoted(params, *models, n=7, shared=True, choice=choice)
    assert (private.tax, shared.tax) == (300, 100)
    assert private.total - shared.total == 7 * 200
    assert private.items[-1].amount == 7 * 300
    assert (private.offers, private.price, private.surcharge) == (
        shared.offers,
        shared.price,
        shared.surcharge,
    )


def test_every_family_costs_more_than_the_ones_before_it():
    offers = quoted(ImageParams(), max_kudos=10_000_000).offers
    assert len(offers) == len(Family)
    assert [price for _, price, _ in offers] == sorted({price for _, price, _ in offers})


@pytest.mark.parametrize(("amount", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-5000, "-50.00")])
def test_hundredths_are_written_with_two_places(amount: int, text: str):
    assert decimal_text(amount) == text
