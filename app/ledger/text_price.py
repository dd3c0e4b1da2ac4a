"""What texts cost: by tokens, by the size of the model, by the length of what it reads. Pure; amounts are hundredths.

Look next: `docs/kudos.md`, `app.ledger.postings`.
"""

from __future__ import annotations

from typing import Final

CHARACTERS_PER_TOKEN: Final = 4
LEAST_TOKENS: Final = 20


def tokens_of(characters: int) -> int:
    """Tokens of a text, as its length in characters has them estimated; nothing is shorter than 20."""
    return max(LEAST_TOKENS, -(-characters // CHARACTERS_PER_TOKEN))


def text_share(price: int, tokens: int, length: int) -> int:
    """What of the price of a text of `length` tokens one of `tokens` is worth; half a hundredth is rounded up."""
    return (2 * price * min(tokens, length) + length) // (2 * length)
