"""One at a time over all processes: at a shared picture, at the bucket of data sets, at mirrors, at the raters.

Advisory locks of the database, which the server frees when the connection ends, however that happens. Look next:
`app.sharing.publish`, `app.datasets.librarian`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from psycopg import Connection

_LOCK: Final = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


def picture(realm: int, delivered: int) -> str:
    """The lock of the picture that was delivered at a position: publishing it, putting it back, taking it away."""
    return f"publish:{realm}:{delivered}"


def releases(realm: int) -> str:
    """The lock of the bucket of data sets."""
    return f"datasets:{realm}"


def mirrors(realm: int) -> str:
    """The lock of what is to be mirrored."""
    return f"mirror:{realm}"


def assessments(realm: int) -> str:
    """The lock of assessing raters."""
    return f"raters:{realm}"


@contextlib.contextmanager
def alone(connection: Connection[Any], name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock; without `wait`, false if somebody else has it.

    Raises:
        psycopg.errors.LockNotAvailable: another one holds it for longer than the connection's `lock_timeout`.
    """
    row = connection.execute(_LOCK if wait else _TRY_LOCK, (name,)).fetchone()
    held = wait or bool(row and row[0])
    try:
        yield held
    finally:
        if held:
            connection.execute(_UNLOCK, (name,))
