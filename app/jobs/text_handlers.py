"""Asking for texts, quoting and submitting them: checks, ids, seeds and payload made, then the writer.

Look next: `app.jobs.text_request`, `app.jobs.text_decider`; `app.jobs.handlers` for what jobs of all kinds share.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from app.jobs.advice import Note, NoteCode
from app.jobs.handlers import notes_of_workers
from app.jobs.known import faulty, load_of, workers_named
from app.jobs.queries import ACCOUNT
from app.jobs.servability import Wanted
from app.jobs.text_decider import SubmittedText, SubmitTextJob
from app.jobs.text_params import payload_of
from app.jobs.text_request import TextRequest, validate_text_request
from app.jobs.text_wish import (
    SettledText,
    TextWish,
    plain_text_quote,
    settle_text,
    text_requirements,
)
from app.ledger.text_price import prompt_tokens_of
from app.ledger.text_quote import TextModelChoice, TextQuote
from app.ledger.text_upfront import Shorter
from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.platform.webhooks import Told, job_webhook
from events.jobs import JobKind
from projections.accounts import Account
from projections.jobs import Job
from projections.queue import requirement_mask, text_size

_SEED_BITS: Final = 32


class AskedText(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request with what follows from who asks."""

    request: TextRequest
    wish: TextWish


class TextPreview(msgspec.Struct, frozen=True):
    """What a job would cost, and what its client should know."""

    quote: TextQuote
    notes: list[Note]


async def ask_text(services: Services, address: str, raw: Mapping[str, object]) -> AskedText | Rejection:
    """The request in a client's input, or a rejection that names every fault."""
    request = validate_text_request(raw)
    if isinstance(request, tuple):
        return faulty(request)
    workers = await workers_named(services, JobKind.TEXT, request.workers)
    if isinstance(workers, Rejection):
        return workers
    choices = (TextModelChoice(name, services.models.parameters(name)) for name in sorted(request.models))
    wish = TextWish(
        params=request.params,
        prompt_tokens=prompt_tokens_of(len(request.prompt), request.params.max_context_length),
        models=tuple(choices),
        nsfw=request.nsfw,
        max_kudos=request.max_kudos,
        soft_prompt=request.soft_prompt,
        allowed_workers=() if request.deny_workers else workers,
        denied_workers=workers if request.deny_workers else (),
        trusted_workers=request.trusted_workers,
        validated_backends=request.validated_backends,
        slow_workers=request.slow_workers,
        extra_slow_workers=request.extra_slow_workers,
        batching=request.batching,
        allow_downgrade=request.allow_downgrade,
        proxied_account=request.proxied_account or "",
        unsafe_address=services.unsafe_networks.holds(address),
        load=await load_of(services, JobKind.TEXT),
    )
    return AskedText(request=request, wish=wish)


async def preview_text(services: Services, actor: UUID, asked: AskedText) -> TextPreview:
    """The same decision as at submission, of the account as it stands; what would be refused is a warning."""
    plain = SettledText(asked.wish.params, plain_text_quote(asked.wish), None)
    account: Account | None = await ACCOUNT.one(services.pool, realm=services.realm, id=actor)
    if account is None:
        return TextPreview(plain.quote, [])
    settled = settle_text(asked.wish, account)
    if isinstance(settled, Rejection):
        notes = [Note(NoteCode(settled.code), settled.message)]
        settled = plain
    else:
        notes = _of_length(settled.shorter)
    wanted = _wanted(asked.wish, settled, account)
    return TextPreview(settled.quote, [*notes, *await notes_of_workers(services, wanted)])


async def submit_text_job(
    services: Services, actor: UUID, asked: AskedText, told: Told, key: str | None, parameters: object
) -> Done | Rejection:
    """Quote, reserve and queue; `parameters` is the client's input, of which a repeat must have the same."""
    request, wish = asked.request, asked.wish
    job = new_id()
    webhook = await job_webhook(services, actor, told, job)
    if isinstance(webhook, Rejection):
        return webhook
    command = SubmitTextJob(
        **msgspec.structs.asdict(wish),
        job=job,
        requester=actor,
        generations=tuple(new_id() for _ in range(wish.params.n)),
        prompt=request.prompt,
        seeds=tuple(secrets.randbits(_SEED_BITS) for _ in range(wish.params.n)),
        payload=payload_of(wish.params, wish.soft_prompt),
        webhook=webhook,
    )
    promise = idempotency(actor, "submitTextJob", key, parameters)
    return await run(services, command, actor=actor, promise=promise)


async def notes_of_text(services: Services, submitted: SubmittedText, job: Job) -> list[Note]:
    """What the client of an accepted job should know."""
    waiting = [] if job.final else await notes_of_workers(services, job)
    return [*_of_length(submitted.shorter), *waiting]


def _of_length(shorter: Shorter | None) -> list[Note]:
    if shorter is None:
        return []
    message = f"the kudos were short: at most {shorter.max_length} tokens are written, slow workers allowed"
    return [Note(NoteCode.DOWNGRADED, message)]


def _wanted(wish: TextWish, settled: SettledText, account: Account) -> Wanted:
    """What a wish would require once it was queued."""
    return Wanted(
        requester=account.id,
        kind=JobKind.TEXT,
        models=tuple(name for name, _, _ in settled.quote.offers),
        mask=requirement_mask(text_requirements(wish, settled, account)),
        size=text_size(settled.params.max_context_length, settled.params.max_length),
        soft_prompt=wish.soft_prompt,
        allowed_workers=wish.allowed_workers,
        denied_workers=wish.denied_workers,
    )
