"""Rate limits by key and by address, counted in Valkey for all processes together (library `limits`).

When Valkey is away nothing is limited: the API's other bounds (queue, floors, cost) still hold. Look next:
`app.main`, which asks before every operation.
"""

from __future__ import annotations

import hashlib
import logging
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)

#: operations a minute of one key, and of one address over all keys
BY_KEY = RateLimitItemPerMinute(6_000)
BY_ADDRESS = RateLimitItemPerMinute(12_000)
#: accounts opened a minute from one address
REGISTRATIONS = RateLimitItemPerMinute(120)
#: documents a minute from one address that this process has not read before
NEW_DOCUMENTS = RateLimitItemPerMinute(600)


#: how long a request waits for Valkey, and how long all go on without it after it failed, in seconds
PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0


class Rates:
    """Counts hits in fixed windows of a minute."""

    def __init__(self, redis_url: str, pepper: str, *, enabled: bool) -> None:
        self._pepper = hashlib.sha256(pepper.encode()).digest()
        self._enabled = enabled
        storage = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._away_until = 0.0

    async def delay(self, item: RateLimitItem, *who: str) -> float | None:
        """Count a hit; None if it is within the limit, else the seconds until the window ends."""
        if not self._enabled or time.monotonic() < self._away_until:
            return None
        who = tuple(self._masked(part) for part in who)
        try:
            if await self._limiter.hit(item, *who):
                return None
            window = await self._limiter.get_window_stats(item, *who)
        except RedisError as error:
            self._away_until = time.monotonic() + REST_SECONDS
            _log.warning("rates_unknown", extra={"reason": type(error).__name__})
            return None
        return max(0.1, window.reset_time - time.time())

    def _masked(self, part: str) -> str:
        """What counts for somebody: Valkey writes its keys to disk, and addresses belong on none."""
        return hashlib.blake2b(part.encode(), key=self._pepper, digest_size=12).hexdigest()
