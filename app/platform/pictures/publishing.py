"""One at a time at a shared picture: publishing it, putting it back, taking it away.

Advisory locks of the database, which the server frees when the connection ends, however that happens. Look next:
`app.sharing.publish`, `app.images.takedown`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from psycopg import Connection

_LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


@contextlib.contextmanager
def alone(connection: Connection[Any], realm: int, delivered: int) -> Iterator[None]:
    """Hold the lock of the picture that was delivered at a position.

    Raises:
        psycopg.errors.LockNotAvailable: another one holds it for longer than the connection's `lock_timeout`.
    """
    name = f"publish:{realm}:{delivered}"
    connection.execute(_LOCK, (name,))
    try:
        yield
    finally:
        connection.execute(_UNLOCK, (name,))
