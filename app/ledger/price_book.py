"""The price books: what one generation costs, by version.

Pure. A quote is made with one version and honoured for ever, so a book is never edited once a job was quoted
with it: a new rule is a new version. The arithmetic is decimal with a fixed precision and square roots only,
because a floating-point power may differ in its last bit between platforms; after the first rounding to hundredths
everything is whole numbers. Look next: `app.ledger.quote`, `app.ledger.families`.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from app.ledger.families import Family
from app.ledger.text_price import TextPrices
from app.ledger.work import LoraShape
from app.platform.post_processors import makes_picture

_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_ONE: Final = Decimal(1)
#: base prices kept, by pixels and steps: a few hundred shapes make up nearly all jobs
_KEPT: Final = 4096

#: one thing that adds to a price: its label, and hundredths for one generation
Line = tuple[str, int]


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

    @property
    def hires_fix(self) -> bool:
        """Whether it is drawn small first, then larger."""

    @property
    def source_processing(self) -> str | None:
        """What is done with its source image; none without one."""

    @property
    def control_type(self) -> str | None:
        """What of the source a ControlNet holds fast."""

    @property
    def return_control_map(self) -> bool:
        """Whether the ControlNet's map is wanted instead of a picture."""

    @property
    def loras(self) -> Sequence[LoraShape]:
        """LoRAs."""

    @property
    def tis(self) -> Sequence[object]:
        """Textual inversions."""

    @property
    def workflow(self) -> str | None:
        """Wire name of a chain of steps that workers know."""

    @property
    def transparent(self) -> bool:
        """Whether the background is to be transparent."""


class WorkerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """How a requester narrows the workers that may serve a job, as far as that costs something."""

    #: no slow workers
    slow_refused: bool = False
    #: how many workers are denied
    denied: int = 0


class PriceBook(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the prices. Amounts are hundredths of kudos unless a field says otherwise."""

    version: int
    #: kudos (not hundredths) that one accurate step costs at the least size
    step: Decimal
    #: at the reference size, a step costs this many times the least price on top of it
    area_factor: Decimal
    #: pixels at which size begins to cost, and pixels of the reference size
    least_pixels: int
    reference_pixels: int
    #: what each post-processor multiplies the worker's reward by, in per cent
    post_processor_percent: int
    #: what a ControlNet multiplies it by, unless its map is all that is wanted
    control_factor: int = 1
    #: what each LoRA adds to it, and any number of textual inversions together
    lora: int = 0
    textual_inversions: int = 0
    #: what models of a family multiply all of that by; of QR codes, of hires fix; 1 where a family is not named
    families: Mapping[Family, int] = {}
    families_qr_code: Mapping[Family, int] = {}
    families_hires_fix: Mapping[Family, int] = {}
    #: what the requester pays for besides, in per cent of what was reached so far
    source_percent: int = 100
    post_processor_surcharges: Mapping[str, int] = {}
    slow_refused_percent: int = 100
    denied_percent: int = 100
    #: flat tax on a generation, never multiplied; less for one that is shared
    tax: int
    tax_shared: int
    #: what texts cost
    texts: TextPrices = TextPrices()
    #: what telling a form of interrogation earns, unless it is dearer; what post-processing a tile of 512 x 512 pixels
    #: earns; and the flat tax on any of them
    form: int = 100
    dearer_forms: Mapping[str, int] = msgspec.field(default_factory=lambda: {"interrogation": 300})
    form_tile: int = 300
    form_tax: int = 100

    def base_price(self, width: int, height: int, steps: int) -> int:
        """Hundredths for one generation of `steps` accurate steps, with nothing added to it."""
        return _base_price(
            self.step, self.area_factor, self.least_pixels, self.reference_pixels, width * height, steps
        )

    def additions(self, params: ImageShape, base: int) -> Iterator[Line]:
        """What is added to the base price for the work there is beside drawing; the price is rounded after each."""
        price = base
        for name in params.post_processing:
            amount = _part(price, self.post_processor_percent - 100)
            price += amount
            yield f"post-processing {name} {_times(self.post_processor_percent)}", amount
        if params.control_type is not None and not params.return_control_map and self.control_factor > 1:
            yield (
                f"ControlNet {params.control_type} x{self.control_factor}",
                price * (self.control_factor - 1),
            )
        if self.lora and (loras := len(params.loras)):
            yield f"{loras} LoRA{'' if loras == 1 else 's'}", loras * self.lora
        if self.textual_inversions and params.tis:
            yield "textual inversion", self.textual_inversions

    def multiplier(self, family: Family, params: ImageShape) -> int:
        """What a model's family multiplies the reward by."""
        usual = self.families.get(family, 1)
        if params.workflow == "qr_code":
            return self.families_qr_code.get(family, usual)
        if params.hires_fix:
            return self.families_hires_fix.get(family, usual)
        return usual

    def surcharges(self, params: ImageShape, choice: WorkerChoice, price: int) -> Iterator[Line]:
        """What the requester pays beside the worker's reward `price`, burnt; rounded after each."""
        for label, percent in self._surcharge_percents(params, choice):
            amount = _part(price, percent - 100)
            price += amount
            yield f"{label} {_times(percent)}", amount

    def form_price(self, form: str, tiles: int) -> int:
        """What a form of interrogation earns its worker: by itself, or by tiles where a picture is made."""
        return self.form_tile * tiles if makes_picture(form) else self.dearer_forms.get(form, self.form)

    def form_surcharges(self, choice: WorkerChoice, price: int) -> Iterator[Line]:
        """What is paid beside the reward of a form for narrowing the workers, burnt; rounded after each."""
        for label, percent in self._choice_percents(choice):
            amount = _part(price, percent - 100)
            price += amount
            yield f"{label} {_times(percent)}", amount

    def tax_on(self, *, shared: bool) -> int:
        """Hundredths of tax on one generation."""
        return self.tax_shared if shared else self.tax

    def _surcharge_percents(self, params: ImageShape, choice: WorkerChoice) -> Iterator[tuple[str, int]]:
        if params.source_processing is not None and self.source_percent > 100:
            yield "source image", self.source_percent
        for name in params.post_processing:
            if (percent := self.post_processor_surcharges.get(name, 100)) > 100:
                yield f"surcharge for {name}", percent
        yield from self._choice_percents(choice)

    def _choice_percents(self, choice: WorkerChoice) -> Iterator[tuple[str, int]]:
        if choice.slow_refused and self.slow_refused_percent > 100:
            yield "slow workers refused", self.slow_refused_percent
        if choice.denied and self.denied_percent > 100:
            yield "workers denied", self.denied_percent


def _part(amount: int, percent: int) -> int:
    """So many per cent of an amount, rounded to hundredths, half up."""
    return (amount * percent + 50) // 100


def _times(percent: int) -> str:
    return f"x{percent / 100:g}"


@lru_cache(maxsize=_KEPT)
def _base_price(
    step: Decimal, area_factor: Decimal, least_pixels: int, reference_pixels: int, pixels: int, steps: int
) -> int:
    share = _CONTEXT.divide(Decimal(max(0, pixels - least_pixels)), Decimal(reference_pixels - least_pixels))
    least = _CONTEXT.multiply(step, Decimal(steps))
    for_size = _CONTEXT.multiply(least, area_factor)
    kudos = _CONTEXT.add(least, _CONTEXT.multiply(_power_seven_quarters(share), for_size))
    return int(_CONTEXT.multiply(kudos, Decimal(100)).quantize(_ONE, context=_CONTEXT))


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
    ),
    2: PriceBook(
        version=2,
        step=Decimal("0.1232"),
        area_factor=Decimal("8.75"),
        least_pixels=64 * 64,
        reference_pixels=1024 * 1024,
        post_processor_percent=120,
        control_factor=3,
        lora=300,
        textual_inversions=100,
        families={Family.SDXL: 2, Family.CASCADE: 4, Family.FLUX: 8, Family.QWEN: 12},
        families_qr_code={Family.SDXL: 4},
        families_hires_fix={Family.CASCADE: 7},
        source_percent=130,
        # those that enlarge the picture; the others cost nothing besides their work
        post_processor_surcharges=dict.fromkeys(
            (
                "RealESRGAN_x4plus",
                "RealESRGAN_x2plus",
                "RealESRGAN_x4plus_anime_6B",
                "NMKD_Siax",
                "4x_AnimeSharp",
                "4xNomos8kSC",
                "4xLSDIRplus",
                "4xNomosWebPhoto_RealPLKSR",
                "4xNomos2_realplksr_dysample",
                "4xNomos2_hq_dat2",
                "2xModernSpanimationV1",
            ),
            105,
        ),
        slow_refused_percent=120,
        denied_percent=110,
        tax=300,
        tax_shared=100,
    ),
}
#: The book that new quotes are made with.
CURRENT: Final = PRICE_BOOKS[max(PRICE_BOOKS)]
