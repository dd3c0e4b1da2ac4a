"""What it looks like when Valkey is away, to whoever asks it on the event loop.

Look next: `app.platform.rates`, `app.platform.presence`, which go on without it.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import RedisError

#: uvloop raises RuntimeError where a connection's other end died between two writes, and the client lets it through
VALKEY_AWAY: Final = (RedisError, RuntimeError)
