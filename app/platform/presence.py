"""Presence of workers: who polled lately, what came of it, for how long they were there. Kept in Valkey: it is no fact.

When Valkey is away nobody seems online and nothing fails. The seconds that are counted here are only ever a claim: the
log's own time bounds what is paid for them (`app.workers.uptime`), so that losing Valkey loses at most ten minutes of
uptime and pays nothing twice. Look next: `app.workers.present`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from app.platform import metrics
from app.platform.valkey_errors import VALKEY_AWAY

_log = logging.getLogger(__name__)

#: a worker is online for so long after it polled, in seconds
ONLINE_SECONDS = 300
#: how often a process renews the same worker's presence, in seconds
RENEW_SECONDS = 20.0
#: seconds of presence that make a claim; the counting begins anew with it
CLAIMED_SECONDS = 600
#: Counts presence by Valkey's own clock, one count for all processes: (serves everybody, longest silence that counts,
#: what makes a claim). A longer silence, or serving only its owner, begins the count anew. Answers the claim, or 0.
_COUNT = """
if ARGV[1] == '0' then redis.call('DEL', KEYS[1]) return 0 end
local now = tonumber(redis.call('TIME')[1])
local kept = redis.call('HMGET', KEYS[1], 'last', 'seconds')
local silent = now - tonumber(kept[1] or now)
local seconds = tonumber(kept[2] or 0) + silent
if silent > tonumber(ARGV[2]) or silent < 0 then seconds = 0 end
local claim = 0
if seconds > tonumber(ARGV[3]) then claim = seconds seconds = 0 end
redis.call('HSET', KEYS[1], 'last', now, 'seconds', seconds)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return claim
"""
#: how often a process keeps what the same worker's polls came to, in seconds
TOLD_SECONDS = 5.0
#: how long a request waits for Valkey, and how long all go on without it after it failed, in seconds
PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0


def online_prefix(realm: int) -> str:
    """What the keys that mark workers as online begin with; the worker's id follows."""
    return f"hoard:{realm}:online:"


class LastPoll(msgspec.Struct, frozen=True):
    """When a worker polled, and (reason, waiting jobs) for what it passed over; None where it found work."""

    at: datetime
    skipped: tuple[tuple[str, int], ...] | None


class Presence:
    """Marks and reads presence of one realm's workers."""

    def __init__(self, redis: Redis, realm: int) -> None:
        self._redis = redis
        self._prefix = online_prefix(realm)
        self._polls = f"hoard:{realm}:poll:"
        self._uptime = f"hoard:{realm}:uptime:"
        #: when a worker's presence was renewed, and whether it served everybody then
        self._renewed: dict[UUID, tuple[float, bool]] = {}
        self._told: dict[UUID, tuple[float, bool | None]] = {}
        self._away_until = 0.0

    async def saw(self, worker: UUID, *, counts: bool = True) -> int:
        """A worker polled just now; the seconds that its owner may claim a reward for, mostly 0.

        With `counts` it serves everybody: the time since its last poll counts, if that was at most 300 seconds ago.
        """
        now = time.monotonic()
        at, counted = self._renewed.get(worker, (-RENEW_SECONDS, counts))
        if now < self._away_until or (now - at < RENEW_SECONDS and counted == counts):
            return 0
        self._renewed[worker] = (now, counts)
        try:
            async with self._redis.pipeline(transaction=False) as asked:
                asked.set(f"{self._prefix}{worker}", "1", ex=ONLINE_SECONDS)
                asked.eval(
                    _COUNT,
                    1,
                    f"{self._uptime}{worker}",
                    str(int(counts)),
                    str(ONLINE_SECONDS),
                    str(CLAIMED_SECONDS),
                )
                _, claim = await asked.execute()
        except VALKEY_AWAY as error:
            self._renewed.pop(worker, None)
            self._gone(error)
            return 0
        return int(claim)

    async def give_back(self, worker: UUID, seconds: int) -> None:
        """A claim that was not decided counts again."""
        with contextlib.suppress(*VALKEY_AWAY):
            await self._redis.hincrby(f"{self._uptime}{worker}", "seconds", seconds)

    async def online(self, workers: Sequence[UUID]) -> set[UUID]:
        """Which of these workers polled within the last 300 seconds."""
        if not workers or time.monotonic() < self._away_until:
            return set()
        try:
            found = await self._redis.mget([f"{self._prefix}{worker}" for worker in workers])
        except VALKEY_AWAY as error:
            self._gone(error)
            return set()
        return {worker for worker, mark in zip(workers, found, strict=True) if mark}

    async def told(self, worker: UUID, skipped: Sequence[tuple[str, int]] | None) -> None:
        """What a worker's poll came to: what it passed over, or None where it found work; kept for who looks at it.

        At most every few seconds for the same worker, unless it found nothing before and something now.
        """
        now = time.monotonic()
        at, found = self._told.get(worker, (-TOLD_SECONDS, None))
        if now < self._away_until or (now - at < TOLD_SECONDS and found == (skipped is None)):
            return
        self._told[worker] = (now, skipped is None)
        text = msgspec.json.encode(LastPoll(datetime.now(UTC), None if skipped is None else tuple(skipped)))
        try:
            await self._redis.set(f"{self._polls}{worker}", text, ex=ONLINE_SECONDS)
        except VALKEY_AWAY as error:
            self._gone(error)

    async def last_poll(self, worker: UUID) -> LastPoll | None:
        """What a worker's last polls came to, some seconds old; None if it did not poll within the last 300."""
        if time.monotonic() < self._away_until:
            return None
        try:
            text = await self._redis.get(f"{self._polls}{worker}")
        except VALKEY_AWAY as error:
            self._gone(error)
            return None
        return None if text is None else msgspec.json.decode(text, type=LastPoll)

    def _gone(self, error: Exception) -> None:
        """Valkey failed: for a while nobody waits for it."""
        self._away_until = time.monotonic() + REST_SECONDS
        metrics.PRESENCE_UNKNOWN.inc()
        _log.warning("presence_unknown", extra={"reason": type(error).__name__})

    async def answers(self) -> bool:
        """Whether Valkey answers now."""
        try:
            await self._redis.ping()
        except VALKEY_AWAY:
            return False
        return True

    async def close(self) -> None:
        """Close the connection to Valkey."""
        await self._redis.aclose()
