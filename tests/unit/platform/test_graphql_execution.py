"""Documents are read once, limits hold, resolvers of every strawberry kind work, exceptions are masked."""

import json
import logging
from typing import Any

import pytest
from graphql import get_introspection_query

from app.platform.graphql import documents
from app.platform.graphql.context import RequestContext, TransportOptions
from app.platform.graphql.execution import Engine, GraphQLRequest
from app.platform.graphql.refusals import RequestRefused
from app.platform.graphql.top_level import ApiError
from tests.graphql_toy import ToyState, toy_before_operation, toy_schema

pytestmark = pytest.mark.anyio
SCHEMA = toy_schema()


@pytest.fixture
def anyio_backend():
    return "asyncio"


def engine_of(**options: Any) -> Engine:
    return Engine(SCHEMA, before_operation=toy_before_operation, options=TransportOptions(**options))


def context(state: ToyState | None = None, key: str | None = None) -> RequestContext:
    return RequestContext(
        app=state or ToyState(), request_id="r", api_key=key, address="192.0.2.1", client_agent=None
    )


async def run(engine: Engine, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    operation = await engine.admit(GraphQLRequest(query=query, variables=variables), context())
    return await engine.execute(operation)


async def refusal(engine: Engine, query: str, variables: dict[str, Any] | None = None) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        await run(engine, query, variables)
    return caught.value


def code_of(refused: RequestRefused) -> str:
    return refused.errors[0]["extensions"]["code"]


async def test_a_document_is_validated_once_however_often_it_runs(monkeypatch):
    calls = []
    real = documents.validate
    monkeypatch.setattr(
        documents, "validate", lambda *args, **more: calls.append(args[1]) or real(*args, **more)
    )
    engine = engine_of()
    for name in ("a", "b", "c"):
        query = "query($name: String!) { hello(name: $name) }"
        assert (await run(engine, query, {"name": name}))["data"] == {"hello": f"hello {name}"}
    for _ in range(3):
        assert code_of(await refusal(engine, "{ nothing }")) == "INVALID_DOCUMENT"
    assert len(calls) == 2


async def test_kept_documents_are_bounded_in_number_and_in_characters():
    engine = engine_of(cached_documents=5)
    for number in range(9):
        await run(engine, f"{{ a{number}: hello }}")
    assert len(engine._documents._good) == 5
    cache = documents._Cache(100, 10)
    document = documents.Document(None, {})
    for text in ("aaaa", "bbbb", "cccc"):
        cache.put(text, document)
    assert [cache.get(text) is document for text in ("aaaa", "bbbb", "cccc")] == [False, True, True]


async def test_bad_documents_do_not_push_out_good_ones():
    engine = engine_of(cached_documents=2)
    await run(engine, "{ hello }")
    for number in range(9):
        await refusal(engine, f"{{ nothing{number} }}")
    assert engine._documents._good.get("{ hello }") is not None


async def test_new_documents_can_be_limited_before_they_are_read():
    seen = []

    async def once(caller: RequestContext) -> None:
        seen.append(caller.address)
        if len(seen) > 1:
            raise ApiError("Too many new documents.", "RATE_LIMITED", retry_after=1)

    engine = Engine(SCHEMA, before_operation=toy_before_operation, before_document=once)
    for _ in range(3):
        await run(engine, "{ hello }")
    assert seen == ["192.0.2.1"]
    assert (await refusal(engine, "{ a: hello }")).status == 429


async def test_a_kept_refusal_does_not_gather_tracebacks():
    engine = engine_of()
    refusals = [await refusal(engine, "{ nothing }") for _ in range(3)]
    assert len({id(each) for each in refusals}) == 3


async def test_the_standard_introspection_query_passes_every_limit():
    query = get_introspection_query(
        input_value_deprecation=True, specified_by_url=True, schema_description=True
    )
    payload = await run(engine_of(), query)
    assert "errors" not in payload
    assert payload["data"]["__schema"]["queryType"]["name"] == "Query"


async def test_many_introspections_in_one_document_are_too_costly():
    query = "{" + "".join(f"a{n}: __schema {{ types {{ name }} }} " for n in range(6)) + "}"
    refused = await refusal(engine_of(), query)
    assert code_of(refused) == "LIMIT_COST"


def nested(depth: int) -> str:
    """A query `depth` levels of fields deep."""
    head, tail = "{ shelf " + "{ books { edges { node { shelf " * ((depth - 2) // 4), ""
    levels = 1 + 4 * ((depth - 2) // 4)
    extra = ["{ books ", "{ edges ", "{ node "][: depth - levels - 1]
    return head + "".join(extra) + "{ __typename" + "}" * (levels + len(extra) + 1) + tail


@pytest.mark.parametrize("depth", [12, 13, 14, 15])
async def test_depth_up_to_the_limit_is_no_depth_error(depth):
    engine = engine_of(max_cost=10**9)
    assert "errors" not in await run(engine, nested(depth).replace("books", "books(first: 1)"))


@pytest.mark.parametrize("depth", [16, 17, 40])
async def test_deeper_is_refused_naming_limit_and_value(depth):
    refused = await refusal(engine_of(max_cost=10**9), nested(depth))
    assert refused.status == 400
    assert not refused.document
    assert refused.errors[0]["extensions"] == {"code": "LIMIT_DEPTH", "limit": 15, "value": depth}
    assert str(depth) in refused.errors[0]["message"]


async def test_depth_counts_through_fragments_and_a_cycle_ends():
    parts = "".join(
        f"fragment F{n} on Shelf {{ books {{ edges {{ node {{ shelf {{ ...F{n + 1} }} }} }} }} }} "
        for n in range(5)
    )
    query = "{ shelf { ...F0 } } " + parts + "fragment F5 on Shelf { id }"
    assert code_of(await refusal(engine_of(), query)) == "LIMIT_DEPTH"
    cycle = "{ shelf { ...A } } fragment A on Shelf { ...B } fragment B on Shelf { ...A }"
    assert code_of(await refusal(engine_of(), cycle)) == "INVALID_DOCUMENT"
    chain = "".join(f"fragment F{n} on Shelf {{ ...F{n + 1} }} " for n in range(245))
    query = "{ shelf { ...F0 } } " + chain + "fragment F245 on Shelf { id }"
    assert code_of(await refusal(engine_of(), query)) == "LIMIT_FIELDS"


@pytest.mark.parametrize(
    "selection",
    ["hello " * 11, " ".join(f"...F{n}" for n in range(51)), " ".join(f"field{n}" for n in range(501))],
)
async def test_what_makes_validation_slow_is_refused_before_it(selection: str):
    assert code_of(await refusal(engine_of(), f"{{ {selection} }}")) == "LIMIT_FIELDS"


async def test_aliases_root_fields_and_tokens_are_limited():
    engine = engine_of(max_root_fields=40)
    assert "errors" not in await run(engine, "{" + " ".join(f"a{n}: hello" for n in range(30)) + "}")
    refused = await refusal(engine, "{" + " ".join(f"a{n}: hello" for n in range(31)) + "}")
    assert refused.errors[0]["extensions"] == {"code": "LIMIT_ALIASES", "limit": 30, "value": 31}
    query = "{ ...R } fragment R on Query {" + " ".join(f"a{n}: hello" for n in range(21)) + "}"
    refused = await refusal(engine_of(), query)
    assert refused.errors[0]["extensions"] == {"code": "LIMIT_ROOT_FIELDS", "limit": 20, "value": 21}
    for text in ("{" + "hello " * 2_001 + "}", "#\n" * 2_001 + "{ hello }"):
        refused = await refusal(engine_of(), text)
        assert refused.errors[0]["extensions"] == {"code": "LIMIT_TOKENS", "limit": 2_000}
        assert refused.status == 400


BOOKS = "query($n: Int) { shelf { books(first: $n) { edges { cursor node { id title } } } } }"


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{ hello }", None, 1),
        # shelf + books + 100 * (edge + node + three leaves)
        ("{ shelf { books(first: 100) { edges { cursor node { id title } } } } }", None, 2 + 230),
        ("{ shelf { books { edges { cursor node { id title } } } } }", None, 2 + 46),
        (BOOKS, {"n": 100}, 2 + 230),
        (BOOKS, {"n": 1}, 5),
        (BOOKS, None, 2 + 46),
        (BOOKS, {"n": None}, 2 + 46),
        ("mutation { pay(input: {amount: 1}) { __typename } }", None, 12),
    ],
)
async def test_cost_follows_page_sizes(query, variables, cost):
    operation = await engine_of().admit(GraphQLRequest(query=query, variables=variables), context())
    assert operation.info.cost == cost


async def test_cost_above_the_cap_is_refused_also_when_a_variable_decides():
    inner = "edges { node { shelf { books(first: $m) { edges { node { id } } } } } }"
    query = f"query($n: Int, $m: Int) {{ shelf {{ books(first: $n) {{ {inner} }} }} }}"
    engine = engine_of()
    assert "errors" not in await run(engine, query, {"n": 2, "m": 2})
    refused = await refusal(engine, query, {"n": 100, "m": 100})
    assert refused.errors[0]["extensions"] == {"code": "LIMIT_COST", "limit": 5_000, "value": 21_402}
    assert refused.status == 400


async def test_bad_variables_are_refused_with_their_code():
    refused = await refusal(engine_of(), "query($n: Int!) { hello }", {"n": "x"})
    assert code_of(refused) == "INVALID_DOCUMENT"  # $n is never used
    refused = await refusal(engine_of(), "query($n: String!) { hello(name: $n) }", {"n": None})
    assert code_of(refused) == "INVALID_VARIABLES"
    assert refused.document


async def test_operation_names_choose():
    engine = engine_of()
    two = "query A { hello } query B { a: hello }"
    operation = await engine.admit(GraphQLRequest(query=two, operationName="B"), context())
    assert (await engine.execute(operation))["data"] == {"a": "hello world"}
    assert operation.info.name == "B"
    assert code_of(await refusal(engine, two)) == "INVALID_DOCUMENT"


async def test_the_hook_sees_the_operation_and_may_refuse():
    engine, state = engine_of(), ToyState()
    query = "query Q { shelf { id } h: hello }"
    operation = await engine.admit(GraphQLRequest(query=query), context(state, "key"))
    assert state.operations[0].kind == "query"
    assert sorted(state.operations[0].root_fields) == ["hello", "shelf"]
    assert operation.context.viewer == "somebody"
    for key, status in (("bad", 401), ("fast", 429), ("crash", 500)):
        with pytest.raises(RequestRefused) as caught:
            await engine.admit(GraphQLRequest(query=query), context(state, key))
        assert caught.value.status == status
        assert "secret" not in json.dumps(caught.value.errors)


async def test_unexpected_exceptions_are_masked_and_logged_without_their_message(caplog):
    caplog.set_level(logging.ERROR)
    query = "query($s: String!) { broken(secret: $s) badNumber }"
    payload = await run(engine_of(), query, {"s": "a cat"})
    assert payload["data"] == {"broken": None, "badNumber": None}
    assert {error["message"] for error in payload["errors"]} == {"Internal error"}
    ids = {error["extensions"]["id"] for error in payload["errors"]}
    logged = {record.__dict__["error_id"]: record.__dict__ for record in caplog.records}
    assert set(logged) == ids
    assert len(ids) == 2
    traces = [record["trace"] for record in logged.values()]
    assert any("builtins.ValueError" in trace and "in broken" in trace for trace in traces)
    assert "a cat" not in repr(logged) + repr(payload)
    assert "secret text" not in repr(logged) + repr(payload)


async def test_errors_raised_on_purpose_keep_their_code():
    payload = await run(engine_of(), "{ refused shelf { books(first: 101) { edges { cursor } } } }")
    codes = {tuple(error["path"]): error["extensions"] for error in payload["errors"]}
    assert codes["refused",] == {"code": "TRY_AGAIN", "retryAfter": 2.5}
    assert codes["shelf", "books"] == {"code": "INVALID_ARGUMENT"}


async def test_an_argument_that_cannot_be_read_at_execution_is_the_clients_fault():
    query = 'query($n: String = "x") { hello(name: $n) }'
    payload = await run(engine_of(), query, {"n": None})
    assert payload["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    assert payload["data"] is None


async def test_inputs_enums_unions_interfaces_lazy_types_and_scalars_work():
    query = """
      mutation($input: PayInput!) { pay(input: $input) {
        __typename
        ... on PaySuccess { amount width position at meta }
        ... on UserError { code message path }
        ... on InsufficientKudos { missing largest { n } }
      } }"""
    engine = engine_of()
    given = {"amount": "12.5", "params": {"width": None, "tags": None}, "meta": {"deep": [1, None]}}
    assert (await run(engine, query, {"input": given}))["data"]["pay"] == {
        "__typename": "PaySuccess",
        "amount": "12.50",
        "width": 512,
        "position": "7",
        "at": "2030-01-31T12:00:00+00:00",
        "meta": {"deep": [1, None]},
    }
    answer = (await run(engine, query, {"input": {"amount": 1, "params": {"tags": ["bad"]}}}))["data"]["pay"]
    assert answer == {
        "__typename": "InvalidInput",
        "code": "INVALID_INPUT",
        "message": "A bad tag.",
        "path": ["input", "params", "tags", "0"],
    }
    answer = (await run(engine, query, {"input": {"amount": "100.01", "params": None}}))["data"]["pay"]
    assert answer["missing"] == "0.01"
    page = '{ node(id: "book-9") { __typename id ... on Book { shelf { books(first: 1, order: DOWN) '
    page += "{ edges { node { title } } pageInfo { hasNextPage } } } } } }"
    found = (await run(engine, page))["data"]["node"]
    assert found["shelf"]["books"] == {
        "edges": [{"node": {"title": "Book 250"}}],
        "pageInfo": {"hasNextPage": True},
    }


async def collect(engine: Engine, query: str) -> list[dict[str, Any]]:
    operation = await engine.admit(GraphQLRequest(query=query), context())
    return [json.loads(payload) async for payload in engine.stream(operation)]


async def test_subscriptions_stream_and_mask(caplog):
    engine = engine_of()
    assert await collect(engine, "subscription { count(to: 2) }") == [
        {"data": {"count": 1}},
        {"data": {"count": 2}},
    ]
    first, last = await collect(engine, "subscription { breaks }")
    assert first == {"data": {"breaks": 1}}
    assert last["errors"][0]["message"] == "Internal error"
    assert "secret" not in caplog.text + repr(last)
    assert await collect(engine, "{ hello }") == [{"data": {"hello": "hello world"}}]


async def test_each_event_of_a_subscription_has_fresh_loaders():
    payloads = await collect(engine_of(), "subscription { loaders { found } }")
    assert [payload["data"]["loaders"]["found"] for payload in payloads] == [0, 0]


def test_a_schema_that_needs_strawberrys_runner_is_refused():
    class Extended:
        extensions = (object,)
        directives = ()

    with pytest.raises(ValueError, match="extensions"):
        Engine(Extended(), before_operation=toy_before_operation)
