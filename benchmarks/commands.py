"""The workload as the writer takes it, and the population of a fresh database.

Look next: `benchmarks.workload`, `app.platform.writer`.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec

from app.accounts.decider import (
    GrantKudos,
    OpenRealm,
    RegisterUser,
    SetWaitingLimit,
    SetWorkerLimit,
    TransferKudos,
)
from app.jobs.decider import SubmitImageJob
from app.jobs.image_params import ImageParams
from app.ledger.quote import ModelChoice
from app.ledger.standing import MAX_WAITING, MAX_WORKERS
from app.main import API_RULES
from app.platform.commands import Command, Decision, Done, Rejection, Request, Rule, Rules
from app.platform.ids import new_id
from app.platform.keys import key_hash
from app.platform.rows import Rows
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.workers.decider import CheckIn, ImageCapabilities
from app.workers.lease_decider import GenerationResult, PopJob, ResultState, SubmitResults
from benchmarks.workload import Job, Person, Worker
from events.jobs import GenerationsLeased
from projections.queue import Search, requirement_mask

#: what everybody starts with, in hundredths of kudos: nobody runs dry
WEALTH = 10**10


class RefusedError(Exception):
    """A command of a benchmark was rejected: its figures would mean nothing."""


#: what leases took, by lease
Taken = dict[UUID, tuple[UUID, ...]]


@contextlib.contextmanager
def writer_of(settings: Settings, taken: Taken | None = None, rules: Rules = API_RULES) -> Iterator[Writer]:
    """A started writer; it has decided what waits when the block ends. What its pops lease is noted in `taken`."""
    failures: list[BaseException] = []
    if taken is not None:
        rules = {**rules, PopJob: _noting(taken)}
    writer = Writer(settings.database_url, settings.realm, rules, on_fatal=failures.append)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
    if failures:
        raise failures[0]


def _noting(taken: Taken) -> Rule[PopJob]:
    """The rule of pops; the answer of a pop names no generations, and reading them would be measured along."""
    rule = API_RULES[PopJob]

    def decide(command: PopJob, rows: Rows) -> Decision | Rejection:
        decision = rule.decide(command, rows)
        if isinstance(decision, Decision):
            taken.update(
                (e.lease, e.generations) for e in decision.events if isinstance(e, GenerationsLeased)
            )
        return decision

    return Rule(PopJob, rule.result, rule.needs, decide)


def request(command: Command) -> Request:
    """A command on its way through the writer."""
    return Request(command, new_id())


def must(outcome: object) -> Done:
    """The outcome of a command that must be accepted. Raises `RefusedError`."""
    if not isinstance(outcome, Done):
        raise RefusedError(str(outcome))
    return outcome


def populate(writer: Writer, pepper: str, people: Iterable[Person]) -> None:
    """Have the population made."""
    for command in population(pepper, people):
        must(writer.execute_sync(request(command)))


def population(pepper: str, people: Iterable[Person]) -> Iterator[Command]:
    """Open the realm, register people with their keys, make them rich and let them queue."""
    yield OpenRealm()
    for person in people:
        yield register(pepper, person)
        yield grant(person)
        yield SetWaitingLimit(user=person.id, limit=MAX_WAITING, by=None)
        yield SetWorkerLimit(user=person.id, limit=MAX_WORKERS)


def register(pepper: str, person: Person) -> RegisterUser:
    """A person's registration."""
    return RegisterUser(
        user=person.id,
        key=person.key_id,
        key_hash=key_hash(pepper, person.api_key),
        username=person.name,
        number=person.number,
    )


def grant(person: Person) -> GrantKudos:
    """A person's `WEALTH`."""
    return GrantKudos(user=person.id, amount=WEALTH, note=new_id(), reason="benchmark")


def transfer(source: Person, target: Person) -> TransferKudos:
    """One kudos from one to another."""
    return TransferKudos(source=source.id, target=target.id, amount=100)


def submit(person: Person, job: Job) -> SubmitImageJob:
    """A job as its handler would put it."""
    params = ImageParams(width=job.width, height=job.height, steps=job.steps)
    payload = {"width": job.width, "height": job.height, "steps": job.steps, "sampler_name": params.sampler}
    return SubmitImageJob(
        job=new_id(),
        requester=person.id,
        generations=(new_id(),),
        prompt=job.prompt,
        negative_prompt="",
        models=tuple(ModelChoice(name, "") for name in job.models),
        params=params,
        nsfw=job.nsfw,
        shared=job.shared,
        max_kudos=None,
        seeds=(secrets.randbits(32),),
        payload=msgspec.json.encode(payload).decode(),
    )


def check_in(worker: Worker) -> CheckIn:
    """A worker's registration."""
    return CheckIn(
        worker=worker.id, owner=worker.owner.id, name=worker.name, capabilities=capabilities(worker)
    )


def capabilities(worker: Worker) -> ImageCapabilities:
    """What a worker says it serves."""
    return ImageCapabilities(
        models=worker.models,
        max_pixels=worker.max_pixels,
        allows=tuple(sorted(worker.allows)),
        threads=1,
        agent="bench:1",
    )


def search(worker: Worker) -> Search:
    """What a worker asks of the queue."""
    able = capabilities(worker)
    return Search(
        worker=worker.id,
        owner=worker.owner.id,
        models=able.models,
        max_size=able.max_pixels,
        allowed=requirement_mask(able.allows),
    )


def pop(worker: Worker) -> PopJob:
    """One poll."""
    return PopJob(
        lease=new_id(), worker=worker.id, search=search(worker), amount=1, choice=secrets.randbits(32)
    )


def deliver(worker: Worker, lease: UUID, generations: Iterable[UUID]) -> SubmitResults:
    """The delivery of a lease; the writer takes the handler's word that the pictures are there."""
    results = tuple(
        GenerationResult(generation=each, state=ResultState.OK, etag="etag", seed="1", metadata=None)
        for each in generations
    )
    return SubmitResults(lease=lease, owner=worker.owner.id, results=results)
