"""A server of its own for whoever means it harm, and what must hold after every attempt.

After each test the API process lives, answers at once, and its log holds no traceback and no internal error. Modules
whose attempts must change nothing use `nothing_happens`. Look next: `tests/hostile/sockets.py`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.decider import CancelJob
from tests.acceptance.conftest import tidy
from tests.acceptance.horde import Horde
from tests.acceptance.processes import Process
from tests.own_servers import *  # noqa: F403 - fixtures

#: what no process may write, whatever is sent to it
FORBIDDEN = ("Traceback", '"trace"', "internal_error", "Exception in ASGI", '"level":"CRITICAL"')
#: seconds that a simple query may take beside an attack
PROMPT = 1.0


@pytest.fixture(autouse=True)
def unhurt(horde: Horde) -> Iterator[None]:
    """Whatever was tried, the server is as well as before."""
    logs = {path: path.stat().st_size for path in horde.log_folder.glob("*.log")}
    yield
    assert horde.process.popen.poll() is None, horde.process.said()[-3000:]
    answers_promptly(horde)
    for path, size in logs.items():
        said = path.read_bytes()[size:].decode(errors="replace")
        assert not [word for word in FORBIDDEN if word in said], said[-3000:]


@pytest.fixture(scope="module")
def nothing_happens(request: pytest.FixtureRequest, horde: Horde) -> Iterator[None]:
    """What a module tries leaves the log of events as it was.

    Nothing of an earlier module may move it in its midst: neither a request that was given up by who made it and is under
    way yet, on a busy machine for a while, nor a job that waits. One with sources at addresses where nobody answers would be
    given up, one for any model be cancelled by the fixture that makes room before each test.
    """
    horde.quiet(2.0)
    tidy(
        request,
        "SELECT id FROM projections.jobs WHERE ended_at IS NULL",
        lambda job: CancelJob(job=job),
    )
    before = horde.quiet()
    yield
    assert horde.quiet() == before, [event["type"] for event in horde.events(before)]


def answers_promptly(horde: Horde) -> None:
    """One query of five, since the machine may be busy with other things."""
    taken: list[float] = []
    while not taken or taken[-1] >= PROMPT:
        assert len(taken) < 5, taken
        began = time.monotonic()
        assert horde.anonymous.ask("{ hordeStatus { __typename } }")
        taken.append(time.monotonic() - began)


def resident(process: Process) -> int:
    """Memory of a process without what it shares with files, in bytes: a fork maps its program bit by bit."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
