"""The API of teams: looking, founding, editing, deleting. Workers join and leave by `updateWorker`.

Resolvers only parse, call and map. Look next: `app.teams.handlers`, `docs/workers.md`.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from app.fleet.online import capacity, online_workers
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Kudos, Position
from app.platform.graphql.shared import After, First, Node
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.services import Info, services_of
from app.teams import handlers
from app.teams.decider import TeamStands
from app.teams.queries import BY_ID, PAGE, TeamView
from events.jobs import JobKind
from projections.queue import WORK

if TYPE_CHECKING:
    from app.workers.types import WorkerConnection

#: models that are shown of one team
MAX_MODELS = 100


@strawberry.type(description="A model that workers of a team have.")
class TeamModel:
    """A model and how many workers serve it."""

    name: str = strawberry.field(description="The model.")
    count: int = strawberry.field(description="Workers of the team that are online and have it.")


@strawberry.type(description="A team of workers.")
class Team(Node):
    """A team, which everybody may see."""

    name: str = strawberry.field(description="Its unique name.")
    info: str = strawberry.field(description="What it says of itself.")
    creator: str | None = strawberry.field(
        description="The alias of who founded it; null unless they let everybody know whose their workers are."
    )
    created_at: datetime = strawberry.field(description="When it was founded.")
    mine: bool = strawberry.field(description="Whether you founded it.")
    worker_count: int = strawberry.field(description="Workers that are in it now.")
    megapixelsteps: float = strawberry.field(
        description="What workers delivered while they were in it: width x height x steps, in millions."
    )
    tokens: float = strawberry.field(
        description="Tokens of the texts that workers delivered while they were in it."
    )
    forms: float = strawberry.field(
        description="Forms of interrogations that workers delivered while they were in it."
    )
    fulfilled: int = strawberry.field(description="Generations that workers delivered while they were in it.")
    earned: Kudos = strawberry.field(description="What that was worth.")
    uptime_hours: float = strawberry.field(
        description="Hours for which workers were rewarded for being there while they were in it."
    )
    key: strawberry.Private[UUID]

    @strawberry.field(
        description="What its workers that are online and serve everybody draw together, in millions of "
        "width x height x steps a second, by their measured speeds."
    )
    async def megapixelsteps_per_second(self, info: Info) -> float:
        """The sum over its workers, as of at most a second ago."""
        return await self._speed(info, JobKind.IMAGE) / 1_000_000

    @strawberry.field(
        description="The tokens that its workers that are online and serve everybody write together in a second, by "
        "their measured speeds."
    )
    async def tokens_per_second(self, info: Info) -> float:
        """The sum over its workers, as of at most a second ago."""
        return await self._speed(info, JobKind.TEXT) / WORK

    @strawberry.field(
        description="The forms that its workers that are online and serve everybody tell together in a minute, by "
        "their measured speeds."
    )
    async def forms_per_minute(self, info: Info) -> float:
        """The sum over its workers, as of at most a second ago."""
        return await self._speed(info, JobKind.INTERROGATION) * 60 / WORK

    async def _speed(self, info: Info, kind: JobKind) -> float:
        able = (await capacity(services_of(info), kind)).workers
        return sum(each.worker.threads * speed for each, speed in able if each.worker.team == self.key)

    @strawberry.field(
        description="The models of its workers that are online, at most 100, most workers first."
    )
    async def models(self, info: Info) -> list[TeamModel]:
        """As of at most a second ago."""
        online = await online_workers(services_of(info))
        mine = [each.worker for each in online if each.worker.team == self.key]
        counts = Counter(model for worker in mine for model in worker.models)
        return [TeamModel(name=name, count=count) for name, count in counts.most_common(MAX_MODELS)]

    @strawberry.field(description="Its workers, by name.")
    async def workers(
        self, info: Info, first: First = 20, after: After = None
    ) -> Annotated[WorkerConnection, strawberry.lazy("app.workers.types")]:
        """A page of them."""
        page: WorkerConnection = await services_of(info).links.workers_of(info, self.key, first, after)
        return page


@strawberry.type(description="An edge of a page of teams.")
class TeamEdge:
    """A team and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Team = strawberry.field(description="The team.")


@strawberry.type(description="A page of teams, by name.")
class TeamConnection:
    """Teams."""

    edges: list[TeamEdge] = strawberry.field(description="The teams.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="A new team.")
class CreateTeamInput:
    """Input of createTeam."""

    name: str = strawberry.field(description="3 to 100 characters, unlike any other team's.")
    info: str = strawberry.field(description="What it says of itself, 3 to 1,000 characters.")
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key founds one team, however often it is sent within 7 days."
    )


@strawberry.input(description="What to change of a team; what is null stays as it is.")
class EditTeamInput:
    """Input of editTeam."""

    team: str = strawberry.field(description="The team's id or name; yours, or any for moderators.")
    name: str | None = strawberry.field(default=None, description="Another name.")
    info: str | None = strawberry.field(default=None, description="What it says of itself from now on.")


@strawberry.input(description="Which team to dissolve.")
class DeleteTeamInput:
    """Input of deleteTeam."""

    team: str = strawberry.field(description="The team's id or name; yours, or any for moderators.")


@strawberry.type(description="The team was founded.")
class CreateTeamSuccess:
    """Result of createTeam."""

    team: Team = strawberry.field(description="The team.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The team's words are as you wish.")
class EditTeamSuccess:
    """Result of editTeam."""

    team: Team = strawberry.field(description="The team.")
    position: Position = strawberry.field(description="The log position at which it stands.")


@strawberry.type(description="The team is no more, and its workers are in none.")
class DeleteTeamSuccess:
    """Result of deleteTeam."""

    id: strawberry.ID = strawberry.field(description="The id it had.")
    position: Position = strawberry.field(description="The log position at which it stands.")


CreateTeamResult = Annotated[
    CreateTeamSuccess | errors.InvalidInput | errors.Forbidden | errors.IdempotencyConflict | errors.TryAgain,
    strawberry.union("CreateTeamResult", description="What came of createTeam."),
]
EditTeamResult = Annotated[
    EditTeamSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("EditTeamResult", description="What came of editTeam."),
]
DeleteTeamResult = Annotated[
    DeleteTeamSuccess | errors.InvalidInput | errors.NotFound | errors.Forbidden | errors.TryAgain,
    strawberry.union("DeleteTeamResult", description="What came of deleteTeam."),
]


@strawberry.type
class TeamQueries:
    """Queries of teams."""

    @strawberry.field(description="A team by id or name.")
    async def team(
        self, info: Info, team: Annotated[str, strawberry.argument(description="Id or name.")]
    ) -> Team | None:
        """Null where there is none."""
        found = await handlers.find_team(services_of(info), team)
        return None if found is None else _team(info, found)

    @strawberry.field(description="All teams, by name.")
    async def teams(self, info: Info, first: First = 20, after: After = None) -> TeamConnection:
        """A page of teams."""
        services = services_of(info)
        size = page_size(first)
        name = "" if after is None else decode_cursor(after, tuple[str])[0]
        rows = await PAGE.all(services.pool, realm=services.realm, after=name, limit=size + 1)
        edges, page = build_page(
            rows,
            size,
            key=lambda row: (row.name,),
            edge=lambda cursor, row: TeamEdge(cursor=cursor, node=_team(info, row)),
            after=after,
        )
        return TeamConnection(edges=edges, page_info=page)


@strawberry.type
class TeamMutations:
    """Mutations of teams."""

    @strawberry.mutation(description="Found a team. For trusted users.", graphql_type=CreateTeamResult)
    async def create_team(
        self, info: Info, input: Annotated[CreateTeamInput, strawberry.argument(description="The team.")]
    ) -> Any:
        """It has no workers at first, not even its founder's."""
        outcome = await handlers.create_team(
            services_of(info), info.context.viewer.subject, input.name, input.info, input.idempotency_key
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        team = await _stands(info, outcome.result)
        return CreateTeamSuccess(team=team, position=Position(outcome.position))

    @strawberry.mutation(
        description="Change a team's words: who founded it, or a moderator.", graphql_type=EditTeamResult
    )
    async def edit_team(
        self, info: Info, input: Annotated[EditTeamInput, strawberry.argument(description="The changes.")]
    ) -> Any:
        """Its workers and totals stay."""
        outcome = await handlers.edit_team(
            services_of(info), info.context.viewer.subject, input.team, input.name, input.info
        )
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        team = await _stands(info, outcome.result)
        return EditTeamSuccess(team=team, position=Position(outcome.position))

    @strawberry.mutation(
        description="Dissolve a team: who founded it, or a moderator.", graphql_type=DeleteTeamResult
    )
    async def delete_team(
        self, info: Info, input: Annotated[DeleteTeamInput, strawberry.argument(description="Which team.")]
    ) -> Any:
        """Its workers work on, in no team."""
        outcome = await handlers.delete_team(services_of(info), info.context.viewer.subject, input.team)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        result: TeamStands = outcome.result
        return DeleteTeamSuccess(id=strawberry.ID(str(result.team)), position=Position(outcome.position))


async def load_team(info: Info, team: UUID) -> Team | None:
    """A team by id, for `node` and for its workers."""
    services = services_of(info)
    found = await BY_ID.one(services.pool, realm=services.realm, id=team)
    return None if found is None else _team(info, found)


async def _stands(info: Info, result: TeamStands) -> Team:
    team = await load_team(info, result.team)
    if team is None:
        raise ApiError("the team is gone", code=TopLevelCode.TRY_AGAIN, retry_after=1.0)
    return team


def _team(info: Info, view: TeamView) -> Team:
    mine = view.creator == info.context.viewer.subject
    known = view.username is not None and (view.public or mine)
    return Team(
        id=strawberry.ID(str(view.id)),
        name=view.name,
        info=view.info,
        creator=f"{view.username}#{view.number}" if known else None,
        created_at=view.created_at,
        mine=mine,
        worker_count=view.workers,
        megapixelsteps=view.pixelsteps / 1_000_000,
        tokens=float(view.tokens),
        forms=float(view.forms),
        fulfilled=view.fulfilled,
        earned=Kudos(view.earned),
        uptime_hours=view.uptime / 3_600,
        key=view.id,
    )
