"""A stream that breaks goes on elsewhere: the process that served it dies in the middle, and nothing is lost or repeated."""

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.acceptance.horde import EVENT, Horde, User, register
from tests.acceptance.processes import ApiProcess, eventually
from tests.acceptance.wires import Api

EVENTS = f"subscription($after: Position) {{ events(after: $after) {{ {EVENT} }} }}"
PAGES = f"subscription($after: Position) {{ eventPages(after: $after, first: 7) {{ position events {{ {EVENT} }} }} }}"

#: what a broken connection looks like to a stranger's client
BROKEN = (ConnectionClosed, AssertionError, OSError, http.client.HTTPException, json.JSONDecodeError)


class Follower(threading.Thread):
    """Follows the log from process to process, from the last position that it has seen."""

    def __init__(self, urls: Callable[[], str], wire: str, document: str, start: int) -> None:
        super().__init__(daemon=True)
        self._urls, self._wire, self._document = urls, wire, document
        self.events: list[dict[str, Any]] = []
        self.last = start
        self.connections = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(*BROKEN), self._connected() as payloads:
                self.connections += 1
                for payload in payloads:
                    self._take(payload["data"])
                    if self.over.is_set():
                        return
            time.sleep(0.05)

    def _connected(self) -> Any:
        return getattr(Api(self._urls()), self._wire)(self._document, {"after": str(self.last)}, timeout=3)

    def _take(self, data: dict[str, Any]) -> None:
        if "events" in data:
            self.events.append(data["events"])
            self.last = int(data["events"]["position"])
        else:
            self.events += data["eventPages"]["events"]
            self.last = int(data["eventPages"]["position"])


class Writing(threading.Thread):
    """Somebody who never stops doing things."""

    def __init__(self, user: User, model: str) -> None:
        super().__init__(daemon=True)
        self._user, self._model = user, model
        self.over = threading.Event()
        self.done = 0

    def run(self) -> None:
        while not self.over.is_set():
            self._user.submit(models=[self._model]).cancel()
            self.done += 1
            time.sleep(0.05)


@pytest.fixture
def two(horde: Horde, tmp_path: Path) -> Iterator[list[ApiProcess]]:
    """Two more API processes, to be killed and replaced."""
    processes = [ApiProcess(tmp_path / f"api-{number}.log", horde.variables) for number in range(2)]
    for process in processes:
        process.wait()
    yield processes
    for process in processes:
        process.stop()


def test_who_follows_the_log_loses_and_repeats_nothing_over_the_deaths_of_processes(
    horde: Horde, two: list[ApiProcess], alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    start = horde.position()
    turn = itertools.count()

    def next_url() -> str:
        return two[next(turn) % 2].url

    followers = [
        Follower(next_url, wire, document, start)
        for wire in ("websocket", "events")
        for document in (EVENTS, PAGES)
        for _ in range(2)
    ]
    writers = [Writing(alice, model), Writing(bob, model)]
    for thread in (*followers, *writers):
        thread.start()
    for number in range(3):
        seen = [len(follower.events) for follower in followers]
        eventually(
            lambda seen=seen: all(len(f.events) > s + 5 for f, s in zip(followers, seen, strict=True)),
            30,
            "all of them follow",
        )
        dying = two[number % 2]
        dying.popen.kill()  # in the middle of whatever it was telling
        dying.popen.wait()
        two[number % 2] = ApiProcess(tmp_path / f"again-{number}.log", horde.variables, dying.port).wait()
    for writer in writers:
        writer.over.set()
        writer.join(30)
    end = horde.quiet()
    eventually(lambda: all(follower.last >= end for follower in followers), 30, "all reach the end")
    for follower in followers:
        follower.over.set()
    register(Api(horde.url), "last word")
    stored = horde.events(start)
    for follower in followers:
        follower.join(10)
        places = [int(event["position"]) for event in follower.events]
        assert places == list(range(start + 1, start + 1 + len(places))), "dense: nothing lost, nothing twice"
        assert places[-1] >= end
        assert follower.events == stored[: len(places)]
    assert sum(follower.connections for follower in followers) > len(followers) + 4
    assert min(writer.done for writer in writers) > 5
