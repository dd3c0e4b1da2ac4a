"""What may happen to teams: founding by trusted users, editing and deleting by who founded it or a moderator. Pure.

Workers join and leave by their own owners (`app.workers.steering_decider`). Look next: `app.teams.handlers`, which
checks the words.
"""

from __future__ import annotations

from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import Erase, TeamWords
from events.base import Event
from events.teams import TeamCreated, TeamDeleted, TeamEdited
from events.workers import WorkerTeamChanged
from projections.teams import Team


class CreateTeam(Command, frozen=True, kw_only=True):
    """Found a team."""

    team: UUID
    creator: UUID
    name: str
    info: str


class EditTeam(Command, frozen=True, kw_only=True):
    """Give a team these words."""

    team: UUID
    by: UUID
    name: str
    info: str


class DeleteTeam(Command, frozen=True, kw_only=True):
    """Dissolve a team: its workers, which were seen beforehand, leave it."""

    team: UUID
    by: UUID
    workers: tuple[UUID, ...]


class TeamStands(Result, frozen=True, kw_only=True):
    """The team."""

    team: UUID


def create_team(command: CreateTeam, rows: Rows) -> Decision | Rejection:
    """Trusted users, moderators and operators found teams."""
    account = rows.account(command.creator)
    if account is None or not account.trusted:
        return Rejection(code="FORBIDDEN", message="only trusted users found teams")
    event = TeamCreated(team=command.team, creator=command.creator)
    words = TeamWords(command.team, command.name, command.info)
    return Decision((event,), TeamStands(team=command.team), (words,))


def edit_team(command: EditTeam, rows: Rows) -> Decision | Rejection:
    """By who founded it or a moderator."""
    team = _led(rows, command.team, command.by)
    if isinstance(team, Rejection):
        return team
    event = TeamEdited(team=team.id, creator=team.creator)
    words = TeamWords(team.id, command.name, command.info)
    return Decision((event,), TeamStands(team=team.id), (words,))


def delete_team(command: DeleteTeam, rows: Rows) -> Decision | Rejection:
    """By who founded it or a moderator. What its workers did in it stays in the log."""
    team = _led(rows, command.team, command.by)
    if isinstance(team, Rejection):
        return team
    named = [rows.worker(worker) for worker in command.workers]
    members = [worker for worker in named if worker is not None and worker.team == team.id]
    if len(members) != team.workers:
        message = "a worker joined or left the team just now: try again"
        return Rejection(code="TRY_AGAIN", message=message, detail={"retry_after_seconds": 0.1})
    events: list[Event] = [
        WorkerTeamChanged(worker=worker.id, owner=worker.owner, team=None, before=team.id)
        for worker in members
    ]
    events.append(TeamDeleted(team=team.id, creator=team.creator))
    return Decision(events, TeamStands(team=team.id), (Erase(TeamWords, team.id),))


def _led(rows: Rows, key: UUID, by: UUID) -> Team | Rejection:
    """A team that somebody may change. Teams are public, so others are told that they may not."""
    team = rows.team(key)
    if team is None or team.deleted:
        return Rejection(code="NOT_FOUND", message="no such team", path=("input", "team"))
    if team.creator != by and not moderates(rows.account(by)):
        message = "only who founded a team, and moderators, change it"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "team"))
    return team


RULES = (
    Rule(
        CreateTeam,
        TeamStands,
        lambda c: Needs(accounts=(c.creator,), teams=(c.team,), made=(c.team,)),
        create_team,
    ),
    Rule(EditTeam, TeamStands, lambda c: Needs(accounts=(c.by,), teams=(c.team,)), edit_team),
    Rule(
        DeleteTeam,
        TeamStands,
        lambda c: Needs(accounts=(c.by,), teams=(c.team,), workers=c.workers),
        delete_team,
    ),
)
