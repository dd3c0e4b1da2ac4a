"""How facts of an older shape become the shape of today: (type, version) -> a function from dict to dict.

A new field with a default needs no upcaster. Any other change bumps the class's `SCHEMA_VERSION` and adds one
entry here that leads from the old version to the next; stored rows are never rewritten. Look next: `events.codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
