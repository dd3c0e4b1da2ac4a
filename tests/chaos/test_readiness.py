"""Readiness names what is away; only the database takes a node out, and a server that hangs does not make it look hung."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from app.embedded.stack import EmbeddedStack
from tests.acceptance.horde import Horde
from tests.acceptance.processes import eventually

NAMES = {"postgres": "database", "seaweedfs": "storage", "valkey": "valkey"}


def readiness(horde: Horde) -> tuple[int, dict[str, Any]]:
    """The status and the body, whatever they are."""
    url = f"http://127.0.0.1:{horde.process.port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize("server", NAMES)
def test_readiness_names_what_is_dead(horde: Horde, stack: EmbeddedStack, server: str) -> None:
    eventually(lambda: readiness(horde)[1]["away"] == [], 20, "all is well")
    os.kill(stack.pid(server), signal.SIGKILL)
    try:
        eventually(lambda: readiness(horde)[1]["away"] == [NAMES[server]], 10, "it is named")
        status, body = readiness(horde)
        assert (status, body["status"]) == ((503, "database away") if server == "postgres" else (200, "ok"))
        assert horde.process.health("healthz")["status"] == "ok"
    finally:
        stack.restart(server)
    eventually(lambda: readiness(horde)[1]["away"] == [], 20, "all is well again")


@pytest.mark.parametrize("server", ["seaweedfs", "valkey"])
def test_readiness_does_not_wait_for_what_hangs(horde: Horde, stack: EmbeddedStack, server: str) -> None:
    os.kill(stack.pid(server), signal.SIGSTOP)
    try:
        readiness(horde)
        started = time.monotonic()
        status, body = readiness(horde)
        assert time.monotonic() - started < 1.5
        assert (status, body["away"]) == (200, [NAMES[server]])
    finally:
        os.kill(stack.pid(server), signal.SIGCONT)
    eventually(lambda: readiness(horde)[1]["away"] == [], 20, "all is well again")
