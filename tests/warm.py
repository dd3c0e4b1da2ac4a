"""`hoard` processes out of one that has loaded the program already: `app.cli.main` in a fork, without three seconds of imports.

Tests start such processes hundreds of times, which was a third of all that the tests took. What runs is what `python -m
app.cli` runs, with its own environment, folder, session, output and exit status; only the imports happened before. What
reads its environment at import would be seen wrongly: so it is one such parent for each `SSL_CERT_FILE`, which aiohttp
reads then. `tests/acceptance/test_hoard_up.py` starts everything as operators do. Look next: `tests/acceptance/processes.py`.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

CHECKOUT = Path(__file__).resolve().parents[1]
#: what is loaded: all commands but those that load pyarrow, whose threads a fork would lack
_LOADED = (
    "app.cli",
    "app.main",
    "app.relay.main",
    "app.actors_commands",
    "app.process_commands",
    "app.accounts.commands",
    "app.operations.commands",
    "app.operations.mode_commands",
    "clients.commands",
)
#: what starts the server's processes itself: as an operator does, and so does it begin
_OTHERS = frozenset({"up", "demo"})
_LONGEST = 1 << 17


class Forked:
    """A started process, with as much of `subprocess.Popen` as the tests use."""

    def __init__(self, parent: "_Parent", pid: int) -> None:
        self._parent = parent
        self.pid = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._ends = os.pidfd_open(pid)  # its parent reaps it only when asked to

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._reaped(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises `subprocess.TimeoutExpired`."""
        status = self._reaped(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"hoard process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        with self._lock:
            if self.returncode is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reaped(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ended = select.poll()
            with self._lock:
                if self.returncode is not None:
                    return self.returncode
                ended.register(self._ends, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                return None
            with self._lock:
                if self.returncode is None:
                    self.returncode = self._parent.ask({"reap": self.pid})
                    os.close(self._ends)
        return self.returncode


class _Parent:
    """The process that has loaded the program. It ends with this one, and all its children with it."""

    def __init__(self, certificates: str | None) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = {name: value for name, value in os.environ.items() if not name.startswith("HOARD_")}
        if certificates is not None:
            given["SSL_CERT_FILE"] = certificates
        given["OPENBLAS_NUM_THREADS"] = "1"
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-u", "-m", "tests.warm", str(theirs.fileno())],
                cwd=CHECKOUT,
                env=given,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        atexit.register(self.close)

    def start(self, arguments: Sequence[str], given: Mapping[str, str], *outputs: int) -> Forked:
        return Forked(self, self.ask({"arguments": list(arguments), "environment": dict(given)}, *outputs))

    def ask(self, question: Mapping[str, Any], *files: int) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(question).encode()], files)
            return int(self._socket.recv(100))

    def close(self) -> None:
        self._socket.close()
        self._popen.wait()


_parents: dict[str | None, _Parent] = {}
_lock = threading.Lock()


def can_be_forked(command: str, checkout: Path) -> bool:
    """Whether a command's process is one of these."""
    return sys.platform == "linux" and checkout == CHECKOUT and command not in _OTHERS


def start(arguments: Sequence[str], given: Mapping[str, str], output: IO[Any], errors: IO[Any]) -> Forked:
    """`hoard` with these arguments and just this environment, in the checkout and a session of its own."""
    certificates = given.get("SSL_CERT_FILE")
    with _lock:
        if certificates not in _parents:
            _parents[certificates] = _Parent(certificates)
    return _parents[certificates].start(arguments, given, output.fileno(), errors.fileno())


def _serve(control: socket.socket) -> list[str]:
    """Fork whatever is asked for; comes back in the children, with their arguments."""
    for module in _LOADED:
        importlib.import_module(module)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a child would lack the threads"
    gc.collect()
    gc.freeze()
    living: set[int] = set()
    while True:
        message, files, _, _ = socket.recv_fds(control, _LONGEST, 2)
        if not message:
            break
        asked = json.loads(message)
        if "reap" in asked:
            _, status = os.waitpid(asked["reap"], 0)
            living.discard(asked["reap"])
            control.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        child = os.fork()
        if child == 0:
            control.close()
            return _become(asked, files)
        for file in files:
            os.close(file)
        living.add(child)
        control.send(str(child).encode())
    for child in living:
        os.kill(child, signal.SIGKILL)
    sys.exit(0)


def _become(asked: Mapping[str, Any], files: Sequence[int]) -> list[str]:
    os.setsid()
    for place, file in enumerate(files, 1):
        os.dup2(file, place)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    gc.unfreeze()
    arguments: list[str] = asked["arguments"]
    sys.argv = [str(CHECKOUT / "app" / "cli.py"), *arguments]
    return arguments


if __name__ == "__main__":
    _arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    importlib.import_module("app.cli").main(_arguments, prog_name="hoard")
