"""Rewards for workers that are there: how much, and that no second is paid twice. Pure.

How long a worker was there is counted outside the log (`app.platform.presence`) and claimed by a command, at most once
in ten minutes. The log's own time bounds every claim, so that whatever Valkey forgets or repeats is never paid twice.
Look next: `docs/earning.md`, `app.workers.polling`, which claims.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.ledger import postings, trust
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from events.jobs import JobKind
from events.workers import UptimeRewarded
from projections.queue import REQUIREMENTS
from projections.workers import Worker

#: seconds that a reward is for: no claim is paid sooner after the one before
REWARDED_SECONDS: Final = 600
#: hundredths: for being there, for each model, for allowing LoRAs
BASE: Final = 5_000
FOR_EACH_MODEL: Final = 200
FOR_LORA: Final = 3_000
#: for an interrogation worker, whatever it tells
OF_FORMS: Final = 4_000
#: so many models count: nobody can check that a worker has what it declares
MODELS_COUNTED: Final = 20


class ClaimUptime(Command, frozen=True, kw_only=True):
    """Reward a worker that was seen for so many seconds since it was last rewarded."""

    worker: UUID
    owner: UUID
    seconds: int


class UptimeClaimed(Result, frozen=True, kw_only=True):
    """What it was rewarded, in hundredths; 0 where the log says that it was too soon."""

    amount: int


def reward_of(worker: Worker) -> int:
    """What ten minutes of a worker's presence are worth, in hundredths (the reference's numbers, models bounded)."""
    if worker.kind is JobKind.INTERROGATION:
        return OF_FORMS
    models = min(len(worker.models), MODELS_COUNTED)
    lora = FOR_LORA if worker.allowed & REQUIREMENTS["lora"] else 0
    return BASE + FOR_EACH_MODEL * models + lora


def claim_uptime(command: ClaimUptime, rows: Rows) -> Decision | Rejection:
    """One reward, if ten minutes of the log's time passed since the last and the worker serves everybody."""
    worker, owner = rows.worker(command.worker), rows.account(command.owner)
    if worker is None or owner is None or worker.owner != command.owner:
        return Rejection(code="NOT_FOUND", message="you have no such worker")
    since = worker.rewarded_at or worker.registered_at
    seconds = min(command.seconds, int((rows.now - since).total_seconds()))
    if worker.maintenance or worker.paused or worker.deleted or seconds < REWARDED_SECONDS:
        return Decision((), UptimeClaimed(amount=0))
    amount = reward_of(worker)
    draft = rows.draft()
    draft.add(
        UptimeRewarded(
            worker=worker.id,
            owner=worker.owner,
            seconds=seconds,
            amount=amount,
            escrowed=0 if owner.trusted else amount,
            postings=postings.uptime(worker_owner=worker.owner, amount=amount, trusted_owner=owner.trusted),
            team=worker.team,
        )
    )
    trust.promote_if_worthy(draft, worker.owner)
    return Decision(draft.events, UptimeClaimed(amount=amount))


RULES = (
    Rule(ClaimUptime, UptimeClaimed, lambda c: Needs(workers=(c.worker,), accounts=(c.owner,)), claim_uptime),
)
