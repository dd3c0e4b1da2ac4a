"""Presence of workers: who polled lately. Kept in Valkey, since it is no fact and nothing is decided by it.

When Valkey is away nobody seems online and nothing fails. Look next: `app.workers.handlers`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)

#: a worker is online for so long after it polled, in seconds
ONLINE_SECONDS = 300
#: how often a process renews the same worker's presence, in seconds
RENEW_SECONDS = 20.0
#: how long a request waits for Valkey, and how long all go on without it after it failed, in seconds
PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0


class Presence:
    """Marks and reads presence of one realm's workers."""

    def __init__(self, redis: Redis, realm: int) -> None:
        self._redis = redis
        self._prefix = f"hoard:{realm}:online:"
        self._renewed: dict[UUID, float] = {}
        self._away_until = 0.0

    async def saw(self, worker: UUID) -> None:
        """A worker polled just now."""
        now = time.monotonic()
        if now < self._away_until or now - self._renewed.get(worker, -RENEW_SECONDS) < RENEW_SECONDS:
            return
        self._renewed[worker] = now
        try:
            await self._redis.set(f"{self._prefix}{worker}", "1", ex=ONLINE_SECONDS)
        except RedisError as error:
            self._renewed.pop(worker, None)
            self._away_until = time.monotonic() + REST_SECONDS
            _log.warning("presence_unknown", extra={"reason": type(error).__name__})

    async def online(self, workers: Sequence[UUID]) -> set[UUID]:
        """Which of these workers polled within the last 300 seconds."""
        if not workers or time.monotonic() < self._away_until:
            return set()
        try:
            found = await self._redis.mget([f"{self._prefix}{worker}" for worker in workers])
        except RedisError as error:
            self._away_until = time.monotonic() + REST_SECONDS
            _log.warning("presence_unknown", extra={"reason": type(error).__name__})
            return set()
        return {worker for worker, mark in zip(workers, found, strict=True) if mark}

    async def answers(self) -> bool:
        """Whether Valkey answers now."""
        try:
            await self._redis.ping()
        except RedisError:
            return False
        return True

    async def close(self) -> None:
        """Close the connection to Valkey."""
        await self._redis.aclose()
