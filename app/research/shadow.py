"""Another price book, tried on the jobs of the real log: what they would have cost, beside what they were quoted. Pure.

Each job is quoted again by the book that it was quoted with; only where that comes to what the log holds (so that everything
that decides its price is known) it is quoted by the other book, too. People would have asked for other things at other
prices: nothing here says how much. Look next: `app.research.shadow_rank`, `app.ledger.quote`, docs/research.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from app.ledger.families import Family, family_of, token
from app.ledger.price_book import PRICE_BOOKS, PriceBook, WorkerChoice
from app.ledger.text_classes import TextClass, text_token
from app.ledger.work import accurate_steps
from app.research.price import Submitted
from events.base import Recorded
from events.codec import fact_of
from events.jobs import ImageJobSubmitted, InterrogationJobSubmitted, TextJobSubmitted

#: jobs that are told one by one
MOST_CHANGED: Final = 10
#: what the quote says of a form that costs nothing (`app.ledger.form_price`)
_FREE: Final = ", told before"
_SUBMISSIONS: Final = frozenset(
    {"jobs.ImageJobSubmitted", "jobs.TextJobSubmitted", "jobs.InterrogationJobSubmitted"}
)

#: every token that stands for a family
_TOKENS: Final = {
    token(family, inpainting=inpainting): family for family in Family for inpainting in (False, True)
}


class Reference(Protocol):
    """What is known of models; `app.platform.model_reference.ModelReference` is one."""

    def baseline(self, name: str) -> str:
        """What an image model was trained from; empty where nobody knows."""

    def parameters(self, name: str) -> int | None:
        """Of a text model; None where nobody knows."""


class Cost(msgspec.Struct, frozen=True):
    """What a job costs at most, in hundredths."""

    #: of one generation, by the dearest that may serve: the worker's reward, what is burnt on top, and the tax
    price: int
    surcharge: int
    tax: int
    #: of the whole job: what workers earn, and what is burnt
    paid: int
    burnt: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.paid + self.burnt


#: a job's cost by a book, as one way to understand what the log does not say
Reading = Callable[[PriceBook], Cost]


class Sums(msgspec.Struct):
    """Jobs and what they came to at most, in hundredths of kudos."""

    jobs: int = 0
    #: in all, and what of it is burnt
    quoted: int = 0
    burnt: int = 0
    shadow: int = 0
    shadow_burnt: int = 0

    def add(self, was: Cost, now: Cost) -> None:
        """One more job."""
        self.jobs += 1
        self.quoted += was.total
        self.burnt += was.burnt
        self.shadow += now.total
        self.shadow_burnt += now.burnt


class Changed(msgspec.Struct, frozen=True):
    """One job: at which position, and what it cost at most, in hundredths."""

    job: UUID
    position: int
    quoted: int
    shadow: int


class Shadow(msgspec.Struct, kw_only=True):
    """Everything that was compared."""

    total: Sums = msgspec.field(default_factory=Sums)
    kinds: dict[str, Sums] = msgspec.field(default_factory=dict)
    #: by the model that a job names first, or `any`
    models: dict[str, Sums] = msgspec.field(default_factory=dict)
    #: registered, anonymous
    requesters: dict[str, Sums] = msgspec.field(default_factory=dict)
    #: jobs that cannot be quoted again as they were, by kind: left out
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    #: jobs of registered users who had the whole quote in hand, and would not have the other one; and the other way round
    too_dear: int = 0
    within_reach: int = 0
    most_changed: tuple[Changed, ...] = ()


def shadow(events: Iterable[Recorded], book: PriceBook, reference: Reference) -> Shadow:
    """Try a book on all jobs.

    Args:
        events: the log.
        book: the other book.
        reference: what is known of models.
    """
    made = Shadow()
    changed: list[Changed] = []
    for recorded in events:
        if recorded.type not in _SUBMISSIONS:
            continue
        event = fact_of(recorded).event
        assert isinstance(event, Submitted)
        costs = _costs(event, book, reference)
        if costs is None:
            made.left_out[event.kind.value] = made.left_out.get(event.kind.value, 0) + 1
            continue
        was, now = costs
        for sums in _groups(made, event):
            sums.add(was, now)
        if not event.tier:
            could, can = (event.priority >= cost.total for cost in costs)
            made.too_dear += could and not can
            made.within_reach += can and not could
        if was.total != now.total:
            changed.append(Changed(event.job, recorded.position, was.total, now.total))
            changed.sort(key=lambda each: (-abs(each.shadow - each.quoted), each.position))
            del changed[MOST_CHANGED:]
    made.most_changed = tuple(changed)
    return made


def _costs(event: Submitted, book: PriceBook, reference: Reference) -> tuple[Cost, Cost] | None:
    """What a job cost by its own book, and by the other one; None if its own does not come to what was recorded."""
    recorded = (event.price, event.surcharge, event.tax, sum(amount for _, amount in event.quote))
    for reading in _readings(event, reference):
        was = reading(PRICE_BOOKS[event.price_book])
        if (was.price, was.surcharge, was.tax, was.total) == recorded:
            return was, reading(book)
    return None


def _groups(made: Shadow, event: Submitted) -> Iterator[Sums]:
    models: tuple[str, ...] = getattr(event, "models", ())
    yield made.total
    yield made.kinds.setdefault(event.kind.value, Sums())
    yield made.models.setdefault(models[0] if models else "any", Sums())
    yield made.requesters.setdefault("anonymous" if event.tier else "registered", Sums())


def _readings(event: Submitted, reference: Reference) -> Iterator[Reading]:
    """Ways to understand a job: what narrows its workers, and what its models cost, is in the log by its price only."""
    for slow_refused in (False, True):
        choice = WorkerChoice(slow_refused=slow_refused, denied=len(event.denied_workers))
        if isinstance(event, ImageJobSubmitted):
            yield from _image_readings(event, choice, reference)
        elif isinstance(event, TextJobSubmitted):
            yield _text_reading(event, choice, reference)
        else:
            yield _form_reading(event, choice)


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    """An image job's shape as its event holds it (`app.ledger.price_book.ImageShape`)."""

    width: int
    height: int
    steps: int
    sampler: str
    post_processing: tuple[str, ...]
    hires_fix: bool
    source_processing: str | None
    control_type: str | None
    return_control_map: bool
    loras: tuple[Any, ...]
    tis: tuple[Any, ...]
    workflow: str | None
    transparent: bool


def _image_readings(
    event: ImageJobSubmitted, choice: WorkerChoice, reference: Reference
) -> Iterator[Reading]:
    for returned in (False, True) if event.control_type is not None else (False,):
        shape = _Shape(
            width=event.width,
            height=event.height,
            steps=event.steps,
            sampler=event.sampler,
            post_processing=event.post_processing,
            hires_fix=event.hires_fix,
            source_processing=None if event.source_processing is None else event.source_processing.value,
            control_type=event.control_type,
            return_control_map=returned,
            loras=(None,) * event.loras,
            tis=(None,) * event.textual_inversions,
            workflow=event.workflow,
            transparent=event.transparent,
        )
        families = _families(event, shape, reference)
        if families is None:
            continue

        def cost(book: PriceBook, shape: _Shape = shape, families: frozenset[Family] = families) -> Cost:
            work = _work(book, shape)
            price = max(work * book.multiplier(family, shape) for family in families)
            surcharge = sum(amount for _, amount in book.surcharges(shape, choice, price))
            return _times(len(event.generations), price, surcharge, book.tax_on(shared=event.shared))

        yield cost


def _work(book: PriceBook, shape: _Shape) -> int:
    """What a generation earns with a plain model."""
    base = book.base_price(shape.width, shape.height, accurate_steps(shape.steps, shape.sampler))
    return base + sum(amount for _, amount in book.additions(shape, base))


def _families(event: ImageJobSubmitted, shape: _Shape, reference: Reference) -> frozenset[Family] | None:
    """Those of all models that may serve: by another book another one may be the dearest. None if a price fits no family.

    Each is what the model reference says, or what its token stands for, if the recorded price agrees; else the
    first that the price agrees with, since the reference may have said otherwise then.
    """
    book = PRICE_BOOKS[event.price_book]
    work = _work(book, shape)
    found = set()
    for model, price in _prices(event):
        known = _TOKENS.get(model) or family_of(reference.baseline(model))
        fitting = (f for f in (known, *Family) if work * book.multiplier(f, shape) == price)
        family = next(fitting, None)
        if family is None:
            return None
        found.add(family)
    return frozenset(found)


def _prices(event: ImageJobSubmitted) -> list[tuple[str, int]]:
    """What a generation earns by each model or token; where no offers were recorded, each costs the job's price."""
    if event.offers:
        return [(model, price) for model, price, _ in event.offers]
    return [(model, event.price) for model in event.models or ("",)]


def _text_reading(event: TextJobSubmitted, choice: WorkerChoice, reference: Reference) -> Reading:
    classes = {text_token(size): size for size in TextClass}

    def cost(book: PriceBook) -> Cost:
        texts = book.texts
        sizes = [reference.parameters(name) or texts.undescribed for name in event.models]
        sizes = sizes or [texts.classes[classes[model]] for model, _, _ in event.offers]
        price = texts.price(max(sizes), length=event.max_length, prompt_tokens=event.prompt_tokens)
        surcharge = sum(amount for _, amount in book.form_surcharges(choice, price))
        return _times(len(event.generations), price, surcharge, texts.tax)

    return cost


def _form_reading(event: InterrogationJobSubmitted, choice: WorkerChoice) -> Reading:
    free = {label.removesuffix(_FREE) for label, _ in event.quote if label.endswith(_FREE)}

    def cost(book: PriceBook) -> Cost:
        prices = {form: book.form_price(form, event.tiles) for form in event.forms}
        burnt = {
            form: sum(amount for _, amount in book.form_surcharges(choice, price))
            for form, price in prices.items()
        }
        paid = [form for form in event.forms if form not in free]
        return Cost(
            price=max(prices.values()),
            surcharge=max(burnt.values()),
            tax=book.form_tax,
            paid=sum(prices[form] for form in paid),
            burnt=sum(burnt[form] + book.form_tax for form in paid),
        )

    return cost


def _times(n: int, price: int, surcharge: int, tax: int) -> Cost:
    return Cost(price, surcharge, tax, n * price, n * (surcharge + tax))
