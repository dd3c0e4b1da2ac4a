"""The door to the server: retries, idempotency keys, refusals, subscriptions."""

import uuid

import pytest

from clients.api import Api, Backoff, RefusedError, UnreachableError, endpoint
from clients.documents import JOB, JOB_UPDATED, POP_JOB
from tests.unit.clients.stand_in import HASTY, NO_JOB, refusal, standing_in, top_level

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        yield server


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://h:1", "http://h:1/graphql"),
        ("h:1", "http://h:1/graphql"),
        ("https://h/", "https://h/graphql"),
        ("https://h/api/graphql", "https://h/api/graphql"),
    ],
)
def test_an_address_without_a_path_means_graphql(given, meant):
    assert endpoint(given) == meant


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="not an http"):
        endpoint("ftp://h")


async def test_a_mutation_keeps_its_key_over_every_kind_of_retry(server):
    server.on(
        "popJob",
        {"status": 503},
        {"status": 503},
        top_level("RATE_LIMITED", retryAfter=0.1),
        refusal("TRY_AGAIN", retryAfterSeconds=0.1),
        NO_JOB,
    )
    said = []
    async with Api(server.url, "key", backoff=HASTY, on_wait=said.append) as api:
        assert await api.mutate(POP_JOB, {"workerName": "w"}, "popJob") == NO_JOB
        assert await api.mutate(POP_JOB, {"workerName": "w"}, "popJob") == NO_JOB
    keys = [wish["idempotencyKey"] for wish in server.inputs("popJob")]
    assert len(set(keys[:5])) == 1
    assert keys[5] != keys[0]
    assert uuid.UUID(keys[0])
    assert len(said) == 3
    assert "in 0.1 s" in said[1]
    assert "in 0.1 s" in said[2]


async def test_the_key_is_sent_as_a_header_and_nobody_sends_none(server):
    server.on("popJob", NO_JOB)
    for key in ("secret", None, ""):
        async with Api(server.url, key, backoff=HASTY) as api:
            await api.mutate(POP_JOB, {}, "popJob")
    assert [headers.get("apikey") for headers in server.headers] == ["secret", None, None]


async def test_a_restart_of_the_server_is_survived(server):
    server.on("popJob", NO_JOB)
    async with Api(server.url, backoff=HASTY, on_wait=lambda _: None) as api:
        await api.mutate(POP_JOB, {}, "popJob")
        await server.stop()
        with pytest.raises(UnreachableError):
            async with Api(server.url, backoff=Backoff(first=0.01, give_up_after=0.05)) as hasty:
                await hasty.mutate(POP_JOB, {}, "popJob")
        await server.start()
        assert await api.mutate(POP_JOB, {}, "popJob") == NO_JOB


async def test_refusals_are_told_with_code_message_and_path(server):
    server.on(
        "popJob", refusal("INVALID_INPUT", "too big", ("input", "amount")), top_level("UNAUTHENTICATED")
    )
    async with Api(server.url, backoff=HASTY) as api:
        with pytest.raises(RefusedError) as first:
            await api.mutate(POP_JOB, {}, "popJob")
        with pytest.raises(RefusedError) as second:
            await api.mutate(POP_JOB, {}, "popJob")
    assert (first.value.code, first.value.message) == ("INVALID_INPUT", "too big")
    assert first.value.path == ("input", "amount")
    assert second.value.code == "UNAUTHENTICATED"


async def test_an_address_that_is_no_graphql_server_is_not_tried_for_ever(server):
    server.on("popJob", {"status": 404})
    async with Api(server.url, backoff=HASTY) as api:
        with pytest.raises(RefusedError, match="HTTP_404"):
            await api.mutate(POP_JOB, {}, "popJob")


async def test_an_unknown_job_is_null_and_no_refusal(server):
    server.on("job", {"value": None})
    async with Api(server.url, backoff=HASTY) as api:
        assert await api.query(JOB, {"id": "x"}, "job") is None


async def test_a_subscription_brings_its_key_and_every_value(server):
    states = [{"state": "WAITING"}, {"state": "DONE"}]
    server.updates.append(states)
    async with Api(server.url, "secret") as api:
        assert [value async for value in api.subscribe(JOB_UPDATED, {"id": "x"}, "jobUpdated")] == states
    assert server.inits == [{"apikey": "secret"}]


async def collect(values, into):
    async for value in values:
        into.append(value)


async def test_a_lost_or_impossible_subscription_is_unreachable(server):
    seen = []
    async with Api(server.url) as api:
        with pytest.raises(UnreachableError):
            await collect(api.subscribe(JOB_UPDATED, {"id": "x"}, "jobUpdated"), seen)
        assert seen == []
        server.updates.append([{"state": "WAITING"}])
        with pytest.raises(UnreachableError):
            await collect(api.subscribe(JOB_UPDATED, {"id": "x"}, "jobUpdated"), seen)
        assert seen == [{"state": "WAITING"}]
