"""What a text job will cost at most, itemised.

Pure. A quote is made once, recorded with the job and honoured. It is for all the tokens that were asked for, by the
dearest of the models that may serve; a delivery is paid by the model that served and the tokens that it wrote
(`app.ledger.text_price.text_share`). Look next: `app.ledger.price_book`, `app.ledger.text_upfront`, `docs/kudos.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from app.ledger.price_book import PriceBook, WorkerChoice
from app.ledger.quote import PriceItem, decimal_text
from app.ledger.text_classes import TextClass, text_token
from projections.queue import text_model

#: up to this class a job that names no model is offered to whatever waits, unless its client's limit is lower
USUAL_CLASS: Final = TextClass.UP_TO_15B
_CLASSES: Final = tuple(TextClass)
_NAMES: Final = {
    TextClass.UP_TO_3B: "any model up to 3B",
    TextClass.UP_TO_9B: "any model up to 9B",
    TextClass.UP_TO_15B: "any model up to 15B",
    TextClass.UP_TO_36B: "any model up to 36B",
    TextClass.UP_TO_73B: "any model up to 73B",
    TextClass.LARGER: "any model",
}


class TextShape(msgspec.Struct, frozen=True, kw_only=True):
    """What of a text job decides its price besides the models."""

    #: tokens that are written at most
    max_length: int
    #: tokens of the prompt, as they are estimated
    prompt_tokens: int


class TextModelChoice(msgspec.Struct, frozen=True):
    """One of the models that a job names."""

    name: str
    #: as the model reference has them; None where nobody knows
    parameters: int | None = None


class TextTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What besides its shape decides what a text job costs."""

    n: int
    #: any of these will do; none: any model at all
    models: tuple[TextModelChoice, ...]
    choice: WorkerChoice
    #: hundredths; what the requester would pay at most, where they said
    max_kudos: int | None
    book: PriceBook


class TextQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a text job can cost, in hundredths; the items sum to the total."""

    terms: TextTerms
    #: (what of the queue's models, the worker's reward, surcharge) for a generation of all tokens
    offers: tuple[tuple[str, int, int], ...]
    #: for each generation, of the dearest offer: what its worker earns, and what is paid on top and burnt
    price: int
    surcharge: int
    #: for each generation
    tax: int
    total: int
    items: tuple[PriceItem, ...]

    @property
    def book_version(self) -> int:
        """The price book that it was made with."""
        return self.terms.book.version


class _Offer(msgspec.Struct, frozen=True):
    model: str
    #: as the items call it
    name: str
    parameters: int
    price: int
    surcharge: int


def quote_text(shape: TextShape, terms: TextTerms) -> TextQuote:
    """The quote for `terms.n` generations: tokens by the dearest model, surcharges, and last the flat tax.

    A job that names no model is offered to classes of models by size: the smallest, and all up to `USUAL_CLASS`, or
    where the requester has a limit, all whose whole quote is within it. The limit is not enforced here: a total above
    it is for the caller to refuse.
    """
    offers = tuple(_offers(shape, terms))
    dearest = max(offers, key=lambda offer: offer.price)
    tax = terms.book.texts.tax
    lines = [(_work_label(shape, terms, dearest), dearest.price)]
    lines += _surcharges(terms, dearest.price)
    lines.append((f"Horde tax, {terms.n} x {decimal_text(tax)}", tax))
    return TextQuote(
        terms=terms,
        offers=tuple((offer.model, offer.price, offer.surcharge) for offer in offers),
        price=dearest.price,
        surcharge=dearest.surcharge,
        tax=tax,
        total=terms.n * (dearest.price + dearest.surcharge + tax),
        items=tuple(PriceItem(label, terms.n * amount) for label, amount in lines),
    )


def least_total(shape: TextShape, terms: TextTerms) -> int:
    """What a job costs in all, in hundredths, without classes of models that it need not have."""
    if terms.models:
        return quote_text(shape, terms).total
    return _total(_of_class(_CLASSES[0], shape, terms), terms)


def _offers(shape: TextShape, terms: TextTerms) -> Iterator[_Offer]:
    if terms.models:
        for model in terms.models:
            parameters = model.parameters or terms.book.texts.undescribed
            yield _offer(text_model(model.name), "", parameters, shape, terms)
        return
    for size in _CLASSES:
        offer = _of_class(size, shape, terms)
        if terms.max_kudos is None:
            worth_it = _CLASSES.index(size) <= _CLASSES.index(USUAL_CLASS)
        else:
            worth_it = _total(offer, terms) <= terms.max_kudos
        if worth_it or size is _CLASSES[0]:
            yield offer


def _of_class(size: TextClass, shape: TextShape, terms: TextTerms) -> _Offer:
    return _offer(text_token(size), _NAMES[size], terms.book.texts.classes[size], shape, terms)


def _offer(model: str, name: str, parameters: int, shape: TextShape, terms: TextTerms) -> _Offer:
    price = terms.book.texts.price(parameters, length=shape.max_length, prompt_tokens=shape.prompt_tokens)
    return _Offer(model, name, parameters, price, sum(amount for _, amount in _surcharges(terms, price)))


def _surcharges(terms: TextTerms, price: int) -> Iterator[tuple[str, int]]:
    """What narrowing the workers costs on top, burnt: the same share as of pictures; rounded after each."""
    book, choice = terms.book, terms.choice
    percents = (
        ("slow workers refused", book.slow_refused_percent if choice.slow_refused else 100),
        ("workers denied", book.denied_percent if choice.denied else 100),
    )
    for label, percent in percents:
        if percent > 100:
            amount = (price * (percent - 100) + 50) // 100
            price += amount
            yield f"{label} x{percent / 100:g}", amount


def _total(offer: _Offer, terms: TextTerms) -> int:
    return terms.n * (offer.price + offer.surcharge + terms.book.texts.tax)


def _work_label(shape: TextShape, terms: TextTerms, dearest: _Offer) -> str:
    times = terms.book.texts.multiplier(shape.prompt_tokens)
    name = dearest.name or f"a model of {dearest.parameters / 10**9:g}B"
    return (
        f"{terms.n} x at most {shape.max_length} tokens by {name}, "
        f"after a prompt of {shape.prompt_tokens} (x{times:.2f})"
    )
