"""The real worker with a settings' file: threads, leases ahead, and what its owner tells it while it runs.

What draws is a stand-in of a WebUI that draws when it is let, so that nothing here depends on how fast anything is.
"""

import base64
import contextlib
import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.horde import Horde, Submitted, User, final, picture, unique
from tests.acceptance.processes import Process, eventually, run_cli


class WebUI:
    """Draws while `open` is set; counts what is asked of it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        drawn = base64.b64encode(picture(512, 512, "PNG")).decode()
        webui = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webui.asked.append(self.path)
                webui.bodies.append(body)
                webui.open.wait(60)
                answer = json.dumps({"images": [drawn]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def webui() -> Iterator[WebUI]:
    webui = WebUI()
    serving = threading.Thread(target=webui.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    yield webui
    webui.open.set()
    webui.server.shutdown()
    webui.server.server_close()


@contextlib.contextmanager
def worker(file: Path, owner: User) -> Iterator[Process]:
    """`hoard worker` with this file, ended with the test."""
    arguments = ("worker", "--config", str(file))
    process = Process(file.with_suffix(".log"), *arguments, variables={"HOARD_API_KEY": owner.key})
    try:
        eventually(file.with_suffix(".sock").is_socket, 20, "it can be spoken to")
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.stop()


def told(file: Path, do: str, **more: Any) -> dict[str, Any]:
    """What the running worker answers at its socket, where `hoard worker ...` asks too."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(20)
        asking.connect(str(file.with_suffix(".sock")))
        asking.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
        found: dict[str, Any] = json.loads(asking.makefile().readline())
    return found


def states(job: Submitted) -> list[str]:
    return sorted(generation["state"] for generation in job.now()["generations"])


def test_two_threads_a_lease_ahead_a_pause_and_settings_that_change(
    horde: Horde, alice: User, bob: User, model: str, webui: WebUI, tmp_path: Path
) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(
        f'name = "{unique("steered")}"\nurl = "{horde.url}"\nmodels = ["{model}"]\n'
        f'backend = "a1111"\na1111_url = "{webui.url}"\nthreads = 2\nqueue_ahead = 1  # one card, two streams\n'
    )
    job = alice.submit(models=[model], params={"n": 4})
    with worker(file, bob) as serving:
        eventually(
            lambda: states(job) == ["PROCESSING"] * 3 + ["WAITING"], 20, "two threads and one lease ahead"
        )
        eventually(lambda: len(webui.asked) == 2, 20, "two are drawn at a time")
        leases = told(file, "status")["standing"]["leases"]
        assert [lease["begun"] for lease in leases] == [True, True, False]

        assert told(file, "pause")["standing"]["state"] == "paused"
        eventually(
            lambda: states(job) == ["PROCESSING"] * 2 + ["WAITING"] * 2, 20, "what is not begun is given back"
        )
        webui.open.set()
        eventually(lambda: states(job) == ["DONE"] * 2 + ["WAITING"] * 2, 20, "what is begun is finished")
        assert len(webui.asked) == 2

        assert told(file, "set", key="threads", value="0")["problems"][0]["key"] == "threads"
        said = run_cli("worker", "set", "amount", "2", "--save", "--config", str(file), variables={})
        assert said == "amount is now 2\n"
        file.write_text(file.read_text().replace("threads = 2", "threads = 1"))
        eventually(lambda: "threads is now 1" in serving.said(), 20, "the file is read again")
        told(file, "resume")
        assert final(job, 40)["state"] == "DONE"
        standing = eventually(
            lambda: _with(told(file, "status")["standing"], delivered=4), 20, "all are delivered"
        )
        assert (standing["threads"], standing["state"]) == (1, "waiting")

        told(file, "stop")
        assert serving.popen.wait(20) == 0
    taken = [e["data"] for e in horde.events(types=["jobs.GenerationsLeased"]) if e["data"]["job"] == job.id]
    assert [len(lease["generations"]) for lease in taken] == [1, 1, 1, 2], "two at a time after the change"
    assert "amount = 2" in file.read_text()
    assert "# one card, two streams" in file.read_text()
    assert not file.with_suffix(".sock").exists()
    assert bob.key not in serving.said()


def _with(standing: dict[str, Any], **wanted: Any) -> dict[str, Any] | None:
    return standing if {key: standing[key] for key in wanted} == wanted else None
