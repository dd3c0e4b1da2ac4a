"""The ASGI application: composition root of an API process.

Makes the services, mounts the GraphQL endpoint, answers health checks. May hold no rule. Look next: `app.schema`,
`app.platform.services`, `app.platform.graphql.routes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import psycopg
import uvicorn
from psycopg_pool import PoolTimeout
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts import decider as accounts
from app.accounts import treasury
from app.accounts.authentication import authenticate
from app.images import decider as images
from app.jobs import decider as jobs
from app.jobs import interrogation_decider as interrogations
from app.jobs.graphql import job_of_viewer, jobs_of
from app.moderation import decider as moderation
from app.operations import decider as operations
from app.operations.heartbeat import heartbeat
from app.platform import metrics
from app.platform.commands import Rules, rules
from app.platform.database import Pool
from app.platform.graphql.context import RequestContext, TransportOptions
from app.platform.graphql.documents import OperationInfo
from app.platform.graphql.routes import create_graphql_routes
from app.platform.graphql.top_level import ApiError, TopLevelCode
from app.platform.logging import configure_logging
from app.platform.model_reference import ModelReference
from app.platform.networks import Networks
from app.platform.news import News
from app.platform.objects import ObjectStore
from app.platform.presence import PATIENCE_SECONDS, Presence
from app.platform.protocols import HttpProtocol, WebSocketProtocol
from app.platform.rates import BY_ADDRESS, BY_KEY, NEW_DOCUMENTS, Rates
from app.platform.services import Links, Services
from app.platform.settings import Settings
from app.platform.storage_errors import StorageUnavailableError
from app.platform.tail import Tail
from app.platform.versions import stand_by, watch
from app.platform.waiting import Polls, Room, reader
from app.platform.writer import Writer
from app.platform.writer.gather import VersionMismatchError
from app.raters import decider as raters
from app.ratings import case_decider as picture_cases
from app.ratings import decider as ratings
from app.ratings import job_decider as own_ratings
from app.ratings.library_graphql import assignments_of, ratings_of
from app.schema import schema
from app.teams import decider as teams
from app.teams.graphql import load_team
from app.webhooks import decider as webhooks
from app.webhooks.graphql import webhooks_of
from app.workers import decider as workers
from app.workers import lease_decider as leases
from app.workers import steering_decider as steering
from app.workers.steering_graphql import workers_of
from events.store.log import LAST_POSITION

_log = logging.getLogger(__name__)

#: how long readiness waits for servers without which this process serves all the same, in seconds
GLANCE_SECONDS = 0.5
#: how long a process that stops waits for what goes on in the background, in seconds
BACKGROUND_SECONDS = 2.0
#: a tail that has not read the log for so long, while the database answers others, stands still
TAIL_SILENT_SECONDS = 15.0

#: every command that the API decides
API_RULES: Rules = rules(
    accounts.RULES,
    treasury.RULES,
    jobs.RULES,
    interrogations.RULES,
    workers.RULES,
    leases.RULES,
    steering.RULES,
    teams.RULES,
    moderation.RULES,
    images.RULES,
    operations.RULES,
    webhooks.RULES,
    ratings.RULES,
    own_ratings.RULES,
    picture_cases.RULES,
    raters.RULES,
)


GiveUp = Callable[[BaseException], None]


def create_app(settings: Settings, give_up: GiveUp) -> Starlette:
    """The ASGI application of one API process; `give_up` is told when other projections are live than it knows."""
    state = make_services(settings, give_up)
    measure(state)
    options = TransportOptions(trusted_proxy=settings.trusted_proxy)
    routes = create_graphql_routes(schema, state, before_operation, options, before_document=before_document)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        async with run_services(state):
            watching = asyncio.create_task(watch(state.pool, state.realm, give_up), name="versions")
            yield
            watching.cancel()

    async def healthz(_: Request) -> Response:
        now = heartbeat(state)
        body = {**msgspec.structs.asdict(now), "status": now.status.lower()}
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def readyz(_: Request) -> Response:
        return await readiness(state)

    return Starlette(
        routes=[*routes, Route("/healthz", healthz), Route("/readyz", readyz)], lifespan=lifespan
    )


async def before_document(context: RequestContext) -> None:
    """A document that is not known yet costs time to read: new ones are limited by address."""
    services: Services = context.app
    _within(await services.rates.delay(NEW_DOCUMENTS, "document", context.address))


async def before_operation(context: RequestContext, _: OperationInfo) -> None:
    """Find out who asks, and whether they ask too often. Raises `ApiError`."""
    services: Services = context.app
    _within(services.rates.tally(BY_ADDRESS, "address", context.address))
    context.viewer = await authenticate(services, context.api_key)
    if not context.viewer.anonymous:
        _within(services.rates.tally(BY_KEY, "key", str(context.viewer.subject)))


def _within(delay: float | None) -> None:
    if delay is not None:
        message = f"too many requests: try again in {delay:.1f} seconds"
        raise ApiError(message, code=TopLevelCode.RATE_LIMITED, retry_after=round(delay, 1))


def make_services(settings: Settings, give_up: GiveUp) -> Services:
    """The services of a process, none of them started. Raises `SettingsError` for a file that settings name."""
    pool = Pool(settings.database_url)
    tail = Tail(settings.database_url, settings.realm)
    polls = Polls(reader(pool, settings.realm))
    tail.listen(polls.hear)
    return Services(
        settings=settings,
        writer=Writer(
            settings.database_url,
            settings.realm,
            API_RULES,
            on_fatal=give_up,
            rows=settings.writer_rows,
        ),
        pool=pool,
        objects=ObjectStore(
            settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region
        ),
        presence=Presence(_valkey(settings.redis_url), settings.realm),
        rates=Rates(settings.redis_url, settings.pepper, enabled=settings.rate_limits),
        tail=tail,
        models=ModelReference.load(settings.model_reference),
        unsafe_networks=Networks.load(settings.unsafe_networks),
        news=News(settings.news_file),
        polls=polls,
        submissions=Room(),
        links=Links(
            job=job_of_viewer,
            jobs_of=jobs_of,
            team=load_team,
            workers_of=workers_of,
            webhooks_of=webhooks_of,
            ratings_of=ratings_of,
            assignments_of=assignments_of,
        ),
    )


def _valkey(url: str) -> Redis:
    # one repeat: a connection from before a restart of Valkey fails once
    return Redis.from_url(
        url,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


def measure(services: Services) -> None:
    """Have the state of these services read whenever metrics are asked for."""
    pool = services.pool
    metrics.WRITER_QUEUE.set_function(lambda: services.writer.waiting)
    metrics.WRITER_ROWS.set_function(lambda: services.writer.rows_kept)
    metrics.POLLS_WAITING.set_function(lambda: len(services.polls))
    metrics.TAIL_POSITION.set_function(lambda: services.tail.position)
    metrics.TAIL_SILENT_SECONDS.set_function(lambda: services.tail.silent_seconds)
    metrics.POOL_WAITING.set_function(lambda: pool.waiting)
    metrics.measure_pool(pool.get_stats)


@contextlib.asynccontextmanager
async def run_services(services: Services) -> AsyncGenerator[None, None]:
    """Start the services; stop them in reverse order at the end."""
    await services.pool.open(wait=True, timeout=30.0)
    services.writer.start()
    await services.tail.start()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        services.http = session
        try:
            yield
        finally:
            await services.tail.stop()
            if services.background:
                await asyncio.wait(services.background, timeout=BACKGROUND_SECONDS)
            services.writer.stop()
            await services.pool.close()
            await services.rates.close()
            await services.presence.close()


async def readiness(services: Services) -> Response:
    """Whether this process can serve: the database answers, and the tail reads it. What else is away is told.

    That and lag alone are no reasons to take a node out: every node has the same storage and the same Valkey. One
    whose tail stands still leaves subscriptions and waiting polls asleep.
    """
    last, storage, valkey = await asyncio.gather(
        _last_position(services), _in_time(_storage_answers(services)), _in_time(services.presence.answers())
    )
    there = {"database": last is not None, "storage": storage, "valkey": valkey}
    alive = services.tail.silent_seconds < TAIL_SILENT_SECONDS
    status = "database away" if last is None else "ok" if alive else "tail stands still"
    body: dict[str, Any] = {
        "status": status,
        "away": [name for name, answers in there.items() if not answers],
    }
    body["tail_silent_seconds"] = round(services.tail.silent_seconds, 1)
    if last is not None:
        body |= {"position": last, "lag": last - services.tail.position}
    return Response(
        msgspec.json.encode(body), status_code=200 if status == "ok" else 503, media_type="application/json"
    )


async def _last_position(services: Services) -> int | None:
    """Where the log ends; None if the database does not say so within two seconds."""
    try:
        async with asyncio.timeout(2.0), services.pool.connection(timeout=2.0) as connection:
            cursor = await connection.execute(LAST_POSITION, (services.realm,))
            row = await cursor.fetchone()
    except (psycopg.Error, PoolTimeout, TimeoutError):
        return None
    return row[0] if row else 0


async def _in_time(asked: Awaitable[bool]) -> bool:
    """Whether the answer is yes, and soon: a server that hangs must not make this process look as if it hung."""
    try:
        async with asyncio.timeout(GLANCE_SECONDS):
            return await asked
    except TimeoutError:
        return False


async def _storage_answers(services: Services) -> bool:
    """Whether storage knows the bucket of results: the object asked for need not be there."""
    try:
        await services.objects.head_of_object(services.http, services.settings.bucket_results, "ready")
    except StorageUnavailableError:
        return False
    return True


def serve(settings: Settings, *, share_port: bool = False) -> int:
    """Run one API process until a signal ends it, or other projections are live than it knows: then the status is 1.

    Until its own are live it stands by, so that a new program may be started before `hoard migrate`. Processes that
    share their port divide its connections among them.
    """
    configure_logging(settings.log_level)
    reasons: list[BaseException] = []

    def give_up(error: BaseException) -> None:
        _log.critical("api_stops", extra={"reason": str(error)})
        reasons.append(error)
        server.should_exit = True

    server = uvicorn.Server(_config(settings, create_app(settings, give_up)))
    try:
        stand_by(settings.database_url, settings.realm)
    except (VersionMismatchError, psycopg.OperationalError) as error:
        give_up(error)
        return 1
    metrics.expose(*settings.metrics_at("api"))
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # the default's full collections cost the hot path a tenth
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[_shared_socket(settings)] if share_port else None)
    return 1 if reasons or not server.started else 0


def _shared_socket(settings: Settings) -> socket.socket:
    """A socket at the address that other processes may have, too; the system spreads connections over them."""
    made = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((settings.host, settings.port))
    return made


def _config(settings: Settings, app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=TransportOptions().max_body_bytes,
        log_config=None,
        log_level="warning",  # below, it tells the address of every WebSocket
        access_log=False,  # it would log addresses
        proxy_headers=False,  # addresses are read by `app.platform.graphql.context`
        server_header=False,
        ws_per_message_deflate=False,  # bounds of waiting messages are bounds of memory only without it
        timeout_graceful_shutdown=5,
    )
