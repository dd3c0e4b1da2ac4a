"""Making ids: UUIDv7 for events, random UUIDs for everything else, keys for people.

Deciders and folds may not call this; ids reach them inside commands. Look next: `app.platform.keys`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: version and variant, and the 74 bits that are left beside them below the time
_VERSION_7 = 0x7 << 76 | 0b10 << 62
_RANDOM = (1 << 80) - 1 & ~(0xF << 76 | 0b11 << 62)


def new_id() -> UUID:
    """A random id for a user, job, generation, lease, worker or command: it says nothing about when or who."""
    return uuid4()


def uuid7(moment: datetime) -> UUID:
    """A UUID of version 7 (RFC 9562) at an instant: milliseconds since 1970, then 74 random bits."""
    milliseconds = (moment - _EPOCH) // _MILLISECOND & (1 << 48) - 1
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM
    return UUID(int=milliseconds << 80 | _VERSION_7 | random)
