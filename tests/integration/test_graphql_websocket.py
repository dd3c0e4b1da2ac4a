"""graphql-transport-ws over real sockets: handshake, codes, limits, slow readers, clean ends."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from websockets.typing import Subprotocol

from app.platform.graphql import websocket
from app.platform.graphql.context import TransportOptions
from tests.graphql_toy import ToyState, serving, toy_app, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def state():
    return ToyState()


@pytest.fixture
async def url(state):
    options = TransportOptions(
        ws_init_seconds=0.5,
        ws_max_subscriptions=3,
        ws_max_waiting_messages=100,
        ws_write_seconds=0.5,
        ws_close_seconds=0.5,
    )
    async with serving(toy_app(state, options)) as address:
        yield f"ws://{address}/graphql"


class Wire:
    """A client that speaks plain messages."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def send(self, type_: str, id_: str | None = None, payload: Any = None) -> None:
        message = {"type": type_, "id": id_, "payload": payload}
        await self.socket.send(
            json.dumps({key: value for key, value in message.items() if value is not None})
        )

    async def subscribe(self, id_: str, query: str) -> None:
        await self.send("subscribe", id_, {"query": query})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await self.socket.recv()
        assert isinstance(text, str), "frames must be text"
        return json.loads(text)

    async def closed(self) -> int:
        """The close code, after whatever still comes."""
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.socket.recv()
        except websockets.ConnectionClosed:
            assert self.socket.close_code is not None
            return self.socket.close_code


@asynccontextmanager
async def connection(url, protocol="graphql-transport-ws", init: Any = None, **options):
    async with websockets.connect(url, subprotocols=[Subprotocol(protocol)], **options) as socket:
        wire = Wire(socket)
        if init is not None:
            await wire.send("connection_init", payload=init)
            assert await wire.receive() == {"type": "connection_ack"}
        yield wire


async def gone(state: ToyState) -> None:
    await until(lambda: state.running == 0)


async def test_subscriptions_queries_and_mutations_run_side_by_side(url):
    async with connection(url, init={}) as wire:
        await wire.subscribe("s", "subscription { count(to: 2) }")
        assert [await wire.receive() for _ in range(3)] == [
            {"id": "s", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "s", "type": "next", "payload": {"data": {"count": 2}}},
            {"id": "s", "type": "complete"},
        ]
        await wire.subscribe("s", "mutation { pay(input: {amount: 1}) { __typename } }")
        assert (await wire.receive())["payload"] == {"data": {"pay": {"__typename": "PaySuccess"}}}
        assert (await wire.receive())["type"] == "complete"


async def test_the_public_python_client_subscribes(url):
    transport = WebsocketsTransport(
        url=url, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL], init_payload={"apikey": "k"}
    )
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        found = [each["count"] async for each in session.subscribe(gql("subscription { count(to: 3) }"))]
        assert found == [1, 2, 3]
        assert (await session.execute(gql("{ me }")))["me"][0] == "k"


@pytest.mark.parametrize(
    "init", [{"apikey": "k"}, {"authorization": "Bearer k"}, {"Authorization": "Bearer k"}]
)
async def test_the_key_comes_in_the_handshake(url, init):
    async with connection(url, init=init) as wire:
        await wire.subscribe("q", "{ me }")
        assert (await wire.receive())["payload"]["data"]["me"] == ["k", "127.0.0.1", "", "somebody"]


async def test_the_key_may_come_as_a_header_and_is_refused_when_bad(url):
    async with connection(url, init={}, additional_headers={"apikey": "k"}) as wire:
        await wire.subscribe("q", "{ me }")
        assert (await wire.receive())["payload"]["data"]["me"][0] == "k"
    for init in ({"apikey": "bad"}, {"authorization": "Basic k"}):
        async with connection(url) as wire:
            await wire.send("connection_init", payload=init)
            assert await wire.closed() == 4403


async def test_a_refused_operation_gets_an_error_and_the_connection_lives(url):
    async with connection(url, init={"apikey": "fast"}) as wire:
        await wire.subscribe("a", "{ hello }")
        answer = await wire.receive()
        assert (answer["type"], answer["id"]) == ("error", "a")
        assert answer["payload"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 1.2}
        await wire.subscribe("a", "{ nothing }")
        assert (await wire.receive())["payload"][0]["extensions"]["code"] == "INVALID_DOCUMENT"


async def test_a_source_that_breaks_is_masked(url):
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "subscription { breaks }")
        messages = [await wire.receive() for _ in range(3)]
    assert messages[1]["payload"]["errors"][0]["message"] == "Internal error"
    assert messages[2] == {"id": "a", "type": "complete"}
    assert "secret" not in json.dumps(messages)


async def test_pings_are_answered_also_before_the_handshake(url):
    async with connection(url) as wire:
        await wire.send("ping", payload={"n": 1})
        assert await wire.receive() == {"type": "pong", "payload": {"n": 1}}
        await wire.send("ping")
        assert await wire.receive() == {"type": "pong"}


async def test_close_codes(url):
    async with connection(url, protocol="graphql-ws") as wire:
        assert await wire.closed() == 4406
    async with connection(url) as wire:
        assert await wire.closed() == 4408
    async with connection(url) as wire:
        await wire.subscribe("a", "{ hello }")
        assert await wire.closed() == 4401
    async with connection(url, init={}) as wire:
        await wire.send("connection_init", payload={})
        assert await wire.closed() == 4429
    async with connection(url, init={}) as wire:
        for _ in range(2):
            await wire.subscribe("a", "subscription { silence }")
        assert await wire.closed() == 4409
    for text in (
        "nonsense",
        "[]",
        '{"type":"start"}',
        '{"type":"subscribe","payload":{"query":"{ hello }"}}',
    ):
        async with connection(url, init={}) as wire:
            await wire.socket.send(text)
            assert await wire.closed() == 4400
    async with connection(url, init={}) as wire:
        await wire.socket.send(b'{"type":"ping"}')
        assert await wire.closed() == 4400
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "#" * 1_000_001)
        assert await wire.closed() == 1009


async def test_operations_of_one_connection_are_limited(url, state):
    async with connection(url, init={}) as wire:
        for number in range(4):
            await wire.subscribe(str(number), "subscription { silence }")
        answer = await wire.receive()
        assert (answer["id"], answer["type"]) == ("3", "error")
        assert answer["payload"][0]["extensions"] == {"code": "LIMIT_SUBSCRIPTIONS", "limit": 3, "value": 4}
        await wire.send("complete", "0")
        await until(lambda: state.running == 2)
        await wire.subscribe("0", "{ hello }")
        assert (await wire.receive())["type"] == "next"
    await gone(state)


async def test_a_client_that_vanishes_ends_its_subscriptions(url, state):
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "subscription { silence }")
        await until(lambda: state.running)
        wire.socket.transport.abort()
    await gone(state)


async def test_a_client_that_vanishes_ends_no_mutation_half_way(url: str, state: ToyState):
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "mutation { slow }")
        await until(lambda: state.notes)
        wire.socket.transport.abort()
    await until(lambda: state.notes == ["began", "ended"])


@pytest.mark.parametrize("how", ["complete", "close", "abort"])
async def test_a_mutation_hears_that_its_client_left_and_runs_on(url: str, state: ToyState, how: str):
    flag = asyncio.Event()
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "mutation { slow }")
        await wire.subscribe("b", "subscription { silence }")
        await until(lambda: state.notes and state.running)
        client, neighbour = (context.client for context in state.contexts)
        client.tell(flag)
        await asyncio.sleep(0.05)
        assert not flag.is_set()
        if how == "complete":
            await wire.send("complete", "a")
        elif how == "close":
            await wire.socket.close()
        else:
            wire.socket.transport.abort()
        async with asyncio.timeout(5):
            await flag.wait()
        assert client.gone
        assert state.notes == ["began"]
        assert how != "complete" or not neighbour.gone
        await until(lambda: state.notes == ["began", "ended"])


@pytest.mark.parametrize(
    "bound", [{"ws_max_waiting_messages": 100}, {"ws_max_waiting_characters": 2_000_000}]
)
async def test_a_slow_reader_is_cut_off_and_harms_no_neighbour(state, bound):
    async with serving(toy_app(state, TransportOptions(**bound, ws_write_seconds=0.5))) as address:
        await cut_off(f"ws://{address}/graphql", state)


async def cut_off(url, state):
    async with (
        connection(url, init={}, max_queue=1, compression=None, close_timeout=0.1) as slow,
        connection(url, init={}) as other,
    ):
        await slow.subscribe("a", "subscription { flood }")
        await until(lambda: state.running)
        await gone(state)
        await other.subscribe("b", "{ hello }")
        assert (await other.receive())["payload"]["data"]
        # What was on its way comes first, then the code, if the peer reads again in time.
        assert await slow.closed() == 4413


async def test_a_reader_that_is_slow_but_reads_is_waited_for_and_little_waits_for_it(
    state: ToyState, monkeypatch: pytest.MonkeyPatch
):
    """It reads for longer than one who takes nothing may be waited for, and far more slowly than messages are made.

    The buffers between the two make room in steps of a megabyte or more, so it reads so much often enough.
    """
    waiting: list[int] = []
    real = websocket._Connection._send_text

    def noting(self: websocket._Connection, text: str) -> None:
        real(self, text)
        waiting.append(self._outgoing.qsize())

    monkeypatch.setattr(websocket._Connection, "_send_text", noting)
    options = TransportOptions(ws_max_waiting_messages=100, ws_write_seconds=2.0)
    async with (
        serving(toy_app(state, options)) as address,
        connection(
            f"ws://{address}/graphql", init={}, max_queue=1, compression=None, close_timeout=0.1
        ) as slow,
    ):
        await slow.subscribe("a", "subscription { flood }")
        began = time.monotonic()
        while time.monotonic() < began + 2.5:
            assert len((await slow.receive())["payload"]["data"]["flood"]) == 20_000
            await asyncio.sleep(0.002)
        assert slow.socket.close_code is None
        assert state.running == 1
    assert 10 < max(waiting) <= 50, "half of what may wait"
    await gone(state)


async def test_a_reader_that_keeps_up_is_not_cut_off(url, state):
    async with connection(url, init={}) as wire:
        await wire.subscribe("a", "subscription { count(to: 5000) }")
        for number in range(1, 5001):
            assert (await wire.receive())["payload"]["data"]["count"] == number
        assert (await wire.receive())["type"] == "complete"
