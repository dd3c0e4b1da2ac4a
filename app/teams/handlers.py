"""Founding, editing, deleting teams: words are checked here, then the writer decides.

Look next: `app.teams.decider`.
"""

from __future__ import annotations

from uuid import UUID

import psycopg

from app.platform.commands import Command, Done, Idempotency, Rejection
from app.platform.handling import idempotency, parse_id, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.teams.decider import CreateTeam, DeleteTeam, EditTeam
from app.teams.queries import BY_ID, BY_NAME, MEMBERS, TeamView

NAME = (3, 100)
INFO = (3, 1_000)


async def create_team(
    services: Services, actor: UUID, name: str, info: str, key: str | None
) -> Done | Rejection:
    """Found a team."""
    if (fault := _fault_of(name, info)) is not None:
        return fault
    command = CreateTeam(team=new_id(), creator=actor, name=name, info=info)
    promise = idempotency(actor, "createTeam", key, {"name": name, "info": info})
    return await _named(services, actor, command, promise)


async def edit_team(
    services: Services, actor: UUID, text: str, name: str | None, info: str | None
) -> Done | Rejection:
    """Change what is given of a team's words."""
    team = await find_team(services, text)
    if team is None:
        return _no_team()
    if name is None and info is None:
        return Rejection(
            code="INVALID_INPUT", message="nothing to change: give a name or an info", path=("input",)
        )
    words = (team.name if name is None else name, team.info if info is None else info)
    if (fault := _fault_of(*words)) is not None:
        return fault
    return await _named(services, actor, EditTeam(team=team.id, by=actor, name=words[0], info=words[1]))


async def delete_team(services: Services, actor: UUID, text: str) -> Done | Rejection:
    """Dissolve a team: its workers leave it."""
    team = await find_team(services, text)
    if team is None:
        return _no_team()
    members = await MEMBERS.all(services.pool, realm=services.realm, team=team.id)
    return await run(services, DeleteTeam(team=team.id, by=actor, workers=tuple(members)), actor=actor)


async def find_team(services: Services, text: str) -> TeamView | None:
    """The team of an id or name."""
    key = parse_id(text)
    if key is not None and (found := await BY_ID.one(services.pool, realm=services.realm, id=key)):
        return found
    if len(text) > NAME[1] or "\0" in text:
        return None
    return await BY_NAME.one(services.pool, realm=services.realm, name=text)


async def _named(
    services: Services, actor: UUID, command: Command, promise: Idempotency | Rejection | None = None
) -> Done | Rejection:
    """Run a command that gives a team its name."""
    try:
        return await run(services, command, actor=actor, promise=promise)
    except psycopg.errors.UniqueViolation:
        message = "another team has this name, with or without capitals"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "name"))


def _fault_of(name: str, info: str) -> Rejection | None:
    if not NAME[0] <= len(name) <= NAME[1] or name != name.strip() or not name.isprintable():
        message = f"a team's name has {NAME[0]} to {NAME[1]} printable characters, none blank at its ends"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "name"))
    if not INFO[0] <= len(info.strip()) <= len(info) <= INFO[1] or "\0" in info:
        message = f"what a team says of itself has {INFO[0]} to {INFO[1]} characters"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "info"))
    return None


def _no_team() -> Rejection:
    return Rejection(code="NOT_FOUND", message="no such team", path=("input", "team"))
