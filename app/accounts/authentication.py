"""Who asks: from an API key to a viewer. A key that was revoked stops working within a second.

Look next: `app.platform.keys`, `app.main`, which asks before every operation.
"""

from __future__ import annotations

import time
from uuid import UUID

import msgspec

from app.accounts.queries import SUBJECT_OF_KEY
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.keys import ANONYMOUS_KEY, key_hash
from app.platform.services import Info, Services
from events.base import ANONYMOUS

#: how long a process believes what it read about a key, in seconds
BELIEF_SECONDS = 1.0
#: keys remembered by a process
REMEMBERED = 10_000


class Viewer(msgspec.Struct, frozen=True):
    """The owner of the key that a request came with."""

    subject: UUID

    @property
    def anonymous(self) -> bool:
        """Whether this is the single anonymous user."""
        return self.subject == ANONYMOUS


_NOBODY = Viewer(ANONYMOUS)


async def authenticate(services: Services, key: str | None) -> Viewer:
    """The viewer of a key. Raises `ApiError` UNAUTHENTICATED for a key that nobody owns."""
    if key is None or key == ANONYMOUS_KEY:
        return _NOBODY
    known: dict[bytes, tuple[float, UUID | None]] = services.caches.setdefault("keys", {})
    digest = key_hash(services.settings.pepper, key)
    now = time.monotonic()
    read_at, subject = known.get(digest, (-BELIEF_SECONDS, None))
    if now - read_at >= BELIEF_SECONDS:
        subject = await SUBJECT_OF_KEY.one(services.pool, realm=services.realm, hash=digest)
        if len(known) >= REMEMBERED:
            known.clear()
        known[digest] = (now, subject)
    if subject is None:
        raise ApiError("this API key is not known", code=TopLevelCode.UNAUTHENTICATED)
    return Viewer(subject)


def viewer_of(info: Info) -> Viewer:
    """Who asks, in a resolver."""
    viewer: Viewer = info.context.viewer
    return viewer
