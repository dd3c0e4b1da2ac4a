"""Making ids: UUIDv7 for events, random UUIDs for everything else, keys for people.

Deciders and folds may not call this; ids reach them inside commands. Look next: `app.platform.keys`.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID, uuid4


def new_id() -> UUID:
    """A random id for a user, job, generation, lease, worker or command: it says nothing about when or who."""
    return uuid4()


def uuid7(moment: datetime) -> UUID:
    """A UUID of version 7 (RFC 9562) at an instant: milliseconds since 1970, then 74 random bits."""
    milliseconds = int(moment.timestamp() * 1000) & ((1 << 48) - 1)
    random = secrets.randbits(74)
    return UUID(
        int=milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    )
