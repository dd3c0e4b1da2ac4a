"""The API of profiles: users who let everybody see them, alone and in lists. Nobody else is ever shown, or counted.

Look next: `app.accounts.records`, `docs/status.md`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry

from app.accounts import handlers
from app.accounts.authentication import viewer_of
from app.accounts.graphql import User, load_user
from app.accounts.people import NUMBERS
from app.accounts.records import PROFILE, Listed, Order, leaderboard
from app.accounts.records_graphql import UserRecord, records_of
from app.platform.commands import Rejection
from app.platform.graphql import errors
from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.rejections import error_of
from app.platform.graphql.scalars import Kudos, Position
from app.platform.graphql.shared import After, First, JobKind
from app.platform.services import Info, services_of
from events import jobs


@strawberry.enum(description="By what users are listed.")
class LeaderboardOrder(Enum):
    """The orders of `app.accounts.records.Order`."""

    KUDOS = strawberry.enum_value("KUDOS", description="By their balances, largest first.")
    EARNED = strawberry.enum_value(
        "EARNED", description="By what their workers' deliveries earned, most first."
    )
    DELIVERED = strawberry.enum_value(
        "DELIVERED", description="By what their workers delivered of one kind, most first."
    )
    AGE = strawberry.enum_value("AGE", description="By when they registered, oldest first.")


@strawberry.type(description="A user as everybody may see them, because they said so.")
class PublicProfile:
    """It has no id: an id would lead from the name to everything in the public log."""

    username: str = strawberry.field(description='The alias, "name#number".')
    created_at: datetime = strawberry.field(description="When the account was opened.")
    kudos: Kudos = strawberry.field(description="The balance.")
    earned: Kudos = strawberry.field(description="Earned by their workers' deliveries, in escrow or not.")
    trusted: bool = strawberry.field(description="Whether they are trusted.")
    workers: int = strawberry.field(description="How many workers they have.")
    records: list[UserRecord] = strawberry.field(
        description="What they asked for, were given and delivered, one for each kind of which there is any."
    )


@strawberry.type(description="An edge of a page of users.")
class LeaderboardEdge:
    """A user and their cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: PublicProfile = strawberry.field(description="The user.")


@strawberry.type(description="A page of users who let everybody see them, in order.")
class LeaderboardConnection:
    """Users."""

    edges: list[LeaderboardEdge] = strawberry.field(description="The users.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


@strawberry.input(description="Whether everybody may see you.")
class SetPublicProfileInput:
    """Input of setPublicProfile."""

    public: bool = strawberry.field(
        description="True: your alias is shown with when you registered, what you have, earned, asked for and "
        "delivered, and in lists. By these numbers you can be recognised in the public log, also in what it says of "
        "the time before."
    )


@strawberry.type(description="Your profile is shown, or not, as you wish.")
class SetPublicProfileSuccess:
    """Result of setPublicProfile."""

    user: User = strawberry.field(description="You.")
    position: Position = strawberry.field(description="The log position at which it stands.")


SetPublicProfileResult = Annotated[
    SetPublicProfileSuccess | errors.InvalidInput | errors.Forbidden | errors.TryAgain,
    strawberry.union("SetPublicProfileResult", description="What came of setPublicProfile."),
]


@strawberry.type
class ProfileQueries:
    """Queries of users who let everybody see them."""

    @strawberry.field(
        description="The profile of a user; null if there is no such user, or if they do not let everybody see it."
    )
    async def profile(
        self,
        info: Info,
        username: Annotated[str, strawberry.argument(description='The alias, "name#number".')],
    ) -> PublicProfile | None:
        """Both look the same."""
        services = services_of(info)
        name, _, digits = username.rpartition("#")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(NUMBERS[1])):
            return None
        found = await PROFILE.one(services.pool, realm=services.realm, number=int(digits))
        if found is None or found.username != name:
            return None
        return (await _shown(info, [found]))[0]

    @strawberry.field(description="The first 1,000 of the users who let everybody see them, in an order.")
    async def leaderboard(
        self,
        info: Info,
        by: Annotated[LeaderboardOrder, strawberry.argument(description="In which.")],
        kind: Annotated[
            JobKind, strawberry.argument(description="For DELIVERED: of which kind.")
        ] = JobKind.IMAGE,
        first: First = 20,
        after: After = None,
    ) -> LeaderboardConnection:
        """At most two seconds old."""
        services, size = services_of(info), page_size(first)
        found = await leaderboard(services, Order[by.name], jobs.JobKind[kind.name])
        begin = 0
        if after is not None:
            begin = bisect_right(found, decode_cursor(after, tuple[int, int]), key=_place)
        page_of = found[begin : begin + size + 1]
        profiles = iter(await _shown(info, page_of))
        edges, page = build_page(
            page_of,
            size,
            key=_place,
            edge=lambda cursor, _: LeaderboardEdge(cursor=cursor, node=next(profiles)),
            after=after,
        )
        return LeaderboardConnection(edges=edges, page_info=page)


@strawberry.type
class ProfileMutations:
    """Mutations of one's own profile."""

    @strawberry.mutation(
        description="Let everybody see what you have and did, beside your name, or nobody.",
        graphql_type=SetPublicProfileResult,
    )
    async def set_public_profile(
        self,
        info: Info,
        input: Annotated[SetPublicProfileInput, strawberry.argument(description="Whether.")],
    ) -> Any:
        """At first nobody sees it."""
        subject = viewer_of(info).subject
        outcome = await handlers.set_public_profile(services_of(info), subject, public=input.public)
        if isinstance(outcome, Rejection):
            return error_of(outcome)
        return SetPublicProfileSuccess(
            user=await load_user(info, subject), position=Position(outcome.position)
        )


def _place(listed: Listed) -> tuple[int, int]:
    return listed.place, listed.number


async def _shown(info: Info, found: list[Listed]) -> list[PublicProfile]:
    """Profiles with their records, which are read for all of them at once."""
    records = await records_of(services_of(info), [listed.account.id for listed in found])
    return [
        PublicProfile(
            username=f"{listed.username}#{listed.number}",
            created_at=listed.account.registered_at,
            kudos=Kudos(listed.account.balance),
            earned=Kudos(listed.account.earned),
            trusted=listed.account.trusted,
            workers=listed.account.workers,
            records=records[listed.account.id],
        )
        for listed in found
    ]
