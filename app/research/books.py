"""A price book out of a TOML file: what it says replaces what the present book says. Pure but for reading the file.

Look next: `app.ledger.price_book` for what each field means, `app.research.shadow`.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from app.ledger.price_book import CURRENT, PriceBook


class BookError(Exception):
    """The file is no price book; the message names the field."""


def read_book(path: Path) -> PriceBook:
    """The present book with a file's changes, of the next version.

    Raises:
        BookError: it is no TOML, or a field is unknown, of another type, negative, no number, or zero where it divides.
    """
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path}: {error}"
        raise BookError(message) from None
    base = msgspec.to_builtins(CURRENT) | {"version": CURRENT.version + 1}
    merged = _merged(base, changes, "")
    try:
        book = msgspec.convert(merged, PriceBook)
    except msgspec.ValidationError as error:
        raise BookError(str(error)) from None
    _check_amounts("", msgspec.to_builtins(book, builtin_types=(Decimal,)))
    _check_divisors(book)
    return book


def _merged(base: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields of a book, those that are changed replaced; tables of names are replaced as a whole."""
    merged = dict(base)
    for name, value in changes.items():
        if name not in base:
            known = ", ".join(sorted(base))
            message = f"`{where}{name}` is no field of a price book; there are {known}"
            raise BookError(message)
        nested = name == "texts" and isinstance(value, dict)
        merged[name] = _merged(base[name], value, f"{where}{name}.") if nested else value
    return merged


def _check_amounts(name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _check_amounts(f"{name}.{key}" if name else str(key), each)
    elif isinstance(value, Decimal) and not value.is_finite():
        message = f"`{name}` is {value}, which is no amount"
        raise BookError(message)
    elif isinstance(value, int | Decimal) and value < 0:
        message = f"`{name}` is {value}: nothing in a price book is negative"
        raise BookError(message)


def _check_divisors(book: PriceBook) -> None:
    texts = book.texts
    divisors = {
        "tokens_for_a_kudo": texts.tokens_for_a_kudo,
        "proportional_billions": texts.proportional_billions,
        "prompt_unit": texts.prompt_unit,
        "prompt_growth": texts.prompt_growth,
    }
    for name, value in divisors.items():
        if not value:
            message = f"`texts.{name}` is 0: it must be more"
            raise BookError(message)
    if book.reference_pixels <= book.least_pixels:
        message = f"`reference_pixels` is {book.reference_pixels}: it must be more than `least_pixels`, {book.least_pixels}"
        raise BookError(message)
