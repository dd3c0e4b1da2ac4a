"""Classes of text models by size: how a text job asks for any model, and what any model of a class costs.

Pure. A job that names no model is offered to classes by tokens, as an image job is offered to families
(`app.ledger.families`); a model that nobody described is of the smallest class, and a model of one owner's own
(`name::owner`) of none. Look next: `app.ledger.text_price` for what a class costs, `app.ledger.text_quote` for which
classes a job gets, `app.fleet.serving` for which classes a worker's models are of.
"""

from enum import StrEnum
from typing import Final


class TextClass(StrEnum):
    """Text models that cost alike where none is named, smallest first; named by the most parameters, in billions."""

    UP_TO_3B = "3b"
    UP_TO_9B = "9b"
    UP_TO_15B = "15b"
    UP_TO_36B = "36b"
    UP_TO_73B = "73b"
    LARGER = "larger"


#: the most parameters of each class but the last
_MOST: Final = {
    TextClass.UP_TO_3B: 3_000_000_000,
    TextClass.UP_TO_9B: 9_000_000_000,
    TextClass.UP_TO_15B: 15_000_000_000,
    TextClass.UP_TO_36B: 36_000_000_000,
    TextClass.UP_TO_73B: 73_000_000_000,
}
_MARK: Final = "*texts:"


def class_of(parameters: int | None) -> TextClass:
    """The class of a model with so many parameters; of one that nobody described, the smallest."""
    if parameters is None:
        return TextClass.UP_TO_3B
    return next((size for size, most in _MOST.items() if parameters <= most), TextClass.LARGER)


def text_token(size: TextClass) -> str:
    """What stands for any model of a class in a job's offers; no client's name of a model begins with `*`."""
    return f"{_MARK}{size}"
