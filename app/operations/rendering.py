"""Events of the log as the JSON that subscribers get: each is rendered once for all who choose the same of it.

What is written here is what the API's type `Event` shows; a test holds the two together. Look next:
`app.platform.graphql.rendering`, `app.operations.graphql`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from app.platform.graphql.rendering import Rendered, Renderings, Selection
from app.platform.graphql.scalars import format_datetime
from app.platform.services import Services
from events.base import Recorded

_json = msgspec.json.encode

_FIELDS: dict[str, Callable[[Recorded], bytes]] = {
    "__typename": lambda _: b'"Event"',
    "position": lambda event: b'"%d"' % event.position,
    "id": lambda event: b'"%s"' % str(event.event_id).encode(),
    "stream": lambda event: _json(event.stream),
    "type": lambda event: _json(event.type),
    "schemaVersion": lambda event: b"%d" % event.schema_version,
    "subject": lambda event: b"null" if event.subject is None else b'"%s"' % str(event.subject).encode(),
    "occurredAt": lambda event: _json(format_datetime(event.occurred_at)),
    "data": lambda event: event.data,  # stored as compact JSON, byte for byte
    "hash": lambda event: b'"%s"' % event.hash.hex().encode(),
}


class RenderedEvent(Rendered):
    """An event for subscribers to `events`."""

    __slots__ = ("_event", "_renderings")

    def __init__(self, event: Recorded, renderings: Renderings) -> None:
        self._event = event
        self._renderings = renderings

    def render(self, selection: Selection) -> bytes:
        """The chosen fields as a JSON object."""
        # the log never changes, so a position is as good as the event
        return self._renderings.get(
            (self._event.position, selection), lambda: _object(self._event, selection)
        )


class RenderedPage(Rendered):
    """Events for subscribers to `eventPages`, and the position up to which everything is told."""

    __slots__ = ("_events", "_reached", "_renderings")

    def __init__(self, events: Sequence[Recorded], reached: int, renderings: Renderings) -> None:
        self._events = events
        self._reached = reached
        self._renderings = renderings

    def render(self, selection: Selection) -> bytes:
        """The chosen fields as a JSON object; its events share what was rendered for others."""
        parts = []
        for key, name, below in selection:
            if name == "events":
                events = (RenderedEvent(event, self._renderings).render(below) for event in self._events)
                parts.append(key + b"[" + b",".join(events) + b"]")
            elif name == "position":
                parts.append(key + b'"%d"' % self._reached)
            else:
                parts.append(key + b'"EventPage"')
        return b"{" + b",".join(parts) + b"}"


def renderings(services: Services) -> Renderings:
    """What this process rendered lately."""
    found: Renderings = services.caches.setdefault("renderings", Renderings())
    return found


def _object(event: Recorded, selection: Selection) -> bytes:
    return b"{" + b",".join(chosen.key + _FIELDS[chosen.name](event) for chosen in selection) + b"}"
