"""Links to pictures that are rated: of the shared bucket, of a mirrored copy, or the address of an import.

Look next: `app.ratings.types`, which shows them; `app.platform.picture_words`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.platform.objects import shared_keys
from app.platform.services import Services
from app.ratings.decider import LASTS
from app.ratings.queries import IMPORTED
from events.images import SHARED_SET

#: how long a link is good: somewhat longer than whoever was given it may answer
LINK_SECONDS: Final = int((LASTS + timedelta(minutes=5)).total_seconds())


async def links_of(services: Services, pictures: Iterable[tuple[UUID, UUID]]) -> Mapping[UUID, str]:
    """Fresh links by picture, of (picture, set); none for imports whose words were erased."""
    links: dict[UUID, str] = {}
    imported: list[UUID] = []
    for picture, image_set in pictures:
        if image_set == SHARED_SET:
            key, _ = shared_keys(picture)
            links[picture] = services.objects.presign_get(services.settings.bucket_shared, key, LINK_SECONDS)
        else:
            imported.append(picture)
    if imported:
        for words in await IMPORTED.all(services.pool, realm=services.realm, ids=imported):
            links[words.picture] = _imported(services, words.key, words.url)
    return links


def _imported(services: Services, key: str, url: str) -> str:
    if not key:
        return url
    return services.objects.presign_get(services.settings.bucket_datasets, key, LINK_SECONDS)
