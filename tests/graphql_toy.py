"""A small schema that uses everything the transport must carry, and a server for it on a free port."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
import uvicorn
from starlette.applications import Starlette
from strawberry.schema.config import StrawberryConfig

from app.platform.graphql.connections import PageInfo, build_page, decode_cursor, page_size
from app.platform.graphql.context import RequestContext, TransportOptions
from app.platform.graphql.errors import InsufficientKudos, InvalidInput, UserError
from app.platform.graphql.execution import OperationInfo
from app.platform.graphql.routes import create_graphql_routes
from app.platform.graphql.scalars import JSON, SCALAR_MAP, Kudos, Position
from app.platform.graphql.top_level import ApiError, TopLevelCode

Info = strawberry.Info[RequestContext, None]


@dataclass
class ToyState:
    """What the toy remembers, for the tests to look at."""

    notes: list[str] = field(default_factory=list)
    operations: list[OperationInfo] = field(default_factory=list)
    contexts: list[RequestContext] = field(default_factory=list)
    running: int = 0


@strawberry.interface(description="Something with an id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its id.")


@strawberry.enum(description="How a shelf is sorted.")
class Order(Enum):
    UP = strawberry.enum_value("up", description="Ascending.")
    DOWN = strawberry.enum_value("down", description="Descending.")


@strawberry.type(description="A book.")
class Book(Node):
    number: strawberry.Private[int]
    title: str = strawberry.field(description="Its title.")

    @strawberry.field(description="The shelf it stands on.")
    async def shelf(self) -> Annotated["Shelf", strawberry.lazy("tests.graphql_toy")]:
        return Shelf(id=strawberry.ID("shelf"))


@strawberry.type(description="An edge.")
class BookEdge:
    cursor: str = strawberry.field(description="Its cursor.")
    node: Book = strawberry.field(description="The book.")


@strawberry.type(description="A page of books.")
class BookConnection:
    edges: list[BookEdge] = strawberry.field(description="Edges.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type(description="A shelf.")
class Shelf(Node):
    @strawberry.field(description="Its books.")
    async def books(
        self,
        first: Annotated[int | None, strawberry.argument(description="How many.")] = 20,
        after: Annotated[str | None, strawberry.argument(description="After which.")] = None,
        order: Annotated[Order | None, strawberry.argument(description="Which way.")] = Order.UP,
    ) -> BookConnection:
        size = page_size(first)
        start = decode_cursor(after, tuple[int])[0] if after else 0
        numbers = range(start + 1, 251)
        rows = list(numbers if order is not Order.DOWN else reversed(numbers))[: size + 1]
        edges, info = build_page(rows, size, key=lambda row: (row,), edge=_edge, after=after)
        return BookConnection(edges=edges, page_info=info)


def _edge(cursor: str, number: int) -> BookEdge:
    book = Book(id=strawberry.ID(f"book-{number}"), number=number, title=f"Book {number}")
    return BookEdge(cursor=cursor, node=book)


@strawberry.input(description="Parameters.")
class ParamsInput:
    width: int | None = strawberry.field(default=512, description="Pixels.")
    tags: list[str] | None = strawberry.field(default_factory=list, description="Tags.")


@strawberry.input(description="A payment.")
class PayInput:
    amount: Kudos = strawberry.field(description="How much.")
    params: ParamsInput | None = strawberry.field(default_factory=ParamsInput, description="Parameters.")
    meta: JSON | None = strawberry.field(default=None, description="Anything.")


@strawberry.type(description="Paid.")
class PaySuccess:
    amount: Kudos = strawberry.field(description="How much.")
    width: int = strawberry.field(description="The width after defaults.")
    position: Position = strawberry.field(description="Where it stands in the log.")
    at: datetime = strawberry.field(description="When.")
    meta: JSON | None = strawberry.field(description="What was given.")


PayResult = Annotated[
    PaySuccess | InvalidInput | InsufficientKudos,
    strawberry.union("PayResult", description="What paying may answer."),
]


@strawberry.type(description="Queries.")
class Query:
    @strawberry.field(description="The shelf.")
    async def shelf(self) -> Shelf:
        return Shelf(id=strawberry.ID("shelf"))

    @strawberry.field(description="Anything by id.")
    async def node(self, id: Annotated[strawberry.ID, strawberry.argument(description="Id.")]) -> Node | None:  # noqa: A002
        if id == "shelf":
            return Shelf(id=id)
        return Book(id=id, number=1, title="Book 1") if id.startswith("book-") else None

    @strawberry.field(description="Greets.")
    async def hello(
        self, info: Info, name: Annotated[str, strawberry.argument(description="Whom.")] = "world"
    ) -> str:
        assert info.context.loaders == {}
        return f"hello {name}"

    @strawberry.field(description="Breaks.")
    async def broken(
        self, secret: Annotated[str, strawberry.argument(description="Never to be seen.")] = ""
    ) -> str | None:
        raise ValueError(f"the prompt was {secret}")

    @strawberry.field(description="Breaks where null is not possible.")
    async def broken_hard(self) -> str:
        raise ValueError("secret")

    @strawberry.field(description="A number that is none.")
    def bad_number(self) -> int | None:
        return "secret text"  # type: ignore[return-value]

    @strawberry.field(description="Refuses on purpose.")
    async def refused(self) -> str | None:
        raise ApiError("Come back later.", TopLevelCode.TRY_AGAIN, retry_after=2.5)

    @strawberry.field(description="What the context says.")
    async def me(self, info: Info) -> list[str]:
        context = info.context
        return [context.api_key or "", context.address, context.client_agent or "", context.viewer or ""]


@strawberry.type(description="Mutations.")
class Mutation:
    @strawberry.mutation(description="Takes its time.")
    async def slow(self, info: Info) -> int:
        info.context.app.notes.append("began")
        await asyncio.sleep(0.3)
        info.context.app.notes.append("ended")
        return 1

    @strawberry.mutation(description="Pays.")
    async def pay(
        self,
        info: Info,
        input: Annotated[PayInput, strawberry.argument(description="What.")],  # noqa: A002
    ) -> PayResult:
        given = input
        assert given.params is not None
        if given.params.tags == ["bad"]:
            return InvalidInput(message="A bad tag.", path=["input", "params", "tags", "0"])
        if given.amount > 100_00:
            return InsufficientKudos(
                message="Too little.",
                required=given.amount,
                available=Kudos(100_00),
                missing=Kudos(given.amount - 100_00),
            )
        info.context.app.notes.append("paid")
        at = datetime(2030, 1, 31, 12, tzinfo=UTC)
        width = given.params.width or 0
        return PaySuccess(amount=given.amount, width=width, position=Position(7), at=at, meta=given.meta)


@strawberry.type(description="Looks at the event's context.")
class Loaders:
    @strawberry.field(description="How many loaders the event found; it adds one.")
    def found(self, info: Info) -> int:
        info.context.loaders[object()] = True
        return len(info.context.loaders) - 1


@strawberry.type(description="Subscriptions.")
class Subscription:
    @strawberry.subscription(description="Counts.")
    async def count(
        self, to: Annotated[int, strawberry.argument(description="How far.")] = 3
    ) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            await asyncio.sleep(0)
            yield number

    @strawberry.subscription(description="Never says a thing.")
    async def silence(self, info: Info) -> AsyncGenerator[int, None]:
        info.context.app.running += 1
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            info.context.app.running -= 1

    @strawberry.subscription(description="As much as it can.")
    async def flood(self, info: Info) -> AsyncGenerator[str, None]:
        info.context.app.running += 1
        try:
            while True:
                await asyncio.sleep(0)
                yield "x" * 20_000
        finally:
            info.context.app.running -= 1

    @strawberry.subscription(description="Breaks after one.")
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("the prompt was secret")

    @strawberry.subscription(description="The id of each event's loaders: fresh ones each time.")
    async def loaders(self, info: Info) -> AsyncGenerator[Loaders, None]:
        info.context.loaders["source"] = True
        yield Loaders()
        yield Loaders()


def toy_schema() -> strawberry.Schema:
    return strawberry.Schema(
        Query,
        Mutation,
        Subscription,
        types=[UserError],
        config=StrawberryConfig(scalar_map=SCALAR_MAP),
    )


async def toy_before_operation(context: RequestContext, operation: OperationInfo) -> None:
    """Keys: `bad` is unknown, `fast` is rate-limited, `crash` breaks the hook."""
    context.app.operations.append(operation)
    context.app.contexts.append(context)
    if context.api_key == "bad":
        raise ApiError("No such key.", TopLevelCode.UNAUTHENTICATED)
    if context.api_key == "fast":
        raise ApiError("Too many requests.", TopLevelCode.RATE_LIMITED, retry_after=1.2)
    if context.api_key == "crash":
        raise ValueError("secret")
    context.viewer = "somebody" if context.api_key else "anonymous"


async def toy_before_connection(context: RequestContext) -> None:
    if context.api_key == "bad":
        raise ApiError("No such key.", TopLevelCode.UNAUTHENTICATED)


def toy_app(state: ToyState, options: TransportOptions | None = None) -> Starlette:
    routes = create_graphql_routes(
        toy_schema(), state, toy_before_operation, options, before_connection=toy_before_connection
    )
    return Starlette(routes=routes)


async def until(holds: Callable[[], Any]) -> None:
    """Waits at most five seconds for what no signal tells."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serves an application on a free loopback port; gives its "127.0.0.1:port"."""
    config = uvicorn.Config(app, "127.0.0.1", 0, log_level="warning", proxy_headers=False, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"{host}:{port}"
    finally:
        server.should_exit = True
        # Connections a test left open must not hold the server up.
        server.force_exit = True
        await task
