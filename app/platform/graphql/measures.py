"""What the transport tells of itself. Fields are those of the schema: a document that names others is refused before.

Look next: `app.platform.metrics`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from app.platform import metrics
from app.platform.graphql.documents import OperationInfo
from app.platform.graphql.rendering import Payload
from app.platform.metrics import child

#: what an operation with several root fields counts as, and one that only asks for the schema
SEVERAL: Final = "several"
INTROSPECTION: Final = "introspection"


def root_field(info: OperationInfo) -> str:
    """The one root field of an operation, or a word for what has none or several."""
    fields = info.root_fields
    if len(fields) != 1:
        fields = tuple(field for field in fields if not field.startswith("__")) or ("__schema",)
    if len(fields) > 1:
        return SEVERAL
    return INTROSPECTION if fields[0].startswith("__") else fields[0]


def answered(info: OperationInfo, seconds: float, payload: Payload) -> None:
    """A query or mutation was run, well or not."""
    field = root_field(info)
    child(metrics.GRAPHQL_SECONDS, info.kind, field).observe(seconds)
    if "errors" in payload:
        failed(field, payload["errors"])


def failed(field: str, errors: Sequence[Payload]) -> None:
    """A client was told of top-level errors; `field` is empty where nobody knows what it asked for."""
    for error in errors:
        child(metrics.GRAPHQL_ERRORS, field, str(error["extensions"]["code"])).inc()


@contextlib.contextmanager
def subscribed(info: OperationInfo) -> Iterator[None]:
    """A subscription is open."""
    gauge: Any = child(metrics.SUBSCRIPTIONS, root_field(info))
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """A WebSocket is open."""
    metrics.WEBSOCKETS.inc()
    try:
        yield
    finally:
        metrics.WEBSOCKETS.dec()


def slow_reader(wire: str) -> None:
    """Somebody who did not read was cut off."""
    child(metrics.SLOW_READERS, wire).inc()
