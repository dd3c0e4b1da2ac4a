"""What a job's price is made of, and where each part of it went. Pure.

Look next: `app.ledger.quote`, docs/kudos.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from app.ledger.quote import decimal_text as kudos
from app.research.answers import NothingError, Statement, Told, Why, statement, told_of
from events.base import Event, Recorded, postings_of
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    TextJobSubmitted,
)

Submitted = ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted


def why_price(job: UUID, events: Sequence[Recorded], position: int) -> Why:
    """What was quoted, held, charged and released, and to whom it went.

    Args:
        job: the job.
        events: its stream, in order.
        position: up to which the log was read.

    Raises:
        NothingError: there is no such job.
    """
    story = told_of(events, position)
    submission = next(((r, e) for r, e in story if isinstance(e, Submitted)), None)
    if submission is None:
        message = f"no job {job} was submitted"
        raise NothingError(message)
    return Why(
        question="price",
        id=str(job),
        position=position,
        statements=(*_quoted(*submission), *_held(story), *_charged(story), *_flows(story)),
        total=sum(e.charged for _, e in story if isinstance(e, GenerationDelivered | GenerationCensored)),
    )


def _quoted(recorded: Recorded, event: Submitted) -> list[Statement]:
    n = len(event.generations)
    lines = [statement(f"quoted by price book {event.price_book}, for {n} generations", [recorded])]
    lines += [statement(f"quoted: {label}", [recorded], amount) for label, amount in event.quote]
    each = (
        f"of that, a generation pays the worker at most {kudos(event.price)}, burns {kudos(event.tax)} as tax"
    )
    if event.surcharge:
        each += f" and {kudos(event.surcharge)} as surcharge"
    lines.append(statement(each, [recorded]))
    if event.offers:
        offers = ", ".join(f"{name} {kudos(price)}" for name, price, _ in event.offers[:5])
        more = f" and {len(event.offers) - 5} more" if len(event.offers) > 5 else ""
        lines.append(statement(f"each model has its own price: {offers}{more}", [recorded]))
    return lines


def _held(story: list[Told]) -> list[Statement]:
    said: dict[type[Event], str] = {
        HoldPlaced: "reserved at submission",
        HoldCaptured: "taken out of that",
        HoldReleased: "given back",
    }
    found = []
    for kind, text in said.items():
        events = [(r, amount) for r, e in story if (amount := _amount(e, kind)) is not None]
        if events:
            found.append(statement(f"{text}: {kudos(sum(a for _, a in events))}", [r for r, _ in events]))
    return found


def _amount(event: Event, kind: type[Event]) -> int | None:
    """Of a hold's fact, if it is one of that kind."""
    if isinstance(event, HoldPlaced | HoldCaptured | HoldReleased) and type(event) is kind:
        return event.amount
    return None


def _charged(story: list[Told]) -> list[Statement]:
    lines = []
    for recorded, event in story:
        if isinstance(event, GenerationDelivered):
            text = f"generation {event.generation} by {event.model}: charged {kudos(event.charged)}"
            if event.covered:
                text += f", of which {kudos(event.covered)} were not there: recorded, not owed"
            lines.append(statement(text, [recorded], event.charged))
        elif isinstance(event, GenerationCensored):
            text = f"generation {event.generation} withheld ({event.cause.lower()}): charged {kudos(event.charged)}"
            lines.append(statement(text, [recorded], event.charged))
    return lines


def _flows(story: list[Told]) -> list[Statement]:
    """All postings of the job, by account: they sum to zero."""
    sums: Counter[str] = Counter()
    where: dict[str, list[Recorded]] = {}
    for recorded, event in story:
        for account, amount in postings_of(event):
            sums[account] += amount
            where.setdefault(account, []).append(recorded)
    return [
        statement(f"{account}: {'+' if amount > 0 else ''}{kudos(amount)} in all", where[account])
        for account, amount in sorted(sums.items())
    ]
