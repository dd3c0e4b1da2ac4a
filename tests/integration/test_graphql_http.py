"""The transport over real sockets: HTTP, event streams, CORS, authentication and GraphiQL."""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from graphql import get_introspection_query

from app.platform.graphql.context import TransportOptions
from tests.graphql_toy import ToyState, serving, toy_app, until

pytestmark = pytest.mark.anyio
RESPONSE = "application/graphql-response+json"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def state():
    return ToyState()


@pytest.fixture
async def url(state):
    options = TransportOptions(sse_keep_alive_seconds=0.2, trusted_proxy=True)
    async with serving(toy_app(state, options)) as address:
        yield f"http://{address}/graphql"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


async def post(session, url, query: Any, *, accept=RESPONSE, **headers) -> tuple[int, dict[str, Any], Any]:
    body = query if isinstance(query, dict) else {"query": query}
    sent = {"accept": accept, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with session.post(url, json=body, headers=sent) as response:
        return response.status, await response.json(content_type=None), response.headers


async def test_a_query_is_answered_in_the_type_asked_for(session, url):
    for accept, media in (
        (RESPONSE, RESPONSE),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
    ):
        status, body, headers = await post(session, url, "{ hello }", accept=accept)
        assert (status, body) == (200, {"data": {"hello": "hello world"}})
        assert headers["content-type"] == f"{media}; charset=utf-8"
        assert len(headers["x-request-id"]) == 32


async def test_a_document_at_fault_is_400_or_200_as_the_type_wants(session, url):
    for query in ("{", "{ nothing }", "query($n: String!) { hello(name: $n) }"):
        status, body, _ = await post(session, url, query)
        assert status == 400
        assert "data" not in body
        status, body, _ = await post(session, url, query, accept="application/json")
        assert status == 200
        assert "data" not in body
        assert body["errors"][0]["extensions"]["code"]


async def test_a_passed_limit_is_400_whatever_the_type(session, url):
    query = "{" + " ".join(f"a{n}: hello" for n in range(31)) + "}"
    for accept in (RESPONSE, "application/json"):
        status, body, _ = await post(session, url, query, accept=accept)
        assert status == 400
        assert body["errors"][0]["extensions"] == {"code": "LIMIT_ALIASES", "limit": 30, "value": 31}


async def test_partial_data_is_200(session, url):
    status, body, _ = await post(session, url, "{ hello broken }")
    assert status == 200
    assert body["data"] == {"hello": "hello world", "broken": None}
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b'{"query": ', "application/json", 400, "not valid"),
        (b'{"query": "\xff"}', "application/json", 400, "not valid"),
        (b"", "application/json", 400, "not valid"),
        (b' [{"query": "{ hello }"}]', "application/json", 400, "Batched"),
        (b'{"query": 1}', "application/json", 400, "$.query"),
        (b'{"query": "{ hello }", "variables": []}', "application/json", 400, "$.variables"),
        (b'{"query": "{ hello }"}', "text/plain", 415, "application/json"),
        (b"query=%7Bhello%7D", "application/x-www-form-urlencoded", 415, "application/json"),
        (b'{"query": "{ hello }"}', "application/json; charset=latin-1", 415, "UTF-8"),
        (b'{"query": "' + b"#" * 100_000 + b'{ hello }"}', "application/json", 413, "100000"),
        (b'{"query": "{ hello }"' + b" " * 1_000_000 + b"}", "application/json", 413, "1000000"),
    ],
)
async def test_bad_requests_get_graphql_errors(session, url, body, content_type, status, said):
    async with session.post(url, data=body, headers={"content-type": content_type}) as response:
        assert response.status == status
        answer = await response.json()
        assert said in answer["errors"][0]["message"]
        assert "data" not in answer
        assert response.headers["content-type"].startswith("application/json")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(session, url):
    async def chunks():
        for _ in range(11):
            yield b" " * 100_000

    async with session.post(url, data=chunks(), headers={"content-type": "application/json"}) as response:
        assert response.status == 413
        assert (await response.json())["errors"][0]["extensions"]["code"] == "LIMIT_BODY"


async def test_get_runs_queries_and_nothing_else(session, url, state):
    parameters = {"query": "query($n: String!) { hello(name: $n) }", "variables": '{"n": "you"}'}
    async with session.get(url, params=parameters) as response:
        assert (await response.json())["data"] == {"hello": "hello you"}
    query = "mutation { pay(input: {amount: 1}) { __typename } }"
    async with session.get(url, params={"query": query}) as response:
        assert response.status == 405
        assert response.headers["allow"] == "POST"
    assert state.notes == []
    async with session.get(url) as response:
        assert response.status == 400
    async with session.get(url, params={"query": "{ hello }", "variables": "{"}) as response:
        assert response.status == 400
    async with session.put(url) as response:
        assert (response.status, response.headers["allow"]) == (405, "GET, POST, OPTIONS")
    async with session.get(url, params={"query": "{ hello }"}, headers={"accept": "image/png"}) as response:
        assert response.status == 406


async def test_keys_come_by_either_header_and_bad_ones_are_401(session, url, state):
    query = "{ me }"
    for headers in ({"apikey": "k"}, {"authorization": "Bearer k"}):
        _, body, _ = await post(session, url, query, client_agent="tool:1:x", **headers)
        assert body["data"]["me"] == ["k", "127.0.0.1", "tool:1:x", "somebody"]
    _, body, _ = await post(session, url, query, x_forwarded_for="6.6.6.6, 2001:db8:1:2::9")
    assert body["data"]["me"] == ["", "2001:db8:1:2::/64", "", "anonymous"]
    for headers in ({"apikey": "bad"}, {"authorization": "Basic Yg=="}):
        for accept in (RESPONSE, "application/json", "text/event-stream"):
            status, body, answer = await post(session, url, query, accept=accept, **headers)
            assert (status, answer["www-authenticate"]) == (401, "Bearer")
            assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_rate_limited_requests_are_429_with_retry_after(session, url):
    status, body, headers = await post(session, url, "{ hello }", apikey="fast")
    assert (status, headers["retry-after"]) == (429, "2")
    assert body["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 1.2}


async def test_a_hook_that_breaks_is_a_masked_500(session, url):
    status, body, _ = await post(session, url, "{ hello }", apikey="crash")
    assert status == 500
    assert body["errors"][0]["message"] == "Internal error"
    assert "secret" not in json.dumps(body)


async def test_any_page_may_call(session, url):
    asked = {
        "origin": "https://example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,content-type,client-agent",
    }
    async with session.options(url, headers=asked) as response:
        assert response.status == 204
        assert response.headers["access-control-allow-origin"] == "*"
        allowed = response.headers["access-control-allow-headers"].split(", ")
        assert {"apikey", "authorization", "content-type", "client-agent"} <= set(allowed)
        assert "POST" in response.headers["access-control-allow-methods"]
    for key in ("", "bad"):
        _, _, headers = await post(session, url, "{ hello }", apikey=key, origin="https://example.org")
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers


async def test_browsers_get_graphiql_from_our_own_files(session, url):
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    async with session.get(url, headers=browser) as response:
        page = await response.text()
        assert response.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http" not in page.replace("/graphql", "")
    for name in re.findall(r'/graphql/static/([^"]+)', page):
        async with session.get(f"{url}/static/{name}") as response:
            assert response.status == 200
    async with session.get(url, params={"query": "{ hello }"}, headers=browser) as response:
        assert (await response.json())["data"]


async def events(response: aiohttp.ClientResponse, limit: int = 1_000) -> list[str]:
    """The blocks of an event stream, up to a number of them or its end."""
    blocks: list[str] = []
    text = ""
    async for chunk in response.content.iter_any():
        text += chunk.decode()
        *found, text = text.split("\n\n")
        blocks += found
        if len(blocks) >= limit:
            break
    return blocks


async def test_event_streams_carry_subscriptions_and_plain_operations(session, url):
    headers = {"accept": "text/event-stream"}
    async with session.post(
        url, json={"query": "subscription { count(to: 2) }"}, headers=headers
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert await events(response) == [
            ":",
            'event: next\ndata: {"data":{"count":1}}',
            'event: next\ndata: {"data":{"count":2}}',
            "event: complete\ndata: ",
        ]
    async with session.get(
        url, params={"query": "subscription { count(to: 1) }"}, headers=headers
    ) as response:
        assert len(await events(response)) == 3
    async with session.post(url, json={"query": "{ hello }"}, headers=headers) as response:
        assert (await events(response))[1:] == [
            'event: next\ndata: {"data":{"hello":"hello world"}}',
            "event: complete\ndata: ",
        ]
    async with session.post(url, json={"query": "{ nothing }"}, headers=headers) as response:
        _, refused, complete = await events(response)
        assert "INVALID_DOCUMENT" in refused
        assert complete.startswith("event: complete")


async def test_event_streams_mask_a_source_that_breaks(session, url):
    headers = {"accept": "text/event-stream"}
    async with session.post(url, json={"query": "subscription { breaks }"}, headers=headers) as response:
        blocks = await events(response)
    assert blocks[1] == 'event: next\ndata: {"data":{"breaks":1}}'
    assert "Internal error" in blocks[2]
    assert "secret" not in "".join(blocks)


async def test_a_quiet_stream_is_kept_alive_and_its_source_ends_with_the_client(session, url, state):
    headers = {"accept": "text/event-stream"}
    async with session.post(url, json={"query": "subscription { silence }"}, headers=headers) as response:
        assert await events(response, 3) == [":", ":", ":"]
        assert state.running == 1
        response.close()
    await until(lambda: state.running == 0)


async def test_a_subscription_without_a_stream_is_refused_clearly(session, url):
    status, body, _ = await post(session, url, "subscription { count }")
    assert status == 406
    assert "text/event-stream" in body["errors"][0]["message"]
    status, _, headers = await post(
        session, url, "{ hello }", accept=f"{RESPONSE}, application/json, text/event-stream"
    )
    assert (status, headers["content-type"]) == (200, f"{RESPONSE}; charset=utf-8")


@pytest.mark.parametrize("read_again", [True, False])
async def test_a_stream_nobody_reads_is_cut_off(
    session: aiohttp.ClientSession, state: ToyState, read_again: bool
):
    async with serving(toy_app(state, TransportOptions(sse_write_seconds=0.5))) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1_000)
        body = json.dumps({"query": "subscription { flood }"}).encode()
        head = f"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + body)
        await until(lambda: state.running)
        await until(lambda: not state.running)
        # Whoever reads again soon is told why it ends.
        told = b""
        async with asyncio.timeout(5):
            while read_again and b"event: complete" not in told:
                told += await reader.read(1_000_000)
        assert not read_again or b'"code":"SLOW_READER"' in told.split(b"event: next")[-1]
        writer.close()


@pytest.mark.parametrize("accept", [RESPONSE, "text/event-stream"])
async def test_a_mutation_hears_that_its_client_hung_up_and_runs_on(
    session: aiohttp.ClientSession, url: str, state: ToyState, accept: str
):
    flag = asyncio.Event()
    asked = asyncio.create_task(
        session.post(url, json={"query": "mutation { slow }"}, headers={"accept": accept})
    )
    await until(lambda: state.notes)
    client = state.contexts[-1].client
    client.tell(flag)
    await asyncio.sleep(0.05)
    assert not flag.is_set()
    if asked.done():  # an event stream has begun
        asked.result().close()
    asked.cancel()
    async with asyncio.timeout(5):
        await flag.wait()
    assert client.gone
    assert state.notes == ["began"]
    await until(lambda: state.notes == ["began", "ended"])


async def test_who_does_not_ask_for_its_client_is_not_watched(
    session: aiohttp.ClientSession, url: str, state: ToyState
):
    await post(session, url, "mutation { slow }")
    assert state.contexts[-1].client._watching is None


async def test_a_connection_goes_on_after_its_client_was_watched(
    session: aiohttp.ClientSession, url: str, state: ToyState
):
    asked = asyncio.create_task(post(session, url, "mutation { slow }"))
    await until(lambda: state.notes)
    state.contexts[-1].client.tell(asyncio.Event())
    assert (await asked)[1] == {"data": {"slow": 1}}
    assert (await post(session, url, "{ hello }"))[0] == 200
    assert session.connector is not None
    assert len(session.connector._conns) == 1  # type: ignore[attr-defined]


async def test_graphiqls_own_query_passes_the_limits(session: aiohttp.ClientSession, url: str):
    status, body, _ = await post(session, url, get_introspection_query(input_value_deprecation=True))
    assert status == 200
    assert "errors" not in body
    assert {"Query", "PayInput", "Order"} <= {each["name"] for each in body["data"]["__schema"]["types"]}
