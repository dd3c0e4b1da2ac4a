"""What an interrogation will cost at most, itemised: each form by itself.

Pure. As with images, the quote is made once and honoured; a delivered form is paid by its own offer, and the flat tax is
on each. A form that was told before is free. Amounts are hundredths. Look next: `app.ledger.price_book`,
`docs/kudos.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from app.ledger.price_book import PriceBook, WorkerChoice
from app.ledger.quote import PriceItem, decimal_text
from app.platform.post_processors import makes_picture
from projections.queue import form_model


class FormQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The most that an interrogation can cost, in hundredths; the items sum to the total."""

    #: (what stands for the form in the queue, the worker's reward, surcharge) for each form
    offers: tuple[tuple[str, int, int], ...]
    #: of the dearest form: what its worker earns, and what is paid on top and burnt
    price: int
    surcharge: int
    #: on each form
    tax: int
    total: int
    items: tuple[PriceItem, ...]
    book_version: int


def quote_forms(
    forms: Sequence[str], *, tiles: int, reused: Collection[str], choice: WorkerChoice, book: PriceBook
) -> FormQuote:
    """The quote for some forms of one picture.

    Args:
        forms: all that is asked, each once.
        tiles: squares of 512 x 512 pixels that the picture takes up; only what makes a picture costs by them.
        reused: those of the forms that were told before, and are free.
        choice: how the requester narrows the workers.
        book: the prices.
    """
    offers = [_offer(form, tiles, choice, book) for form in forms]
    items = tuple(_items(forms, offers, tiles, reused, choice, book))
    return FormQuote(
        offers=tuple(offers),
        price=max(price for _, price, _ in offers),
        surcharge=max(surcharge for _, _, surcharge in offers),
        tax=book.form_tax,
        total=sum(item.amount for item in items),
        items=items,
        book_version=book.version,
    )


def _offer(form: str, tiles: int, choice: WorkerChoice, book: PriceBook) -> tuple[str, int, int]:
    price = book.form_price(form, tiles)
    return form_model(form), price, sum(amount for _, amount in book.form_surcharges(choice, price))


def _items(
    forms: Sequence[str],
    offers: Sequence[tuple[str, int, int]],
    tiles: int,
    reused: Collection[str],
    choice: WorkerChoice,
    book: PriceBook,
) -> Iterator[PriceItem]:
    """A line for each form, one for each surcharge on all of them together, and the tax; lines that are nought are kept."""
    surcharges: dict[str, int] = {}
    for form, (_, price, _) in zip(forms, offers, strict=True):
        if form in reused:
            yield PriceItem(f"{form}, told before", 0)
            continue
        yield PriceItem(_label(form, tiles), price)
        for label, amount in book.form_surcharges(choice, price):
            surcharges[label] = surcharges.get(label, 0) + amount
    yield from (PriceItem(label, amount) for label, amount in surcharges.items())
    paid = sum(form not in reused for form in forms)
    yield PriceItem(f"Horde tax, {paid} x {decimal_text(book.form_tax)}", paid * book.form_tax)


def _label(form: str, tiles: int) -> str:
    if not makes_picture(form):
        return form
    return f"{form}, {tiles} tile{'' if tiles == 1 else 's'} of 512x512"
