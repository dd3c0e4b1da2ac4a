"""Who must have a job's whole quote in hand, and what is offered instead."""

from hypothesis import given
from hypothesis import strategies as st

from app.jobs.image_params import ImageParams, PostProcessor, Sampler
from app.ledger.price_book import CURRENT
from app.ledger.quote import quote_image
from app.ledger.upfront import LargestJob, Upfront, check_upfront

sides = st.integers(1, 48).map(lambda tiles: tiles * 64)


def check(params: ImageParams, *, n: int = 1, registered: bool = True, available: int = 0) -> Upfront | None:
    quote = quote_image(params, n=n, shared=False, book=CURRENT)
    return check_upfront(params, quote, registered=registered, available=available, book=CURRENT)


def test_a_registered_user_may_ask_for_more_than_an_anonymous_one_without_kudos():
    params = ImageParams(width=768, height=768, steps=50)
    assert check(params) is None
    assert check(params, registered=False, available=-5000) == Upfront(
        limit_pixels=331_776,
        limit_steps=40,
        required=2875,
        available=-5000,
        missing=7875,
        largest=LargestJob(width=576, height=576, steps=40, n=1),
    )


def test_the_free_limits_are_inclusive():
    assert check(ImageParams(width=576, height=576, steps=40), registered=False, available=-5000) is None
    assert check(ImageParams(steps=41), registered=False, available=-5000) is not None
    assert check(ImageParams(width=1024, height=576)) is None
    assert check(ImageParams(width=1024, height=640)) is not None
    assert check(ImageParams(steps=51)) is not None


def test_second_order_samplers_reach_the_limit_with_half_the_steps():
    assert check(ImageParams(steps=25, sampler=Sampler.K_HEUN)) is None
    rejection = check(ImageParams(steps=26, sampler=Sampler.K_HEUN))
    assert rejection is not None
    assert rejection.largest == LargestJob(width=512, height=512, steps=25, n=1)


def test_beyond_the_limits_the_whole_quote_must_be_available():
    params = ImageParams(width=1024, height=1024)
    assert check(params, n=2, available=2 * (3604 + 300)) is None
    rejection = check(params, n=2, available=2 * (3604 + 300) - 1)
    assert rejection is not None
    assert (rejection.required, rejection.missing) == (7808, 1)


def test_size_is_reduced_before_steps():
    rejection = check(ImageParams(width=1024, height=1024, steps=60), available=4500)
    assert rejection is not None
    assert rejection.largest == LargestJob(width=832, height=832, steps=60, n=1)


def test_steps_are_reduced_once_the_size_is_free():
    rejection = check(ImageParams(width=1536, height=1024, steps=200), available=1000)
    assert rejection is not None
    assert rejection.largest == LargestJob(width=896, height=576, steps=50, n=1)


def test_only_another_sampler_helps_where_a_sampler_has_fixed_steps():
    rejection = check(ImageParams(sampler=Sampler.K_DPM_ADAPTIVE), registered=False, available=-5000)
    assert rejection is not None
    assert rejection.largest is None


@given(
    width=sides,
    height=sides,
    steps=st.integers(1, 500),
    sampler=st.sampled_from([name for name in Sampler if name is not Sampler.K_DPM_ADAPTIVE]),
    post_processing=st.sampled_from([(), (PostProcessor.GFPGAN,)]),
    n=st.integers(1, 20),
    registered=st.booleans(),
    available=st.integers(-5000, 200_000),
)
def test_what_is_offered_instead_is_accepted_and_no_larger(
    width: int,
    height: int,
    steps: int,
    sampler: Sampler,
    post_processing: tuple[PostProcessor, ...],
    n: int,
    registered: bool,
    available: int,
):
    params = ImageParams(
        width=width, height=height, steps=steps, sampler=sampler, post_processing=post_processing
    )
    rejection = check(params, n=n, registered=registered, available=available)
    if rejection is None:
        return
    offer = rejection.largest
    assert offer is not None
    assert rejection.missing == rejection.required - available > 0
    assert (offer.width % 64, offer.height % 64, offer.n) == (0, 0, n)
    assert offer.width <= width
    assert offer.height <= height
    assert (offer.width, offer.height, offer.steps) != (width, height, steps)
    # The ratio of the sides is kept to within half a step of the grid.
    assert abs(offer.width * height - offer.height * width) <= 32 * max(width, height) or 64 in {
        offer.width,
        offer.height,
    }
    smaller = ImageParams(
        width=offer.width,
        height=offer.height,
        steps=offer.steps,
        sampler=sampler,
        post_processing=post_processing,
    )
    assert check(smaller, n=n, registered=registered, available=available) is None
