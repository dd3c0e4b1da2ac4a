"""What is told of a picture, form by form: checked when a worker delivers it, kept as a JSON text, read for its client.

Pure. One canonical shape a form: a text, true or false, a number, or a list of pairs, best first. What makes a picture is
uploaded instead. Look next: `app.workers.told`, `app.jobs.interrogation_types`, `app.platform.vault`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from events.jobs import InterrogationForm

#: characters of a caption, of a description, of a drawing
MAX_CAPTION: Final = 2_000
MAX_DESCRIPTION: Final = 10_000
MAX_DRAWING: Final = 500_000
MAX_KEYWORDS: Final = 500
MAX_KEYWORD: Final = 200
MAX_COLOURS: Final = 64
MAX_SCORE: Final = 10.0

_HEX: Final = re.compile(r"#[0-9a-fA-F]{6}")
_BLANKS: Final = re.compile(r"\s*")
#: what may come before the drawing: how each begins and ends
_BEFORE_SVG: Final = (("<?xml", "?>"), ("<!--", "-->"))
_TEXTS: Final = {
    InterrogationForm.CAPTION: MAX_CAPTION,
    InterrogationForm.DESCRIBE: MAX_DESCRIPTION,
    InterrogationForm.VECTORIZE: MAX_DRAWING,
}


class Keyword(msgspec.Struct, frozen=True, array_like=True):
    """What a picture shows, and how sure that is, from 0 to 1."""

    keyword: str
    confidence: float


class Colour(msgspec.Struct, frozen=True, array_like=True):
    """A main colour as `#rrggbb`, and how much of the picture has it, from 0 to 1."""

    hex: str
    share: float


#: what a form tells, by its shape
Result = str | bool | float | tuple[Keyword, ...] | tuple[Colour, ...]


class FormResultError(Exception):
    """What was told is not of the form's shape; `place` leads to what is amiss, from the result on."""

    def __init__(self, message: str, *place: str) -> None:
        super().__init__(message)
        self.place = place


def check(form: InterrogationForm, told: Any) -> Result:
    """What a worker told, bounded and in canonical shape. Raises `FormResultError`."""
    match form:
        case InterrogationForm.CAPTION | InterrogationForm.DESCRIBE:
            return _text(told, _TEXTS[form], least=1)
        case InterrogationForm.NSFW:
            if not isinstance(told, bool):
                raise FormResultError("nsfw is told as true or false")
            return told
        case InterrogationForm.INTERROGATION:
            return _keywords(told)
        case InterrogationForm.VECTORIZE:
            return _drawing(told)
        case InterrogationForm.PALETTE:
            return _palette(told)
        case InterrogationForm.AESTHETIC:
            return _number(told, MAX_SCORE)


def encode(result: Result) -> str:
    """As the vault keeps it."""
    return msgspec.json.encode(result).decode()


def decode(form: InterrogationForm, kept: str) -> Result:
    """What the vault kept of a form."""
    match form:
        case InterrogationForm.INTERROGATION:
            return msgspec.json.decode(kept, type=tuple[Keyword, ...])
        case InterrogationForm.PALETTE:
            return msgspec.json.decode(kept, type=tuple[Colour, ...])
        case InterrogationForm.NSFW:
            return msgspec.json.decode(kept, type=bool)
        case InterrogationForm.AESTHETIC:
            return msgspec.json.decode(kept, type=float)
        case _:
            return msgspec.json.decode(kept, type=str)


def _text(told: Any, most: int, *place: str, least: int = 0) -> str:
    if not isinstance(told, str) or not least <= len(told) <= most:
        raise FormResultError(f"must be a text of {least} to {most} characters", *place)
    if "\0" in told or any("\ud800" <= each <= "\udfff" for each in told):
        raise FormResultError("must be valid Unicode text without NUL", *place)
    return told


def _number(told: Any, most: float, *place: str) -> float:
    # A boolean is an int to Python and to nobody else.
    if not isinstance(told, int | float) or isinstance(told, bool) or not 0 <= told <= most:
        raise FormResultError(f"must be a number from 0 to {most:g}", *place)
    return float(told) + 0.0  # -0.0 becomes 0.0


def _keywords(told: Any) -> tuple[Keyword, ...]:
    """A map from keywords to confidences, or a list of {keyword, confidence}; the surest first."""
    found = [
        Keyword(_text(name, MAX_KEYWORD, *at, least=1), _number(sure, 1.0, *at))
        for at, name, sure in _pairs(told, "keyword", "confidence", MAX_KEYWORDS)
    ]
    if len({each.keyword for each in found}) < len(found):
        raise FormResultError("a keyword is told once")
    return tuple(sorted(found, key=lambda each: (-each.confidence, each.keyword)))


def _palette(told: Any) -> tuple[Colour, ...]:
    """A map from colours to shares, or a list of {hex, share}; the largest first."""
    found = []
    for at, name, share in _pairs(told, "hex", "share", MAX_COLOURS):
        colour = _text(name, len("#rrggbb"), *at)
        if not _HEX.fullmatch(colour):
            raise FormResultError("a colour is written #rrggbb", *at)
        found.append(Colour(colour.lower(), _number(share, 1.0, *at)))
    if len({each.hex for each in found}) < len(found):
        raise FormResultError("a colour is told once")
    return tuple(sorted(found, key=lambda each: (-each.share, each.hex)))


def _pairs(told: Any, name: str, value: str, most: int) -> list[tuple[tuple[str, ...], Any, Any]]:
    """Names and values with where they stand; of a map no place is told, for its keys are words."""
    shape = f"must be a map from {name} to {value}, or a list of objects with both"
    if not isinstance(told, Mapping | Sequence) or isinstance(told, str):
        raise FormResultError(shape)
    if len(told) > most:
        raise FormResultError(f"must have at most {most} entries")
    if isinstance(told, Mapping):
        return [((), key, amount) for key, amount in told.items()]
    for index, each in enumerate(told):
        if not isinstance(each, Mapping) or each.keys() != {name, value}:
            raise FormResultError(shape, str(index))
    return [((str(index),), each[name], each[value]) for index, each in enumerate(told)]


def _drawing(told: Any) -> str:
    """An SVG document by its first and last tags. What is in it is the worker's word: nobody may show it unguarded."""
    drawing = _text(told, MAX_DRAWING, least=1)
    at = _before_svg(drawing)
    begins = drawing[at : at + 4] == "<svg" and drawing[at + 4 : at + 5] in (" ", ">", "\n", "\r", "\t")
    if not begins or not drawing.rstrip().endswith("</svg>"):
        raise FormResultError("must be an SVG document without a document type")
    return drawing


def _before_svg(drawing: str) -> int:
    """Where the first thing begins that is no blank, declaration or comment."""
    at = 0
    while True:
        at = _BLANKS.match(drawing, at).end()  # type: ignore[union-attr]  # no blank is a match, too
        ends = [end for begin, end in _BEFORE_SVG if drawing.startswith(begin, at)]
        if not ends or (closed := drawing.find(ends[0], at)) < 0:
            return at
        at = closed + len(ends[0])
