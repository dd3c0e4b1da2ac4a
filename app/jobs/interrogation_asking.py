"""From a client's input to a wish to be told of a picture: checked, with what is known of it and of the workers it names.

What was told before of the same URL is looked up here, before anything is decided. Look next:
`app.jobs.interrogation_request` for the checks, `app.jobs.interrogation_wish` for what becomes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from app.jobs.interrogation_request import InterrogationRequest, validate_interrogation_request
from app.jobs.interrogation_wish import InterrogationWish, ToldBefore
from app.jobs.known import faulty, workers_named
from app.platform.commands import Rejection
from app.platform.services import Services
from app.platform.sources import GivenSource, digest_of
from app.platform.sql import Query
from app.platform.vault import SourceRole
from events.jobs import JobKind

#: what each form told of a URL last, if its time is not over and nobody reported the picture
_TOLD: Final[Query[ToldBefore]] = Query(
    """
    SELECT DISTINCT ON (t.form) t.form, t.generation, t.lease, t.told FROM vault.told AS t
    WHERE t.realm = %(realm)s AND t.source = %(source)s AND t.nsfw = %(nsfw)s AND t.form = ANY(%(forms)s::text[])
      AND t.expires_at > now() AND NOT EXISTS (
        SELECT FROM projections.generations AS g WHERE g.realm = t.realm AND g.report IN ('OPEN', 'UPHELD')
          AND (g.job = t.job OR g.job = ANY(ARRAY(
            SELECT s.job FROM vault.source AS s WHERE s.realm = t.realm AND s.digest = t.source))))
    ORDER BY t.form, t.expires_at DESC""",
    lambda row: ToldBefore(*row),
)


class Asked(msgspec.Struct, frozen=True):
    """A checked request with what follows from who asks; nothing is known of the picture's size yet."""

    request: InterrogationRequest
    wish: InterrogationWish

    @property
    def source(self) -> GivenSource:
        """The picture."""
        return GivenSource(
            role=SourceRole.SOURCE,
            path=("input", "source"),
            upload_id=self.request.source.upload_id,
            url=self.request.source.url,
            remembered=self.request.reuse,
        )


async def ask(services: Services, address: str, raw: Mapping[str, object]) -> Asked | Rejection:
    """The request in a client's input, or a rejection that names every fault."""
    request = validate_interrogation_request(raw)
    if isinstance(request, tuple):
        return faulty(request)
    workers = await workers_named(services, JobKind.INTERROGATION, request.workers)
    if isinstance(workers, Rejection):
        return workers
    wish = InterrogationWish(
        forms=request.forms,
        tiles=0,
        nsfw=request.nsfw,
        max_kudos=request.max_kudos,
        told=await _told_before(services, request),
        allowed_workers=() if request.deny_workers else workers,
        denied_workers=workers if request.deny_workers else (),
        trusted_workers=request.trusted_workers,
        slow_workers=request.slow_workers,
        extra_slow_workers=request.extra_slow_workers,
        proxied_account=request.proxied_account or "",
        unsafe_address=services.unsafe_networks.holds(address),
    )
    return Asked(request, wish)


async def _told_before(services: Services, request: InterrogationRequest) -> tuple[ToldBefore, ...]:
    """What need not be told again; whoever chooses workers wants their word and nobody else's."""
    if not request.reuse or request.source.url is None or request.workers or request.trusted_workers:
        return ()
    found = await _TOLD.all(
        services.pool,
        realm=services.realm,
        source=digest_of(services.settings.pepper, request.source.url),
        nsfw=request.nsfw,
        forms=list(request.forms),
    )
    return tuple(found)
