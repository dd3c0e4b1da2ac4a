"""What may happen to the house as a whole: its modes are switched on and off. Pure.

Look next: `app.ledger.modes` for what they change, `app.operations.modes`, which asks.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.modes import may_set
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from events.operations import Mode, ModeSet


class SetMode(Command, frozen=True, kw_only=True):
    """Switch a mode of the house on or off."""

    mode: Mode
    on: bool
    #: who asks, and must be a moderator or operator; None at the command line
    by: UUID | None = None


class Switched(Result, frozen=True, kw_only=True):
    """The modes as they are now."""

    maintenance: bool
    invite_only: bool
    raid: bool


def set_mode(command: SetMode, rows: Rows) -> Decision | Rejection:
    """By moderators and operators, maintenance by operators only. What is so already changes nothing."""
    if command.by is not None and not may_set(command.mode, rows.account(command.by)):
        who = "operators switch" if command.mode is Mode.MAINTENANCE else "moderators and operators switch"
        return Rejection(code="FORBIDDEN", message=f"only {who} this mode")
    if rows.modes().has(command.mode) is command.on:
        return Decision((), _switched(rows))
    draft = rows.draft()
    draft.add(ModeSet(mode=command.mode, on=command.on))
    return Decision(draft.events, _switched(draft))


def _switched(rows: Rows) -> Switched:
    modes = rows.modes()
    return Switched(maintenance=modes.maintenance, invite_only=modes.invite_only, raid=modes.raid)


RULES = (Rule(SetMode, Switched, lambda c: Needs(accounts=() if c.by is None else (c.by,)), set_mode),)
