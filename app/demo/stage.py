"""The demo's stage: a whole stack of its own on free ports, and `hoard` commands run against it.

Starts `hoard up` as anybody would and stops it at the end, whatever happens. Look next: `app.demo.story`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

CHECKOUT = Path(__file__).resolve().parents[2]
#: how long the stack may take to come up, in seconds
PATIENCE_SECONDS = 120.0


class StageError(Exception):
    """Something of the stack did not do as it should."""


class Stage:
    """A running stack."""

    def __init__(self, data: Path, ready: dict[str, Any]) -> None:
        self.data = data
        self.graphql: str = ready["graphql"]
        self.keys: dict[str, str] = ready["keys"]
        self.environment = {**os.environ, "HOARD_DATA": str(data)}

    def hoard(self, *arguments: str, api_key: str = "") -> None:
        """Run a `hoard` command and show what it says. Raises `StageError` if it fails.

        With a key it is a client's command: it is told where the server is.
        """
        click.secho(f"  $ hoard {shlex.join(arguments)}", dim=True)
        client = {"HOARD_URL": self.graphql, "HOARD_API_KEY": api_key} if api_key else {}
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=CHECKOUT,
            env={**self.environment, **client},
            check=False,
            capture_output=True,
            text=True,
        )
        for line in (done.stdout + done.stderr).splitlines():
            click.echo(f"    {line}")
        if done.returncode:
            message = f"hoard {arguments[0]} ended with status {done.returncode}"
            raise StageError(message)

    @contextlib.contextmanager
    def worker(self, name: str, api_key: str, *options: str, python: Path | None = None) -> Iterator[None]:
        """The reference worker, run by this Python or another, at work by itself until the block ends."""
        log = (self.data / "logs" / f"demo-{name}.log").open("wb")
        run = [str(Path(python or sys.executable).absolute()), "-m", "app.cli", "worker"]
        process = subprocess.Popen(
            [*run, "--url", self.graphql, "--name", name, *options],
            cwd=CHECKOUT,
            env={**self.environment, "HOARD_API_KEY": api_key},
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            log.close()


@contextlib.contextmanager
def stage(data: Path) -> Iterator[Stage]:
    """Bring a stack up in a data folder; stop it at the end."""
    ready_file = data / "ready.json"
    arguments = [
        "up",
        "--port",
        str(_free_port()),
        "--data",
        str(data),
        "--no-worker",
        "--ready-file",
        str(ready_file),
    ]
    process = subprocess.Popen([sys.executable, "-m", "app.cli", *arguments], cwd=CHECKOUT)
    try:
        yield Stage(data, _ready(process, ready_file))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _ready(process: subprocess.Popen[bytes], ready_file: Path) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            message = "the stack did not come up"
            raise StageError(message)
        time.sleep(0.1)
    ready: dict[str, Any] = msgspec.json.decode(ready_file.read_bytes())
    return ready


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
