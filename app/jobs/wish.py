"""What a client wishes of an image job, as decisions take it, and what becomes of it: refused, quoted, made smaller.

Pure: what is known of models, workers and the load comes with the wish. Quoting and submitting decide alike. Look next:
`app.jobs.decider`, `app.jobs.requirements`, `app.ledger.quote`, `app.ledger.upfront`.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.jobs.image_params import ImageParams, accurate_steps
from app.jobs.refusals import forbidden, too_dear, too_many_jobs
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.quote import ImageQuote, ModelChoice, decimal_text, quote_image
from app.ledger.standing import check_waiting, established
from app.ledger.upfront import (
    FreeLimits,
    Load,
    Smaller,
    Upfront,
    check_upfront,
    downgrade,
    free_limits,
    within_reach,
)
from app.platform.commands import Command, Rejection
from events.accounts import Role
from projections.accounts import Account

#: accurate steps from which a job of models without a description has many: the midpoint of 20 and 40
USUAL_STEPS = 30


class ImageWish(Command, frozen=True, kw_only=True):
    """An image job as its client wishes it, checked, with what is known of what it names."""

    params: ImageParams
    #: any of these will do; none means any model at all
    models: tuple[ModelChoice, ...]
    nsfw: bool
    shared: bool
    #: the most the client will pay, in hundredths
    max_kudos: int | None
    #: only these workers may serve it, unless there are none; none of those may
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()
    trusted_workers: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    batching: bool = True
    #: make it smaller rather than refuse it
    allow_downgrade: bool = False
    #: for whom a service asks; empty where nobody is named
    proxied_account: str = ""
    #: the client's address is in a network that the operator calls unsafe
    unsafe_address: bool = False
    #: accurate steps of which more are many for one of its models
    usual_steps: int = USUAL_STEPS
    #: None where nothing is known of it
    load: Load | None = None


class Settled(msgspec.Struct, frozen=True):
    """A wish that may be queued: its parameters as they will be drawn, and what they cost."""

    params: ImageParams
    quote: ImageQuote
    #: what it was made, if it had to be made smaller
    smaller: Smaller | None


def settle(wish: ImageWish, account: Account) -> Settled | Rejection:
    """What becomes of a wish of somebody whose account stands like this."""
    if (refusal := _not_permitted(wish, account)) is not None:
        return refusal
    limits = free_limits(wish.params, wish.models, established=established(account), load=wish.load)
    quote = within_reach(wish.params, plain_quote(wish), limits=limits, available=account.available)
    if not wish.allow_downgrade and (dear := too_dear(quote.total, wish.max_kudos)) is not None:
        return dear
    if (too_many := check_waiting(account, wish.params.n)) is not None:
        return too_many_jobs(too_many, account, ("input", "params", "n"))
    settled = _affordable(wish, quote, limits, account)
    if isinstance(settled, Rejection):
        return settled
    return too_dear(settled.quote.total, wish.max_kudos) or settled


def plain_quote(wish: ImageWish) -> ImageQuote:
    """What a wish costs whoever has it."""
    return _quote(wish, wish.params, slow_refused=not wish.slow_workers)


def _quote(wish: ImageWish, params: ImageParams, *, slow_refused: bool) -> ImageQuote:
    return quote_image(
        params,
        n=params.n,
        shared=wish.shared,
        models=wish.models,
        choice=WorkerChoice(slow_refused=slow_refused, denied=len(wish.denied_workers)),
        max_kudos=wish.max_kudos,
        book=CURRENT,
    )


def _affordable(
    wish: ImageWish, quote: ImageQuote, limits: FreeLimits, account: Account
) -> Settled | Rejection:
    beyond = check_upfront(wish.params, quote, limits=limits, available=account.available)
    if beyond is None:
        return Settled(wish.params, quote, None)
    smaller = None
    if wish.allow_downgrade:
        smaller = downgrade(wish.params, quote, limits=limits, available=account.available)
    if smaller is None:
        return _insufficient(wish.params, beyond, account)
    params = msgspec.structs.replace(
        wish.params, width=smaller.width, height=smaller.height, steps=smaller.steps
    )
    again = _quote(wish, params, slow_refused=smaller.slow_refused)
    again = within_reach(params, again, limits=limits, available=account.available)
    return Settled(params, again, smaller)


def _not_permitted(wish: ImageWish, account: Account) -> Rejection | None:
    """What only some may ask for."""
    if wish.params.extra_sources > 1 and not account.trusted:
        return forbidden("more than one extra source is for trusted users", "extraSources")
    # A QR code is drawn alone whoever asks.
    if not wish.batching and wish.params.n > 1 and wish.params.workflow is None and not account.trusted:
        return forbidden("several pictures that are not drawn as a batch are for trusted users", "batching")
    if wish.proxied_account and Role.SERVICE not in account.roles:
        return forbidden("only accounts with the role service ask for others", "proxiedAccount")
    return None


def _insufficient(params: ImageParams, beyond: Upfront, account: Account) -> Rejection:
    field = _field_beyond(params, beyond)
    limits = f"beyond {beyond.limit_pixels} pixels or {beyond.limit_steps} accurate steps"
    where = "where slow workers are refused" if field == "slowWorkers" else limits
    message = f"{where} the whole quote of {decimal_text(beyond.required)} kudos must be available; "
    if account.anonymous:
        message += "register to be able to have kudos"
    else:
        message += f"{decimal_text(beyond.missing)} are missing"
        if field != "slowWorkers" and not established(account):
            message += " (these are the limits of an account that holds no kudos)"
    return Rejection(
        code="INSUFFICIENT_KUDOS",
        message=message,
        path=("input", field) if field == "slowWorkers" else ("input", "params", field),
        detail=msgspec.structs.asdict(beyond),
    )


def _field_beyond(params: ImageParams, beyond: Upfront) -> str:
    """The input field by which a job is beyond the free limits; of the two sides the longer one."""
    if params.width * params.height > beyond.limit_pixels:
        return "height" if params.height > params.width else "width"
    return "steps" if accurate_steps(params) > beyond.limit_steps else "slowWorkers"
