"""Facts about teams of workers: founding, editing, deletion. Who is in one is a fact about the worker.

A team's name and what it says of itself are free text and live in the vault. Look next: `projections.teams`,
`app.teams.decider`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from events.base import Event


class _TeamEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one team, about who founded it."""

    team: UUID
    creator: UUID

    def stream(self) -> str:
        """The stream it is appended to."""
        return f"team-{self.team}"

    def subject(self) -> UUID | None:
        """Whom it is about."""
        return self.creator


class TeamCreated(_TeamEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody founded a team."""

    TYPE: ClassVar[str] = "teams.TeamCreated"


class TeamEdited(_TeamEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team's name, or what it says of itself, was changed."""

    TYPE: ClassVar[str] = "teams.TeamEdited"


class TeamDeleted(_TeamEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team is no more; its workers left it before, each by a fact of its own."""

    TYPE: ClassVar[str] = "teams.TeamDeleted"


EVENTS: tuple[type[Event], ...] = (TeamCreated, TeamEdited, TeamDeleted)
