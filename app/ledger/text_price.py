"""What texts cost: by tokens, by the size of the model, by the length of what it reads. Pure; amounts are hundredths.

The arithmetic is decimal with a fixed precision, and powers are made of logarithms and exponentials, which decimal
arithmetic rounds correctly, so that every platform finds the same price; after the first rounding to hundredths
everything is whole numbers. Look next: `docs/kudos.md`, `app.ledger.text_quote` for quotes, `app.ledger.postings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final

import msgspec

from app.ledger.text_classes import TextClass

CHARACTERS_PER_TOKEN: Final = 4
LEAST_TOKENS: Final = 20

_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_ONE: Final = Decimal(1)
_BILLION: Final = Decimal(1_000_000_000)
_CLASSES: Final = {
    TextClass.UP_TO_3B: 2_700_000_000,
    TextClass.UP_TO_9B: 8_000_000_000,
    TextClass.UP_TO_15B: 13_000_000_000,
    TextClass.UP_TO_36B: 32_000_000_000,
    TextClass.UP_TO_73B: 70_000_000_000,
    TextClass.LARGER: 120_000_000_000,
}
#: prices of a token kept, by parameters and length of the prompt
_KEPT: Final = 4096


class TextPrices(msgspec.Struct, frozen=True, kw_only=True):
    """What a price book says of texts."""

    #: tokens that a model of a billion parameters writes for a kudo, after a prompt that costs nothing
    tokens_for_a_kudo: int = 125
    #: beyond so many billions of parameters a token costs more than in proportion: the ratio to this power on top
    proportional_billions: int = 13
    beyond_power: Decimal = Decimal("0.2")
    #: what the prompt multiplies: a base, and a growth for each doubling beyond so many tokens, within bounds
    prompt_base: Decimal = Decimal("1.2")
    prompt_growth: Decimal = Decimal("2.2")
    prompt_unit: int = 1024
    prompt_least: Decimal = Decimal("0.1")
    prompt_most: Decimal = Decimal(30)
    #: parameters that a model has which nobody described
    undescribed: int = 2_700_000_000
    #: parameters that a model counts for where a job names none, by its class
    classes: Mapping[TextClass, int] = msgspec.field(default_factory=lambda: _CLASSES)
    #: flat tax on a text, never multiplied
    tax: int = 100

    def price(self, parameters: int, *, length: int, prompt_tokens: int) -> int:
        """Hundredths for a text of `length` tokens after a prompt of `prompt_tokens`, rounded half to even."""
        token = _token(
            parameters,
            self.multiplier(prompt_tokens),
            self.tokens_for_a_kudo,
            self.proportional_billions,
            self.beyond_power,
        )
        kudos = _CONTEXT.multiply(token, Decimal(length))
        return int(_CONTEXT.multiply(kudos, Decimal(100)).quantize(_ONE, context=_CONTEXT))

    def multiplier(self, prompt_tokens: int) -> Decimal:
        """What the length of the prompt multiplies the price by: 1.2 + 2.2^(log2(tokens / 1024)), from 0.1 to 30."""
        grown = _prompt_multiplier(prompt_tokens, self.prompt_unit, self.prompt_base, self.prompt_growth)
        return min(max(grown, self.prompt_least), self.prompt_most)


def tokens_of(characters: int) -> int:
    """Tokens of a text, as its length in characters has them estimated; nothing is shorter than 20."""
    return max(LEAST_TOKENS, -(-characters // CHARACTERS_PER_TOKEN))


def prompt_tokens_of(characters: int, max_context_length: int) -> int:
    """Tokens of a prompt as they are estimated for the price: no more are read than the context holds."""
    return min(tokens_of(characters), max_context_length)


def text_share(price: int, tokens: int, length: int) -> int:
    """What of the price of a text of `length` tokens one of `tokens` is worth; half a hundredth is rounded up."""
    return (2 * price * min(tokens, length) + length) // (2 * length)


@lru_cache(maxsize=_KEPT)
def _token(
    parameters: int, multiplier: Decimal, tokens_for_a_kudo: int, proportional: int, beyond_power: Decimal
) -> Decimal:
    """Kudos for a token: billions / 125, times (billions / 13)^0.2 beyond 13 billions, times that of the prompt."""
    billions = _CONTEXT.divide(Decimal(parameters), _BILLION)
    kudos = _CONTEXT.divide(billions, Decimal(tokens_for_a_kudo))
    beyond = _CONTEXT.divide(billions, Decimal(proportional))
    if beyond > 1:
        kudos = _CONTEXT.multiply(kudos, _power(beyond, beyond_power))
    return _CONTEXT.multiply(kudos, multiplier)


@lru_cache(maxsize=_KEPT)
def _prompt_multiplier(tokens: int, unit: int, base: Decimal, growth: Decimal) -> Decimal:
    doublings = _CONTEXT.divide(
        _CONTEXT.ln(_CONTEXT.divide(Decimal(tokens), Decimal(unit))), _CONTEXT.ln(Decimal(2))
    )
    return _CONTEXT.add(base, _power(growth, doublings))


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    """By logarithm and exponential: a power itself need not be rounded correctly."""
    return _CONTEXT.exp(_CONTEXT.multiply(exponent, _CONTEXT.ln(base)))
