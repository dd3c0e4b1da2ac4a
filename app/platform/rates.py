"""Rate limits by key and by address, counted in Valkey for all processes together (library `limits`).

What every operation is counted for is counted here and told to Valkey in the background, so that no request waits for
it: a limit may be overrun by what comes in a fraction of a second. Rare things are counted one by one. When Valkey is
away nothing is limited: the API's other bounds (queue, floors, cost) still hold. Look next: `app.main`, which asks
before every operation.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import Counter

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool

from app.platform import metrics
from app.platform.valkey_errors import VALKEY_AWAY

_log = logging.getLogger(__name__)

#: operations a minute of one key, and of one address over all keys
BY_KEY = RateLimitItemPerMinute(6_000)
BY_ADDRESS = RateLimitItemPerMinute(12_000)
#: accounts opened a minute from one address
REGISTRATIONS = RateLimitItemPerMinute(120)
#: links for uploading source images a minute, for one address and for one account
UPLOADS = RateLimitItemPerMinute(120)
#: jobs with a webhook, pings and redeliveries a minute, for one address and for one account
WEBHOOKS = RateLimitItemPerMinute(600)
#: pictures handed out to one address without an account, and judgements from there, a minute each
ANONYMOUS_RATINGS = RateLimitItemPerMinute(120)
#: pictures reported a minute, for one address and for one account
REPORTS = RateLimitItemPerMinute(30)
#: documents a minute from one address that this process has not read before
NEW_DOCUMENTS = RateLimitItemPerMinute(600)


#: how long a request waits for Valkey, and how long all go on without it after it failed, in seconds
PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0
#: how long hits are added up before Valkey is told, in seconds
TALLY_SECONDS = 0.2

_Counted = tuple[RateLimitItem, tuple[str, ...]]


class Rates:
    """Counts hits in fixed windows of a minute."""

    def __init__(self, redis_url: str, pepper: str, *, enabled: bool) -> None:
        self._pepper = hashlib.sha256(pepper.encode()).digest()
        self._enabled = enabled
        self._connections = ConnectionPool.from_url(
            redis_url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        storage = RedisStorage(
            f"async+{redis_url}",
            implementation="redispy",
            connection_pool=self._connections,  # type: ignore[arg-type]
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._away_until = 0.0
        #: hits that Valkey was not told of yet, and until when (by the process's own clock) who is beyond a limit
        self._tally: Counter[_Counted] = Counter()
        self._beyond: dict[_Counted, float] = {}
        self._telling: asyncio.Task[None] | None = None

    def tally(self, item: RateLimitItem, what: str, who: str) -> float | None:
        """Count a hit soon; None if no limit is known to be passed, else the seconds until the window ends."""
        return _told(what, self._counted_soon(item, (what, who)))

    def _counted_soon(self, item: RateLimitItem, who: tuple[str, ...]) -> float | None:
        if not self._enabled:
            return None
        counted = (item, who)
        self._tally[counted] += 1
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())
        if self._tally[counted] > item.amount:
            return TALLY_SECONDS
        left = self._beyond.get(counted, 0.0) - time.monotonic()
        return left if left > 0 else None

    async def close(self) -> None:
        """Stop telling Valkey, and close the connections to it."""
        if self._telling is not None:
            self._telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._telling
        await self._connections.aclose()

    async def _tell(self) -> None:
        """Tell Valkey what was counted, now and then, as long as anything is."""
        try:
            while self._tally:
                await asyncio.sleep(TALLY_SECONDS)
                tally, self._tally = self._tally, Counter()
                now = time.monotonic()
                self._beyond = {counted: until for counted, until in self._beyond.items() if until > now}
                for (item, who), hits in tally.items():
                    if (delay := await self._hit(item, who, hits)) is not None:
                        self._beyond[item, who] = time.monotonic() + delay
        finally:
            self._telling = None

    async def delay(self, item: RateLimitItem, what: str, who: str) -> float | None:
        """Count a hit; None if it is within the limit, else the seconds until the window ends.

        `what` is a word of this program for what is counted, `who` the one for whom.
        """
        return _told(what, await self._hit(item, (what, who), 1))

    async def _hit(self, item: RateLimitItem, who: tuple[str, ...], hits: int) -> float | None:
        if not self._enabled or time.monotonic() < self._away_until:
            return None
        masked = tuple(self._masked(part) for part in who)
        try:
            if await self._limiter.hit(item, *masked, cost=hits):
                return None
            window = await self._limiter.get_window_stats(item, *masked)
        except VALKEY_AWAY as error:
            self._away_until = time.monotonic() + REST_SECONDS
            metrics.RATES_UNKNOWN.inc()
            _log.warning("rates_unknown", extra={"reason": type(error).__name__})
            return None
        return max(0.1, window.reset_time - time.time())

    def _masked(self, part: str) -> str:
        """What counts for somebody: Valkey writes its keys to disk, and addresses belong on none."""
        return hashlib.blake2b(part.encode(), key=self._pepper, digest_size=12).hexdigest()


def _told(what: str, delay: float | None) -> float | None:
    if delay is not None:
        metrics.child(metrics.RATE_LIMITED, what).inc()
    return delay
