"""Why a balance moved: the breakdown of each line of a statement.

Pure. Every breakdown sums to the line's amount, keeps its zero items, and ends with "covered by the floor"
where the balance could not pay all. Amounts are hundredths, negative where the account pays. An anonymous
requester has no statement line, because nothing is posted to it. Look next: `app.ledger.postings`.
"""

from typing import Final

from app.ledger.quote import PriceItem

COVERED: Final = "covered by the floor"
TAX: Final = "Horde tax"
SURCHARGE: Final = "surcharge"
ESCROWED: Final = "kept in escrow until you are trusted"
COST: Final = "more than your pictures cost"
RATING_ESCROWED: Final = "kept in escrow until your ratings are trusted"

Breakdown = tuple[PriceItem, ...]


def total(breakdown: Breakdown) -> int:
    """The amount of the line that a breakdown explains."""
    return sum(item.amount for item in breakdown)


def delivery_requested(price: int, surcharge: int, tax: int, covered: int) -> Breakdown:
    """A generation delivered by another's worker, as its requester sees it."""
    burnt = (PriceItem(SURCHARGE, -surcharge),) if surcharge else ()
    return (PriceItem("generation", -price), *burnt, *_taxed(tax, covered))


def delivery_by_own_worker(tax: int, covered: int) -> Breakdown:
    """A generation delivered by the requester's own worker: one line, in which only the tax moves."""
    return (PriceItem("generation by your own worker", 0), *_taxed(tax, covered))


def delivery_earned(price: int, escrowed: int) -> Breakdown:
    """A delivered generation, as the worker's owner sees it."""
    return _earned("generation delivered", price, escrowed)


def censored_requested(tax: int, covered: int) -> Breakdown:
    """A generation whose picture was withheld, as its requester sees it."""
    return (PriceItem("censored generation, not charged", 0), *_taxed(tax, covered))


def censored_earned(price: int, escrowed: int) -> Breakdown:
    """A generation whose picture was withheld, as the worker's owner sees it."""
    return _earned("censored generation, paid by the subsidy", price, escrowed)


def late_redundant_earned(price: int, escrowed: int) -> Breakdown:
    """A delivery that a late one had made redundant, as the worker's owner sees it."""
    return _earned("redundant delivery, paid by the subsidy", price, escrowed)


def uptime(amount: int, escrowed: int) -> Breakdown:
    """A reward for a worker that was there, as its owner sees it."""
    return _earned("uptime of your worker", amount, escrowed)


def escrow_released(amount: int) -> Breakdown:
    """What waited in escrow, as its owner sees it once trusted."""
    return (PriceItem("escrow released: you are trusted", amount),)


def rating(worth: int, artifacts: int, unpaid: int, escrowed: int) -> Breakdown:
    """A rating, as its rater sees it: `unpaid` is what the cost of the job leaves of it."""
    said = (PriceItem("artifacts told", artifacts),) if artifacts else ()
    return (PriceItem("picture rated", worth), *said, *_kept(unpaid, escrowed))


def comparison(amount: int, escrowed: int) -> Breakdown:
    """A comparison, as its rater sees it."""
    return (PriceItem("pictures compared", amount), *_kept(0, escrowed))


def best_named(worth: int, unpaid: int, escrowed: int) -> Breakdown:
    """The best picture of a job named, as its requester sees it."""
    return (PriceItem("best picture named", worth), *_kept(unpaid, escrowed))


def ratings_reversed(amount: int, escrowed: int) -> Breakdown:
    """Rewards of marked ratings taken back, as their rater sees it: what was in escrow is no part of the balance."""
    return (PriceItem("rewards of marked ratings taken back", -amount), *_from_escrow(escrowed))


def ratings_restored(amount: int, escrowed: int) -> Breakdown:
    """The same paid again."""
    return (PriceItem("rewards of ratings paid again", amount), *_kept(0, escrowed))


def rating_escrow_released(amount: int) -> Breakdown:
    """What ratings earned and waited, as their rater sees it once believed."""
    return (PriceItem("escrow released: your ratings are trusted", amount),)


def granted(amount: int) -> Breakdown:
    """A grant, as its receiver sees it."""
    return (PriceItem("grant", amount),)


def adjusted(amount: int) -> Breakdown:
    """A correction, up or down, as its account sees it."""
    return (PriceItem("correction", amount),)


def allowance(amount: int) -> Breakdown:
    """A month's allowance, as its receiver sees it."""
    return (PriceItem("monthly allowance", amount),)


def transfer_sent(amount: int) -> Breakdown:
    """A transfer, as its sender sees it."""
    return (PriceItem("transfer sent", -amount),)


def transfer_received(amount: int) -> Breakdown:
    """A transfer, as its receiver sees it."""
    return (PriceItem("transfer received", amount),)


def anonymous_genesis(amount: int) -> Breakdown:
    """The opening of the anonymous user, below zero."""
    return (PriceItem("opening of the anonymous user", amount),)


def _taxed(tax: int, covered: int) -> Breakdown:
    items = (PriceItem(TAX, -tax),)
    return (*items, PriceItem(COVERED, covered)) if covered else items


def _earned(label: str, reward: int, escrowed: int) -> Breakdown:
    items = (PriceItem(label, reward),)
    return (*items, PriceItem(ESCROWED, -escrowed)) if escrowed else items


def _kept(unpaid: int, escrowed: int) -> Breakdown:
    capped = (PriceItem(COST, -unpaid),) if unpaid else ()
    return (*capped, PriceItem(RATING_ESCROWED, -escrowed)) if escrowed else capped


def _from_escrow(escrowed: int) -> Breakdown:
    return (PriceItem("of it out of escrow", escrowed),) if escrowed else ()
