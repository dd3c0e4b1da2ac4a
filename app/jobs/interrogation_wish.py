"""What a client wishes to be told of a picture, as decisions take it, and what becomes of it: refused or quoted.

Pure. Quoting and submitting decide alike. Look next: `app.jobs.interrogation_decider`, `app.ledger.form_price`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.jobs.refusals import forbidden, too_dear, too_many_jobs
from app.jobs.requirements import in_order, of_requester, of_workers
from app.ledger.form_price import FormQuote, quote_forms
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.standing import check_forms
from app.platform.commands import Command, Rejection
from events.accounts import Role
from projections.accounts import Account


class ToldBefore(msgspec.Struct, frozen=True):
    """What a form told of the same picture, and for which generation, under which lease."""

    form: str
    generation: UUID
    lease: UUID
    #: as in `vault.ResultWords.form`
    told: str


class InterrogationWish(Command, frozen=True, kw_only=True):
    """An interrogation as its client wishes it, checked, with what is known of what it names."""

    #: as workers know them, each once
    forms: tuple[str, ...]
    #: squares of 512 x 512 pixels that the picture takes up; 0 while it is to be fetched
    tiles: int
    nsfw: bool
    #: the most the client will pay, in hundredths
    max_kudos: int | None
    #: those of the forms that need not be asked of a worker again
    told: tuple[ToldBefore, ...] = ()
    #: only these workers may serve it, unless there are none; none of those may
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()
    trusted_workers: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    #: for whom a service asks; empty where nobody is named
    proxied_account: str = ""
    #: the client's address is in a network that the operator calls unsafe
    unsafe_address: bool = False


def settle(wish: InterrogationWish, account: Account) -> FormQuote | Rejection:
    """What becomes of a wish of somebody whose account stands like this: nothing must be in hand for it."""
    if wish.proxied_account and Role.SERVICE not in account.roles:
        return forbidden("only accounts with the role service ask for others", "proxiedAccount")
    quote = plain_quote(wish)
    if (dear := too_dear(quote.total, wish.max_kudos)) is not None:
        return dear
    if (too_many := check_forms(account, len(wish.forms) - len(wish.told))) is not None:
        return too_many_jobs(too_many, account, ("input", "forms"))
    return quote


def plain_quote(wish: InterrogationWish) -> FormQuote:
    """What a wish costs whoever has it."""
    return quote_forms(
        wish.forms,
        tiles=wish.tiles,
        reused={each.form for each in wish.told},
        choice=WorkerChoice(slow_refused=not wish.slow_workers, denied=len(wish.denied_workers)),
        book=CURRENT,
    )


def requirements(wish: InterrogationWish, quote: FormQuote, account: Account) -> tuple[str, ...]:
    """What a worker must allow to serve it, by the names in `projections.queue`."""
    workers = of_workers(
        trusted=wish.trusted_workers,
        slow_refused=not wish.slow_workers,
        extra_slow=wish.extra_slow_workers,
    )
    requester = of_requester(account, quote.total, unsafe_address=wish.unsafe_address)
    return in_order({*workers, *requester, *(("nsfw",) if wish.nsfw else ())})
