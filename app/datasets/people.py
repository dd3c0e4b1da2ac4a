"""Names of people in releases: keyed hashes, the same in every release, and nobody's without the key.

Pure. The key follows from the house's pepper and is nowhere else. A hash alone leads to nobody; a position that stands
beside it leads to an event of the public log, and so to a random id. Look next: docs/datasets.md, docs/privacy.md.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final

#: what the key is made for: another series of exports would have another one
SERIES: Final = b"hoard data sets 1"
_BYTES: Final = 16


class People:
    """Hashes people by one key."""

    def __init__(self, pepper: str, realm: int) -> None:
        key = hmac.digest(pepper.encode(), SERIES + b" realm %d" % realm, "sha256")
        self.hash = lru_cache(65_536)(lambda subject: _hash(key, subject))


def _hash(key: bytes, subject: bytes) -> str:
    return hmac.new(key, subject, hashlib.sha256).digest()[:_BYTES].hex()
