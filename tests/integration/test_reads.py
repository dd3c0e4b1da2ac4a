"""What reads cost and when they are repeated: the log by type, catching up with it, places in the queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from app.accounts.authentication import Viewer
from app.jobs.queries import JOBS
from app.jobs.standing import standing, standings
from app.main import make_services, run_services
from app.platform import database as reading
from app.platform.database import Pool
from app.platform.graphql.context import RequestContext
from app.platform.graphql.top_level import ApiError
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.sql import Query
from app.platform.tail import PAGE, Tail, follow, read_log
from app.platform.writer import Writer
from app.schema import schema
from events.store import log
from tests.factories import grant, open_realm, register, run, submit, unlimited

pytestmark = pytest.mark.anyio

#: a realm of its own, whose log is filled without a writer
REALM = 9
EVENTS = 20_000
COMMON, OTHER, SOME, FEW, RARE = (
    "jobs.ImageJobSubmitted",
    "jobs.GenerationDelivered",
    "kudos.KudosGranted",
    "accounts.RoleGranted",
    "kudos.KudosTransferred",
)
#: every so many events one of `SOME`: two full pages of them and a half
EACH = EVENTS // (5 * PAGE // 2)

FILL = (
    "INSERT INTO log.event SELECT %s, i, gen_random_uuid(), 'job-' || i %% 500, "
    f"CASE WHEN i = 7 THEN '{FEW}' WHEN i %% {EACH} = 0 THEN '{SOME}' WHEN i %% 3 = 0 THEN '{OTHER}' ELSE '{COMMON}' END, "
    "1, NULL, now(), '{\"models\":[]}', '{}', '\\x00' FROM generate_series(1, %s) AS i"
)
APPEND = (
    "INSERT INTO log.event SELECT realm, max(position) + 1, gen_random_uuid(), 'user-1', %s, 1, NULL, now(), "
    "'{\"models\":[]}', '{}', '\\x00' FROM log.event WHERE realm = %s GROUP BY realm RETURNING position"
)


@pytest.fixture
def filled(owner: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The owner's connection to a database whose realm 9 has a log of `EVENTS` events, none of them `RARE`."""
    owner.execute(FILL, (REALM, EVENTS))
    owner.execute("ANALYZE log.event")
    return owner


@pytest.fixture
async def pool(database: Settings) -> AsyncIterator[Pool]:
    async with Pool(database.database_url) as opened:
        yield opened


@pytest.fixture
async def tail(database: Settings) -> AsyncIterator[Tail]:
    made = Tail(database.database_url, REALM)
    await made.start()
    yield made
    await made.stop()


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes_of(below))]


def explained(
    connection: psycopg.Connection[Any], statement: str, values: tuple[Any, ...]
) -> tuple[list[dict[str, Any]], int]:
    """The nodes of a statement as it is run when it is prepared, and the blocks that it read."""
    connection.execute(f"PREPARE asked (bigint, bigint, text[], bigint) AS {statement}")
    marks = ", ".join(["%s"] * len(values))
    row = (
        psycopg.ClientCursor(connection)
        .execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({marks})", values)
        .fetchone()
    )
    connection.execute("DEALLOCATE asked")
    assert row is not None
    plan = row[0][0]["Plan"]
    return nodes_of(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def numbered(statement: str) -> str:
    return statement % {"realm": "$1", "after": "$2", "names": "$3", "limit": "$4"}


BY_FILTER = (
    "SELECT position, data FROM log.event WHERE realm = $1 AND position > $2 AND type = ANY($3) "
    "ORDER BY position LIMIT $4"
)


@pytest.mark.parametrize("settings", [reading.SETTINGS, "-c timezone=UTC"], ids=["the pool's", "the relay's"])
def test_a_type_that_does_not_occur_costs_looks_into_an_index(
    filled: psycopg.Connection[Any], database: Settings, settings: str
):
    with psycopg.connect(database.database_url, options=settings, autocommit=True) as connection:
        for names, most in (([RARE], 20), ([RARE, FEW], 30), ([FEW, SOME, RARE, RARE], 700)):
            nodes, blocks = explained(connection, numbered(log.READ_TYPES), (REALM, 0, names, 101))
            # The other partitions are empty.
            tables = [node for node in nodes if node.get("Relation Name") == "event_00000"]
            assert tables
            assert not [n for n in tables if "Seq Scan" in n["Node Type"] or "Rows Removed by Filter" in n]
            assert blocks <= most, (names, blocks)


def test_the_same_measure_catches_a_scan_of_the_whole_log(
    filled: psycopg.Connection[Any], database: Settings
):
    with psycopg.connect(database.database_url, options=reading.SETTINGS, autocommit=True) as connection:
        nodes, blocks = explained(connection, BY_FILTER, (REALM, 0, [RARE], 101))
    assert blocks > 100
    assert [node for node in nodes if node.get("Rows Removed by Filter", 0) >= EVENTS - 1]


async def test_events_of_several_types_come_in_order_and_once(filled: psycopg.Connection[Any], pool: Pool):
    every = await read_log(pool.connection, REALM, 0, EVENTS)
    assert len(every) == EVENTS
    for names in ([SOME, FEW, RARE], [COMMON, OTHER, COMMON], [SOME, SOME], [RARE], []):
        for after, limit in ((0, 50), (6, 50), (7, 3), (EVENTS - 30, 101), (EVENTS, 5)):
            found = await read_log(pool.connection, REALM, after, limit, names)
            assert found == [e for e in every if e.position > after and e.type in names][:limit]


class Connects:
    """Counts the connections taken to catch up; others may do something before and after each read."""

    def __init__(self, pool: Pool, around: Callable[[], Any] | None = None) -> None:
        self.taken = 0
        self._pool = pool
        self._around = around

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        self.taken += 1
        if self._around:
            await self._around()
        async with self._pool.connection() as connection:
            yield connection
        if self._around:
            await self._around()


async def test_who_follows_a_rare_type_reads_the_log_once_and_then_waits(
    filled: psycopg.Connection[Any], pool: Pool, tail: Tail
):
    connect = Connects(pool)
    following = follow(tail, connect, REALM, 0, [RARE])
    first = asyncio.ensure_future(anext(following))
    await asyncio.sleep(1.0)
    assert not first.done()
    assert connect.taken == 1
    for name in (COMMON, RARE):
        filled.execute(APPEND, (name, REALM))
    page, reached = await asyncio.wait_for(first, 10)
    assert ([event.position for event in page], reached) == ([EVENTS + 2], EVENTS + 2)
    assert connect.taken == 1
    await following.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", [[SOME, RARE], None], ids=["some types", "all"])
async def test_what_is_written_around_a_read_is_followed_too(
    filled: psycopg.Connection[Any], pool: Pool, tail: Tail, names: list[str] | None
):
    async def append() -> None:
        """One event that the follower wants, and the process's tail has seen it before it goes on."""
        row = filled.execute(APPEND, (RARE, REALM)).fetchone()
        assert row is not None
        while tail.position < row[0]:
            await asyncio.sleep(0.005)

    connect = Connects(pool, append)
    after = 0 if names else EVENTS - 5 * PAGE // 2
    following = follow(tail, connect, REALM, after, names)
    told: list[int] = []

    async def listen() -> None:
        async for page, reached in following:
            assert page
            assert reached >= page[-1].position
            told.extend(event.position for event in page)

    listening = asyncio.create_task(listen())
    while tail.since(told[-1] if told else 0) is None:
        await asyncio.sleep(0.05)
    await append()
    last = tail.position
    async with asyncio.timeout(10):
        while not told or told[-1] < last:
            await asyncio.sleep(0.01)
    listening.cancel()
    stored = [e.position for e in await read_log(pool.connection, REALM, after, EVENTS * 2, names)]
    assert told == stored
    assert connect.taken == 3


SLOW: Query[int] = Query("SELECT nextval('public.tries'), pg_sleep(0.7)", lambda row: row[0])
FIND = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hoard-read' AND query = %s AND state = 'active'"


@pytest.fixture
def tries(owner: psycopg.Connection[Any]) -> Callable[[], int]:
    """How often `SLOW` was begun; a sequence does not go back."""
    owner.execute("CREATE SEQUENCE public.tries; GRANT USAGE ON SEQUENCE public.tries TO hoard_app")

    def count() -> int:
        row = owner.execute("SELECT last_value FROM public.tries WHERE is_called").fetchone()
        return row[0] if row else 0

    return count


async def meddle(owner: psycopg.Connection[Any], function: str) -> None:
    """Do something to whoever runs `SLOW`."""
    async with asyncio.timeout(10):
        while not (row := owner.execute(FIND, (SLOW.text,)).fetchone()):
            await asyncio.sleep(0.01)
    owner.execute(f"SELECT {function}(%s)", row)


async def test_a_statement_that_takes_too_long_is_not_repeated(
    owner: psycopg.Connection[Any], pool: Pool, tries: Callable[[], int]
):
    asked = asyncio.create_task(SLOW.one(pool))
    await meddle(owner, "pg_cancel_backend")
    with pytest.raises(ApiError) as told:
        await asked
    assert told.value.retry_after == 1.0
    await asyncio.sleep(0.2)
    assert tries() == 1


async def test_a_statement_whose_connection_broke_is_repeated(
    owner: psycopg.Connection[Any], pool: Pool, tries: Callable[[], int]
):
    asked = asyncio.create_task(SLOW.one(pool))
    await meddle(owner, "pg_terminate_backend")
    assert await asked == tries() == 2


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        yield made


PLACES = """query($first: Int!) { viewer { jobs(first: $first) { edges { node {
  id queuePosition estimatedWaitSeconds again: queuePosition } } } } }"""


async def test_places_of_many_jobs_cost_as_many_statements_as_that_of_one(
    services: Services, writer: Writer, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    user = uuid4()
    run(writer, register(user))
    run(writer, grant(user, 10_000_000))
    run(writer, unlimited(user))
    for _ in range(40):
        run(writer, submit(user))
    statements: list[str] = []
    fetch = Pool.fetch

    async def noting(self: Pool, text: str, parameters: Any) -> Any:
        statements.append(text)
        return await fetch(self, text, parameters)

    monkeypatch.setattr(Pool, "fetch", noting)
    counts = []
    for first in (1, 40):
        services.caches.clear()
        statements.clear()
        context = RequestContext(
            app=services, request_id="", api_key=None, address="", client_agent=None, viewer=Viewer(user)
        )
        answer = await schema.execute(PLACES, {"first": first}, context_value=context)
        assert answer.errors is None
        assert answer.data is not None
        nodes = [edge["node"] for edge in answer.data["viewer"]["jobs"]["edges"]]
        assert len(nodes) == first
        counts.append(len(statements))
    assert 0 < counts[0] == counts[1], statements
    order = owner.execute("SELECT id::text FROM projections.jobs ORDER BY rank DESC, position").fetchall()
    places = {job: place for place, (job,) in enumerate(order, 1)}
    assert {node["id"]: node["queuePosition"] for node in nodes} == places
    assert all(node["again"] == node["queuePosition"] for node in nodes)
    assert all(node["estimatedWaitSeconds"] is None for node in nodes), "no worker is online"


async def test_one_place_and_many_places_are_the_same_and_what_does_not_wait_has_none(
    services: Services, writer: Writer
):
    user, jobs = uuid4(), [uuid4() for _ in range(5)]
    run(writer, register(user))
    run(writer, grant(user, 1_000_000))
    for job in jobs:
        run(writer, submit(user, job=job))
    rows = await JOBS.all(services.pool, realm=services.realm, ids=jobs)
    ended = msgspec.structs.replace(rows[1], waiting=0, done=1)
    many = await standings(services, [rows[0], ended, *rows[2:]])
    assert many == [await standing(services, row) for row in (rows[0], ended, *rows[2:])]
    assert many[1] is None
    found = [place.position for place in many if place]
    assert len(set(found)) == 4
    assert set(found) < {1, 2, 3, 4, 5}
    await services.pool.close()
    assert await standings(services, [ended]) == [None], "nobody is asked"
