"""What a job will cost at most, itemised.

Pure. A quote is made once, recorded with the job and honoured; it is never computed again, not even in
replay. Look next: `app.ledger.price_book` for the rules, `app.ledger.upfront` for who must have it in hand.
"""

import msgspec

from app.ledger.price_book import ImageShape, PriceBook
from app.ledger.work import accurate_steps


class PriceItem(msgspec.Struct, frozen=True):
    """One line of a quote or of a statement's breakdown."""

    label: str
    #: hundredths of kudos
    amount: int


class ImageQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The most that an image job can cost, in hundredths; the items sum to the total."""

    book_version: int
    #: for each generation: what its worker earns
    price: int
    #: for each generation
    tax: int
    #: how many generations
    n: int
    total: int
    items: tuple[PriceItem, ...]


def quote_image(params: ImageShape, *, n: int, shared: bool, book: PriceBook) -> ImageQuote:
    """The quote for `n` generations; post-processing multiplies the price, the flat tax comes last."""
    counted = accurate_steps(params.steps, params.sampler)
    base = book.base_price(params.width, params.height, counted)
    items = [PriceItem(_work_label(params, n, counted), n * base)]
    price = base
    for name, amount in book.surcharges(base, params.post_processing):
        price += amount
        items.append(PriceItem(f"post-processing {name} x{_times(book)}", n * amount))
    tax = book.tax_on(shared=shared)
    items.append(PriceItem(f"Horde tax, {n} x {decimal_text(tax)}{' (shared)' if shared else ''}", n * tax))
    return ImageQuote(
        book_version=book.version, price=price, tax=tax, n=n, total=n * (price + tax), items=tuple(items)
    )


def decimal_text(amount: int) -> str:
    """Hundredths as a decimal with two places: -5000 is "-50.00"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"


def _work_label(params: ImageShape, n: int, counted: int) -> str:
    steps = f"{params.steps} step{'' if params.steps == 1 else 's'}"
    note = "" if counted == params.steps else f" (count as {counted} with {params.sampler})"
    return f"{n} x {params.width}x{params.height}, {steps}{note}"


def _times(book: PriceBook) -> str:
    return f"{book.post_processor_percent / 100:g}"
