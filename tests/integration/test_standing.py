"""Places and waits that clients are shown, against what a naive look at every waiting job gives.

Random queues on the real database: several tiers and kudos, so that histogram buckets are shared and crossed.
"""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from app.fleet.online import BASELINE_PER_THREAD
from app.fleet.serving import families_of
from app.jobs.decider import CancelJob
from app.jobs.queries import JOBS
from app.jobs.standing import standings
from app.main import make_services, run_services
from app.operations import status
from app.platform.commands import Command
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import ReleaseLease
from events.base import ANONYMOUS, Fact
from events.codec import fact_of
from events.jobs import GenerationDelivered, JobKind
from events.store import log
from projections.jobs import Job
from projections.queue import BUCKET, bucket
from projections.store.tables import TABLES
from projections.workers import Worker
from tests.factories import (
    REFERENCE,
    capabilities,
    check_in,
    deliver,
    grant,
    many_workers,
    open_realm,
    pop,
    register,
    request,
    submit,
)
from tests.integration.test_writer import Answers

pytestmark = pytest.mark.anyio

MODELS = ("a", "b", "c", "d")
USERS = tuple(uuid4() for _ in range(6))
HOST = uuid4()
ROUNDS = 12


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    open_realm(writer)
    made = make_services(settings, print)
    async with run_services(made):
        yield made


class Scene:
    """A queue with workers, and all of it read back naively."""

    def __init__(
        self, services: Services, connection: psycopg.Connection[Any], writer: Writer, seed: int
    ) -> None:
        self.services, self.connection, self.writer = services, connection, writer
        self.dice = random.Random(seed)
        self.leases: list[Any] = []

    def commit(self, *commands: Command) -> None:
        Answers(self.writer).submit(*(request(command) for command in commands)).wait(60)

    def submission(self) -> Command:
        side = self.dice.choice((64, 256, 512, 1024))
        return submit(
            self.dice.choice((*USERS, ANONYMOUS)),
            n=self.dice.choice((1, 1, 2, 5)),
            models=self.dice.choice((self.dice.sample(MODELS, 2), (), MODELS[:1], ("nobody has it",))),
            nsfw=self.dice.random() < 0.2,
            width=min(side, 512),
            height=min(side, 512),
            steps=self.dice.choice((1, 10, 30)),
        )

    async def host(self) -> None:
        """Some workers, one of them unheard of for long, one in maintenance."""
        for number in range(6):
            worker = uuid4()
            able = msgspec.structs.replace(
                capabilities(self.dice.sample(MODELS, 2), nsfw=self.dice.random() < 0.7),
                threads=self.dice.choice((1, 2, 7)),
            )
            self.commit(check_in(worker, HOST, able))
            self.leases += [(worker, able)]
            if number:
                await self.services.presence.saw(worker)
            if number == 1:
                self.commit(SetMaintenance(worker=worker, owner=HOST, maintenance=True, message=""))

    def work(self) -> None:
        """Pops, of which some are delivered, some given back, some left."""
        for worker, able in self.leases:
            command = pop(worker, HOST, able, amount=self.dice.choice((1, 3)))
            self.commit(command)
            row = self.connection.execute(
                "SELECT pending FROM projections.leases WHERE id = %s", (command.lease,)
            ).fetchone()
            if row is None:
                continue
            pending = [UUID(text) for text in row[0]]
            chance = self.dice.random()
            if chance < 0.6:
                self.commit(deliver(command.lease, HOST, *pending[: self.dice.randint(1, len(pending))]))
            elif chance < 0.8:
                self.commit(ReleaseLease(lease=command.lease, owner=HOST))

    def facts(self) -> list[Fact]:
        return [fact_of(event) for event in log.read_all(self.connection, 0)]

    def rows(self, name: str) -> list[Any]:
        table = TABLES[name]
        columns = ", ".join(column.name for column in table.columns)
        return [
            table.load(row) for row in self.connection.execute(f"SELECT {columns} FROM projections.{name}")
        ]

    def jobs(self) -> list[Job]:
        """What waits, best first, by sorting every job."""
        waiting = [
            job for job in self.rows("jobs") if job.waiting > 0 and job.state in ("WAITING", "PROCESSING")
        ]
        return sorted(waiting, key=lambda job: (-job.rank, job.position))

    async def fleet(self) -> list[tuple[Worker, float]]:
        """Workers online and not in maintenance, with speeds found by going through the log."""
        everybody: list[Worker] = self.rows("workers")
        online = await self.services.presence.online([worker.id for worker in everybody])
        fleet = [worker for worker in everybody if worker.id in online and not worker.maintenance]
        found = {worker.id: naive_speed(self.facts(), worker.id) for worker in fleet}
        known = [worker for worker in fleet if found[worker.id] is not None]
        threads = sum(worker.threads for worker in known)
        mean = (
            sum(worker.threads * (found[worker.id] or 0) for worker in known) / threads if threads else None
        )
        return [(worker, found[worker.id] or mean or BASELINE_PER_THREAD[JobKind.IMAGE]) for worker in fleet]


def naive_speed(facts: list[Fact], worker: UUID) -> int | None:
    """The last 20 deliveries' work by their time, each counted from what came before it under its lease."""
    begun: dict[UUID, Any] = {}
    measured: list[tuple[int, int]] = []
    for fact in facts:
        event: Any = fact.event
        if getattr(event, "worker", None) != worker or not hasattr(event, "lease"):
            continue
        if isinstance(event, GenerationDelivered) and event.lease in begun:
            took = (fact.occurred_at - begun[event.lease]) // timedelta(milliseconds=1)
            measured.append((event.pixelsteps, took))
        if type(event).__name__ in ("LeaseReleased", "LeaseExpired"):
            begun.pop(event.lease, None)
        elif type(event).__name__ == "GenerationsLeased" or event.lease in begun:
            begun[event.lease] = fact.occurred_at
    milliseconds = sum(took for _, took in measured[-20:])
    return sum(work for work, _ in measured[-20:]) * 1000 // milliseconds if milliseconds else None


def may(worker: Worker, job: Job) -> bool:
    """These jobs require nothing but models or families, size, and what every worker here allows but nsfw."""
    families = {name for name, _ in families_of(worker.kind, worker.models, REFERENCE)}
    named = bool(set(job.models) & {*worker.models, *families})
    return named and job.size <= worker.max_size and not job.mask & ~worker.allowed


def naive_wait(job: Job, ahead: int, fleet: list[tuple[Worker, float]]) -> float | None:
    able = [(worker.threads, speed) for worker, speed in fleet if may(worker, job)]
    if not able:
        return None
    everybody = sum(worker.threads * speed for worker, speed in fleet)
    threads = sum(count for count, _ in able)
    mean = sum(count * speed for count, speed in able) / threads
    return ahead / everybody + ceil(job.waiting / threads) * job.work / mean


@pytest.mark.parametrize("seed", range(4))
async def test_places_and_waits_are_those_of_a_naive_look(
    services: Services, owner: psycopg.Connection[Any], writer: Writer, seed: int
):
    scene = Scene(services, owner, writer, seed)
    for number, user in enumerate((*USERS, HOST)):
        scene.commit(register(user), grant(user, 1_000 * 3**number))
    scene.commit(many_workers(HOST))
    await scene.host()
    checked = estimated = 0
    for turn in range(ROUNDS):
        scene.commit(*(scene.submission() for _ in range(scene.dice.randint(1, 30))))
        if turn % 2:
            scene.work()
        waiting = scene.jobs()
        scene.commit(*(CancelJob(job=job.id) for job in scene.dice.sample(waiting, len(waiting) // 10)))
        services.caches.clear()  # what was kept of the histogram and of the fleet may be a second old
        waiting, fleet = scene.jobs(), await scene.fleet()
        rows = await JOBS.all(services.pool, realm=0, ids=[job.id for job in scene.rows("jobs")])
        shown = dict(zip((row.id for row in rows), await standings(services, rows), strict=True))
        ahead = 0
        for place, job in enumerate(waiting, 1):
            told = shown.pop(job.id)
            assert told is not None
            assert told.position == place
            wanted = naive_wait(job, ahead, fleet)
            assert (told.wait_seconds is None) is (wanted is None)
            if wanted is not None and told.wait_seconds is not None:
                # the fold fades in whole numbers; then it is rounded up to a second
                assert wanted * 0.99 - 1 <= told.wait_seconds <= wanted * 1.01 + 1
                estimated += 1
            ahead += job.waiting * job.work
            checked += 1
        assert all(told is None for told in shown.values()), "nothing of these waits"
    assert checked > 100
    assert estimated > 30
    assert len({bucket(job.rank) for job in scene.jobs()}) > 3
    assert max(job.rank for job in scene.jobs()) - min(job.rank for job in scene.jobs()) > 3 * BUCKET


async def test_a_wait_follows_what_was_measured(
    services: Services, owner: psycopg.Connection[Any], writer: Writer
):
    scene, worker, job = Scene(services, owner, writer, 0), uuid4(), uuid4()
    scene.commit(register(USERS[0]), grant(USERS[0], 1_000_000), register(HOST), check_in(worker, HOST))
    scene.commit(submit(USERS[0], job=job, width=1024, height=1024, steps=100))
    (row,) = await JOBS.all(services.pool, realm=0, ids=[job])
    (told,) = await standings(services, [row])
    assert told is not None
    assert told.wait_seconds is None, "nobody is online"
    await services.presence.saw(worker)
    services.caches.clear()
    (told,) = await standings(services, [row])
    assert told is not None
    assert told.wait_seconds == ceil(1024 * 1024 * 100 / 1_000_000), "nothing is measured yet"
    owner.execute(
        "UPDATE projections.workers SET speed = 5000000 WHERE id = %s",
        (worker,),
    )
    services.caches.clear()
    (told,) = await standings(services, [row])
    assert told is not None
    assert told.wait_seconds == ceil(1024 * 1024 * 100 / 5_000_000), "five megapixelsteps a second"
    (model,) = await status.models(services)
    assert model.estimated_wait_seconds == told.wait_seconds
