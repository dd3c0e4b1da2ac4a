"""What programs say of themselves: of `name:version:contact` only name and version are kept. Pure.

Look next: `app.workers.capabilities`, `app.ratings.handlers`.
"""

from __future__ import annotations

import re
from typing import Final

#: characters of an agent string
MAX_AGENT: Final = 1_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._+~-]{0,49}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,19}")
#: a version has fewer dots than an address; what holds one is not kept
_ADDRESS = re.compile(r"[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+")


def program_of(text: str) -> tuple[str, str] | None:
    """Name and version in an agent string; None where it does not say them as programs do."""
    name, _, rest = text.partition(":")
    version = rest.partition(":")[0]
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version) or _ADDRESS.search(text[:100]):
        return None
    return name, version
