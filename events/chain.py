"""The hash chain: anyone with a copy of the log can prove it complete and unaltered.

hash(n) = SHA-256(hash(n-1) + canonical(n)); before the first event stands SHA-256 of the realm's name. The
canonical form is a JSON array of the envelope, with `data` and `metadata` as the stored texts, so that it can be
computed in any language without knowing a single event type. Look next: `docs/events.md`, `app.operations`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from events.base import Recorded

_encoder = msgspec.json.Encoder()


def genesis(realm: int) -> bytes:
    """The 32 bytes that stand before the first event of a realm."""
    return hashlib.sha256(f"hoard log 1 realm {realm}".encode()).digest()


@lru_cache(256)  # all events of a batch have the same
def instant(moment: datetime) -> str:
    """An instant as the chain and exports write it: UTC, six decimals."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def link(
    previous: bytes,
    position: int,
    event_id: UUID,
    stream: str,
    name: str,
    schema_version: int,
    subject: UUID | None,
    occurred_at: datetime,
    data: bytes,
    metadata: bytes,
) -> bytes:
    """The 32-byte hash of one event on top of the hash before it."""
    canonical = _encoder.encode(
        [
            position,
            event_id,
            stream,
            name,
            schema_version,
            subject,
            instant(occurred_at),
            data.decode(),
            metadata.decode(),
        ]
    )
    return hashlib.sha256(previous + canonical).digest()


def link_of(previous: bytes, event: Recorded) -> bytes:
    """The hash that a recorded event must have after `previous`."""
    return link(
        previous,
        event.position,
        event.event_id,
        event.stream,
        event.type,
        event.schema_version,
        event.subject,
        event.occurred_at,
        event.data,
        event.metadata,
    )
