"""Between facts and stored bytes: one literal type name and integer version for each class.

May not know SQL. An unknown type, version or field is an error, never skipped. Look next: `events.upcasters`,
`events.chain`; the golden corpus in `tests/contract/golden` holds every shape ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from events import (
    accounts,
    images,
    jobs,
    kudos,
    moderation,
    operations,
    ratings,
    sharing,
    teams,
    webhooks,
    workers,
)
from events.base import Event, Fact, Metadata, Recorded
from events.upcasters import UPCASTERS, Upcaster

#: where facts are, in the order in which they are explained
MODULES: Final = (
    accounts,
    kudos,
    jobs,
    sharing,
    moderation,
    workers,
    teams,
    operations,
    webhooks,
    images,
    ratings,
)
#: every class of fact by its stored name
EVENT_TYPES: dict[str, type[Event]] = {cls.TYPE: cls for module in MODULES for cls in module.EVENTS}


class UnknownEventError(Exception):
    """A stored event has a type or version that this program does not know."""


_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Event]] = {
    name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()
}
_metadata_decoder = msgspec.json.Decoder(Metadata)


def encode(event: Event) -> bytes:
    """The stored JSON text of an event.

    msgspec checks types on decoding only, so what was encoded is decoded again and compared: a fact that could
    not be read back is never appended. Raises `msgspec.ValidationError` or `ValueError`.
    """
    data = _encoder.encode(event)
    if _decoders[event.TYPE].decode(data) != event:
        message = f"{event.TYPE} does not survive encoding"
        raise ValueError(message)
    return data


def decode(
    name: str, version: int, data: bytes, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> Event:
    """The fact of today's shape in a stored JSON text. Raises `UnknownEventError`, `msgspec.ValidationError`."""
    cls = EVENT_TYPES.get(name)
    if cls is None:
        message = f"unknown event type {name!r}"
        raise UnknownEventError(message)
    if version == cls.SCHEMA_VERSION:
        return _decoders[name].decode(data)
    return msgspec.convert(
        _upcast(name, version, cls.SCHEMA_VERSION, msgspec.json.decode(data), upcasters), cls
    )


def _upcast(
    name: str, version: int, target: int, body: dict[str, Any], upcasters: Mapping[tuple[str, int], Upcaster]
) -> dict[str, Any]:
    for step in range(version, target):
        upcaster = upcasters.get((name, step))
        if upcaster is None:
            break
        body = upcaster(body)
    else:
        if version < target:
            return body
    message = f"no way from version {version} of {name!r} to {target}"
    raise UnknownEventError(message)


def encode_metadata(metadata: Metadata) -> bytes:
    """The stored JSON text of an event's metadata."""
    return _encoder.encode(metadata)


def decode_metadata(data: bytes) -> Metadata:
    """The metadata in a stored JSON text."""
    return _metadata_decoder.decode(data)


def fact_of(recorded: Recorded) -> Fact:
    """What a fold sees of a recorded event."""
    return Fact(
        recorded.position, recorded.occurred_at, decode(recorded.type, recorded.schema_version, recorded.data)
    )
