"""What may become of a case: a moderator upholds or dismisses it, once. Pure.

Upheld, nobody ever sees the picture. Dismissed, the requester sees it if it was delivered; it is not shared again. Look
next: `app.workers.reports`, which opens cases; `projections.generations`, whose `report` says where a case stands.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from events.moderation import CaseDecided, Verdict
from projections.generations import CaseState, Generation


class DecideCase(Command, frozen=True, kw_only=True):
    """Uphold or dismiss a report."""

    case: UUID
    job: UUID
    generation: UUID
    verdict: Verdict
    #: who asks, and must be a moderator or operator
    by: UUID


class Decided(Result, frozen=True, kw_only=True):
    """The case and what was decided of it."""

    case: UUID
    verdict: Verdict


def decide_case(command: DecideCase, rows: Rows) -> Decision | Rejection:
    """A decision stands: repeating it changes nothing, and another is refused."""
    if not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators decide cases")
    job = rows.job(command.job)
    generation = _reported(command, rows)
    if job is None or generation is None:
        return Rejection(code="NOT_FOUND", message="no such case", path=("input", "case"))
    if generation.report is CaseState.OPEN:
        event = CaseDecided(
            job=job.id,
            requester=job.requester,
            case=command.case,
            generation=generation.id,
            verdict=command.verdict,
        )
        return Decision((event,), Decided(case=command.case, verdict=command.verdict))
    if generation.report != command.verdict.value:
        message = f"the case was {str(generation.report).lower()}: a decision stands"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "verdict"))
    return Decision((), Decided(case=command.case, verdict=command.verdict))


def _reported(command: DecideCase, rows: Rows) -> Generation | None:
    found = (g for g in rows.generations_of(command.job) if g.id == command.generation)
    return next((g for g in found if g.report is not None), None)


RULES = (Rule(DecideCase, Decided, lambda c: Needs(accounts=(c.by,), jobs=(c.job,)), decide_case),)
