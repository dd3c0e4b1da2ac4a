"""Payloads as bytes, and things that render themselves: how one piece of work serves all subscribers of a process.

graphql-core executes a subscription's event anew for every subscriber. Where the answer depends on nothing but the
thing itself and on what was selected, that is the same work a hundred times: such a source yields `Rendered`, which is
asked for its JSON by `Selection` and may keep what it made. No wire and no slice is known here. Look next:
`app.platform.graphql.execution`, which collects the selection; `app.operations.rendering`, which renders events.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeAlias

import msgspec

#: A response's body: `data`, `errors` or both.
Payload: TypeAlias = dict[str, Any]

_encoder = msgspec.json.Encoder()


class Chosen(NamedTuple):
    """A field of a selection, fragments followed, variables applied."""

    #: its response key as JSON, with the colon after it
    key: bytes
    name: str
    #: what is chosen of it; empty for a leaf
    below: tuple[Chosen, ...]


Selection: TypeAlias = tuple[Chosen, ...]


class Rendered:
    """Yielded by a subscription's source in place of a value of its field's type."""

    __slots__ = ()

    def render(self, selection: Selection) -> bytes:
        """The value as JSON, with exactly the fields that are chosen."""
        raise NotImplementedError


def encode(payload: Payload) -> bytes:
    """A payload as UTF-8 JSON."""
    return _encoder.encode(payload)


def encode_text(text: str) -> bytes:
    """A text as JSON."""
    return _encoder.encode(text)


def data_of(root: Chosen, item: Rendered) -> bytes:
    """The payload of a subscription whose root field has this value."""
    return b'{"data":{' + root.key + item.render(root.below) + b"}}"


#: what an entry takes besides what was rendered: its key, its place in the dictionary, the headers of both
ENTRY_BYTES = 250


class Renderings:
    """What was rendered lately, by what it was and what was chosen of it; bounded by the memory that it takes."""

    def __init__(self, limit: int = 8_000_000) -> None:
        self._limit = limit
        self._held = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The rendering of a key, made now if it is not kept."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = make()
            self._held += len(found) + ENTRY_BYTES
            while self._held > self._limit and len(self._kept) > 1:
                self._held -= len(self._kept.popitem(last=False)[1]) + ENTRY_BYTES
        return found
