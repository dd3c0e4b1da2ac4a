"""Calls that wait: a poll for a job, a submission for its end; through several API processes, and free while idle."""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.platform.settings import Settings
from tests.acceptance.horde import Horde, User, Worker, refused, unique
from tests.acceptance.processes import ApiProcess, eventually
from tests.acceptance.wires import Api

POLLS = 40


@pytest.fixture(scope="module")
def second(horde: Horde, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """Another API process on the same log."""
    process = ApiProcess(tmp_path_factory.mktemp("second") / "api.log", horde.variables).wait()
    yield process
    process.stop()


def at(user: User, process: ApiProcess) -> User:
    """The same user, who asks another process."""
    return User(user.id, user.alias, user.key, Api(process.url, user.key))


def instants(horde: Horde, after: int, kind: str) -> dict[str, datetime]:
    """When something happened to each job, by the database's clock."""
    return {
        event["data"]["job"]: datetime.fromisoformat(event["occurredAt"])
        for event in horde.events(after, [kind])
    }


def test_a_job_submitted_through_one_process_wakes_a_poll_at_the_other_at_once(
    horde: Horde, second: ApiProcess, alice: User, bob: User, model: str
) -> None:
    there, start = at(horde.promote(bob, "trusted"), second), horde.position()
    with ThreadPoolExecutor(1) as pool:
        for number in range(9):
            waiting = pool.submit(there.worker(model, name=unique("waits")).pop, waitSeconds=20)
            time.sleep(0.4)
            job = alice.submit(f"number {number}", models=[model])
            taken = waiting.result(20)
            assert taken["jobId"] == job.id
            there.worker(model).release(taken["leaseId"])
            job.cancel()
    submitted = instants(horde, start, "jobs.ImageJobSubmitted")
    leased = instants(horde, start, "jobs.GenerationsLeased")
    late = sorted((leased[job] - submitted[job]).total_seconds() for job in leased)
    assert len(late) == 9
    assert statistics.median(late) <= 0.1, late


def transactions(horde: Horde, seconds: float) -> int:
    """What all processes committed or rolled back in a while."""
    settings = Settings.from_env(horde.variables)
    counted = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(settings.database_url, autocommit=True) as connection:

        def read() -> int:
            row = connection.execute(counted).fetchone()
            assert row is not None
            return int(row[0])

        before = read()
        time.sleep(seconds)
        return read() - before


@pytest.mark.slow
def test_waiting_polls_of_two_processes_cost_the_database_nothing_and_no_herd_comes_of_a_job(
    horde: Horde, second: ApiProcess, alice: User, bob: User, model: str
) -> None:
    owners = [bob, at(bob, second)]
    workers = [Worker(owners[n % 2], unique("idle"), [model]) for n in range(POLLS)]
    for worker in workers:
        worker.skipped()
    horde.quiet()
    time.sleep(1.5)
    idle = transactions(horde, 4.0)
    with ThreadPoolExecutor(POLLS) as pool:
        polls = [pool.submit(worker.pop, waitSeconds=30) for worker in workers]
        time.sleep(3.0)
        # The database counts late, up to ten seconds, what a connection did before it fell idle.
        waiting: list[int] = []
        while len(waiting) < 4 and min(waiting, default=idle + 21) > idle + 20:
            waiting.append(transactions(horde, 4.0))
        assert not any(poll.done() for poll in polls)
        assert min(waiting) <= idle + 20, (idle, waiting)
        job = alice.submit(models=[model], params={"n": 3})
        eventually(lambda: sum(poll.done() for poll in polls) == 3, 5, "three are served")
        told = [poll.result(40) for poll in polls]
    for worker, answer in zip(workers, told, strict=True):
        if "leaseId" in answer:
            worker.release(answer["leaseId"])
    job.cancel()
    assert sorted(answer.get("jobId", "") for answer in told) == [""] * (POLLS - 3) + [job.id] * 3


# ------------------------------------------------------------------ submitting


def test_one_call_submits_a_job_and_brings_its_end(horde: Horde, alice: User, bob: User, model: str) -> None:
    worker = bob.worker(model)
    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(worker.pop, waitSeconds=20)
        time.sleep(0.3)
        waiting = ThreadPoolExecutor(1).submit(alice.submit, models=[model], waitSeconds=30)
        taken = serving.result(20)
        assert not waiting.done()
        worker.deliver(taken)
        job = waiting.result(10).job
    assert (job["state"], job["generations"][0]["state"]) == ("DONE", "DONE")
    assert job["charged"] == job["quote"]["total"]
    assert job["generations"][0]["imageUrl"]


def test_a_repeated_submission_waits_again_whatever_it_says_of_waiting(
    horde: Horde, second: ApiProcess, alice: User, bob: User, model: str
) -> None:
    given: dict[str, Any] = {"models": [model], "idempotencyKey": str(uuid4())}
    started = time.monotonic()
    first = alice.submit(**given, waitSeconds=1)
    assert 0.9 < time.monotonic() - started < 4
    assert first.job["state"] == "WAITING"
    assert alice.submit(**given).id == first.id, "without waiting"
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(at(alice, second).submit, **given, waitSeconds=30)
        time.sleep(0.5)
        assert not again.done()
        bob.worker(model).serve()
        assert (again.result(10).id, again.result().job["state"]) == (first.id, "DONE")
    started = time.monotonic()
    assert alice.submit(**given, waitSeconds=60).job["state"] == "DONE"
    assert time.monotonic() - started < 3, "at once: it has ended"


def test_a_job_that_is_cancelled_meanwhile_ends_the_wait(alice: User, model: str) -> None:
    key = str(uuid4())
    first = alice.submit(models=[model], idempotencyKey=key)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(alice.submit, models=[model], idempotencyKey=key, waitSeconds=30)
        time.sleep(0.4)
        first.cancel()
        assert waiting.result(5).job["state"] == "CANCELLED"


@pytest.mark.parametrize("seconds", [-1, 61, 2**31 - 1])
def test_nobody_waits_longer_than_a_minute(horde: Horde, alice: User, model: str, seconds: int) -> None:
    start = horde.position()
    with refused("INVALID_INPUT", "input", "waitSeconds") as refusal:
        alice.submit(models=[model], waitSeconds=seconds)
    assert "60" in refusal.result["message"]
    assert not [e for e in horde.events(start, ["jobs.ImageJobSubmitted"]) if e["subject"] == alice.id]


def test_a_null_is_no_wait(alice: User, model: str) -> None:
    started = time.monotonic()
    alice.submit(models=[model], waitSeconds=None).cancel()
    assert time.monotonic() - started < 3
