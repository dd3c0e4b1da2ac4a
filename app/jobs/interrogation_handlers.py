"""Quoting and submitting interrogations: the picture's size looked up, ids made, then the writer.

Look next: `app.jobs.interrogation_asking`, `app.jobs.interrogation_decider`, `app.jobs.handlers` for what jobs of all
kinds share.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.jobs.advice import Note, NoteCode
from app.jobs.interrogation_asking import Asked
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.interrogation_wish import InterrogationWish, plain_quote, requirements, settle
from app.jobs.queries import ACCOUNT
from app.jobs.servability import Wanted, servable
from app.ledger.form_price import FormQuote
from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.platform.sources import resolve, tiles_of_upload
from app.platform.webhooks import Told, job_webhook
from events.jobs import JobKind
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import form_model, requirement_mask


class Preview(msgspec.Struct, frozen=True):
    """What an interrogation would cost, and what its client should know."""

    quote: FormQuote
    notes: list[Note]


async def preview(services: Services, actor: UUID, asked: Asked) -> Preview | Rejection:
    """The same decision as at submission, of the account as it stands; what would be refused is a warning."""
    tiles = await tiles_of_upload(services, actor, asked.source)
    if isinstance(tiles, Rejection):
        return tiles
    wish = replace(asked.wish, tiles=tiles)
    account: Account | None = await ACCOUNT.one(services.pool, realm=services.realm, id=actor)
    if account is None:
        return Preview(plain_quote(wish), [])
    settled, notes = settle(wish, account), list[Note]()
    if isinstance(settled, Rejection):
        notes.append(Note(NoteCode(settled.code), settled.message))
        settled = plain_quote(wish)
    told = {each.form for each in wish.told}
    wanted = _wanted(wish, settled, account)
    notes += await _unserved(services, wanted, (form for form in wish.forms if form not in told))
    return Preview(settled, notes)


async def notes_of(services: Services, asked: Asked, job: Job) -> list[Note]:
    """What the client of an accepted job should know."""
    waiting = {model for _, model, waits in job.forms if waits}
    return await _unserved(
        services, _of_job(job), (form for form in asked.wish.forms if form_model(form) in waiting)
    )


async def _unserved(services: Services, wanted: Wanted, forms: Iterable[str]) -> list[Note]:
    """Forms that no worker tells now, all in one warning."""
    unserved = [
        form for form in forms if not await servable(services, replace(wanted, models=(form_model(form),)))
    ]
    if not unserved:
        return []
    message = f"no worker that is online now can serve {', '.join(unserved)}: it will wait for one"
    return [Note(NoteCode.NO_AVAILABLE_WORKER, message)]


def _wanted(wish: InterrogationWish, quote: FormQuote, account: Account) -> Wanted:
    return Wanted(
        requester=account.id,
        kind=JobKind.INTERROGATION,
        models=(),
        mask=requirement_mask(requirements(wish, quote, account)),
        size=wish.tiles,
        allowed_workers=wish.allowed_workers,
        denied_workers=wish.denied_workers,
    )


def _of_job(job: Job) -> Wanted:
    return Wanted(
        requester=job.requester,
        kind=job.kind,
        models=(),
        mask=job.mask,
        size=job.size,
        allowed_workers=job.allowed_workers,
        denied_workers=job.denied_workers,
    )


async def submit_interrogation_job(
    services: Services, actor: UUID, asked: Asked, at: Told, key: str | None, parameters: object
) -> Done | Rejection:
    """Quote, reserve and queue; `parameters` is the client's input, of which a repeat must have the same.

    A picture of which all was told before is not fetched.
    """
    wish, job = asked.wish, new_id()
    webhook = await job_webhook(services, actor, at, job)
    if isinstance(webhook, Rejection):
        return webhook
    asks = len(wish.told) < len(wish.forms)
    sources = await resolve(services, actor, [asked.source] if asks else [])
    if isinstance(sources, Rejection):
        return sources
    command = SubmitInterrogationJob(
        **msgspec.structs.asdict(replace(wish, tiles=sum(source.tiles for source in sources))),
        job=job,
        requester=actor,
        generations=tuple(new_id() for _ in wish.forms),
        sources=tuple(source.row(job) for source in sources),
        webhook=webhook,
    )
    promise = idempotency(actor, "submitInterrogationJob", key, parameters)
    return await run(services, command, actor=actor, promise=promise)
