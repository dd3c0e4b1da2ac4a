"""The real worker and the real client against the real server, through restarts and sudden deaths."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.horde import Horde, Submitted, User, final, unique
from tests.acceptance.processes import CHECKOUT, ApiProcess, Process, environment, eventually, run_cli
from tests.acceptance.wires import Api


@contextlib.contextmanager
def worker(
    url: str, owner: User, model: str, log: Path, *more: str, name: str | None = None
) -> Iterator[Process]:
    """`hoard worker` for one model, ended with the test."""
    arguments = ("worker", "--url", url, "--name", name or unique("real"), "--models", model, *more)
    process = Process(log, *arguments, variables={"HOARD_API_KEY": owner.key})
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.stop()


def generate(url: str, key: str, *arguments: str) -> dict[str, Any]:
    """`hoard generate --json`, which must succeed."""
    found: dict[str, Any] = json.loads(
        run_cli("generate", *arguments, "--url", url, "--json", variables={"HOARD_API_KEY": key}, timeout=90)
    )
    return found


def states(job: Submitted) -> list[str]:
    return [generation["state"] for generation in job.now()["generations"]]


def test_i_generate_pictures_with_one_command(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    with worker(horde.url, bob, model, tmp_path / "worker.log") as serving:
        told = generate(
            horde.url, alice.key, "a lighthouse at dusk", "--model", model, "--n", "2", "--share",
            *("--width", "512", "--height", "448", "--out", str(tmp_path / "out")),
        )  # fmt: skip
        assert (told["state"], told["charged"]) == ("DONE", told["quote"]["total"])
        for made in told["pictures"]:
            with Image.open(made["path"]) as opened:
                assert opened.size == (512, 448)
        assert serving.stop() == 0
    job = Submitted(alice.api, {"job": {"id": told["job"]}, "accessKey": told["accessKey"]})
    eventually(lambda: all(g["sha256"] for g in job.now()["generations"]), 20, "both are shared")
    assert bob.kudos > 0
    said = serving.said()
    assert "lighthouse" not in said
    assert bob.key not in said


def test_i_am_told_by_code_and_place_what_is_wrong_with_my_wish(horde: Horde, alice: User) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "generate", "x", "--width", "65", "--url", horde.url, "--json"],
        cwd=CHECKOUT,
        env=environment({"HOARD_API_KEY": alice.key}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    told = json.loads(done.stdout)["error"]
    assert (told["code"], told["path"]) == ("INVALID_INPUT", ["input", "params", "width"])


def test_what_a_killed_worker_held_is_not_lost(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    job = alice.submit(models=[model], params={"n": 8, "width": 1024, "height": 1024})
    with worker(horde.url, bob, model, tmp_path / "dying.log", "--amount", "8") as dying:
        eventually(lambda: "PROCESSING" in states(job), 30, "the worker has a lease")
        dying.popen.kill()
        dying.popen.wait()
    (lease,) = [
        event["data"]["lease"]
        for event in horde.events(types=["jobs.GenerationsLeased"])
        if event["data"]["job"] == job.id
    ]
    bob.worker(model).release(lease)
    assert set(states(job)) <= {"WAITING", "DONE"}
    with worker(horde.url, bob, model, tmp_path / "heir.log", "--amount", "8"):
        assert final(job, 60)["state"] == "DONE"
    assert job.now()["charged"] == job.job["quote"]["total"]


def leases_of(horde: Horde, job: Submitted) -> list[str]:
    events = horde.events(types=["jobs.GenerationsLeased"])
    return [event["data"]["lease"] for event in events if event["data"]["job"] == job.id]


def test_a_killed_worker_goes_on_with_its_lease_once_it_is_back(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    name = unique("phoenix")
    job = alice.submit(models=[model], params={"n": 8, "width": 1024, "height": 1024})
    with worker(horde.url, bob, model, tmp_path / "dying.log", "--amount", "8", name=name) as dying:
        eventually(lambda: leases_of(horde, job), 30, "the worker has a lease")
        dying.popen.kill()
        dying.popen.wait()
    assert "PROCESSING" in states(job)
    with worker(horde.url, bob, model, tmp_path / "again.log", "--amount", "8", "--once", name=name) as again:
        assert final(job, 60)["state"] == "DONE"
        assert again.popen.wait(20) == 0, "the old lease was its one"
    assert "is from before: going on with it" in again.said()
    assert set(states(job)) == {"DONE"}
    (lease,) = leases_of(horde, job)
    delivered = horde.events(types=["jobs.GenerationDelivered"])
    assert [e["data"]["lease"] for e in delivered if e["data"]["job"] == job.id] == [lease] * 8
    assert job.now()["charged"] == job.job["quote"]["total"]


def test_what_a_restarted_worker_is_no_longer_for_is_given_back(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    name = unique("changed")
    job = alice.submit(models=[model])
    bob.worker(model, name=name).take()
    with worker(horde.url, bob, "another model", tmp_path / "worker.log", name=name):
        eventually(lambda: states(job) == ["WAITING"], 20, "the lease is released")
    job.cancel()


def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_drawn(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    job = alice.submit(models=[model], params={"n": 12, "width": 1024, "height": 1024})
    with worker(horde.url, bob, model, tmp_path / "worker.log", "--amount", "12") as serving:
        eventually(lambda: "PROCESSING" in states(job), 30, "the worker has a lease")
        assert serving.stop(signal.SIGTERM, 30) == 0
    assert "PROCESSING" not in states(job), "nothing is left to run out"
    left = states(job).count("WAITING")
    assert left > 0
    held = [e for e in horde.events(types=["jobs.LeaseReleased"]) if e["data"]["job"] == job.id]
    assert [len(event["data"]["generations"]) for event in held] == [left]
    job.cancel()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_worker_outlives_a_restart_of_the_server(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path, how: signal.Signals
) -> None:
    server = ApiProcess(tmp_path / "api.log", horde.variables).wait()
    try:
        mine = Api(server.url, alice.key)
        with worker(server.url, bob, model, tmp_path / "worker.log") as serving:
            first = User(alice.id, alice.alias, alice.key, mine).submit(models=[model])
            assert final(Submitted(alice.api, first.answer), 40)["state"] == "DONE"
            server.stop(how)
            second = alice.submit(models=[model])
            server = ApiProcess(tmp_path / "api.log", horde.variables, server.port).wait()
            assert final(second, 60)["state"] == "DONE"
            assert serving.popen.poll() is None
    finally:
        server.stop()
