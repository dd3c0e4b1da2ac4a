"""What subscribers to the log get is what the executor would have made of it, and is made once for all of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from app.accounts.authentication import Viewer
from app.main import make_services, run_services
from app.operations import rendering
from app.platform.graphql.context import RequestContext
from app.platform.graphql.execution import Engine, GraphQLRequest
from app.platform.graphql.rendering import ENTRY_BYTES, Renderings
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.schema import schema
from tests.factories import check_in, grant, open_realm, pop, register, run, submit

pytestmark = pytest.mark.anyio

ALL = "position id stream type schemaVersion subject occurredAt data hash"
SELECTIONS = [
    ALL,
    "data",
    "p: position again: position __typename kind: __typename",
    "...F ... on Event { type }",
    "position @skip(if: $no) type @include(if: $yes) hash @include(if: $no) id @skip(if: $yes)",
]


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    open_realm(writer)
    made = make_services(settings, print)
    user, host, worker = uuid4(), uuid4(), uuid4()
    for command in (register(user), register(host), grant(user, 100_000), check_in(worker, host)):
        run(writer, command)
    run(writer, submit(user, n=2, models=("stable", "other: (v1.5) #/")))
    run(writer, pop(worker, host))
    async with run_services(made):
        yield made


async def allowed(context: RequestContext, _: Any) -> None:
    context.viewer = Viewer(uuid4())


class Asked:
    """An engine and its caller."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.engine = Engine(schema, before_operation=allowed)

    def context(self) -> RequestContext:
        return RequestContext(app=self.services, request_id="", api_key=None, address="", client_agent=None)

    async def query(self, text: str, **variables: Any) -> Any:
        request = GraphQLRequest(query=text, variables=variables)
        payload = await self.engine.execute(await self.engine.admit(request, self.context()))
        return msgspec.json.decode(msgspec.json.encode(payload))

    async def follow(self, text: str, count: int, **variables: Any) -> list[Any]:
        request = GraphQLRequest(query=text, variables=variables)
        payloads = self.engine.stream(await self.engine.admit(request, self.context()))
        async with asyncio.timeout(10):
            found = [msgspec.json.decode(await anext(payloads)) for _ in range(count)]
        await payloads.aclose()
        return found


def documents(selection: str) -> tuple[str, str, str]:
    """The same selection in a query, in a subscription and in one of pages."""
    fragments = (
        "fragment F on Event { hash ...G } fragment G on Event { id stream }" if "...F" in selection else ""
    )
    given = "($yes: Boolean = true, $no: Boolean = false)" if "$" in selection else ""
    return (
        f"query{given} {{ events {{ edges {{ node {{ {selection} }} }} }} }} {fragments}",
        f"subscription{given} {{ told: events(after: 0) {{ {selection} }} }} {fragments}",
        f"subscription{given} {{ eventPages(after: 0, first: 4) {{ upto: position events {{ {selection} }} __typename }} }} {fragments}",
    )


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_a_subscriber_gets_what_a_query_gets(services: Services, selection: str):
    asked = Asked(services)
    query, events, pages = documents(selection)
    answer = await asked.query(query)
    assert "errors" not in answer, answer
    nodes = [edge["node"] for edge in answer["data"]["events"]["edges"]]
    assert len(nodes) >= 8
    told = await asked.follow(events, len(nodes))
    assert told == [{"data": {"told": node}} for node in nodes]
    assert [list(payload["data"]["told"]) for payload in told] == [list(node) for node in nodes], "in order"
    paged = [p["data"]["eventPages"] for p in await asked.follow(pages, -(-len(nodes) // 4))]
    assert [event for page in paged for event in page["events"]] == nodes
    assert [page["upto"] for page in paged] == [
        str(min(last, len(nodes))) for last in range(4, len(nodes) + 4, 4)
    ]
    assert {page["__typename"] for page in paged} == {"EventPage"}


async def test_every_field_of_the_type_is_rendered():
    fields = {field.name for field in schema.get_type_by_name("Event").fields}  # type: ignore[union-attr]
    camel = {"schema_version": "schemaVersion", "occurred_at": "occurredAt"}
    assert {camel.get(name, name) for name in fields} | {"__typename"} == set(rendering._FIELDS)


async def test_an_event_is_rendered_once_for_all_subscribers(
    services: Services, writer: Writer, monkeypatch: pytest.MonkeyPatch
):
    rendered: list[int] = []
    real = rendering._object

    def counting(event: Any, selection: Any) -> bytes:
        rendered.append(event.position)
        return real(event, selection)

    monkeypatch.setattr(rendering, "_object", counting)
    asked = Asked(services)
    texts = [
        f"subscription {{ events {{ {ALL} }} }}",
        f"subscription {{ eventPages {{ events {{ {ALL} }} }} }}",
    ]
    followers = [asyncio.create_task(asked.follow(text, 1)) for text in texts for _ in range(25)]
    await asyncio.sleep(0.3)
    last = run(writer, register()).position
    told = await asyncio.gather(*followers)
    assert rendered == [last]
    assert len({payload["data"]["events"]["position"] for (payload,) in told[:25]}) == 1


async def test_a_page_of_named_types_tells_how_far_it_reaches(services: Services):
    asked = Asked(services)
    last = services.tail.position
    text = 'subscription { eventPages(after: 0, types: ["accounts.UserRegistered"]) { position events { type } } }'
    ((page),) = [payload["data"]["eventPages"] for payload in await asked.follow(text, 1)]
    assert {event["type"] for event in page["events"]} == {"accounts.UserRegistered"}
    assert page["position"] == str(last), "whoever resumes there reads nothing twice"


@pytest.mark.parametrize("first", [0, -1, 501, 2**31 - 1])
async def test_the_size_of_a_page_is_bounded(services: Services, first: int):
    text = f"subscription {{ eventPages(first: {first}) {{ position }} }}"
    (payload,) = await Asked(services).follow(text, 1)
    assert payload["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    assert "500" in payload["errors"][0]["message"]


def test_what_is_kept_is_bounded_by_the_memory_it_takes():
    kept = Renderings(limit=10 * (100 + ENTRY_BYTES))
    for number in range(50):
        assert kept.get(number, lambda: b"x" * 100) == b"x" * 100
    assert len(kept._kept) == 10
    assert kept._held == 10 * (100 + ENTRY_BYTES)
    assert kept.get("large", lambda: b"y" * 5_000) == b"y" * 5_000
    assert list(kept._kept) == ["large"]
