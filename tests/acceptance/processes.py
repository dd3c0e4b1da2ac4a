"""The real processes of a server, started as an operator would start them: `python -m app.cli ...`.

Nothing here reaches into the application: environment in, HTTP out. Processes of this checkout's server are forked from one
that has loaded it already (`tests/warm.py`). Look next: `tests/acceptance/horde.py`.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from tests import warm

CHECKOUT = Path(__file__).resolve().parents[2]
T = TypeVar("T")

#: the module of the one command
HOARD = "app.cli"


def eventually(look: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
    """The first true answer. An assertion fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or look}"
        time.sleep(0.05)


def free_port(row: int = 1) -> int:
    """The first of so many loopback ports in a row that were free a moment ago."""
    while True:
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError, OverflowError):
            first = 0
            for ahead in range(row):
                probe = probes.enter_context(socket.socket())
                probe.bind(("127.0.0.1", first and first + ahead))
                first = first or int(probe.getsockname()[1])
            return first


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a process is told: the machine's variables without any `HOARD_*` but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOARD_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(variables)


def run_cli(
    *arguments: str, variables: Mapping[str, str], timeout: float = 60.0, checkout: Path = CHECKOUT
) -> str:
    """The standard output of a `hoard` command that must succeed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = _start(arguments, variables, checkout, output, errors)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
        assert status == 0, f"hoard {arguments[0]} ended with {status}: {said[-2000:]}"
        return output.read().decode()


def _start(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    checkout: Path,
    output: IO[Any],
    errors: IO[Any],
    module: str = HOARD,
) -> subprocess.Popen[bytes] | warm.Forked:
    given = environment(variables)
    if module == HOARD and warm.can_be_forked(arguments[0], checkout):
        return warm.start(arguments, given, output, errors)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=checkout,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


class Process:
    """One long-running `hoard` command, or another module's, with its output in a file."""

    def __init__(
        self,
        log: Path,
        *arguments: str,
        variables: Mapping[str, str],
        checkout: Path = CHECKOUT,
        module: str = HOARD,
    ) -> None:
        self.log = log
        self.arguments = arguments
        with log.open("ab") as output:
            self.popen = _start(arguments, variables, checkout, output, output, module)

    def said(self) -> str:
        """All it has written."""
        return self.log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Signal it and wait for its end; its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise


class ApiProcess(Process):
    """`hoard serve` on a port of its own."""

    def __init__(
        self, log: Path, variables: Mapping[str, str], port: int | None = None, checkout: Path = CHECKOUT
    ) -> None:
        self.port = port or free_port()
        told = {**variables, "HOARD_PORT": str(self.port)}
        super().__init__(log, "serve", variables=told, checkout=checkout)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def wait(self, seconds: float = 30.0) -> "ApiProcess":
        """Until it answers."""

        def answers() -> bool:
            assert self.popen.poll() is None, self.said()[-3000:]
            return self.health() is not None

        eventually(answers, seconds, "hoard serve answers")
        return self

    def health(self, path: str = "readyz") -> dict[str, Any] | None:
        """What `/readyz` says, or None while it says nothing good."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer,
        ):
            found: dict[str, Any] = json.loads(answer.read())
            return found
        return None
