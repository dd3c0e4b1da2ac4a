"""The price books: what one generation costs, by version.

Pure. A quote is made with one version and honoured for ever, so a book is never edited once a job was quoted
with it: a new rule is a new version. The arithmetic is decimal with a fixed precision and square roots only,
because a floating-point power may differ in its last bit between platforms. Look next: `app.ledger.quote`.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Protocol

import msgspec

_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_ONE: Final = Decimal(1)


class ImageShape(Protocol):
    """What of an image job decides its price; `app.jobs.image_params.ImageParams` is one."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def steps(self) -> int:
        """Steps as asked for."""

    @property
    def sampler(self) -> str:
        """Wire name of the sampler."""

    @property
    def post_processing(self) -> tuple[str, ...]:
        """Wire names of the post-processors, in order."""


class FreeLimits(msgspec.Struct, frozen=True):
    """How large a job may be without the kudos for it in hand."""

    #: width x height
    pixels: int
    #: accurate steps
    steps: int


class PriceBook(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the prices. Kudos amounts are hundredths unless a field says otherwise."""

    version: int
    #: kudos (not hundredths) that one accurate step costs at the least size
    step: Decimal
    #: at the reference size, a step costs this many times the least price on top of it
    area_factor: Decimal
    #: pixels at which size begins to cost, and pixels of the reference size
    least_pixels: int
    reference_pixels: int
    #: what each post-processor multiplies the price by, in per cent
    post_processor_percent: int
    #: flat tax on a generation, never multiplied; less for one that is shared
    tax: int
    tax_shared: int
    free_anonymous: FreeLimits
    free_registered: FreeLimits

    def base_price(self, width: int, height: int, steps: int) -> int:
        """Hundredths for one generation of `steps` accurate steps, without post-processing and tax."""
        share = _CONTEXT.divide(
            Decimal(max(0, width * height - self.least_pixels)),
            Decimal(self.reference_pixels - self.least_pixels),
        )
        least = _CONTEXT.multiply(self.step, Decimal(steps))
        for_size = _CONTEXT.multiply(least, self.area_factor)
        kudos = _CONTEXT.add(least, _CONTEXT.multiply(_power_seven_quarters(share), for_size))
        return int(_CONTEXT.multiply(kudos, Decimal(100)).quantize(_ONE, context=_CONTEXT))

    def surcharges(self, base: int, post_processing: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        """Each post-processor with the hundredths it adds to `base`; the price is rounded after each."""
        price = base
        for name in post_processing:
            after = (price * self.post_processor_percent + 50) // 100
            yield name, after - price
            price = after

    def price(self, width: int, height: int, steps: int, post_processing: tuple[str, ...]) -> int:
        """Hundredths for one generation of `steps` accurate steps, without tax: what its worker earns."""
        base = self.base_price(width, height, steps)
        return base + sum(amount for _, amount in self.surcharges(base, post_processing))

    def tax_on(self, *, shared: bool) -> int:
        """Hundredths of tax on one generation."""
        return self.tax_shared if shared else self.tax

    def free_limits(self, *, registered: bool) -> FreeLimits:
        """What may be asked for without the kudos in hand."""
        return self.free_registered if registered else self.free_anonymous


def _power_seven_quarters(share: Decimal) -> Decimal:
    """Raise to 1.75: square roots are exactly rounded in decimal arithmetic, general powers need not be."""
    square = _CONTEXT.multiply(share, share)
    cube = _CONTEXT.multiply(square, share)
    seventh = _CONTEXT.multiply(_CONTEXT.multiply(square, square), cube)
    return _CONTEXT.sqrt(_CONTEXT.sqrt(seventh))


PRICE_BOOKS: Final = {
    1: PriceBook(
        version=1,
        step=Decimal("0.1232"),
        area_factor=Decimal("8.75"),
        least_pixels=64 * 64,
        reference_pixels=1024 * 1024,
        post_processor_percent=120,
        tax=300,
        tax_shared=100,
        free_anonymous=FreeLimits(pixels=576 * 576, steps=40),
        free_registered=FreeLimits(pixels=768 * 768, steps=50),
    ),
}
#: The book that new quotes are made with.
CURRENT: Final = PRICE_BOOKS[max(PRICE_BOOKS)]
