"""The embedded stack with its real servers: start, stop, crashes, kill -9, a folder taken up again."""

import contextlib
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from minio import Minio

from app.embedded.errors import FolderInUseError
from app.embedded.folder import DataFolder, port_is_free
from app.embedded.postgres import Postgres
from app.embedded.process import processes_in
from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings

CHECKOUT = Path(__file__).parents[2]
UP = Path(__file__).with_name("embedded_up.py")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for leftovers in /proc")


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def minio(settings: Settings) -> Minio:
    return Minio(
        settings.s3_url.removeprefix("http://"),
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        secure=False,
    )


def write_everywhere(settings: Settings, text: str) -> None:
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url) as connection:
        connection.execute("CREATE TABLE kept (note text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [text])
    with redis.Redis.from_url(settings.redis_url) as valkey:
        valkey.set("kept", text)
    minio(settings).put_object("results", "kept", io.BytesIO(text.encode()), len(text))


def read_everywhere(settings: Settings) -> list[str]:
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url) as connection:
        row = connection.execute("SELECT note FROM kept").fetchone()
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as valkey:
        cached = valkey.get("kept")
    answer = minio(settings).get_object("results", "kept")
    with contextlib.closing(answer):
        stored = answer.read().decode()
        answer.release_conn()
    assert row is not None
    return [row[0], str(cached), stored]


class Run:
    """One `up` in a process of its own, with a mark in the environment by which its children are found."""

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.mark = f"STACK_TEST_MARK={uuid.uuid4().hex}"
        self.ready_file = data.parent / f"ready-{data.name}-{self.mark[-6:]}.json"
        self.output = self.ready_file.with_suffix(".out")
        with self.output.open("wb") as output:
            name, value = self.mark.split("=")
            self.process = subprocess.Popen(
                [sys.executable, str(UP), str(port), str(data), str(self.ready_file)],
                env={**os.environ, name: value, "PYTHONPATH": str(CHECKOUT)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_ready(self) -> "Run":
        def ready() -> bool:
            assert self.process.poll() is None, self.text()
            return self.ready_file.exists()

        eventually(ready, 40, "ready file")
        return self

    def members(self) -> dict[int, str]:
        """Everything alive that this run started: pid and command line."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        for comm in ("postgres", "valkey-server", "weed"):  # PostgreSQL writes its title over its environment
            found |= dict.fromkeys(processes_in(self.data, comm), comm)
        return found

    def pid_of(self, ending: str) -> int:
        return next((pid for pid, line in self.members().items() if line.strip().endswith(ending)), 0)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path, unused_port: Callable[[], int]) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def starter(data: Path | None = None, port: int | None = None) -> Run:
        runs.append(Run(data or tmp_path / "data", port or unused_port()))
        return runs[-1]

    yield starter
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(40)


@pytest.fixture
def unused_port() -> Callable[[], int]:
    ports = iter(range(18000 + os.getpid() % 1000, 20000))
    return lambda: next(port for port in ports if port_is_free(port))


def test_two_stacks_run_side_by_side_and_stop_without_leftovers(tmp_path: Path) -> None:
    folders = (tmp_path / "one", tmp_path / "two")
    with contextlib.ExitStack() as running:
        stacks = [running.enter_context(contextlib.closing(_Closing(folder))) for folder in folders]
        first, second = (stack.settings for stack in stacks)
        write_everywhere(first, "first")
        write_everywhere(second, "second")
        assert read_everywhere(first) == ["first"] * 3
        assert read_everywhere(second) == ["second"] * 3
        with psycopg.connect(first.database_url) as connection:
            facts = connection.execute(
                "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            assert facts.fetchone() == ("hoard_app", False)
        assert (folders[0] / "secrets.json").stat().st_mode & 0o777 == 0o600
        with pytest.raises(FolderInUseError, match="owns the data folder"):
            EmbeddedStack(folders[0]).start()
    for folder in folders:
        assert [processes_in(folder, comm) for comm in ("postgres", "valkey-server", "weed")] == [[], [], []]


class _Closing:
    """A started stack with its settings."""

    def __init__(self, folder: Path) -> None:
        self.stack = EmbeddedStack(folder)
        self.settings = Settings.from_env(self.stack.start())

    def close(self) -> None:
        self.stack.stop()


def test_a_killed_server_keeps_its_data_and_its_port(tmp_path: Path) -> None:
    with contextlib.closing(_Closing(tmp_path / "data")) as running:
        write_everywhere(running.settings, "kept")
        for name in ("postgres", "valkey", "seaweedfs"):
            before = running.stack.pid(name)
            os.kill(before, signal.SIGKILL)
            running.stack.restart(name)
            assert running.stack.pid(name) != before
        assert read_everywhere(running.settings) == ["kept"] * 3


def test_up_reports_and_restarts_what_dies_and_stops_everything(start: Callable[..., Run]) -> None:
    run = start().wait_ready()
    ready = json.loads(run.ready_file.read_bytes())
    assert run.ready_file.stat().st_mode & 0o777 == 0o600
    assert ready["graphql"] == f"http://127.0.0.1:{run.port}/graphql"
    assert ready["subscriptions"] == f"ws://127.0.0.1:{run.port}/graphql"
    assert ready["keys"] == {name: ready[name] for name in ("operator", "client", "workerOwner")}
    assert all(len(key) == 22 for key in ready["keys"].values())

    victims = {"idle": " idle", "valkey": "valkey-server", "postgres": "postgres"}
    killed = {name: run.pid_of(ending) for name, ending in victims.items()}
    killed["postgres"] = int((run.data / "postgres/postmaster.pid").read_text().split()[0])
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    def unreported() -> list[str]:
        return [name for name in victims if f"{name} ended unexpectedly (SIGKILL)" not in run.text()]

    eventually(lambda: not unreported(), 5, "reports of all three deaths")
    eventually(lambda: run.pid_of(" idle") not in (0, killed["idle"]), 5, "idle again")
    eventually(lambda: processes_in(run.data, "valkey-server"), 5, "valkey again")
    eventually(lambda: processes_in(run.data, "postgres"), 5, "postgres again")
    eventually(
        lambda: all(f"{name} is back after" in run.text() for name in victims), 15, "reports of all returns"
    )
    assert run.text().count("is back after") == len(victims)

    second = start(data=run.data)
    assert second.process.wait(10) == 1
    assert "owns the data folder" in second.text()
    assert run.ready_file.exists()

    assert run.stop() == 0, run.text()
    assert run.members() == {}
    assert not run.ready_file.exists()


def test_kill_9_of_the_supervisor_leaves_nothing_and_loses_nothing(start: Callable[..., Run]) -> None:
    run = start().wait_ready()
    settings = _settings_of(run.data)
    write_everywhere(settings, "survives")
    assert len(run.members()) > 8
    run.process.kill()
    run.process.wait()

    again = start(data=run.data, port=run.port)  # at once: it has to wait for the first one's guardian
    eventually(lambda: not run.members().keys() - again.members().keys(), 10, "nothing left of the first run")
    again.wait_ready()
    assert _settings_of(run.data) == settings, "same secrets, same ports"
    assert read_everywhere(settings) == ["survives"] * 3


def _settings_of(data: Path) -> Settings:
    """The settings of a running folder, from what it remembers."""
    secrets = json.loads((data / "secrets.json").read_bytes())
    ports = json.loads((data / "ports.json").read_bytes())
    owner = f"postgresql://hoard_owner:{secrets['owner_password']}@127.0.0.1:{ports['postgres']}/hoard"
    return Settings(
        database_url=owner,
        migrate_url=owner,
        redis_url=f"redis://:{secrets['valkey_password']}@127.0.0.1:{ports['valkey']}/0",
        s3_url=f"http://127.0.0.1:{ports['seaweedfs-s3']}",
        s3_access_key=secrets["s3_access_key"],
        s3_secret_key=secrets["s3_secret_key"],
        pepper=secrets["pepper"],
    )


def test_a_stop_while_starting_leaves_nothing(start: Callable[..., Run]) -> None:
    run = start()
    eventually(lambda: run.pid_of("weed") or processes_in(run.data, "weed"), 20, "the first server")
    assert run.stop() == 0, run.text()
    assert run.members() == {}
    assert not run.ready_file.exists()


def test_a_taken_port_is_reported_before_anything_starts(start: Callable[..., Run], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = start(port=taken.getsockname()[1])
        assert run.process.wait(10) == 1
    assert "is taken; choose another with --port" in run.text()
    assert not (tmp_path / "data/postgres").exists()


def test_a_folder_with_other_things_in_it_is_refused_and_not_touched(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work", encoding="utf-8")
    run = start(data=home)
    assert run.process.wait(10) == 1
    assert "is not empty and no data folder of Hoard (it holds 'thesis.txt')" in run.text()
    assert [entry.name for entry in home.iterdir()] == ["thesis.txt"]


def test_what_a_killed_first_run_left_is_no_foreign_folder(tmp_path: Path) -> None:
    for name in ("logs", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock").touch()
    (tmp_path / ".secrets.json.17").touch()
    DataFolder(tmp_path).close()
    DataFolder(tmp_path).close()


def test_a_failing_step_ends_the_run_with_its_log(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The user's own servers: none is embedded then, and these are never asked.
    monkeypatch.setenv("HOARD_DATABASE_URL", "postgresql://127.0.0.1:9/none")
    monkeypatch.setenv("HOARD_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("HOARD_S3_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("STAND_IN_STEP", "fail")
    run = start()
    assert run.process.wait(40) == 1
    assert "fail failed (exit status 1)" in run.text()
    assert "the step says why" in run.text()
    assert run.members() == {}
    assert not (tmp_path / "data/postgres").exists()


def test_a_stale_pid_file_naming_a_foreign_process_does_not_stop_postgres(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data") as folder:
        service = Postgres(folder)
        spec = service.spec()
        stale = tmp_path / "data/postgres/postmaster.pid"
        stale.write_text(f"{os.getppid()}\n{stale.parent}\n0\n", encoding="utf-8")
        spec.tidy()
        assert not stale.exists()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder every account may reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="hoard-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")
def test_root_without_user_namespaces_runs_postgres_as_nobody(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Postgres._runs
    monkeypatch.setattr(Postgres, "_runs", lambda *a: a[2] == "setuid" and really(*a))
    public_folder.chmod(0o755)
    with contextlib.closing(_Closing(public_folder / "data")) as running:
        postgres = Path(f"/proc/{running.stack.pid('postgres')}")
        assert postgres.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        write_everywhere(running.settings, "kept")
        assert read_everywhere(running.settings) == ["kept"] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_needs_no_privilege(public_folder: Path) -> None:
    data = public_folder / "data"
    ordinary = next(
        (way for way in (_AsNobody(public_folder), _InNamespace(public_folder)) if way.works()), None
    )
    if ordinary is None:
        pytest.skip("no interpreter that another account can read, and user namespaces are forbidden")
    process = ordinary.popen("-m", "app.embedded.stack", "--data", str(data))
    try:
        eventually(lambda: (data / "env.sh").exists() or process.poll() is not None, 40, "ready")
        assert process.poll() is None
        write_everywhere(_settings_of(data), "kept")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert [processes_in(data, comm) for comm in ("postgres", "valkey-server", "weed")] == [[], [], []]


class _AsNobody:
    """Python as the account `nobody`, if that account can read an interpreter and the packages."""

    def __init__(self, home: Path) -> None:
        account = pwd.getpwnam("nobody")
        os.chown(home, account.pw_uid, account.pw_gid)
        self._ids = (account.pw_uid, account.pw_gid)
        self._environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{CHECKOUT}:{sysconfig.get_path('purelib')}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "WEED": str(Path(sysconfig.get_path("scripts"), "weed")),
        }
        self._interpreter = sys.executable

    def works(self) -> bool:
        # This interpreter may live in a closed home folder; then the system's of the same version may do.
        for path in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
            self._interpreter = path
            with contextlib.suppress(OSError):
                if self.popen("-c", "import app.embedded.stack", stderr=subprocess.DEVNULL).wait() == 0:
                    return True
        return False

    def popen(self, *argv: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        uid, gid = self._ids
        return subprocess.Popen(
            (self._interpreter, *argv),
            env=self._environment,
            cwd="/",
            user=uid,
            group=gid,
            extra_groups=[],
            stderr=stderr,
        )


class _InNamespace:
    """Python in a user namespace without root: an ordinary user to itself, though files stay root's."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def works(self) -> bool:
        os.chown(self._home, os.geteuid(), os.getegid())
        return (
            bool(shutil.which("unshare"))
            and self.popen("-c", "import os; exit(not os.geteuid())").wait() == 0
        )

    def popen(self, *argv: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["unshare", "--user", "--map-user=65534", "--map-group=65534", sys.executable, *argv],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            cwd="/",
        )
