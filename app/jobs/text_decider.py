"""What may happen to text jobs from their client's side: submission. Pure.

Cancelling and expiring are the same for all kinds (`app.jobs.decider`). Look next: `app.jobs.text_wish` for what is
refused and what it costs, `app.workers.lease_decider` for what workers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.jobs.text_params import shortened
from app.jobs.text_wish import SettledText, TextWish, settle_text, text_requirements
from app.ledger import holds, priority
from app.ledger.modes import refuse_job
from app.ledger.text_upfront import Shorter
from app.platform.commands import Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import GenerationSeed, JobWebhook, JobWords
from events.base import Event
from events.jobs import HoldPlaced, TextJobSubmitted
from projections.accounts import Account

#: how long a lease on one text lasts
LEASE_SECONDS: Final = 150


class SubmitTextJob(TextWish, frozen=True, kw_only=True):
    """Ask for texts. The parameters are checked; ids, seeds and the workers' payload are made."""

    job: UUID
    requester: UUID
    generations: tuple[UUID, ...]
    prompt: str
    seeds: tuple[int, ...]
    #: what workers are given besides prompt and seed, as a JSON text
    payload: str
    #: where its client wants to be told what becomes of it
    webhook: JobWebhook | None = None


class SubmittedText(Result, frozen=True, kw_only=True):
    """The job that was accepted."""

    job: UUID
    #: what it was made, if it was made shorter than was asked for
    shorter: Shorter | None = None


def submit_text_job(command: SubmitTextJob, rows: Rows) -> Decision | Rejection:
    """Refuse what the modes of the house or the limits forbid, quote, reserve what is available, and queue."""
    account = rows.account(command.requester)
    if account is None:
        return Rejection(code="NOT_FOUND", message="no such user")
    n, unsafe = command.params.n, command.unsafe_address
    if (refused := refuse_job(rows.modes(), account, n, unsafe_address=unsafe)) is not None:
        return refused
    settled = settle_text(command, account)
    if isinstance(settled, Rejection):
        return settled
    payload = command.payload if settled.shorter is None else shortened(command.payload, settled.params)
    words = JobWords(command.job, command.prompt, "", payload, command.proxied_account)
    seeds = (
        GenerationSeed(generation, command.job, seed)
        for generation, seed in zip(command.generations, command.seeds, strict=True)
    )
    return Decision(
        _submission(command, account, settled, rows),
        SubmittedText(job=command.job, shorter=settled.shorter),
        (words, *seeds, *(() if command.webhook is None else (command.webhook,))),
    )


def _submission(
    command: SubmitTextJob, account: Account, settled: SettledText, rows: Rows
) -> Sequence[Event]:
    params, quote = settled.params, settled.quote
    tier = priority.tier_of(anonymous=account.anonymous)
    submitted = TextJobSubmitted(
        job=command.job,
        requester=command.requester,
        generations=command.generations,
        nsfw=command.nsfw,
        price_book=quote.book_version,
        price=quote.price,
        tax=quote.tax,
        quote=tuple((item.label, item.amount) for item in quote.items),
        offers=quote.offers,
        surcharge=quote.surcharge,
        priority=account.available,
        tier=tier,
        rank=priority.rank(tier, account.available, rows.now),
        lease_seconds=LEASE_SECONDS,
        requirements=text_requirements(command, settled, account),
        allowed_workers=command.allowed_workers,
        denied_workers=command.denied_workers,
        models=tuple(model.name for model in command.models),
        max_length=params.max_length,
        max_context_length=params.max_context_length,
        prompt_tokens=command.prompt_tokens,
        soft_prompt=command.soft_prompt,
        batching=command.batching,
        downgraded=settled.shorter is not None,
    )
    if not (held := holds.place(account.available, quote.total)):
        return (submitted,)
    return (submitted, HoldPlaced(job=command.job, requester=command.requester, amount=held))


RULES = (
    Rule(
        SubmitTextJob,
        SubmittedText,
        lambda c: Needs(accounts=(c.requester,), made=(c.job, *c.generations)),
        submit_text_job,
    ),
)
