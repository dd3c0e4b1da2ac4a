"""Who must have a job's whole quote in hand, what is offered instead, and what a job is made into."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.jobs.image_params import ControlType, ImageParams, Lora, PostProcessor, Sampler
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.quote import ImageQuote, ModelChoice, quote_image
from app.ledger.upfront import (
    FreeLimits,
    LargestJob,
    Load,
    Smaller,
    Upfront,
    check_upfront,
    downgrade,
    free_limits,
    side_by_load,
    within_reach,
)

SD = ModelChoice("Deliberate", "stable diffusion 1")
SD2 = ModelChoice("Stable Diffusion 2", "stable diffusion 2")
SDXL = ModelChoice("AlbedoBase XL", "stable_diffusion_xl")
TURBO = ModelChoice("Turbo", "stable_diffusion_xl", max_steps=8)
PATIENT, IMPATIENT = WorkerChoice(), WorkerChoice(slow_refused=True)

sides = st.integers(1, 48).map(lambda tiles: tiles * 64)
images = st.builds(
    ImageParams,
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    sampler=st.sampled_from([name for name in Sampler if name is not Sampler.K_DPM_ADAPTIVE]),
    post_processing=st.sampled_from([(), (PostProcessor.GFPGAN,)]),
    control_type=st.sampled_from([None, ControlType.CANNY]),
)
loads = st.none() | st.builds(Load, threads=st.integers(0, 200), queued=st.integers(0, 3000))
models = st.sampled_from([(), (SD,), (SD2,), (SDXL,), (TURBO,), (SD, SDXL)])


def quoted(
    params: ImageParams,
    *named: ModelChoice,
    n: int = 1,
    choice: WorkerChoice = PATIENT,
    max_kudos: int | None = None,
) -> ImageQuote:
    return quote_image(
        params, n=n, shared=False, models=named, choice=choice, max_kudos=max_kudos, book=CURRENT
    )


def check(
    params: ImageParams,
    *named: ModelChoice,
    n: int = 1,
    established: bool = True,
    available: int = 0,
    choice: WorkerChoice = PATIENT,
    load: Load | None = None,
) -> Upfront | None:
    quote = quoted(params, *named, n=n, choice=choice)
    limits = free_limits(params, named, established=established, load=load)
    return check_upfront(params, quote, limits=limits, available=available)


def rejected(*arguments: object, **fields: object) -> Upfront:
    found = check(*arguments, **fields)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("threads", "queued", "side"),
    [
        (0, 0, 1024),
        (50, 0, 1024),
        (0, 100, 934),
        # 0.9 x 5 is 4.5: half up.
        (0, 5, 1019),
        (0, 497, 577),
        (0, 498, 576),
        (0, 100_000, 576),
        (10, 200, 944),
        (100, 1200, 944),
        (100, 1100, 1024),
    ],
)
def test_the_free_size_shrinks_with_what_waits_and_grows_with_the_workers(
    threads: int, queued: int, side: int
):
    assert side_by_load(Load(threads=threads, queued=queued)) == side


@pytest.mark.parametrize(
    ("params", "named", "established", "load", "side", "steps"),
    [
        (ImageParams(), (), True, None, 768, 50),
        (ImageParams(), (), False, None, 576, 40),
        (ImageParams(), (), True, Load(threads=0, queued=0), 1024, 50),
        (ImageParams(), (), True, Load(threads=0, queued=1000), 576, 50),
        # Nobody's free size but that of an established account moves with the load.
        (ImageParams(), (), False, Load(threads=100, queued=0), 576, 40),
        (ImageParams(), (), False, Load(threads=0, queued=1000), 576, 40),
        # The least size that the models named draw well, whoever asks and whatever waits.
        (ImageParams(), (SD2,), False, Load(threads=0, queued=1000), 768, 40),
        (ImageParams(), (SDXL,), False, None, 1024, 40),
        (ImageParams(), (SDXL,), True, Load(threads=0, queued=1000), 1024, 50),
        (ImageParams(), (SD, SDXL), True, Load(threads=0, queued=1000), 576, 50),
        (ImageParams(), (SD, SDXL), False, None, 576, 40),
        # Steps: what the models are made for, a ControlNet, a latent consistency model.
        (ImageParams(), (TURBO,), True, None, 1024, 8),
        (ImageParams(), (TURBO, SD), True, None, 768, 8),
        (ImageParams(), (ModelChoice("Slow", "", max_steps=150),), True, None, 768, 50),
        (ImageParams(control_type=ControlType.DEPTH), (SD,), True, None, 768, 20),
        (ImageParams(sampler=Sampler.LCM), (SD,), True, None, 768, 10),
        (ImageParams(loras=(Lora(name="246747", is_version=True),)), (SD,), False, None, 576, 10),
    ],
)
def test_what_is_free(
    params: ImageParams,
    named: tuple[ModelChoice, ...],
    established: bool,
    load: Load | None,
    side: int,
    steps: int,
):
    limits = free_limits(params, named, established=established, load=load)
    assert limits == FreeLimits(pixels=side * side, steps=steps)


def test_an_established_account_may_ask_for_more_than_an_anonymous_one_without_kudos():
    params = ImageParams(width=768, height=768, steps=50)
    assert check(params) is None
    assert check(params, established=False, available=-5000) == Upfront(
        limit_pixels=331_776,
        limit_steps=40,
        required=2875,
        available=-5000,
        missing=7875,
        largest=LargestJob(width=576, height=576, steps=40, n=1),
    )


def test_the_free_limits_are_inclusive():
    assert check(ImageParams(width=576, height=576, steps=40), established=False, available=-5000) is None
    assert check(ImageParams(steps=41), established=False, available=-5000) is not None
    assert check(ImageParams(width=1024, height=576)) is None
    assert check(ImageParams(width=1024, height=640)) is not None
    assert check(ImageParams(steps=51)) is not None


def test_second_order_samplers_reach_the_limit_with_half_the_steps():
    assert check(ImageParams(steps=25, sampler=Sampler.K_HEUN)) is None
    found = rejected(ImageParams(steps=26, sampler=Sampler.K_HEUN))
    assert found.largest == LargestJob(width=512, height=512, steps=25, n=1)


def test_beyond_the_limits_the_whole_quote_must_be_available():
    params = ImageParams(width=1024, height=1024)
    assert check(params, n=2, available=2 * (3604 + 300)) is None
    found = rejected(params, n=2, available=2 * (3604 + 300) - 1)
    assert (found.required, found.missing) == (7808, 1)


def test_with_several_models_it_is_the_dearest_that_must_be_available():
    params = ImageParams(width=1024, height=1024, steps=50)
    assert check(params, SD, SDXL, available=2 * 6006 + 300) is None
    assert rejected(params, SD, SDXL, available=2 * 6006 + 299).required == 2 * 6006 + 300


def test_who_refuses_slow_workers_has_the_whole_quote_in_hand_however_small_the_job():
    params = ImageParams(width=64, height=64, steps=1)
    assert check(params, choice=IMPATIENT, available=12 + 2 + 300) is None
    found = rejected(params, choice=IMPATIENT, available=313)
    assert (found.required, found.missing, found.largest) == (314, 1, None)
    # The hint is a job that still refuses them.
    found = rejected(ImageParams(width=1024, height=1024), choice=IMPATIENT, available=1500)
    assert found.largest == LargestJob(width=640, height=640, steps=30, n=1)
    # Denying some workers costs, but needs nothing in hand.
    assert check(params, choice=WorkerChoice(denied=5)) is None


def test_size_is_reduced_before_steps():
    found = rejected(ImageParams(width=1024, height=1024, steps=60), available=4500)
    assert found.largest == LargestJob(width=832, height=832, steps=60, n=1)


def test_steps_are_reduced_once_the_size_is_free():
    found = rejected(ImageParams(width=1536, height=1024, steps=200), available=1000)
    assert found.largest == LargestJob(width=896, height=576, steps=50, n=1)


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        # The ratio would be 1152x288.
        ((2048, 512), (1152, 512)),
        ((3072, 640), (1152, 512)),
        ((1024, 3072), (512, 1152)),
        # Less than 512 was asked for: that side stays as it is.
        ((3072, 256), (2304, 256)),
        ((64, 3072), (64, 3072)),
    ],
)
def test_no_side_is_made_smaller_than_512(asked: tuple[int, int], offered: tuple[int, int]):
    params = ImageParams(width=asked[0], height=asked[1], steps=51)
    largest = rejected(params).largest
    assert largest == LargestJob(width=offered[0], height=offered[1], steps=50, n=1)


def test_only_another_sampler_helps_where_a_sampler_has_fixed_steps():
    params = ImageParams(sampler=Sampler.K_DPM_ADAPTIVE)
    assert rejected(params, established=False, available=-5000).largest is None
    limits = free_limits(params, (), established=False, load=None)
    assert downgrade(params, quoted(params), limits=limits, available=-5000) is None


@given(
    params=images,
    n=st.integers(1, 20),
    named=models,
    established=st.booleans(),
    available=st.integers(-5000, 200_000),
    load=loads,
)
def test_what_is_offered_instead_is_accepted_and_no_larger(
    params: ImageParams,
    n: int,
    named: tuple[ModelChoice, ...],
    established: bool,
    available: int,
    load: Load | None,
):
    found = check(params, *named, n=n, established=established, available=available, load=load)
    if found is None:
        return
    offer = found.largest
    assert offer is not None
    assert found.missing == found.required - available > 0
    assert (offer.width % 64, offer.height % 64, offer.n) == (0, 0, n)
    assert offer.width <= params.width
    assert offer.height <= params.height
    assert (offer.width, offer.height, offer.steps) != (params.width, params.height, params.steps)
    assert offer.width >= min(512, params.width)
    assert offer.height >= min(512, params.height)
    # The ratio of the sides is kept to within half a step of the grid, unless one side cannot be smaller.
    least = min(512, params.width, params.height)
    assert abs(offer.width * params.height - offer.height * params.width) <= 32 * max(
        params.width, params.height
    ) or least in {offer.width, offer.height}
    smaller = msgspec.structs.replace(params, width=offer.width, height=offer.height, steps=offer.steps)
    assert check(smaller, *named, n=n, established=established, available=available, load=load) is None


@pytest.mark.parametrize(
    ("params", "choice", "available", "smaller"),
    [
        # Accepted as it is: within the limits, or in hand.
        (ImageParams(), PATIENT, 0, None),
        (ImageParams(width=1024, height=1024), PATIENT, 3904, None),
        (ImageParams(), IMPATIENT, 650 + 130 + 300, None),
        # Slow workers are put up with first, at the size that was asked for.
        (ImageParams(), IMPATIENT, 1000, (512, 512, 30)),
        (ImageParams(width=1024, height=1024), IMPATIENT, 4000, (1024, 1024, 30)),
        # Then the size comes down, as far as the kudos or the free limits need.
        (ImageParams(width=1024, height=1024), PATIENT, 3000, (896, 896, 30)),
        (ImageParams(width=1024, height=1024), IMPATIENT, 0, (768, 768, 30)),
        # Then the steps.
        (ImageParams(width=1024, height=1024, steps=80), PATIENT, 0, (768, 768, 50)),
        (ImageParams(width=1024, height=1024, steps=80, sampler=Sampler.K_HEUN), PATIENT, 0, (768, 768, 25)),
        (ImageParams(control_type=ControlType.CANNY), PATIENT, 0, (512, 512, 20)),
        (ImageParams(sampler=Sampler.LCM), PATIENT, 0, (512, 512, 10)),
    ],
)
def test_a_job_is_made_smaller_only_if_it_must(
    params: ImageParams, choice: WorkerChoice, available: int, smaller: tuple[int, int, int] | None
):
    limits = free_limits(params, (), established=True, load=None)
    found = downgrade(params, quoted(params, choice=choice), limits=limits, available=available)
    expected = smaller and Smaller(width=smaller[0], height=smaller[1], steps=smaller[2], slow_refused=False)
    assert found == expected


@given(
    params=images,
    named=models,
    choice=st.sampled_from([PATIENT, IMPATIENT, WorkerChoice(slow_refused=True, denied=2)]),
    established=st.booleans(),
    available=st.integers(-5000, 50_000),
    load=loads,
)
def test_a_job_made_smaller_is_accepted(
    params: ImageParams,
    named: tuple[ModelChoice, ...],
    choice: WorkerChoice,
    established: bool,
    available: int,
    load: Load | None,
):
    limits = free_limits(params, named, established=established, load=load)
    made = downgrade(params, quoted(params, *named, choice=choice), limits=limits, available=available)
    assume(made is not None)
    assert made is not None
    smaller = msgspec.structs.replace(params, width=made.width, height=made.height, steps=made.steps)
    assert free_limits(smaller, named, established=established, load=load) == limits
    choice = msgspec.structs.replace(choice, slow_refused=made.slow_refused)
    quote = quoted(smaller, *named, choice=choice)
    assert check_upfront(smaller, quote, limits=limits, available=available) is None
    # Never fewer steps than are free.
    assert quote.total <= available or made.steps in (
        params.steps,
        *range(limits.steps // 2, limits.steps + 1),
    )


def test_families_that_a_job_need_not_have_are_left_out_where_the_kudos_are_short():
    large = ImageParams(width=1024, height=1024)
    limits = free_limits(large, (), established=True, load=None)
    quote = quoted(large, max_kudos=100_000)
    assert len(quote.offers) == 5
    for available, families in ((3903, 1), (3904, 1), (7508, 2), (43_548, 5)):
        reached = within_reach(large, quote, limits=limits, available=available)
        assert len(reached.offers) == families
        # The plain ones are what must be in hand.
        refused = check_upfront(large, quote, limits=limits, available=available)
        assert (refused is not None) == (available < 3904)
    # A small job may have them all: the floor covers what is missing.
    small = quoted(ImageParams(), max_kudos=100_000)
    assert within_reach(ImageParams(), small, limits=limits, available=0) == small
    # Models that were named are not given up.
    named = quoted(large, SDXL, max_kudos=100_000)
    assert within_reach(large, named, limits=limits, available=0) == named
