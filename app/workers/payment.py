"""What a delivery earns and costs: one capture, one movement, and what follows for its worker's owner. Pure.

Which deliveries are paid is decided elsewhere. Look next: `app.workers.lease_decider`, `app.ledger.postings` (how it is
booked), `app.ledger.trust` (escrow and its end), `app.workers.conduct` (speeds that cannot be).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from app.ledger import postings, trust
from app.ledger.text_price import text_share
from app.platform.rows import Draft
from app.workers.conduct import watch_speed
from events.jobs import (
    CensorCause,
    GenerationCensored,
    GenerationDelivered,
    HoldCaptured,
    JobKind,
    RedundantDeliveryPaid,
)
from projections.accounts import Account
from projections.generations import Generation
from projections.jobs import Job
from projections.leases import Lease, LeaseState
from projections.queue import form_model, text_bounds

#: the most that redundant deliveries earn an owner a day, in hundredths
LATE_CAP_PER_DAY: Final = 10_000


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What was delivered: entity tag and version of a stored object, both empty of words; how many tokens of a text."""

    etag: str = ""
    version: str = ""
    tokens: int = 0
    #: work a second of which more cannot be with its model; None: with any
    fastest: int | None = None


def pay(
    draft: Draft, lease: Lease, job: Job, generation: UUID, delivered: Delivery | CensorCause, *, waited: bool
) -> int:
    """Charge the requester and pay the worker's owner, who may be trusted from then on; the reward.

    A lease says what a generation drawn with its model is worth; one from before models had prices, the job.
    """
    owner = _account(draft, lease.owner)
    terms = _terms(draft, lease, job, generation, delivered)
    money = _moved(draft, lease, job, owner, terms, censored=isinstance(delivered, CensorCause))
    if money.captured:
        draft.add(
            HoldCaptured(job=job.id, requester=job.requester, generation=generation, amount=money.captured)
        )
    paid: dict[str, Any] = {
        "job": job.id,
        "requester": job.requester,
        "generation": generation,
        "lease": lease.id,
        "worker": lease.worker,
        "owner": lease.owner,
        "model": lease.model,
        "kind": job.kind,
        "price": terms.price,
        "tax": job.tax,
        "charged": money.charged,
        "covered": money.covered,
        "postings": money.postings,
        "escrowed": money.escrowed,
        "team": _team(draft, lease),
    }
    if isinstance(delivered, CensorCause):
        draft.add(GenerationCensored(**paid, cause=delivered))
    else:
        draft.add(
            GenerationDelivered(
                **paid,
                surcharge=money.surcharge,
                etag=delivered.etag,
                version=delivered.version,
                waited=waited,
                pixelsteps=job.work if job.kind is JobKind.IMAGE else 0,
                took_milliseconds=_took(draft, lease),
                tokens=delivered.tokens,
                form=terms.form,
            )
        )
        watch_speed(draft, lease, delivered.fastest)
    trust.promote_if_worthy(draft, lease.owner)
    return money.reward


class _Terms(msgspec.Struct, frozen=True):
    """What one generation earns and the surcharge on it, in hundredths; of an interrogation, which form."""

    price: int
    surcharge: int
    form: str | None = None


def _terms(
    draft: Draft, lease: Lease, job: Job, generation: UUID, delivered: Delivery | CensorCause | None
) -> _Terms:
    """By what the lease says, what the form costs, or how much was written of what was asked for at most."""
    price = job.price if lease.price is None else lease.price
    surcharge = job.surcharge if lease.price is None else lease.surcharge
    match job.kind:
        case JobKind.IMAGE:
            return _Terms(price, surcharge)
        case JobKind.TEXT:
            if not isinstance(delivered, Delivery):
                return _Terms(price, surcharge)
            _, length = text_bounds(job.size)
            return _Terms(
                text_share(price, delivered.tokens, length), text_share(surcharge, delivered.tokens, length)
            )
        case JobKind.INTERROGATION:
            row = draft.generation(generation)
            assert row is not None, "a lease names its generations"
            assert row.form is not None, "what is asked in an interrogation has a name"
            prices = {model: (price, surcharge) for model, price, surcharge in job.offers}
            return _Terms(*prices[form_model(row.form)], row.form)


def _moved(
    draft: Draft, lease: Lease, job: Job, owner: Account, agreed: _Terms, *, censored: bool
) -> postings.DeliveryMoney:
    account = _account(draft, job.requester)
    terms: dict[str, Any] = {
        "requester": job.requester,
        "worker_owner": lease.owner,
        "price": agreed.price,
        "tax": job.tax,
        "trusted_owner": owner.trusted,
        "from_hold": job.held,
        "available_after_hold": account.available,
        "requester_anonymous": account.anonymous,
    }
    if censored:
        return postings.censored(**terms)
    return postings.delivery(**terms, surcharge=agreed.surcharge)


def pay_redundant(
    draft: Draft, lease: Lease, job: Job, generation: Generation, delivered: Delivery | CensorCause
) -> int:
    """Another owner's late delivery made this one redundant: the subsidy pays it, up to the cap for the day."""
    owner = _account(draft, lease.owner)
    day = int(draft.now.timestamp()) // 86_400
    left = LATE_CAP_PER_DAY - (owner.late_paid if owner.late_day == day else 0)
    # the late one's expired lease is among the failures; nobody is paid for outrunning a worker of their own
    first = dict(generation.failures).get(generation.worker) if generation.worker else None
    price = (
        0
        if lease.owner in (job.requester, first)
        else max(0, min(_terms(draft, lease, job, generation.id, delivered).price, left))
    )
    moved = postings.late_redundant(
        requester=job.requester, worker_owner=lease.owner, price=price, trusted_owner=owner.trusted
    )
    draft.add(
        RedundantDeliveryPaid(
            job=job.id,
            requester=job.requester,
            generation=generation.id,
            lease=lease.id,
            worker=lease.worker,
            owner=lease.owner,
            price=price,
            postings=moved,
            escrowed=postings.escrowed_of(price, trusted=owner.trusted),
            kind=job.kind,
        )
    )
    trust.promote_if_worthy(draft, lease.owner)
    return price


def _took(draft: Draft, lease: Lease) -> int | None:
    """Milliseconds since it was taken, or since the delivery before it; after its lease had ended nobody knows."""
    if lease.state is not LeaseState.LIVE or lease.since is None:
        return None
    return (draft.now - lease.since) // timedelta(milliseconds=1)


def _team(draft: Draft, lease: Lease) -> UUID | None:
    """The team that a lease's worker is in now."""
    worker = draft.worker(lease.worker)
    assert worker is not None, "a lease brings its worker"
    return worker.team


def _account(draft: Draft, key: UUID) -> Account:
    account = draft.account(key)
    assert account is not None, "accounts are never deleted from the log"
    return account
