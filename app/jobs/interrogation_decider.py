"""Submission of interrogations: one generation a form, those that were told before settled at once. Pure.

Look next: `app.jobs.interrogation_wish` for what is refused and what it costs, `app.jobs.decider` for cancelling and
expiry, which jobs of all kinds share, `app.workers.lease_decider` for what workers do.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.jobs.decider import Submitted
from app.jobs.interrogation_wish import InterrogationWish, requirements, settle
from app.ledger import holds, priority
from app.ledger.closing import end_if_over
from app.ledger.form_price import FormQuote
from app.ledger.modes import refuse_job
from app.platform.commands import Decision, Needs, Rejection, Rule
from app.platform.rows import Rows
from app.platform.vault import GenerationSeed, JobSource, JobWebhook, JobWords, ResultWords
from events.jobs import FormReused, HoldPlaced, InterrogationJobSubmitted
from projections.accounts import Account

#: how long a worker has for each form, in seconds
LEASE_SECONDS: Final = 180


class SubmitInterrogationJob(InterrogationWish, frozen=True, kw_only=True):
    """Ask what a picture shows. The wish is checked; ids are made."""

    job: UUID
    requester: UUID
    #: in the order of the forms
    generations: tuple[UUID, ...]
    #: the picture, which may be still to be fetched; none where all was told before
    sources: tuple[JobSource, ...] = ()
    #: where its client wants to be told what becomes of it
    webhook: JobWebhook | None = None


def submit_interrogation_job(command: SubmitInterrogationJob, rows: Rows) -> Decision | Rejection:
    """Refuse what the modes or the limits forbid, quote, give again what was told, reserve what is available, and queue."""
    account = rows.account(command.requester)
    if account is None:
        return Rejection(code="NOT_FOUND", message="no such user")
    asked, unsafe = len(command.forms) - len(command.told), command.unsafe_address
    if (refused := refuse_job(rows.modes(), account, asked, unsafe_address=unsafe)) is not None:
        return refused
    quote = settle(command, account)
    if isinstance(quote, Rejection):
        return quote
    draft = rows.draft()
    draft.add(_submitted(command, account, quote, rows))
    by_form = dict(zip(command.forms, command.generations, strict=True))
    for told in command.told:
        draft.add(
            FormReused(
                job=command.job,
                requester=command.requester,
                generation=by_form[told.form],
                reused=told.generation,
            )
        )
    if held := holds.place(account.available, quote.total):
        draft.add(HoldPlaced(job=command.job, requester=command.requester, amount=held))
    end_if_over(draft, command.job)
    given_again = (
        ResultWords(generation=by_form[told.form], lease=told.lease, seed=None, metadata=None, form=told.told)
        for told in command.told
    )
    words = JobWords(command.job, "", "", "{}", command.proxied_account)
    # A generation without a seed counts as erased, also where none is drawn.
    seeds = (GenerationSeed(generation, command.job, 0) for generation in command.generations)
    webhook = () if command.webhook is None else (command.webhook,)
    kept = (words, *seeds, *command.sources, *given_again, *webhook)
    return Decision(draft.events, Submitted(job=command.job), kept)


def _submitted(
    command: SubmitInterrogationJob, account: Account, quote: FormQuote, rows: Rows
) -> InterrogationJobSubmitted:
    tier = priority.tier_of(anonymous=account.anonymous)
    return InterrogationJobSubmitted(
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
        requirements=requirements(command, quote, account),
        allowed_workers=command.allowed_workers,
        denied_workers=command.denied_workers,
        forms=command.forms,
        tiles=command.tiles,
        fetching=any(source.url for source in command.sources),
    )


RULES = (
    Rule(
        SubmitInterrogationJob,
        Submitted,
        lambda c: Needs(accounts=(c.requester,), made=(c.job, *c.generations)),
        submit_interrogation_job,
    ),
)
