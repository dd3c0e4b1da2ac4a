"""The control surface, on a worker that runs against a stand-in: status, pause, resume, set, stop, and who may ask."""

import asyncio
import json
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from click.testing import CliRunner

from clients.commands import worker_command
from clients.worker.backends import Abilities, Picture
from clients.worker.control import Answer, ControlError, ControlServer, Request, ask, socket_of
from clients.worker.crafts.images import Images
from clients.worker.live import LiveSettings
from clients.worker.service import Plan, key_of, work
from clients.worker.settings import Settings, SettingsError
from tests.unit.clients.stand_in import ACCEPTED, HASTY_PACING, NO_JOB, RELEASED, standing_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        server.on("releaseLease", RELEASED)
        server.on("submitResult", ACCEPTED)
        yield server


class Gate:
    """A backend that draws when it is let."""

    confession = "draws nothing"
    abilities = Abilities()

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def generate(self, task):
        await self.open.wait()
        return Picture(body=b"picture", seed=task.seed)

    async def close(self):
        pass


@asynccontextmanager
async def running(server, tmp_path, *, settings: str = "", backend=None):
    """A whole worker with a file; yields (file, the control socket, lines). It is stopped in the end."""
    file = tmp_path / "w.toml"
    file.write_text(f'name = "w"\nurl = "{server.url}"\nkey = "secret-key"\nwait_seconds = 0\n{settings}')
    live = LiveSettings(file, {})
    pacing = msgspec.structs.replace(HASTY_PACING, reread=0.02)
    plan = Plan(live=live, craft=Images(backend or Gate()), key=key_of(live.current), pacing=pacing)
    lines: list[str] = []
    task = asyncio.create_task(work(plan, lines.append))
    path = plan.control
    assert path is not None
    await until(lambda: task.done() or answering(path))
    try:
        yield file, path, lines
    finally:
        with suppress(ControlError):  # it may be about to end
            await told(path, "stop")
        assert await asyncio.wait_for(task, 10) == 0


def answering(path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def offered(server) -> dict:
    """The capabilities of the last poll."""
    return (server.inputs("popJob") or [{"image": {"models": [], "threads": 0, "blacklist": []}}])[-1][
        "image"
    ]


async def told(path, do: str, **more) -> Answer:
    return await asyncio.to_thread(ask, path, Request(do=do, **more))


async def test_the_standing_tells_what_is_held_and_nothing_secret(server, tmp_path):
    job = server.assignment(2)
    server.on("popJob", job, NO_JOB)
    backend = Gate()
    async with running(server, tmp_path, settings="threads = 3\n", backend=backend) as (_, path, _):
        await until(lambda: server.inputs("popJob"))
        async with asyncio.timeout(10):
            while (standing := (await told(path, "status")).standing).doing != 2:
                await asyncio.sleep(0.005)
        assert (standing.name, standing.state, standing.threads) == ("w", "working", 3)
        (lease,) = standing.leases
        assert (lease.lease, lease.job, lease.begun, lease.undone) == (job["leaseId"], job["jobId"], True, 2)
        backend.open.set()
        async with asyncio.timeout(10):
            while (standing := (await told(path, "status")).standing).leases:
                await asyncio.sleep(0.005)
        assert (standing.state, standing.delivered, standing.earned) == ("waiting", 2, "20.00")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "secret" not in json.dumps(msgspec.to_builtins(standing))
    assert not path.exists()


async def test_a_paused_worker_finishes_what_is_begun_gives_back_what_is_not_and_takes_no_more(
    server, tmp_path
):
    begun, ahead = server.assignment(), server.assignment()
    server.on("popJob", begun, ahead, NO_JOB)
    backend = Gate()
    async with running(server, tmp_path, settings="queue_ahead = 1\n", backend=backend) as (_, path, lines):
        async with asyncio.timeout(10):
            while len((await told(path, "status")).standing.leases) != 2:
                await asyncio.sleep(0.005)
        assert (await told(path, "pause")).standing.state == "paused"
        await until(lambda: server.inputs("releaseLease"))
        assert server.inputs("releaseLease") == [{"leaseId": ahead["leaseId"]}]
        backend.open.set()
        await until(lambda: server.inputs("submitResult"))
        assert server.inputs("submitResult")[0]["leaseId"] == begun["leaseId"]
        polls = len(server.inputs("popJob"))
        await asyncio.sleep(0.1)
        assert len(server.inputs("popJob")) == polls
        assert (await told(path, "resume")).standing.state == "waiting"
        await until(lambda: len(server.inputs("popJob")) > polls)
    assert any("paused" in line for line in lines)


async def test_a_setting_by_hand_reaches_the_next_poll_and_the_file_if_saved(server, tmp_path):
    server.on("popJob", NO_JOB)
    async with running(server, tmp_path) as (file, path, _):
        answer = await told(path, "set", key="models", value="a,b", save=True)
        assert answer.said == ('models is now ["a", "b"]',)
        await until(lambda: offered(server)["models"] == ["a", "b"])
        assert 'models = ["a", "b"]' in file.read_text()
        await told(path, "set", key="threads", value="4")
        await until(lambda: offered(server)["threads"] == 4)
        assert "threads" not in file.read_text()
        (problem,) = (await told(path, "set", key="threads", value="444")).problems
        assert (problem.code, problem.key) == ("INVALID_SETTING", "threads")


async def test_a_changed_file_is_taken_while_running_and_a_faulty_one_is_not(server, tmp_path):
    server.on("popJob", NO_JOB)
    async with running(server, tmp_path) as (file, _, lines):
        good = file.read_text()
        file.write_text(good + "threads = 0\nnames = 1\n")
        await until(lambda: any("not taken" in line for line in lines))
        assert [line for line in lines if line.startswith("  ")] == [
            "  threads: Expected `int` >= 1",
            "  names: there is no such setting; did you mean name?",
        ]
        file.write_text(good + 'blacklist = ["badword"]\n')
        await until(lambda: offered(server)["blacklist"] == ["badword"])


async def test_only_one_worker_listens_and_a_dead_ones_socket_is_no_hindrance(server, tmp_path):
    server.on("popJob", NO_JOB)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "w.sock"))
    left.close()
    async with running(server, tmp_path) as (_, path, _):
        with pytest.raises(ControlError, match="another worker"):
            async with ControlServer(path, None):
                pass
        assert (await told(path, "status")).standing is not None, "the first still answers"


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b'{"do":"dance"}\n', b'{"do":"status","x":1}\n', b"\xff\n"])
async def test_what_is_no_request_is_refused(server, tmp_path, line):
    server.on("popJob", NO_JOB)
    async with running(server, tmp_path) as (_, path, _):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        (problem,) = msgspec.json.decode(await reader.readline(), type=Answer).problems
        writer.close()
    assert problem.code == "INVALID_REQUEST"


def test_where_a_worker_is_spoken_to(tmp_path):
    assert socket_of(tmp_path / "a.toml", "") == tmp_path / "a.sock"
    assert socket_of(tmp_path / "a.toml", "/run/b.sock").as_posix() == "/run/b.sock"
    assert socket_of(None, "") is None


async def test_the_commands_speak_to_it(server, tmp_path):
    server.on("popJob", NO_JOB)

    async def hoard(*arguments: str):
        return await asyncio.to_thread(CliRunner().invoke, worker_command, arguments)

    async with running(server, tmp_path) as (file, path, _):
        where = ("--config", str(file))
        assert "w (image): waiting, 0 of 1 threads at work" in (await hoard("status", *where)).output
        assert "w (image): paused" in (await hoard("pause", "--control", str(path))).output
        assert json.loads((await hoard(*where, "resume", "--json")).output)["standing"]["state"] == "waiting"
        assert (await hoard("set", "threads", "2", *where)).output == "threads is now 2\n"
        refused = await hoard("set", "threads", "many", *where)
        assert (refused.exit_code, "INVALID_SETTING: threads" in refused.output) == (2, True)
        assert (await hoard("stop", *where)).exit_code == 0
        await until(lambda: not path.exists())
    nobody = await hoard("status", *where, "--json")
    assert nobody.exit_code == 1
    assert json.loads(nobody.output)["problems"][0]["code"] == "NO_WORKER"


def test_a_new_file_is_written_once(tmp_path):
    path = tmp_path / "new.toml"
    arguments = ("init", "--name", "mine", "--config", str(path))
    assert CliRunner().invoke(worker_command, arguments).exit_code == 0
    assert LiveSettings(path, {}).current.name == "mine"
    assert CliRunner().invoke(worker_command, arguments).exit_code == 2


def test_the_key_may_be_in_a_file_of_its_own(tmp_path):
    (tmp_path / "key").write_text("abc\n")
    assert key_of(Settings(name="w", key_file=str(tmp_path / "key"))) == "abc"
    with pytest.raises(SettingsError, match="needs an account"):
        key_of(Settings(name="w"))
    with pytest.raises(SettingsError, match="cannot be read"):
        key_of(Settings(name="w", key_file=os.devnull + "/x"))


async def test_a_file_with_the_key_that_others_may_read_is_warned_of(server, tmp_path):
    server.on("popJob", NO_JOB)
    (tmp_path / "w.toml").touch(0o644)
    async with running(server, tmp_path) as (file, _, lines):
        assert any(f"chmod 600 {file}" in line for line in lines)
    assert not any("secret-key" in line for line in lines)
