"""An older program serves a load, `hoard migrate` of this one runs, this one serves: nothing acknowledged is lost.

Clients do what real ones do: whoever is refused, or hears nothing, asks another process with the same idempotency key.
Look next: `tests/upgrade/trees.py`, `docs/upgrading.md`.
"""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import msgspec
import psycopg
import pytest

from app.embedded.stack import EmbeddedStack, seed_keys_json
from app.platform.settings import Settings
from tests.acceptance.horde import NOBODY, Submitted, User, Worker, register, submit, unique
from tests.acceptance.processes import CHECKOUT, ApiProcess, Process, eventually, run_cli
from tests.acceptance.wires import Api, Refusal
from tests.conftest import in_database
from tests.upgrade import trees

#: what a client is told before it asks again
_AGAIN = {"TRY_AGAIN", "INTERNAL", "STORAGE_UNAVAILABLE"}
#: what the released version can tell of an assignment, too
_POPPED = (
    "... on ImageAssignment { leaseId generations { id seed uploadUrl } } ... on NoJob { skipped { reason } }"
)


@pytest.fixture
def variables(stack_settings: tuple[EmbeddedStack, Settings]) -> Iterator[dict[str, str]]:
    """A database without tables."""
    stack, settings = stack_settings
    name = f"upgrade_{uuid4().hex[:8]}"
    assert settings.migrate_url is not None

    with psycopg.connect(settings.migrate_url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")
        redis_url = f"{settings.redis_url.rpartition('/')[0]}/5"
        apart = msgspec.structs.replace(in_database(settings, name), redis_url=redis_url)
        seeds = seed_keys_json(stack.seed_keys)
        yield {**apart.to_env(), "HOARD_RATE_LIMITS": "false", "HOARD_SEED_KEYS": seeds}
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Crowd:
    """Clients that go on until they are stopped, and what they were promised."""

    def __init__(self, users: list[User], model: str) -> None:
        self.urls: list[str] = [users[0].api.url]
        self.users = users
        self.model = model
        self.transfers = 0
        self.jobs: list[str] = []
        self.delivered: list[str] = []
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._live, args=(user,)) for user in users]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def done(self) -> int:
        return self.transfers + len(self.jobs) + len(self.delivered)

    def goes_on(self, more: int, seconds: float = 30.0) -> None:
        wanted = self.done + more
        eventually(lambda: self.done >= wanted or self.problems, seconds, f"{more} more commands")
        assert not self.problems

    def _live(self, user: User) -> None:
        dice = random.Random(user.id)
        worker = unique("worker")
        try:
            while not self._stop.is_set():
                match dice.choice(("transfer", "submit", "work")):
                    case "transfer":
                        key = str(uuid4())
                        other = dice.choice([u for u in self.users if u is not user])
                        self._settled(user, lambda u, k=key, o=other: u.transfer(o.alias, "0.01", k))
                        with self._lock:
                            self.transfers += 1
                    case "submit":
                        self._submit(user, {"models": [self.model], "idempotencyKey": str(uuid4())})
                    case _:
                        self._work(user, worker)
        except Exception as error:  # noqa: BLE001 - told by the test
            self.problems.append(f"{type(error).__name__}: {error}")

    def _submit(self, user: User, given: dict[str, Any]) -> None:
        try:
            made: Submitted = self._settled(user, lambda u: submit(u.api, **given))
        except Refusal as refusal:
            if refusal.code != "TOO_MANY_JOBS":
                raise
            return
        with self._lock:
            self.jobs.append(made.id)

    def _work(self, user: User, name: str) -> None:
        key = str(uuid4())

        def worker(at: User) -> Worker:
            return Worker(at, name, [self.model], popped=_POPPED)

        taken = self._settled(user, lambda u: worker(u).pop(idempotencyKey=key))
        if taken["__typename"] != "ImageAssignment":
            return
        self._settled(user, lambda u: worker(u).deliver(taken, "CENSORED"))
        with self._lock:
            self.delivered.append(taken["leaseId"])

    def _settled(self, user: User, ask: Callable[[User], Any]) -> Any:
        """Ask until somebody answers for good: whoever is refused for now tries the next process."""
        deadline = time.monotonic() + 40
        for url in itertools.cycle([None, *range(8)]):
            at = self.urls[(url or 0) % len(self.urls)]
            reason: object
            try:
                return ask(User(user.id, user.alias, user.key, Api(at, user.key)))
            except Refusal as refusal:
                if refusal.code not in _AGAIN:
                    raise
                reason = refusal.code
            except (OSError, http.client.HTTPException) as error:
                reason = type(error).__name__
            except AssertionError as error:  # a query or a mutation answered by errors at the top level
                if not any(f"'{code}'" in str(error) for code in _AGAIN):
                    raise
                reason = str(error)
            assert time.monotonic() < deadline, f"nobody answers: {reason}"
            time.sleep(0.05)
        raise AssertionError


class Promises:
    """Commands with idempotency keys, of every kind that an older program had, to be asked again and again."""

    def __init__(self, user: User, other: User) -> None:
        self.jobs: set[str] = set()
        self._user = user
        self._other = other
        self._delivered = ""
        self._model = unique("model")
        self._keys = [str(uuid4()) for _ in range(4)]

    def asked(self, url: str) -> list[Any]:
        """The answers, which must be the same each time."""
        user = User(self._user.id, self._user.alias, self._user.key, Api(url, self._user.key))
        job, pop, result, transfer = self._keys
        submitted = submit(user.api, models=[self._model], params={"n": 2}, idempotencyKey=job)
        self.jobs.add(submitted.id)
        worker = Worker(user, self._model, [self._model], popped=_POPPED)
        taken = worker.pop(amount=2, idempotencyKey=pop)
        assert taken["__typename"] == "ImageAssignment", taken
        self._delivered = self._delivered or taken["generations"][0]["id"]
        delivered = {
            "generationId": self._delivered,
            "state": "CENSORED",
        }  # the other one keeps the lease open
        told = worker.report(taken["leaseId"], delivered, idempotencyKey=result)
        moved = user.transfer(self._other.alias, "0.01", transfer)
        return [submitted.id, taken["leaseId"], told, moved["position"]]


def upgrade(old: Path, variables: dict[str, str], logs: Path, *, idle_notice: bool) -> None:
    """The whole way, with a load on it; `idle_notice`: the old program's relay and actors notice without a command."""
    changes = trees.versions_of(old) != trees.versions_of(CHECKOUT)
    with contextlib.ExitStack() as running:

        def start(name: str, tree: Path, *arguments: str) -> Process:
            if arguments == ("serve",):
                process: Process = ApiProcess(logs / name, variables, checkout=tree)
            else:
                process = Process(logs / name, *arguments, variables=variables, checkout=tree)
            running.callback(process.stop)
            return process

        for step in ("migrate", "seed"):
            run_cli(step, variables=variables, checkout=old)
        first = start("old-api", old, "serve")
        assert isinstance(first, ApiProcess)
        first.wait()
        others = [start("old-relay", old, "relay"), start("old-actors", old, "actors", "run")]
        users = [register(Api(first.url, None), f"user{number}") for number in range(4)]
        client = json.loads(variables["HOARD_SEED_KEYS"])["client"]
        bank = User("", "", client, Api(first.url, client))
        run_cli(
            "grant", bank.me()["username"], "400000", "--reason", "load", variables=variables, checkout=old
        )
        for user in users:
            bank.transfer(user.alias, "100000")
        before = Promises(users[0], users[1])
        answers = before.asked(first.url)
        with Crowd(users, unique("model")) as crowd:
            crowd.goes_on(40)
            second = start("new-api", CHECKOUT, "serve")
            assert isinstance(second, ApiProcess)
            crowd.urls.append(second.url)
            if changes:
                eventually(lambda: "waits_for_hoard_migrate" in second.said(), 30, "the new one stands by")
                assert second.health() is None
            crowd.goes_on(20)
            run_cli("migrate", variables=variables)
            second.wait()
            start("new-relay", CHECKOUT, "relay")
            assert before.asked(second.url) == answers, "what an older program answered is repeated"
            if changes:
                crowd.urls.reverse()
                status = first.popen.wait(20)
                assert status != 0, "a supervisor that restarts only what failed must restart it"
                assert "live projections are" in first.said()
                for process in others:
                    assert process.popen.wait(20) == 1 if idle_notice else process.stop() is not None
            else:
                crowd.goes_on(40)
                assert first.popen.poll() is None
                first.stop()
            crowd.goes_on(60)
        assert not crowd.problems
        check(variables, crowd, second, before.jobs)


def check(variables: dict[str, str], crowd: Crowd, server: ApiProcess, before: set[str]) -> None:
    """Everything promised is there, once; log and projections are clean."""
    made = before.union(crowd.jobs)
    with psycopg.connect(variables["HOARD_DATABASE_URL"]) as connection:

        def count(kind: str) -> int:
            row = connection.execute("SELECT count(*) FROM log.event WHERE type = %s", (kind,)).fetchone()
            return int(row[0]) if row else 0

        assert count("kudos.KudosTransferred") == crowd.transfers + len(crowd.users) + 1
        assert len(made) == len(before) + len(crowd.jobs)
        assert count("jobs.ImageJobSubmitted") == len(made)
        jobs = connection.execute("SELECT id::text FROM projections.jobs").fetchall()
        assert {job for (job,) in jobs} == made
        assert min(crowd.transfers, len(crowd.delivered)) > 0
        open_leases = connection.execute("SELECT id::text FROM projections.leases WHERE state <> 'SETTLED'")
        assert not {lease for (lease,) in open_leases} & set(crowd.delivered)
    assert json.loads(run_cli("log", "verify", "--json", variables=variables))["clean"]
    report = json.loads(run_cli("projections", "verify", "--json", variables=variables))
    assert report["clean"], report
    for user in crowd.users:
        seen = User(user.id, user.alias, user.key, Api(server.url, user.key)).me()
        assert seen["id"] == user.id != NOBODY, "keys go on working"


def test_the_released_version_is_upgraded_under_load(variables: dict[str, str], tmp_path: Path) -> None:
    old = trees.released(tmp_path / "released")
    if isinstance(old, str):
        pytest.skip(old)
    upgrade(old, variables, tmp_path, idle_notice=False)


@pytest.mark.slow
def test_a_projection_that_loses_a_column_is_replaced_under_load(
    variables: dict[str, str], tmp_path: Path
) -> None:
    old = trees.with_a_column_more(tmp_path / "before")
    assert trees.versions_of(old)["accounts"] == trees.versions_of(CHECKOUT)["accounts"] - 1
    upgrade(old, variables, tmp_path, idle_notice=True)


@pytest.mark.slow
def test_a_program_that_is_too_old_does_not_serve(variables: dict[str, str], tmp_path: Path) -> None:
    run_cli("migrate", variables=variables)
    old = trees.with_a_column_more(tmp_path / "before")
    process = ApiProcess(tmp_path / "api", variables, checkout=old)
    try:
        assert process.popen.wait(30) == 1
        assert "live projections are" in process.said()
    finally:
        process.stop()
