"""The GraphQL schema, put together from the slices, and `node`, which finds anything by its id.

May hold no rule. Look next: any slice's `graphql.py`; `schema.graphql`, which is printed from here.
"""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.schema.config import StrawberryConfig

from app.accounts.graphql import AccountMutations, AccountQueries, load_user
from app.accounts.profile_graphql import ProfileMutations, ProfileQueries
from app.accounts.treasury_graphql import TreasuryMutations
from app.accounts.workers_graphql import AccountWorkersMutations
from app.images.graphql import TakedownMutations, TakedownQueries
from app.jobs.graphql import JobMutations, JobQueries, JobSubscriptions, generation_of_viewer, job_of_viewer
from app.jobs.image_graphql import ImageJobMutations, ImageJobQueries
from app.jobs.interrogation_graphql import InterrogationJobMutations, InterrogationJobQueries
from app.jobs.kinds import JOB_TYPES
from app.jobs.text_graphql import TextJobMutations, TextJobQueries
from app.moderation.graphql import ModerationMutations, ModerationQueries
from app.operations.graphql import OperationQueries, OperationSubscriptions
from app.operations.house_graphql import HouseMutations, HouseQueries
from app.operations.status_graphql import StatusQueries
from app.platform.graphql.scalars import SCALAR_MAP
from app.platform.graphql.shared import Node
from app.platform.handling import parse_id
from app.platform.services import Info
from app.raters.graphql import RaterMutations, RaterQueries
from app.ratings.cases_graphql import PictureCaseMutations, PictureCaseQueries
from app.ratings.graphql import RatingMutations
from app.ratings.library_graphql import RatingQueries, load_image_set, load_picture
from app.ratings.own_graphql import OwnRatingMutations
from app.research.graphql import ResearchQueries
from app.sources.graphql import SourceMutations
from app.teams.graphql import TeamMutations, TeamQueries, load_team
from app.webhooks.graphql import WebhookMutations, WebhookQueries, load_webhook
from app.workers.demand_graphql import DemandQueries
from app.workers.graphql import WorkerMutations, WorkerQueries
from app.workers.steering_graphql import SteeringMutations, SteeringQueries, SteeringSubscriptions
from app.workers.types import load_worker


@strawberry.type
class NodeQueries:
    """Finding things by id."""

    @strawberry.field(
        description="Your user, a worker, a team, a picture that is rated, a set of them, or your job, generation or webhook, by "
        "id; null for what is another's."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A UUID.")]
    ) -> Node | None:
        """Ids are UUIDs, unique over all kinds."""
        key = parse_id(id)
        if key is None:
            return None
        if key == info.context.viewer.subject:
            return await load_user(info, key)
        return (
            await job_of_viewer(info, key)
            or await generation_of_viewer(info, key)
            or await load_worker(info, key)
            or await load_team(info, key)
            or await load_webhook(info, key)
            or await load_picture(info, key)
            or await load_image_set(info, key)
        )


@strawberry.type(description="What can be asked.")
class Query(
    AccountQueries,
    ProfileQueries,
    JobQueries,
    ImageJobQueries,
    TextJobQueries,
    InterrogationJobQueries,
    WorkerQueries,
    SteeringQueries,
    DemandQueries,
    TeamQueries,
    WebhookQueries,
    RatingQueries,
    PictureCaseQueries,
    RaterQueries,
    ModerationQueries,
    TakedownQueries,
    OperationQueries,
    StatusQueries,
    HouseQueries,
    ResearchQueries,
    NodeQueries,
):
    """The root of queries."""


@strawberry.type(description="What can be done. Every result is a union; its errors implement UserError.")
class Mutation(
    AccountMutations,
    AccountWorkersMutations,
    ProfileMutations,
    TreasuryMutations,
    JobMutations,
    ImageJobMutations,
    TextJobMutations,
    InterrogationJobMutations,
    SourceMutations,
    WorkerMutations,
    SteeringMutations,
    TeamMutations,
    WebhookMutations,
    RatingMutations,
    OwnRatingMutations,
    PictureCaseMutations,
    RaterMutations,
    ModerationMutations,
    TakedownMutations,
    HouseMutations,
):
    """The root of mutations."""


@strawberry.type(
    description="What can be followed, over WebSocket (graphql-transport-ws) or server-sent events."
)
class Subscription(JobSubscriptions, SteeringSubscriptions, OperationSubscriptions):
    """The root of subscriptions."""


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=JOB_TYPES,
    config=StrawberryConfig(scalar_map=SCALAR_MAP),
)
