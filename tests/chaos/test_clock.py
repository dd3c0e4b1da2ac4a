"""The database's clock is set back and put right: time in the log never runs backwards, and every lease ends, none early."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.acceptance.horde import final
from tests.acceptance.processes import eventually
from tests.chaos.world import World

LOG_TIMES = "SELECT occurred_at FROM log.event ORDER BY position"
LEASE = "SELECT state, expires_at FROM projections.leases WHERE id = %(id)s"


@pytest.fixture
def clock(world: World) -> Iterator[World]:
    """A world whose clock is right again after the test."""
    yield world
    world.set_clock("0")


def lease(world: World, key: str) -> tuple[str, datetime]:
    (row,) = world.rows(LEASE, {"id": key})
    return row[0], row[1]


def test_time_stands_still_while_the_clock_is_behind(clock: World) -> None:
    horde = clock.horde
    user, worker = horde.register("user", "100"), horde.register("owner").worker("a model with a clock")
    user.submit(models=worker.models)
    before = worker.take()["leaseId"]
    clock.set_clock("-1 hour")

    job = user.submit(models=worker.models)
    during = worker.take()
    times = [at for (at,) in clock.rows(LOG_TIMES)]
    assert times == sorted(times), "it never runs backwards"
    state, expires_at = lease(clock, during["leaseId"])
    assert expires_at - times[-1] >= timedelta(seconds=150), "a lease has its whole length of the log's time"
    assert datetime.fromisoformat(during["expiresAt"]) == expires_at
    time.sleep(2.5)  # two sweeps
    assert {lease(clock, key)[0] for key in (before, during["leaseId"])} == {"LIVE"}, "none ends early"
    assert worker.extend(before)["expiresAt"]
    worker.deliver(during)
    assert final(job)["state"] == "DONE", "everything else goes on"

    clock.set_clock("2 minutes")
    time.sleep(2.5)
    assert lease(clock, before)[0] == "LIVE"
    clock.set_clock("20 minutes")
    eventually(lambda: lease(clock, before)[0] == "EXPIRED", 20, "it ends once the clock has caught up")
    assert state == "LIVE"
    times = [at for (at,) in clock.rows(LOG_TIMES)]
    assert times == sorted(times)


@pytest.mark.slow
def test_a_call_sent_by_a_clock_that_was_ahead_is_sent_again(clock: World) -> None:
    horde = clock.horde
    user, worker = horde.register("user", "100"), horde.register("owner").worker("a model ahead of time")
    clock.kill("actors")
    try:
        clock.set_clock("10 minutes")
        job = user.submit(models=worker.models, share=True)
        worker.serve()
        eventually(
            lambda: clock.rows("SELECT FROM relay.reaction WHERE attempts > 0 AND completed_by IS NULL"),
            10,
            "the call is sent",
        )
        clock.flush_valkey()
        clock.set_clock("0")
    finally:
        clock.revive("actors")
    eventually(
        lambda: job.now()["generations"][0]["sha256"], 20, "the call is sent again, not in ten minutes"
    )
