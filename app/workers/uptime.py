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
from projections.queue import REQUIREMENTS, text_bounds
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
#: of a text worker: for being there, and for each 1,024 tokens of context; with a model of seven billion parameters, in
#: proportion to those of its largest model, a quarter at least, and half where nobody knows any of its models
TEXT_BASE: Final = 2_500
TEXT_FOR_CONTEXT: Final = 1_500
TEXT_CONTEXT_UNIT: Final = 1_024
TEXT_PARAMETERS: Final = 7_000_000_000
TEXT_LEAST_PERCENT: Final = 25
TEXT_UNKNOWN_PERCENT: Final = 50
#: the most that any worker earns by being there, which is what an image worker can at most: nobody can check what context
#: or model a text worker has that writes nothing
MOST: Final = BASE + FOR_EACH_MODEL * MODELS_COUNTED + FOR_LORA


class ClaimUptime(Command, frozen=True, kw_only=True):
    """Reward a worker that was seen for so many seconds since it was last rewarded."""

    worker: UUID
    owner: UUID
    seconds: int
    #: of a text worker, of its largest model; None where nobody knows any of them
    parameters: int | None = None


class UptimeClaimed(Result, frozen=True, kw_only=True):
    """What it was rewarded, in hundredths; 0 where the log says that it was too soon."""

    amount: int


def reward_of(worker: Worker, parameters: int | None = None) -> int:
    """What ten minutes of a worker's presence are worth, in hundredths (the reference's numbers, bounded)."""
    if worker.kind is JobKind.INTERROGATION:
        return OF_FORMS
    if worker.kind is JobKind.TEXT:
        return _reward_of_texts(worker, parameters)
    models = min(len(worker.models), MODELS_COUNTED)
    lora = FOR_LORA if worker.allowed & REQUIREMENTS["lora"] else 0
    return BASE + FOR_EACH_MODEL * models + lora


def _reward_of_texts(worker: Worker, parameters: int | None) -> int:
    context, _ = text_bounds(worker.max_size)
    plain = TEXT_BASE + TEXT_FOR_CONTEXT * context // TEXT_CONTEXT_UNIT
    if parameters is None:
        return min(MOST, plain * TEXT_UNKNOWN_PERCENT // 100)
    least = plain * TEXT_LEAST_PERCENT // 100
    return min(MOST, max(least, plain * parameters // TEXT_PARAMETERS))


def claim_uptime(command: ClaimUptime, rows: Rows) -> Decision | Rejection:
    """One reward, if ten minutes of the log's time passed since the last and the worker serves everybody."""
    worker, owner = rows.worker(command.worker), rows.account(command.owner)
    if worker is None or owner is None or worker.owner != command.owner:
        return Rejection(code="NOT_FOUND", message="you have no such worker")
    since = worker.rewarded_at or worker.registered_at
    seconds = min(command.seconds, int((rows.now - since).total_seconds()))
    if worker.maintenance or worker.paused or worker.deleted or seconds < REWARDED_SECONDS:
        return Decision((), UptimeClaimed(amount=0))
    amount = reward_of(worker, command.parameters)
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
