"""What a client wishes of a text job, as decisions take it, and what becomes of it: refused, quoted, shortened.

Pure: what is known of models, workers and the load comes with the wish. Quoting and submitting decide alike. Look next:
`app.jobs.text_decider`, `app.ledger.text_quote`, `app.ledger.text_upfront`; `app.jobs.wish` is the like of image jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.jobs.refusals import forbidden, too_dear, too_many_jobs
from app.jobs.requirements import in_order, of_requester, of_workers
from app.jobs.text_params import TextParams
from app.ledger.price_book import CURRENT, WorkerChoice
from app.ledger.quote import decimal_text
from app.ledger.standing import check_waiting, established
from app.ledger.text_quote import TextModelChoice, TextQuote, TextShape, TextTerms, quote_text
from app.ledger.text_upfront import (
    FreeTexts,
    Shorter,
    TextUpfront,
    check_text_upfront,
    free_texts,
    patient,
    shorten,
    text_within_reach,
)
from app.ledger.upfront import Load
from app.platform.commands import Command, Rejection
from events.accounts import Role
from projections.accounts import Account


class TextWish(Command, frozen=True, kw_only=True):
    """A text job as its client wishes it, checked, with what is known of what it names."""

    params: TextParams
    #: tokens of the prompt as they are estimated for the price
    prompt_tokens: int
    #: any of these will do; none means any model at all
    models: tuple[TextModelChoice, ...]
    nsfw: bool
    #: the most the client will pay, in hundredths
    max_kudos: int | None
    #: by the name that workers declare
    soft_prompt: str | None = None
    #: only these workers may serve it, unless there are none; none of those may
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()
    trusted_workers: bool = False
    validated_backends: bool = False
    slow_workers: bool = True
    extra_slow_workers: bool = False
    batching: bool = True
    #: shorten it rather than refuse it
    allow_downgrade: bool = False
    #: for whom a service asks; empty where nobody is named
    proxied_account: str = ""
    #: the client's address is in a network that the operator calls unsafe
    unsafe_address: bool = False
    #: None where nothing is known of it
    load: Load | None = None


class SettledText(msgspec.Struct, frozen=True):
    """A wish that may be queued: its parameters as they will be written by, and what they cost."""

    params: TextParams
    quote: TextQuote
    #: what it was made, if it had to be shortened
    shorter: Shorter | None


def settle_text(wish: TextWish, account: Account) -> SettledText | Rejection:
    """What becomes of a wish of somebody whose account stands like this."""
    if (refusal := _not_permitted(wish, account)) is not None:
        return refusal
    shape = _shape(wish)
    limits = free_texts(established=established(account), load=wish.load)
    quote = text_within_reach(shape, plain_text_quote(wish), limits=limits, available=account.available)
    if not wish.allow_downgrade and (dear := too_dear(quote.total, wish.max_kudos)) is not None:
        return dear
    if (too_many := check_waiting(account, wish.params.n)) is not None:
        return too_many_jobs(too_many, account, ("input", "params", "n"))
    settled = _affordable(wish, shape, quote, limits, account)
    if isinstance(settled, Rejection):
        return settled
    return too_dear(settled.quote.total, wish.max_kudos) or settled


def plain_text_quote(wish: TextWish) -> TextQuote:
    """What a wish costs whoever has it."""
    choice = WorkerChoice(slow_refused=not wish.slow_workers, denied=len(wish.denied_workers))
    terms = TextTerms(
        n=wish.params.n, models=wish.models, choice=choice, max_kudos=wish.max_kudos, book=CURRENT
    )
    return quote_text(_shape(wish), terms)


def text_requirements(wish: TextWish, settled: SettledText, account: Account) -> tuple[str, ...]:
    """What a worker must allow to serve it, by the names in `projections.queue`, in the order of their bits."""
    named = {
        *_of_request(wish),
        *of_requester(account, settled.quote.total, unsafe_address=wish.unsafe_address),
        *of_workers(
            trusted=wish.trusted_workers,
            slow_refused=settled.quote.terms.choice.slow_refused,
            extra_slow=wish.extra_slow_workers,
        ),
    }
    return in_order(named)


def _of_request(wish: TextWish) -> Iterator[str]:
    if wish.nsfw:
        yield "nsfw"
    if wish.soft_prompt is not None:
        yield "soft_prompt"
    if wish.validated_backends:
        yield "validated_backend"


def _shape(wish: TextWish) -> TextShape:
    return TextShape(max_length=wish.params.max_length, prompt_tokens=wish.prompt_tokens)


def _affordable(
    wish: TextWish, shape: TextShape, quote: TextQuote, limits: FreeTexts, account: Account
) -> SettledText | Rejection:
    beyond = check_text_upfront(shape, quote, limits=limits, available=account.available)
    if beyond is None:
        return SettledText(wish.params, quote, None)
    shorter = None
    if wish.allow_downgrade:
        shorter = shorten(shape, quote, limits=limits, available=account.available)
    if shorter is None:
        return _insufficient(shape, beyond, account)
    made = replace(shape, max_length=shorter.max_length)
    again = quote_text(made, patient(replace(quote.terms, max_kudos=wish.max_kudos)))
    again = text_within_reach(made, again, limits=limits, available=account.available)
    return SettledText(replace(wish.params, max_length=shorter.max_length), again, shorter)


def _not_permitted(wish: TextWish, account: Account) -> Rejection | None:
    """What only some may ask for."""
    if not wish.batching and wish.params.n > 1 and not account.trusted:
        return forbidden("several texts that are not written as a batch are for trusted users", "batching")
    if wish.proxied_account and Role.SERVICE not in account.roles:
        return forbidden("only accounts with the role service ask for others", "proxiedAccount")
    return None


def _insufficient(shape: TextShape, beyond: TextUpfront, account: Account) -> Rejection:
    path = _path_beyond(shape, beyond)
    limits = f"beyond {beyond.limit_tokens} tokens, or a prompt of {beyond.limit_prompt_tokens},"
    where = "where slow workers are refused" if path == ("slowWorkers",) else limits
    message = f"{where} the whole quote of {decimal_text(beyond.required)} kudos must be available; "
    if account.anonymous:
        message += "register to be able to have kudos"
    else:
        message += f"{decimal_text(beyond.missing)} are missing"
    return Rejection(
        code="INSUFFICIENT_KUDOS",
        message=message,
        path=("input", *path),
        detail=msgspec.structs.asdict(beyond),
    )


def _path_beyond(shape: TextShape, beyond: TextUpfront) -> tuple[str, ...]:
    """The input field by which a job is beyond the free limits."""
    if shape.max_length > beyond.limit_tokens:
        return ("params", "maxLength")
    return ("prompt",) if shape.prompt_tokens > beyond.limit_prompt_tokens else ("slowWorkers",)
