"""What every handler needs: idempotency keys checked, busy writers answered, rejections as data.

Look next: any slice's `handlers.py`.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import msgspec

from app.platform.commands import Command, Done, Idempotency, Rejection
from app.platform.services import Services
from app.platform.writer import WriterBusyError
from events.base import ANONYMOUS

#: longest idempotency key
MAX_KEY = 128


#: by which rule parameters became a fingerprint: in front of every one. Version 0.1.0 wrote none.
_SCHEME = b"\x02"


def fingerprint(parameters: Any) -> bytes:
    """The rule's number, then SHA-256 over a client's parameters (of inputs: `app.platform.graphql.said`).

    A repeat may come to a later release than the first attempt, so the same parameters must come to the same bytes there:
    `tests/contract/test_fingerprints.py`.
    """
    return _SCHEME + hashlib.sha256(msgspec.json.encode(parameters, order="deterministic")).digest()


def idempotency(
    subject: UUID, mutation: str, key: str | None, parameters: Any
) -> Idempotency | Rejection | None:
    """The promise that a key makes; None without a key. Callers without an account must send a UUID."""
    if key is None:
        return None
    path = ("input", "idempotencyKey")
    if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        return Rejection(
            code="INVALID_INPUT",
            message=f"an idempotency key has 1 to {MAX_KEY} printable ASCII characters",
            path=path,
        )
    if subject == ANONYMOUS and parse_id(key) is None:
        message = "without an account an idempotency key must be a UUID: anybody could guess another"
        return Rejection(code="INVALID_INPUT", message=message, path=path)
    return Idempotency(f"{subject}/{mutation}", key, fingerprint(parameters))


async def run(
    services: Services,
    command: Command,
    *,
    actor: UUID,
    promise: Idempotency | Rejection | None = None,
    id_: UUID | None = None,
) -> Done | Rejection:
    """Run a command; a busy or absent database is a rejection with a delay. Raises `InternalError`."""
    if isinstance(promise, Rejection):
        return promise
    try:
        return await services.execute(command, actor=actor, id_=id_, idempotency=promise)
    except WriterBusyError as busy:
        message = "the server is busy: nothing was done, try again"
        if not busy.certain:
            message = "the database went away during the commit: try again with the same idempotency key"
        return Rejection(
            code="TRY_AGAIN",
            message=message,
            detail={"retry_after_seconds": busy.retry_after},
        )


def parse_id(text: str) -> UUID | None:
    """The id in a client's text; None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
