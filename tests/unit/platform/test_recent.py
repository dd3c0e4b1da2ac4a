"""Rows at hand: moved on by what others appended, and dropped whenever they might be wrong."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.accounts.decider import OpenRealm, TransferKudos
from app.jobs.decider import CancelJob
from app.platform.writer.recent import Recent
from projections.registry import INLINE
from tests.factories import check_in, grant, pop, register, submit, uid
from tests.model import MemoryLog

ALICE, BOB, WORKER = uid(1), uid(2), uid(0x100)


@pytest.fixture
def log() -> MemoryLog:
    """Two people with kudos, a worker of Bob's."""
    made = MemoryLog()
    made.run(OpenRealm())
    for user in (ALICE, BOB):
        made.run(register(user, user.int))
        made.run(grant(user, 100_000))
    made.run(check_in(WORKER, BOB))
    return made


def rows_of(log: MemoryLog) -> dict[str, list[Any]]:
    return {p.name: list(log.state[p.name].values()) for p in INLINE}


def at_hand(log: MemoryLog) -> Recent:
    """All rows of a log, as if they had just been read under the lock."""
    made = Recent()
    made.put(rows_of(log), log.events[-1].position, log.events[-1].hash)
    return made


def since(log: MemoryLog, position: int) -> list[Any]:
    return [event for event in log.events if event.position >= position]


def test_what_others_did_is_folded_in(log: MemoryLog):
    job = log.run(submit(ALICE, n=2)).job
    rows = at_hand(log)
    position = log.events[-1].position
    log.run(pop(WORKER, BOB))
    log.run(TransferKudos(source=ALICE, target=BOB, amount=100))
    log.run(CancelJob(job=job))
    rows.catch_up(since(log, position))
    assert rows.position == log.events[-1].position
    for name, expected in rows_of(log).items():
        if name != "leases":  # the new one was not at hand, and is read when it is needed
            assert [rows.get(name, row.id) for row in expected] == expected
    assert rows.generations_of(job) == log.generations_of(job)
    assert [rows.get("leases", row.id) for row in rows_of(log)["leases"]] == [None]


@pytest.mark.parametrize("why", ["another log", "too far", "a newer program"])
def test_rows_that_might_be_wrong_are_dropped(log: MemoryLog, why: str):
    rows = at_hand(log)
    position = log.events[-1].position
    log.run(TransferKudos(source=ALICE, target=BOB, amount=100))
    events = since(log, position)
    if why == "another log":
        events[0] = msgspec.structs.replace(events[0], hash=b"other")
    elif why == "too far":
        events = events[1:]
    else:
        events[1] = msgspec.structs.replace(events[1], type="accounts.Tomorrow")
    rows.catch_up(events)
    assert rows.position is None
    assert rows.get("accounts", ALICE) is None


def test_a_job_and_its_generations_stay_and_go_together(log: MemoryLog):
    jobs: list[UUID] = []
    rows = Recent(12)
    for number in range(30):
        jobs.append(log.run(submit(ALICE, n=3)).job)
        working_set = log._gather([], everything=True)
        for table in working_set.tables.values():
            table.clear()
        job = log.jobs()[jobs[-1]]
        working_set.put("jobs", [job])
        working_set.put("generations", log.generations_of(job.id))
        rows.keep(working_set, log.events[-1].position, log.events[-1].hash)
        rows.get("jobs", jobs[0])  # always in use, so never dropped
        log.run(CancelJob(job=jobs[-1])) if number else None
    there = [job for job in jobs if rows.get("jobs", job) is not None]
    assert jobs[0] in there
    assert jobs[-1] in there
    assert len(there) < 12
    assert 12 < len(rows) < 50  # of more than 120
    assert all(len(rows.generations_of(job)) == 3 and None not in rows.generations_of(job) for job in there)
