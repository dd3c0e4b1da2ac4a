"""Short-lived copies of what queries read, shared by all requests of a process. Never read by a decision.

Concurrent callers share one load: when a copy grows old, one reads and the others wait for it. Look next:
`app.fleet.online`, `app.operations.status`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def fresh(caches: dict[str, Any], name: str, seconds: float, load: Callable[[], Awaitable[T]]) -> T:
    """What `load` gave at most `seconds` ago. Raises what it raises; a failed load is not kept."""
    made_at, loading = caches.get(name, (0.0, None))
    now = time.monotonic()
    if loading is None or now - made_at >= seconds:
        loading = asyncio.ensure_future(load())
        caches[name] = (now, loading)
    try:
        # a caller that goes away must not take the load of the others with it
        value: T = await asyncio.shield(loading)
    except BaseException:
        if loading.done() and caches.get(name, (0.0, None))[1] is loading:
            del caches[name]
        raise
    return value
