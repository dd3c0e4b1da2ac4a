"""What clients ask for, one class a kind of work, with what the price list says of it: pictures, texts, forms.

Another kind is another subclass of `Wish`, with what its workers serve in `NAMES`. Amounts are hundredths of kudos. Look
next: `shapes.py` for the things that are made of a wish, `orders.py` for what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log2
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from tests.stateful.rules.shapes import Worker

TAX, TAX_SHARED, TAX_TEXT, TAX_FORM = 300, 100, 100, 100
STEPS = 30
#: models in short, with their names; work with those in the second costs more: this many times
MODELS = {"a": "a", "b": "b", "c": "SDXL 1.0"}
FACTOR = {"c": 2}
#: text models in short, with their names and their parameters, which nobody knows of the first; and what any model of
#: the same class counts for where a job names none
TEXT_MODELS = {"w": "writer", "x": "qwen2.5-7b-instruct", "y": "qwen2.5-14b-instruct"}
PARAMETERS = {"w": 2.7e9, "x": 7.6e9, "y": 14.8e9}
OF_CLASS = {"w": 2.7e9, "x": 8e9, "y": 13e9}
#: what may be told of a picture, and what telling it earns; the last is a picture of one tile
FORMS = {"caption": 100, "interrogation": 300, "nsfw": 100, "GFPGAN": 300}
#: what workers serve, as the log names it
NAMES = {**MODELS, **TEXT_MODELS, **{form: form for form in FORMS}}
#: a LoRA costs so much; what a client pays besides in per cent: for a source, for no slow workers, for a list of denied
LORA, SOURCE_PERCENT, PATIENCE_PERCENT, DENIED_PERCENT = 300, 30, 20, 10
#: tokens that may be written and read without the kudos in hand: by the anonymous user or a newcomer, by others
FREE_TOKENS = {False: (256, 1_024), True: (512, 2_048)}
#: tokens that any text has; tokens that are read at most
LEAST_TOKENS, CONTEXT = 20, 2_048


class Size(NamedTuple):
    """A kind of picture, with what the price list says of it."""

    side: int
    #: kudos of 30 steps, without and with one post-processor
    price: int
    price_faces: int
    #: seconds that a lease on one lasts
    lease: int
    #: without the kudos in hand: may the anonymous user or a newcomer ask for it, may who holds kudos or a role
    free: tuple[bool, bool]


SIZES = {
    "small": Size(512, 650, 780, 150, (True, True)),
    "middle": Size(640, 987, 1184, 150, (False, True)),
    "large": Size(1024, 3604, 4325, 270, (False, False)),
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a client asks for: what wishes of all kinds have."""

    kind: ClassVar[str]

    n: int = 1
    nsfw: bool = False
    about: str = "cat"
    #: hundredths that it must not cost more than
    most: int | None = None
    #: made of a picture: "uploaded" before, or one that "is fetched" first
    source: str = ""
    #: only these workers, or none of those
    only: tuple[UUID, ...] = ()
    denied: tuple[UUID, ...] = ()
    #: only workers of trusted owners; no slow ones; those too that say that they are slow
    trusted_workers: bool = False
    hasty: bool = False
    patient: bool = False
    shared: bool = False
    #: it comes from an address that the operator calls unsafe
    unsafe: bool = False
    #: what its client wants to be told of it by a webhook of its own
    told: tuple[str, ...] = ()

    # --- what each kind says

    def worth(self, model: str) -> int:
        """What a generation made with a model earns, or a form."""
        raise NotImplementedError

    def with_(self, worker: Worker) -> list[str]:
        """With what a worker may serve it."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """What a worker reads of it, and may not like."""
        return self.about

    @property
    def tax(self) -> int:
        raise NotImplementedError

    @property
    def lease(self) -> int:
        """Seconds that a lease on one generation lasts."""
        raise NotImplementedError

    @property
    def dearest(self) -> str:
        """What it costs most with."""
        raise NotImplementedError

    @property
    def places(self) -> int:
        """In how many places of the queue it waits, at most."""
        raise NotImplementedError

    def work(self, tokens: int) -> int:
        """What a delivery of so many tokens was to do: pixels x steps, or thousandths of tokens, or of forms."""
        raise NotImplementedError

    def asks(self) -> Iterator[str]:
        """What of it a worker must allow."""
        if self.nsfw:
            yield "nsfw"

    def fits(self, worker: Worker) -> bool:
        """Whether it is small enough for a worker."""
        return True

    def free(self, *, known: bool) -> bool:
        """Whether it needs no kudos in hand."""
        return True

    def settled(self, available: int, *, known: bool) -> Wish:
        """What is offered to workers, given what its client has."""
        return self

    def part(self, amount: int, tokens: int) -> int:
        """What of an amount for a whole generation is due for so many tokens."""
        return amount

    def asked(self, told: tuple[str, ...] = ()) -> list[str | None]:
        """Each generation that is to be paid: which form; None where that is nothing to it."""
        return [None] * self.n

    # --- what follows

    def surcharge_with(self, model: str) -> int:
        """What its client pays besides: a part of the price, then a part of the sum, and so on."""
        price = total = self.worth(model)
        parts = (
            (bool(self.source) and self.kind == "IMAGE", SOURCE_PERCENT),
            (self.hasty, PATIENCE_PERCENT),
            (bool(self.denied), DENIED_PERCENT),
        )
        for asked, percent in parts:
            total += (total * percent + 50) // 100 if asked else 0
        return total - price

    @property
    def price(self) -> int:
        return self.worth(self.dearest)

    @property
    def surcharge(self) -> int:
        return self.surcharge_with(self.dearest)

    def cost(self, form: str | None = None) -> int:
        """Of one generation, at most; or of a form."""
        model = form or self.dearest
        return self.worth(model) + self.surcharge_with(model) + self.tax

    def quote(self, told: tuple[str, ...] = ()) -> int:
        """Of all of it, but for forms that were told before."""
        return sum(self.cost(form) for form in self.asked(told))


@dataclass(frozen=True, kw_only=True)
class PictureWish(Wish):
    """Pictures."""

    kind: ClassVar[str] = "IMAGE"

    size: str = "small"
    #: any of these; none: any model at all
    models: frozenset[str] = frozenset()
    faces: bool = False
    lora: bool = False

    def worth(self, model: str) -> int:
        size = SIZES[self.size]
        work = (size.price_faces if self.faces else size.price) + (LORA if self.lora else 0)
        return work * FACTOR.get(model, 1)

    def with_(self, worker: Worker) -> list[str]:
        """For who names none the dearer ones are not meant."""
        return sorted(worker.models & (self.models or {"a", "b"}), key=NAMES.__getitem__)

    @property
    def tax(self) -> int:
        return TAX_SHARED if self.shared else TAX

    @property
    def lease(self) -> int:
        return SIZES[self.size].lease

    @property
    def dearest(self) -> str:
        return max(self.models, key=lambda model: FACTOR.get(model, 1), default="a")

    @property
    def places(self) -> int:
        return max(1, len(self.models))

    def work(self, tokens: int) -> int:
        return SIZES[self.size].side ** 2 * STEPS

    def asks(self) -> Iterator[str]:
        asked = {"post_processing": self.faces, "img2img": bool(self.source), "lora": self.lora}
        yield from super().asks()
        yield from (name for name, needed in asked.items() if needed)

    def fits(self, worker: Worker) -> bool:
        return SIZES[self.size].side <= worker.side

    def free(self, *, known: bool) -> bool:
        native = bool(self.models) and all(model in FACTOR for model in self.models)
        return not self.hasty and (native or SIZES[self.size].free[known])


@dataclass(frozen=True, kw_only=True)
class TextWish(Wish):
    """Texts, paid by what is written of what was asked for."""

    kind: ClassVar[str] = "TEXT"

    #: any of these; none: any model of these classes
    models: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ("w", "x", "y")
    #: tokens that are written at most, and those of the prompt
    length: int = 80
    prompt: int = LEAST_TOKENS

    def worth(self, model: str) -> int:
        """Billions of parameters / 125 kudos a token, more for large models, by the length of what is read."""
        billions = (PARAMETERS if self.models else OF_CLASS)[model] / 1e9
        token = billions / 125 * max(1.0, billions / 13) ** 0.2
        reading = min(max(1.2 + 2.2 ** log2(self.prompt / 1024), 0.1), 30.0)
        return round(token * reading * self.length * 100)

    def with_(self, worker: Worker) -> list[str]:
        return sorted(worker.models & (self.models or set(self.classes)), key=NAMES.__getitem__)

    @property
    def tax(self) -> int:
        return TAX_TEXT

    @property
    def lease(self) -> int:
        return 150

    @property
    def dearest(self) -> str:
        return max(self.models or self.classes, key=PARAMETERS.__getitem__)

    @property
    def places(self) -> int:
        return len(self.models or self.classes)

    def work(self, tokens: int) -> int:
        return tokens * 1000

    def fits(self, worker: Worker) -> bool:
        return self.length <= worker.side

    def free(self, *, known: bool) -> bool:
        written, read = FREE_TOKENS[known]
        return not self.hasty and self.length <= written and self.prompt <= read

    def settled(self, available: int, *, known: bool) -> TextWish:
        """Who names no model is offered the classes that are within the limit, or within reach where all must be in hand."""
        if self.models:
            return self
        wish = self if self.most is None else self._within(self.most)
        if wish.quote() > available and not wish.free(known=known):
            wish = self._within(min(available, self.most or available))
        return wish

    def _within(self, most: int) -> TextWish:
        """The smallest class in any case."""
        within = (size for size in self.classes if replace(self, classes=(size,)).quote() <= most)
        return replace(self, classes=tuple(dict.fromkeys(("w", *within))))

    @property
    def least(self) -> int:
        """The least that must be in hand where something must."""
        return (self if self.models else replace(self, classes=("w",))).quote()

    def part(self, amount: int, tokens: int) -> int:
        """Half a hundredth is rounded up."""
        return (2 * amount * min(tokens, self.length) + self.length) // (2 * self.length)


@dataclass(frozen=True, kw_only=True)
class FormWish(Wish):
    """What is told of a picture: one generation a form, each paid by itself."""

    kind: ClassVar[str] = "INTERROGATION"

    forms: tuple[str, ...] = ("caption",)

    @property
    def words(self) -> str:
        return ""

    def worth(self, model: str) -> int:
        return FORMS[model]

    def with_(self, worker: Worker) -> list[str]:
        return sorted(worker.models & set(self.forms))

    @property
    def tax(self) -> int:
        return TAX_FORM

    @property
    def lease(self) -> int:
        return 180

    @property
    def dearest(self) -> str:
        return max(self.forms, key=FORMS.__getitem__)

    @property
    def places(self) -> int:
        return len(self.forms)

    def work(self, tokens: int) -> int:
        return 1000

    def asked(self, told: tuple[str, ...] = ()) -> list[str | None]:
        return [form for form in self.forms if form not in told]
