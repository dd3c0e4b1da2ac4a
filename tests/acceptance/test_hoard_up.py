"""`hoard up` on an empty machine: everything runs, two side by side, nothing stays behind, nothing is lost."""

import contextlib
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from tests.acceptance.horde import submit
from tests.acceptance.processes import Process, eventually, free_port, run_cli
from tests.acceptance.wires import CONNECTIONS, Api


def below(root: int) -> set[tuple[int, str]]:
    """All descendants of a process, each with the instant of its start, so that a reused id is no mistake."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    found: set[tuple[int, str]] = set()
    left = [root]
    while left:
        for child in children.get(left.pop(), []):
            found.add(child)
            left.append(child[0])
    return found


def alive(process: tuple[int, str]) -> bool:
    try:
        fields = (Path("/proc") / str(process[0]) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == process[1] and fields[0] != "Z"


class Up:
    """One `hoard up`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.ready_file = folder / "ready.json"
        self.start()

    def start(self) -> None:
        self.ready_file.unlink(missing_ok=True)  # what a killed run left says nothing about this one
        given = (
            "--port",
            str(self.port),
            "--data",
            str(self.folder / "data"),
            "--ready-file",
            str(self.ready_file),
        )
        self.process = Process(self.folder / "up.log", "up", *given, variables={})

    def ready(self) -> dict[str, Any]:
        def written() -> bool:
            assert self.process.popen.poll() is None, self.process.said()[-3000:]
            return self.ready_file.exists()

        eventually(written, 120, "everything runs")
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found


@contextlib.contextmanager
def two(folder: Path) -> Iterator[tuple[Up, Up]]:
    """Two side by side, ended with the test."""
    with contextlib.ExitStack() as running:
        ups = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            up = Up(folder / name)
            ups.append(up)
            running.callback(lambda up=up: up.process.stop(seconds=60))
        yield ups[0], ups[1]


def shared_names(up: Up, told: dict[str, Any]) -> set[str]:
    """What lies in the shared bucket of a data folder."""
    secrets = json.loads((up.folder / "data" / "secrets.json").read_text())
    found = {
        name.lower().replace("_", ""): value for name, value in secrets.items() if isinstance(value, str)
    }
    store = Minio(
        told["s3"].partition("://")[2],
        found["s3accesskey"],
        found["s3secretkey"],
        region="us-east-1",
        secure=False,
    )
    try:
        return {str(item.object_name) for item in store.list_objects("shared", recursive=True)}
    finally:
        store._http.clear()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_everything_runs_side_by_side_leaves_nothing_behind_and_loses_nothing(tmp_path: Path) -> None:
    with two(tmp_path) as (one, other):
        told, apart = one.ready(), other.ready()
        assert stat.S_IMODE(one.ready_file.stat().st_mode) == 0o600
        assert told["graphql"] == f"http://127.0.0.1:{one.port}/graphql"
        assert told["subscriptions"] == f"ws://127.0.0.1:{one.port}/graphql"
        assert {len(key) for key in told["keys"].values()} == {22}
        assert {"operator", "client", "workerOwner"} == set(told["keys"])
        assert not set(told["keys"].values()) & set(apart["keys"].values())
        assert told["s3"] != apart["s3"]
        assert not any(key in one.process.said() for key in told["keys"].values())

        client = Api(told["graphql"], told["keys"]["client"])
        out = run_cli(
            *("generate", "a bridge", "--share", "--json", "--out", str(tmp_path)),
            *("--url", told["graphql"]),
            variables={"HOARD_API_KEY": told["keys"]["client"]},
            timeout=90,
        )
        made = json.loads(out)
        assert made["state"] == "DONE"
        generation = made["pictures"][0]["generation"]
        eventually(lambda: f"{generation}.json" in shared_names(one, told), 30, "the picture is shared")
        waiting = submit(client, models=["served by nobody"])
        before = memory(client, made["job"], waiting.id)
        assert Api(apart["graphql"], told["keys"]["client"]).post("{ viewer { id } }").status == 401

        CONNECTIONS.close()
        theirs = below(other.process.popen.pid)
        assert len(theirs) >= 7
        assert other.process.stop(signal.SIGTERM, 60) == 0
        assert not [process for process in theirs if alive(process)]
        assert not other.ready_file.exists()

        mine = below(one.process.popen.pid)
        os.kill(one.process.popen.pid, signal.SIGKILL)
        one.process.popen.wait()
        eventually(lambda: not [process for process in mine if alive(process)], 40, "nothing is left")

        one.start()
        again = one.ready()
        assert again["keys"] == told["keys"]
        client = Api(again["graphql"], again["keys"]["client"])
        assert memory(client, made["job"], waiting.id) == before
        assert f"{generation}.webp" in shared_names(one, again)
        CONNECTIONS.close()
        mine = below(one.process.popen.pid)
        assert one.process.stop(signal.SIGTERM, 60) == 0
        assert not [process for process in mine if alive(process)]


def memory(client: Api, done: str, waiting: str) -> Any:
    """What must still be known after a crash."""
    return client.ask(
        "query($done: ID!, $waiting: ID!) { viewer { username kudos held consumed statement { edges { node { position "
        "amount balance } } } } done: job(id: $done) { state charged } waiting: job(id: $waiting) { state charged } }",
        done=done,
        waiting=waiting,
    )
