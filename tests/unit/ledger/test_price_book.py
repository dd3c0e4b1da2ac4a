"""What one generation costs: the anchors, and the laws that every version keeps."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import (
    UPSCALERS,
    ControlType,
    ImageParams,
    Lora,
    PostProcessor,
    TextualInversion,
    Workflow,
)
from app.ledger.families import Family
from app.ledger.price_book import PRICE_BOOKS, WorkerChoice
from app.ledger.work import accurate_steps, uses_lcm
from events.jobs import SourceProcessing

sides = st.integers(1, 48).map(lambda tiles: tiles * 64)
FACES, UPSCALER = PostProcessor.GFPGAN, PostProcessor.REALESRGAN_X4PLUS


@pytest.mark.parametrize("version", PRICE_BOOKS)
@pytest.mark.parametrize(
    ("side", "steps", "hundredths"),
    [(512, 30, 650), (512, 50, 1083), (768, 30, 1545), (1024, 30, 3604), (1024, 50, 6006), (64, 1, 12)],
)
def test_every_book_agrees_with_the_published_prices(version: int, side: int, steps: int, hundredths: int):
    assert PRICE_BOOKS[version].base_price(side, side, steps) == hundredths


@given(sides, sides, st.integers(1, 1000))
def test_the_decimal_price_is_the_formula_to_the_nearest_hundredth(width: int, height: int, steps: int):
    ratio = (width * height - 4096) ** 1.75 / (1048576 - 4096) ** 1.75
    formula = 100 * (0.1232 * steps + ratio * 0.1232 * steps * 8.75)
    assert abs(PRICE_BOOKS[1].base_price(width, height, steps) - formula) <= 0.5 + 1e-6
    assert PRICE_BOOKS[2].base_price(width, height, steps) == PRICE_BOOKS[1].base_price(width, height, steps)


@pytest.mark.parametrize(
    ("params", "base", "added"),
    [
        (ImageParams(post_processing=(FACES,)), 650, [("post-processing GFPGAN x1.2", 130)]),
        # Rounded after each, half up: 217.0 and 260.0; 2.4 and 2.8.
        (
            ImageParams(post_processing=(FACES, UPSCALER)),
            1083,
            [("post-processing GFPGAN x1.2", 217), ("post-processing RealESRGAN_x4plus x1.2", 260)],
        ),
        (
            ImageParams(post_processing=(FACES, UPSCALER)),
            12,
            [("post-processing GFPGAN x1.2", 2), ("post-processing RealESRGAN_x4plus x1.2", 3)],
        ),
        (ImageParams(control_type=ControlType.CANNY), 433, [("ControlNet canny x3", 866)]),
        (ImageParams(control_type=ControlType.CANNY, return_control_map=True), 433, []),
        (ImageParams(loras=(Lora(name="a"),)), 650, [("1 LoRA", 300)]),
        (ImageParams(loras=(Lora(name="a"), Lora(name="b"))), 650, [("2 LoRAs", 600)]),
        (
            ImageParams(tis=(TextualInversion(name="a"), TextualInversion(name="b"))),
            650,
            [("textual inversion", 100)],
        ),
        # LoRAs are not multiplied by what a ControlNet costs.
        (
            ImageParams(post_processing=(FACES,), control_type=ControlType.SEG, loras=(Lora(name="a"),)),
            650,
            [("post-processing GFPGAN x1.2", 130), ("ControlNet seg x3", 1560), ("1 LoRA", 300)],
        ),
    ],
)
def test_work_beside_drawing_is_added(params: ImageParams, base: int, added: list[tuple[str, int]]):
    assert list(PRICE_BOOKS[2].additions(params, base)) == added


@pytest.mark.parametrize(
    ("family", "params", "multiplier"),
    [
        (Family.PLAIN, ImageParams(), 1),
        (Family.PLAIN, ImageParams(workflow=Workflow.QR_CODE), 1),
        (Family.PLAIN, ImageParams(hires_fix=True), 1),
        (Family.SDXL, ImageParams(), 2),
        (Family.SDXL, ImageParams(hires_fix=True), 2),
        (Family.SDXL, ImageParams(workflow=Workflow.QR_CODE), 4),
        (Family.CASCADE, ImageParams(), 4),
        (Family.CASCADE, ImageParams(hires_fix=True), 7),
        (Family.FLUX, ImageParams(), 8),
        (Family.QWEN, ImageParams(), 12),
    ],
)
def test_large_models_multiply_the_price(family: Family, params: ImageParams, multiplier: int):
    assert PRICE_BOOKS[2].multiplier(family, params) == multiplier
    assert PRICE_BOOKS[1].multiplier(family, params) == 1


@pytest.mark.parametrize(
    ("params", "choice", "burnt"),
    [
        (ImageParams(), WorkerChoice(), []),
        (
            ImageParams(source_processing=SourceProcessing.IMG2IMG),
            WorkerChoice(),
            [("source image x1.3", 195)],
        ),
        # Those that enlarge cost a surcharge, the others do not.
        (
            ImageParams(post_processing=(FACES, UPSCALER)),
            WorkerChoice(),
            [("surcharge for RealESRGAN_x4plus x1.05", 33)],
        ),
        (ImageParams(), WorkerChoice(slow_refused=True), [("slow workers refused x1.2", 130)]),
        (ImageParams(), WorkerChoice(denied=5), [("workers denied x1.1", 65)]),
        # Each on what was reached before: 650, 845, 887.25, 1064.4, 1170.4; rounded each time, half up.
        (
            ImageParams(source_processing=SourceProcessing.REMIX, post_processing=(UPSCALER,)),
            WorkerChoice(slow_refused=True, denied=1),
            [
                ("source image x1.3", 195),
                ("surcharge for RealESRGAN_x4plus x1.05", 42),
                ("slow workers refused x1.2", 177),
                ("workers denied x1.1", 106),
            ],
        ),
    ],
)
def test_what_the_requester_pays_besides(
    params: ImageParams, choice: WorkerChoice, burnt: list[tuple[str, int]]
):
    assert list(PRICE_BOOKS[2].surcharges(params, choice, 650)) == burnt
    assert list(PRICE_BOOKS[1].surcharges(params, choice, 650)) == []


def test_the_surcharge_for_enlarging_knows_every_upscaler_by_its_wire_name():
    assert set(PRICE_BOOKS[2].post_processor_surcharges) == {name.value for name in UPSCALERS}


def test_the_tax_is_less_for_what_is_shared():
    for book in PRICE_BOOKS.values():
        assert (book.tax_on(shared=False), book.tax_on(shared=True)) == (300, 100)


@given(sides, sides, sides, st.integers(1, 500), st.integers(1, 500))
def test_more_pixels_or_more_steps_never_cost_less(a: int, b: int, height: int, steps: int, more: int):
    book = PRICE_BOOKS[2]
    assert book.base_price(min(a, b), height, min(steps, more)) <= book.base_price(
        max(a, b), height, max(steps, more)
    )


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


@pytest.mark.parametrize(
    ("sampler", "loras", "lcm"),
    [
        ("lcm", (), True),
        ("k_euler", (), False),
        ("k_euler", (Lora(name="195519"),), True),
        ("k_euler", (Lora(name="another"), Lora(name="246747", is_version=True)), True),
        # A LoRA's id is not a version's, nor the other way round.
        ("k_euler", (Lora(name="195519", is_version=True),), False),
        ("k_euler", (Lora(name="246747"),), False),
    ],
)
def test_latent_consistency_is_known_by_its_sampler_or_lora(sampler: str, loras: tuple[Lora, ...], lcm: bool):
    assert uses_lcm(sampler, loras) is lcm


def test_the_constants_of_every_version_stay_what_they_were():
    # A line here is never edited: a changed price is a new version of the book.
    assert {
        version: (book.tax, book.tax_shared, book.step, book.base_price(832, 1216, 44))
        for version, book in PRICE_BOOKS.items()
    } == {1: (300, 100, Decimal("0.1232"), 4996), 2: (300, 100, Decimal("0.1232"), 4996)}
