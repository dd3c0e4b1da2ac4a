"""The programs of a cluster as simulated processes: API processes, relays, actors; they die and are started again.

Look next: `people.py` for those who use it, `weather.py` for what goes wrong.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import redis
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from app.accounts import decider as accounts
from app.jobs import decider as jobs
from app.jobs import interrogation_decider as interrogations
from app.platform.broker import MAX_BACKOFF_MS, MIN_BACKOFF_MS
from app.platform.commands import Outcome, Request, rules
from app.platform.writer import Writer
from app.ratings import decider as ratings
from app.relay.main import Relay
from app.sharing import actors as sharing_actors
from app.sharing import decider as sharing
from app.sharing.publish import Buckets, Publisher
from app.sources import actors as sources_actors
from app.sources import decider as sources
from app.sources.actors import FETCH_SOURCES
from app.sources.fetching import Fetcher
from app.workers import decider as workers
from app.workers import lease_decider as leases
from tests.simulation.database import Network, Server, SimulatedLog
from tests.simulation.outside import Broker, Storage
from tests.simulation.scheduler import Failure, Process, Scheduler, Task
from tests.simulation.stand_ins import Event, Pool, Psycopg, driven

API_RULES = rules(
    accounts.RULES, jobs.RULES, interrogations.RULES, workers.RULES, leases.RULES, ratings.RULES
)
BUCKETS = Buckets("results", "shared")
SOURCES = "sources"
#: what programs take from settings
SETTINGS: Any = SimpleNamespace(
    database_url="",
    realm=0,
    redis_url="",
    s3_url="",
    s3_access_key="",
    s3_secret_key="",
    s3_region="",
    retention_seconds=604_800,
    writer_rows=20_000,
    webhook_retention_seconds=604_800,
)
#: threads of an actors' process
CONSUMERS = 2


class UnreachableError(Exception):
    """The request never reached a process."""


class VanishedError(Exception):
    """The process that had the request answered nothing."""


class Node:
    """A program that runs as one process at a time."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.starts = 0
        self.process = Process(name)
        self.process.alive = False

    def start(self) -> None:
        """Start a new process of this program."""
        self.starts += 1
        self.process = Process(f"{self.name}.{self.starts}")
        self.cluster.scheduler.note("starts", self.process.name)
        self.cluster.scheduler.spawn(self.process, "main", self.main)

    def kill(self) -> None:
        """Kill it."""
        self.cluster.scheduler.note("killed", self.process.name)
        self.cluster.scheduler.kill(self.process)

    def main(self) -> None:
        """What the process does."""
        raise NotImplementedError

    def fatal(self, error: BaseException) -> None:
        """A program found that it does not fit the database: that cannot be here."""
        raise Failure(f"{self.name} stopped itself: {error!r}")


class Api(Node):
    """`hoard serve`: a writer, and requests from outside."""

    writer: Writer | None = None

    def main(self) -> None:
        self.writer = Writer("", 0, API_RULES, on_fatal=self.fatal)
        self.writer.start()

    def call(self, request: Request) -> Outcome:
        """Ask from a client's task. Raises `UnreachableError`, `VanishedError` and what the writer raises."""
        scheduler, server = self.cluster.scheduler, self.cluster.server
        scheduler.sleep(server.latency())
        process, writer = self.process, self.writer
        if not process.alive or writer is None:
            raise UnreachableError
        caller = scheduler.current
        assert caller is not None
        answers: list[Any] = []

        def deliver(answer: Any) -> None:
            answers.append(answer)
            scheduler.wake(caller)

        def handle() -> None:
            answer: Any
            try:
                answer = writer.execute_sync(request)
            except Exception as error:  # noqa: BLE001 - whatever the writer raises is the answer
                answer = error
            scheduler.at(server.latency(), lambda: deliver(answer))

        def vanish() -> None:
            scheduler.at(server.latency(), lambda: deliver(VanishedError()))

        scheduler.spawn(process, f"request-{request.id}", handle)
        process.at_death.append(vanish)
        while not answers:
            scheduler.block()
        if process.alive:
            process.at_death.remove(vanish)
        if isinstance(answers[0], Exception):
            raise answers[0]
        outcome: Outcome = answers[0]
        return outcome


class RelayNode(Node):
    """`hoard relay`: the whole program."""

    def main(self) -> None:
        stop: Any = Event(self.cluster.scheduler)
        if Relay(SETTINGS, stop).run():
            raise Failure(f"{self.name} gave up")


class Actors(Node):
    """`hoard actors run`: a writer, and threads that take messages."""

    def main(self) -> None:
        cluster = self.cluster
        writer = Writer("", 0, rules(sharing.RULES, sources.RULES), on_fatal=self.fatal)
        writer.start()
        pool: Any = Pool(Psycopg(cluster.server).connect)
        storage: Any = cluster.storage
        publisher = Publisher(
            realm=0, pool=pool, writer=writer, objects=storage, buckets=BUCKETS, upscale=lambda _: 1
        )
        outside: Any = None
        fetcher = Fetcher(
            realm=0,
            pool=pool,
            writer=writer,
            objects=storage,
            bucket=SOURCES,
            outside=outside,
            lookup=_no_names,
        )
        fetching: set[int] = set()

        def begin(position: int) -> None:
            """What the fetcher's loop does: once at a time, and the message is done."""
            if position not in fetching:
                fetching.add(position)
                cluster.scheduler.spawn(self.process, f"fetch{position}", lambda: settle(position))

        def settle(position: int) -> None:
            driven(fetcher._settle(position))
            fetching.discard(position)

        actors = {
            FETCH_SOURCES: begin,
            sharing_actors.PUBLISH_PICTURE: publisher.publish,
            sharing_actors.WITHDRAW_PICTURES: publisher.withdraw,
        }
        for number in range(CONSUMERS):
            cluster.scheduler.spawn(self.process, f"consumer{number}", lambda: self._consume(actors))

    def _consume(self, actors: dict[str, Callable[[int], None]]) -> None:
        """What a Dramatiq worker does: at least once, again after growing pauses, then no more."""
        broker, process = self.cluster.broker, self.process
        while True:
            message = broker.take()

            def give_back(message: Any = message) -> None:
                broker.give_back(message)

            process.at_death.append(give_back)
            try:
                actors[message.actor](message.position)
            except Exception as error:  # noqa: BLE001 - as Dramatiq
                again = _declared().get_actor(message.actor).options["retry_when"]
                self.cluster.scheduler.note(f"{message.actor} {message.position}: {type(error).__name__}")
                if again(message.retries, error):
                    pause = min(MIN_BACKOFF_MS * 2**message.retries, MAX_BACKOFF_MS) / 1000
                    self.cluster.requeue(message, pause)
            process.at_death.remove(give_back)


async def _no_names(_: str, __: int) -> list[str]:
    """Nobody asks for a name: what is outside is in `stand_ins`."""
    return []


@functools.cache
def _declared() -> StubBroker:
    """The actors as they are declared, for how often each is tried again."""
    broker = StubBroker(middleware=[Retries()])
    sharing_actors.declare(broker, lambda _: None, lambda _: None)
    sources_actors.declare(broker, lambda _: None)
    return broker


class Cluster:
    """Everything that is simulated."""

    def __init__(self, scheduler: Scheduler, log: SimulatedLog, requests: dict[UUID, Request]) -> None:
        """A cluster whose log begins with these commands."""
        self.scheduler = scheduler
        self.network = Network()
        self.log = log
        self.server = Server(scheduler, log, self.network)
        self.server.requests.update(requests)
        self.broker = Broker(scheduler)
        self.storage = Storage(scheduler)
        self.apis = [Api(self, f"api{number}") for number in (1, 2)]
        self.relays = [RelayNode(self, f"relay{number}") for number in (1, 2)]
        self.actors = [Actors(self, f"actors{number}") for number in (1, 2)]
        self.outside = Process("outside")

    @property
    def nodes(self) -> list[Node]:
        """All programs."""
        return [*self.apis, *self.relays, *self.actors]

    def spawn(self, name: str, work: Callable[[], None]) -> Task:
        """A task of somebody outside of the cluster."""
        return self.scheduler.spawn(self.outside, name, work)

    def requeue(self, message: Any, pause: float) -> None:
        """Leave a message for another attempt; a broker that is away loses it."""
        if self.scheduler.now >= self.broker.away_until:
            with contextlib.suppress(redis.RedisError):
                self.broker.send(message.actor, message.position, message.retries + 1, pause)
