"""The upfront rule: beyond a size and a number of steps, a job's whole quote must be in hand.

Pure. Within the free limits nothing is required, whoever asks; the floor covers what the balance cannot.
Look next: `app.ledger.price_book.FreeLimits` for the limits, `app.jobs.decider` for the rejection.
"""

from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from app.ledger.price_book import FreeLimits, ImageShape, PriceBook
from app.ledger.quote import ImageQuote
from app.ledger.work import accurate_steps

_GRID = 64


class LargestJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job like the rejected one, only smaller, that would be accepted."""

    width: int
    height: int
    steps: int
    n: int


class Upfront(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was rejected: it is beyond the free limits and not affordable. Kudos in hundredths."""

    #: what may be asked for without kudos in hand: pixels, and accurate steps
    limit_pixels: int
    limit_steps: int
    #: the whole quote, what is available, and the difference
    required: int
    available: int
    missing: int
    #: None where only another sampler would do
    largest: LargestJob | None


def check_upfront(
    params: ImageShape, quote: ImageQuote, *, registered: bool, available: int, book: PriceBook
) -> Upfront | None:
    """None if the job may be submitted, else what is missing and the largest job of its shape that may.

    Args:
        params: the job.
        quote: made of `params` with `book`.
        registered: whether the requester has an account of their own.
        available: hundredths not held for other jobs; negative for the anonymous user.
        book: where the limits stand.
    """
    search = _Search(params, quote, book.free_limits(registered=registered), available, book)
    if search.accepted(params.width, params.height, params.steps):
        return None
    return Upfront(
        limit_pixels=search.limits.pixels,
        limit_steps=search.limits.steps,
        required=quote.total,
        available=available,
        missing=quote.total - available,
        largest=search.largest(),
    )


class _Search(msgspec.Struct, frozen=True):
    """One requester's limits applied to variations of one job."""

    params: ImageShape
    quote: ImageQuote
    limits: FreeLimits
    available: int
    book: PriceBook

    def free(self, width: int, height: int, steps: int) -> bool:
        counted = accurate_steps(steps, self.params.sampler)
        return width * height <= self.limits.pixels and counted <= self.limits.steps

    def total(self, width: int, height: int, steps: int) -> int:
        counted = accurate_steps(steps, self.params.sampler)
        price = self.book.price(width, height, counted, self.params.post_processing)
        return self.quote.n * (price + self.quote.tax)

    def accepted(self, width: int, height: int, steps: int) -> bool:
        return self.free(width, height, steps) or self.total(width, height, steps) <= self.available

    def largest(self) -> LargestJob | None:
        """Smaller sizes first, as far down as the free limit on pixels; there, fewer steps."""
        steps = self.params.steps
        width, height = self.params.width, self.params.height
        for width, height in _smaller_sizes(self.params.width, self.params.height):
            if self.accepted(width, height, steps):
                return self._job(width, height, steps)
            if width * height <= self.limits.pixels:
                break
        return self._with_fewer_steps(width, height)

    def _with_fewer_steps(self, width: int, height: int) -> LargestJob | None:
        # The fewer steps, the sooner a job is accepted: count how many of 1, 2, 3, … are.
        choices = range(1, self.params.steps + 1)
        steps = bisect_right(choices, 0, key=lambda steps: not self.accepted(width, height, steps))
        return self._job(width, height, steps) if steps else None

    def _job(self, width: int, height: int, steps: int) -> LargestJob:
        return LargestJob(width=width, height=height, steps=steps, n=self.quote.n)


def _smaller_sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The size and ever smaller ones: sides multiples of 64, the aspect ratio as near as these allow."""
    long, short = max(width, height), min(width, height)
    for side in range(long, 0, -_GRID):
        other = max(_GRID, (2 * side * short + long * _GRID) // (2 * long * _GRID) * _GRID)
        yield (side, other) if width >= height else (other, side)
