"""The upfront rule: beyond a size and a number of steps, a job's whole quote must be in hand.

Pure. Within the free limits nothing is required, whoever asks; the floor covers what the balance cannot. How large a
free job may be depends on who asks, on the models, and on how much waits for how many workers. A job that is beyond
may be made smaller instead of refused, if its client allows that. Look next: `app.ledger.standing` for who counts as
established, `app.jobs.decider` for the rejection, `docs/kudos.md` for the limits in a table.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from app.ledger.families import native_side
from app.ledger.price_book import ImageShape
from app.ledger.quote import ImageQuote, ModelChoice, least_total, quote_on
from app.ledger.work import accurate_steps, uses_lcm

_GRID: Final = 64
#: a side is never offered smaller than this, unless less was asked for
_LEAST_SIDE: Final = 512

#: sides in pixels of the squares up to which a job is free: where little is known of the load, and by the load
FREE_SIDE: Final = 576
ESTABLISHED_SIDE: Final = 768
MAX_SIDE: Final = 1024
SIDE_PER_THREAD: Final = 10
SIDE_PER_TEN_QUEUED: Final = 9
#: accurate steps up to which a job is free
FREE_STEPS: Final = 40
ESTABLISHED_STEPS: Final = 50
CONTROL_STEPS: Final = 20
LCM_STEPS: Final = 10


class FreeLimits(msgspec.Struct, frozen=True):
    """How large a job may be without the kudos for it in hand."""

    #: width x height
    pixels: int
    #: accurate steps
    steps: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the cluster is, a few seconds old at most."""

    #: how many pictures the image workers that are online draw at a time
    threads: int
    #: generations that wait or are drawn
    queued: int


class LargestJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job like the rejected one, only smaller, that would be accepted."""

    width: int
    height: int
    steps: int
    n: int


class Smaller(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a job that is made smaller because the kudos are short."""

    width: int
    height: int
    steps: int
    #: whether slow workers are refused still
    slow_refused: bool


class Upfront(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was rejected: it is beyond the free limits and not affordable. Kudos in hundredths."""

    #: what may be asked for without kudos in hand: pixels, and accurate steps
    limit_pixels: int
    limit_steps: int
    #: the whole quote, what is available, and the difference
    required: int
    available: int
    missing: int
    #: None where only another sampler would do, or nothing is available and slow workers are refused
    largest: LargestJob | None


def free_limits(
    params: ImageShape, models: Sequence[ModelChoice], *, established: bool, load: Load | None
) -> FreeLimits:
    """Up to where a job of this kind needs no kudos in hand.

    Pixels: an established account has the square of 1024 + 10 x threads - 0.9 x queued, at least 576 and at most 1024;
    768 where nothing is known of the load. Any other account has 576, whatever the load. Nobody has less than what all
    the models that the job names are made for: 768 for Stable Diffusion 2, 1024 for the larger ones. Steps: what each
    model that is named is made for, by the model reference, and at most 50, or 40 for an account that is not
    established; 20 with a ControlNet, 10 with a latent consistency model.

    Args:
        params: the job.
        models: those that it names.
        established: by `app.ledger.standing.established`.
        load: None where nothing is known of it.
    """
    native = min((native_side(model.baseline) for model in models), default=0)
    side = max(native, side_by_load(load) if established else FREE_SIDE)
    return FreeLimits(pixels=side * side, steps=_free_steps(params, models, established=established))


def side_by_load(load: Load | None) -> int:
    """The side in pixels of the largest free square for an established account."""
    if load is None:
        return ESTABLISHED_SIDE
    # Whole numbers: 0.9 x queued, rounded half up.
    busy = (SIDE_PER_TEN_QUEUED * load.queued + 5) // 10
    return min(MAX_SIDE, max(FREE_SIDE, MAX_SIDE + SIDE_PER_THREAD * load.threads - busy))


def check_upfront(
    params: ImageShape, quote: ImageQuote, *, limits: FreeLimits, available: int
) -> Upfront | None:
    """None if the job may be submitted, else what is missing and the largest job of its shape that may.

    Args:
        params: the job.
        quote: made of `params`. Families that a job which names no model need not have are left out of account.
        limits: of this job and who asks, by `free_limits`.
        available: hundredths not held for other jobs; negative for the anonymous user.
    """
    search = _Search(params, quote, limits, available)
    if search.accepted(params.width, params.height, params.steps):
        return None
    required = search.total(params.width, params.height, params.steps)
    return Upfront(
        limit_pixels=limits.pixels,
        limit_steps=limits.steps,
        required=required,
        available=available,
        missing=required - available,
        largest=search.largest(),
    )


def within_reach(params: ImageShape, quote: ImageQuote, *, limits: FreeLimits, available: int) -> ImageQuote:
    """The quote of a job that must be in hand, without the families that it need not have and that are too dear.

    A job that names no model is offered to dearer families only as far as its requester can pay for them.
    """
    terms = quote.terms
    if quote.total <= available or terms.max_kudos is None or terms.models:
        return quote
    if _Search(params, quote, limits, available).free(params.width, params.height, params.steps):
        return quote
    return quote_on(params, msgspec.structs.replace(terms, max_kudos=min(terms.max_kudos, available)))


def downgrade(params: ImageShape, quote: ImageQuote, *, limits: FreeLimits, available: int) -> Smaller | None:
    """What a job that would be rejected becomes so that it is accepted; None if it is accepted, or nothing helps.

    Slow workers are no longer refused; if that is not enough, the size comes down, and last the steps. Arguments as in
    `check_upfront`.
    """
    if check_upfront(params, quote, limits=limits, available=available) is None:
        return None
    choice = msgspec.structs.replace(quote.terms.choice, slow_refused=False)
    patient = msgspec.structs.replace(quote, terms=msgspec.structs.replace(quote.terms, choice=choice))
    found = _Search(params, patient, limits, available).largest()
    if found is None:
        return None
    return Smaller(width=found.width, height=found.height, steps=found.steps, slow_refused=False)


def _free_steps(params: ImageShape, models: Sequence[ModelChoice], *, established: bool) -> int:
    limits = [ESTABLISHED_STEPS if established else FREE_STEPS]
    limits += (model.max_steps for model in models if model.max_steps is not None)
    if params.control_type is not None:
        limits.append(CONTROL_STEPS)
    if uses_lcm(params.sampler, params.loras):
        limits.append(LCM_STEPS)
    return min(limits)


class _Search(msgspec.Struct, frozen=True):
    """One requester's limits applied to variations of one job."""

    params: ImageShape
    quote: ImageQuote
    limits: FreeLimits
    available: int

    def free(self, width: int, height: int, steps: int) -> bool:
        if self.quote.terms.choice.slow_refused:
            return False
        counted = accurate_steps(steps, self.params.sampler)
        return width * height <= self.limits.pixels and counted <= self.limits.steps

    def total(self, width: int, height: int, steps: int) -> int:
        return least_total(self.params, self.quote.terms, width=width, height=height, steps=steps)

    def accepted(self, width: int, height: int, steps: int) -> bool:
        return self.free(width, height, steps) or self.total(width, height, steps) <= self.available

    def largest(self) -> LargestJob | None:
        """Smaller sizes first, as far down as the free limit on pixels if there is one; there, fewer steps."""
        steps = self.params.steps
        least = 0 if self.quote.terms.choice.slow_refused else self.limits.pixels
        width, height = self.params.width, self.params.height
        for width, height in _smaller_sizes(self.params.width, self.params.height):
            if self.accepted(width, height, steps):
                return self._job(width, height, steps)
            if width * height <= least:
                break
        return self._with_fewer_steps(width, height)

    def _with_fewer_steps(self, width: int, height: int) -> LargestJob | None:
        # The fewer steps, the sooner a job is accepted: count how many of 1, 2, 3, … are.
        choices = range(1, self.params.steps + 1)
        steps = bisect_right(choices, 0, key=lambda steps: not self.accepted(width, height, steps))
        return self._job(width, height, steps) if steps else None

    def _job(self, width: int, height: int, steps: int) -> LargestJob:
        return LargestJob(width=width, height=height, steps=steps, n=self.quote.terms.n)


def _smaller_sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The size and ever smaller ones: sides multiples of 64, the aspect ratio as near as these and the least side allow."""
    long, short = max(width, height), min(width, height)
    least = min(_LEAST_SIDE, short)
    for side in range(long, min(_LEAST_SIDE, long) - 1, -_GRID):
        other = max(least, (2 * side * short + long * _GRID) // (2 * long * _GRID) * _GRID)
        yield (side, other) if width >= height else (other, side)
