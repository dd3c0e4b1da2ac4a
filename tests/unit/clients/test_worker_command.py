"""`hoard worker` on the command line: options, exit codes, signals."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from clients import commands
from clients.commands import worker_command
from clients.worker.backends.a1111 import WebUIBackend
from clients.worker.backends.procedural import ProceduralBackend
from tests.unit.clients.stand_in import ACCEPTED, NO_JOB, refusal, standing_in

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
STARTER = "from clients.commands import worker_command as c; c()"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def plans(monkeypatch):
    """What the command would have run."""
    taken = []

    async def work(plan, _say):
        taken.append(plan)
        return 0

    monkeypatch.setattr(commands, "work", work)
    monkeypatch.delenv("HOARD_API_KEY", raising=False)
    return taken


def test_the_default_worker_draws_patterns_and_serves_default_jobs(plans):
    assert CliRunner().invoke(worker_command, ["--name", "w", "--api-key", "k"]).exit_code == 0
    (plan,) = plans
    offer = plan.craft.offered(plan.settings)
    assert plan.craft.confession == ProceduralBackend.confession
    assert "no diffusion model" in plan.craft.confession
    assert offer.serves == ("procedural", "stable_diffusion")
    assert (plan.settings.url, offer.threads, plan.max_jobs) == ("http://127.0.0.1:8000", 1, None)
    assert offer.capabilities["nsfw"]
    assert offer.capabilities["allowPostProcessing"]


def test_options_reach_the_plan(plans):
    arguments = [
        "--name",
        "w",
        "--api-key",
        "k",
        "--backend",
        "a1111",
        "--models",
        "a, b",
        "--max-pixels",
        "262144",
    ]
    arguments += ["--no-nsfw", "--blacklist", "x,y ,", "--no-post-processing", "--threads", "3", "--once"]
    assert CliRunner().invoke(worker_command, arguments).exit_code == 0
    (plan,) = plans
    offer = plan.craft.offered(plan.settings)
    assert plan.craft.confession == WebUIBackend.confession
    assert offer.as_input()["image"] == {
        "models": ["a", "b"],
        "maxPixels": 262144,
        "nsfw": False,
        "blacklist": ["x", "y"],
        "allowPostProcessing": False,
        "threads": 3,
        "features": ["CLIP_SKIP", "HIRES_FIX", "LCM", "TILING"],
    }
    assert plan.max_jobs == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "w"],
        ["--api-key", "k"],
        ["--name", "w", "--api-key", "k", "--url", "ftp://x"],
        ["--name", "w", "--api-key", "k", "--threads", "0"],
        ["--name", "w", "--api-key", "k", "--backend", "a1111", "--a1111-url", "nonsense"],
    ],
    ids=["no key", "no name", "no address", "no thread", "no WebUI"],
)
def test_wrong_usage_ends_with_two(plans, arguments):
    assert CliRunner().invoke(worker_command, arguments).exit_code == 2
    assert plans == []


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, "--name", "w", *arguments),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOARD_API_KEY": "very-secret-key"},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_in_good_order(number):
    async with standing_in() as server:
        server.on("popJob", NO_JOB)
        process = await started("--url", server.url)
        async with asyncio.timeout(60):
            while not server.calls:
                await asyncio.sleep(0.02)
            process.send_signal(number)
            _, said = await process.communicate()
    assert process.returncode == 0
    assert b"stopping" in said


async def test_one_true_job_is_drawn_and_nothing_secret_is_said():
    async with standing_in() as server:
        server.on("popJob", server.assignment())
        server.on("submitResult", ACCEPTED)
        process = await started("--url", server.url, "--once")
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    assert process.returncode == 0
    (picture,) = server.pictures.values()
    assert picture[:4] == b"RIFF"
    assert b"draws patterns" in said
    assert b"secret" not in said


async def test_a_refused_worker_ends_with_two_and_the_reason():
    async with standing_in() as server:
        server.on("popJob", refusal("FORBIDDEN", "the name is another's", ("input", "workerName")))
        process = await started("--url", server.url)
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    assert process.returncode == 2
    assert b"FORBIDDEN: the name is another's (at input.workerName)" in said
