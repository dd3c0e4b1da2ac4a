"""What a job will cost at most, itemised.

Pure. A quote is made once, recorded with the job and honoured; it is never computed again, not even in
replay. Each model that may serve has an offer of its own; the quote is that of the dearest, and a delivery is paid
by the offer of the model that served. Look next: `app.ledger.price_book` for the rules, `app.ledger.upfront` for who
must have it in hand.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from app.ledger.families import Family, family_of, token
from app.ledger.price_book import ImageShape, Line, PriceBook, WorkerChoice
from app.ledger.work import accurate_steps

#: what a source must be processed as for a model that inpaints
_PAINTING: Final = frozenset({"inpainting", "outpainting"})
#: families as items call them
_NAMES: Final = {
    Family.PLAIN: "plain",
    Family.SDXL: "SDXL",
    Family.CASCADE: "Stable Cascade",
    Family.FLUX: "Flux",
    Family.QWEN: "Qwen",
}


class PriceItem(msgspec.Struct, frozen=True):
    """One line of a quote or of a statement's breakdown."""

    label: str
    #: hundredths of kudos
    amount: int


class ModelChoice(msgspec.Struct, frozen=True):
    """One of the models that a job names."""

    name: str
    #: as the model reference has it
    baseline: str
    #: the most accurate steps that the model is made for, if the model reference says
    max_steps: int | None = None


class Offer(msgspec.Struct, frozen=True):
    """What one generation costs with one model, or with any model of a family. Hundredths."""

    #: the model's name, or the family's token
    model: str
    family: Family
    #: what its worker earns
    price: int
    #: what the requester pays on top of price and tax
    surcharge: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What besides its shape decides what a job costs."""

    n: int
    shared: bool
    #: any of these will do; none: any model at all
    models: tuple[ModelChoice, ...]
    choice: WorkerChoice
    #: hundredths; what the requester would pay at most, where they said
    max_kudos: int | None
    book: PriceBook


class ImageQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The most that an image job can cost, in hundredths; the items sum to the total."""

    terms: Terms
    #: (model or token, the worker's reward, surcharge) for a generation, for each model or family that may serve
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


def quote_image(
    params: ImageShape,
    *,
    n: int,
    shared: bool,
    models: Sequence[ModelChoice],
    choice: WorkerChoice,
    max_kudos: int | None,
    book: PriceBook,
) -> ImageQuote:
    """The quote for `n` generations: work, the dearest family's multiplier, surcharges, and last the flat tax.

    Args:
        params: the job's shape.
        n: how many generations.
        shared: whether the lower tax applies.
        models: those that the job names. Where it names none, the quote is for plain models, and for those of a
            dearer family only if the whole quote with that family is within `max_kudos`.
        choice: how the requester narrows the workers.
        max_kudos: hundredths. Not enforced here: a total above it is for the caller to refuse.
        book: the prices.
    """
    terms = Terms(n=n, shared=shared, models=tuple(models), choice=choice, max_kudos=max_kudos, book=book)
    return quote_on(params, terms)


def quote_on(params: ImageShape, terms: Terms) -> ImageQuote:
    """The quote of a shape on the same terms as another."""
    counted = accurate_steps(params.steps, params.sampler)
    base = terms.book.base_price(params.width, params.height, counted)
    lines = [(_work_label(params, terms.n, counted), base), *terms.book.additions(params, base)]
    work = sum(amount for _, amount in lines)
    found = tuple(_offers(params, work, terms))
    dearest = max(found, key=lambda offer: offer.price)
    tax = terms.book.tax_on(shared=terms.shared)
    lines += _multiplied(params, work, dearest, terms)
    lines += terms.book.surcharges(params, terms.choice, dearest.price)
    lines.append((_tax_label(terms, tax), tax))
    return ImageQuote(
        terms=terms,
        offers=tuple((offer.model, offer.price, offer.surcharge) for offer in found),
        price=dearest.price,
        surcharge=dearest.surcharge,
        tax=tax,
        total=terms.n * (dearest.price + dearest.surcharge + tax),
        items=tuple(PriceItem(label, terms.n * amount) for label, amount in lines),
    )


def least_total(params: ImageShape, terms: Terms, *, width: int, height: int, steps: int) -> int:
    """What a job of this kind and another size costs in all, in hundredths, without families it need not have."""
    base = terms.book.base_price(width, height, accurate_steps(steps, params.sampler))
    work = base + sum(amount for _, amount in terms.book.additions(params, base))
    families = {family_of(model.baseline) for model in terms.models} or {Family.PLAIN}
    multiplier = max(terms.book.multiplier(family, params) for family in families)
    return _total(work * multiplier, params, terms)


def decimal_text(amount: int) -> str:
    """Hundredths as a decimal with two places: -5000 is "-50.00"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"


def _offers(params: ImageShape, work: int, terms: Terms) -> Iterator[Offer]:
    """An offer for each model named; else for plain models, and for the families that are worth it to the requester."""
    if terms.models:
        made = {family_of(model.baseline) for model in terms.models}
        by_family = {family: _offer("", family, params, work, terms) for family in made}
        for model in terms.models:
            yield msgspec.structs.replace(by_family[family_of(model.baseline)], model=model.name)
        return
    inpainting = params.source_processing in _PAINTING
    for family in _any_model(params, terms):
        offer = _offer(token(family, inpainting=inpainting), family, params, work, terms)
        if family is Family.PLAIN or _total(offer.price, params, terms) <= (terms.max_kudos or 0):
            yield offer


def _any_model(params: ImageShape, terms: Terms) -> Iterator[Family]:
    """The families that a job which names no model may have, plain first: those that can draw whatever it asks."""
    yield Family.PLAIN
    if terms.max_kudos is None or _only_some_models(params):
        return
    yield Family.SDXL
    if not params.hires_fix:
        yield from (Family.CASCADE, Family.FLUX, Family.QWEN)


def _only_some_models(params: ImageShape) -> bool:
    """Whether a job asks for what the models of the dearer families mostly cannot do, or workers do not allow."""
    return (
        params.control_type is not None
        or params.workflow is not None
        or params.transparent
        or params.source_processing == "remix"
    )


def _offer(model: str, family: Family, params: ImageShape, work: int, terms: Terms) -> Offer:
    price = work * terms.book.multiplier(family, params)
    return Offer(model, family, price, _surcharge(price, params, terms))


def _surcharge(price: int, params: ImageShape, terms: Terms) -> int:
    return sum(amount for _, amount in terms.book.surcharges(params, terms.choice, price))


def _total(price: int, params: ImageShape, terms: Terms) -> int:
    tax = terms.book.tax_on(shared=terms.shared)
    return terms.n * (price + _surcharge(price, params, terms) + tax)


def _multiplied(params: ImageShape, work: int, dearest: Offer, terms: Terms) -> list[Line]:
    factor = terms.book.multiplier(dearest.family, params)
    return [(f"{_NAMES[dearest.family]} model x{factor}", work * (factor - 1))] if factor > 1 else []


def _work_label(params: ImageShape, n: int, counted: int) -> str:
    steps = f"{params.steps} step{'' if params.steps == 1 else 's'}"
    note = "" if counted == params.steps else f" (count as {counted} with {params.sampler})"
    return f"{n} x {params.width}x{params.height}, {steps}{note}"


def _tax_label(terms: Terms, tax: int) -> str:
    return f"Horde tax, {terms.n} x {decimal_text(tax)}{' (shared)' if terms.shared else ''}"
