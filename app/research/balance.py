"""Where a balance comes from: every movement of an account, by kind of event, summing to what it holds. Pure.

Look next: `app.ledger.postings` for what is posted when.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from app.ledger.quote import decimal_text as kudos
from app.research.answers import NothingError, Statement, Why, statement, told_of
from events.base import Recorded, postings_of
from events.jobs import GenerationCensored, GenerationDelivered

#: the largest movements are also told one by one
SINGLY: Final = 3
_SAID: Final = {
    "accounts.AnonymousOpened": "the anonymous user began with what every new one gets",
    "accounts.UserRegistered": "registered",
    "kudos.KudosGranted": "granted by operators",
    "kudos.KudosAdjusted": "corrected by operators",
    "kudos.AllowancePaid": "monthly allowances",
    "kudos.KudosTransferred": "transfers",
    "kudos.EscrowReleased": "escrow of work, released with trust",
    "jobs.GenerationDelivered": "generations delivered",
    "jobs.GenerationCensored": "generations withheld as censored",
    "jobs.RedundantDeliveryPaid": "deliveries that a late one had made redundant",
    "workers.UptimeRewarded": "uptime of workers",
    "ratings.ImageRated": "pictures rated",
    "ratings.PicturesCompared": "pictures compared",
    "ratings.BestNamed": "best pictures named",
    "ratings.RatingEscrowReleased": "escrow of ratings, released with trust",
    "ratings.RatingRewardsReversed": "rewards of marked ratings, taken back",
    "ratings.RatingRewardsRestored": "rewards of ratings, paid again",
}


def why_balance(user: str, events: Sequence[Recorded], position: int) -> Why:
    """What an account's balance is made of.

    Args:
        user: the user's id.
        events: those that moved kudos of `user:<id>`, in order, up to the position.
        position: up to which the log was read.

    Raises:
        NothingError: nothing ever moved.
    """
    account = f"user:{user}"
    groups: defaultdict[tuple[str, bool], list[tuple[Recorded, int]]] = defaultdict(list)
    uncovered: list[tuple[Recorded, int]] = []
    for recorded, event in told_of(events, position):
        amount = sum(moved for name, moved in postings_of(event) if name == account)
        if amount:
            groups[recorded.type, amount > 0].append((recorded, amount))
        if isinstance(event, GenerationDelivered | GenerationCensored) and event.covered:
            uncovered += [(recorded, event.covered)] if str(event.requester) == user else []
    if not groups:
        message = f"no kudos of {user} ever moved"
        raise NothingError(message)
    statements = [_group(*group) for group in groups.items()]
    statements.sort(key=lambda each: -abs(each.amount or 0))
    return Why(
        question="balance",
        id=user,
        position=position,
        statements=(*statements, *_singly(groups), *_uncovered(uncovered)),
        total=sum(each.amount or 0 for each in statements),
    )


def _group(kind: tuple[str, bool], moved: list[tuple[Recorded, int]]) -> Statement:
    name, gained = kind
    total = sum(amount for _, amount in moved)
    way = "brought" if gained else "took"
    text = f"{_SAID.get(name, name)}: {len(moved)} {way} {kudos(abs(total))}"
    return statement(text, [recorded for recorded, _ in moved], total)


def _singly(groups: dict[tuple[str, bool], list[tuple[Recorded, int]]]) -> list[Statement]:
    moved = [(each, name) for (name, _), many in groups.items() if len(many) > 1 for each in many]
    moved.sort(key=lambda each: (-abs(each[0][1]), each[0][0].position))
    return [
        statement(f"of those, one of the largest: {_SAID.get(name, name)}, {kudos(amount)}", [recorded])
        for (recorded, amount), name in moved[:SINGLY]
    ]


def _uncovered(found: list[tuple[Recorded, int]]) -> list[Statement]:
    if not found:
        return []
    missing = sum(amount for _, amount in found)
    text = f"{kudos(missing)} more were consumed than there was: recorded, not owed"
    return [statement(text, [recorded for recorded, _ in found])]
