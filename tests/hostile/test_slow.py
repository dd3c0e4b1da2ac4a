"""Peers that take their time: each is gone in time, and nobody else waits for them."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.platform.protocols import READING_SECONDS, REQUEST_SECONDS
from tests.acceptance.horde import Horde
from tests.acceptance.processes import eventually
from tests.hostile.conftest import answers_promptly, resident
from tests.hostile.sockets import RawWebSocket, closed, dial, frame, head

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_happens")]

IDLE = 1_000
#: longer than any peer may take, shorter than uvicorn alone would wait for some
PATIENCE = max(REQUEST_SECONDS, 2 * READING_SECONDS) + 10


def descriptors(horde: Horde) -> int:
    """Open files of the API process."""
    return len(list(Path(f"/proc/{horde.process.popen.pid}/fd").iterdir()))


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may open what the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 500:
        pytest.skip("too few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def drip(connection: socket.socket, text: bytes, pause: float = 0.5) -> float:
    """Send byte by byte until the server closes; the seconds that took."""
    began = time.monotonic()
    connection.settimeout(pause)
    while time.monotonic() - began < PATIENCE:
        try:
            connection.sendall(text[:1])
            text = text[1:] or text
            if not connection.recv(65_536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def test_whoever_takes_too_long_to_ask_is_gone_in_time(horde: Horde) -> None:
    body = json.dumps({"query": "{ __typename }" + " " * 1_000}).encode()
    whole = head(horde.url, content_length=str(len(body)))
    chunked = head(horde.url, transfer_encoding="chunked")
    ways: dict[str, tuple[bytes, bytes]] = {
        "says nothing": (b"", b""),
        "a head, byte by byte": (b"", whole),
        "headers without end": (whole[:-2], b"x: y\r\n" * 1_000),
        "a body, byte by byte": (whole, body),
        "chunks, byte by byte": (chunked, b"1\r\n \r\n" * 1_000),
        "a body that stops": (whole + body[:500], b""),
        "empty lines": (b"", b"\r\n" * 1_000),
        "empty lines after an answer": (head(horde.url, "GET", "/healthz"), b"\r\n" * 1_000),
        "a second request that stops": (head(horde.url, "GET", "/healthz") + b"GET /heal", b""),
        "a refused body that goes on": (
            head(horde.url, content_type="x", content_length="99999"),
            b" " * 1_000,
        ),
    }
    taken: dict[str, float] = {}

    def try_(name: str, first: bytes, rest: bytes) -> None:
        with dial(horde.url) as connection:
            connection.sendall(first)
            began = time.monotonic()
            if rest:
                drip(connection, rest)
            else:
                closed(connection, PATIENCE)
            taken[name] = time.monotonic() - began

    threads = [threading.Thread(target=try_, args=(name, *parts)) for name, parts in ways.items()]
    for thread in threads:
        thread.start()
    answers_promptly(horde)
    for thread in threads:
        thread.join()
    assert taken.keys() == ways.keys()
    late = {name: round(seconds, 1) for name, seconds in taken.items() if seconds > REQUEST_SECONDS + 5}
    assert not late
    # A peer that is merely slow is not cut off early.
    assert taken["a body, byte by byte"] > REQUEST_SECONDS - 5


def test_a_thousand_connections_that_do_nothing_are_nobodys_business(horde: Horde, many_files: None) -> None:
    before, memory = descriptors(horde), resident(horde.process)
    with ExitStack() as held:
        for number in range(IDLE):
            connection = held.enter_context(dial(horde.url))
            if number % 3 == 1:
                connection.sendall(head(horde.url, content_length="100")[:-1])
        # On a slow machine the first are gone before the last have come.
        assert descriptors(horde) > before + IDLE // 4
        answers_promptly(horde)
        eventually(
            lambda: descriptors(horde) < before + 50, REQUEST_SECONDS + 10, "idle connections are closed"
        )
        answers_promptly(horde)
    assert resident(horde.process) - memory < 100_000_000


def test_whoever_does_not_read_answers_is_gone_in_time(horde: Horde) -> None:
    """Large answers are asked for and left lying, by each wire."""
    before = descriptors(horde)
    script = head(horde.url, "GET", "/graphql/static/graphiql/graphiql.min.js")
    page = head(horde.url, "GET", "/graphql/static/graphiql/graphiql.min.js", connection="close")
    ping = frame(1, json.dumps({"type": "ping", "payload": "x" * 50_000}).encode())

    def small() -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(2)
        connection.connect(("127.0.0.1", horde.process.port))
        return connection

    def http(text: bytes, times: int) -> Callable[[], socket.socket]:
        def ask() -> socket.socket:
            connection = small()
            connection.sendall(text * times)
            return connection

        return ask

    with ExitStack() as held:
        for ask in (http(script, 20), http(page, 1)):
            for _ in range(10):
                held.enter_context(ask())
        for _ in range(10):
            peer = held.enter_context(RawWebSocket(horde.url)).init()
            peer.socket.settimeout(1)
            try:
                for _ in range(300):
                    peer.send(ping)
            except OSError:
                pass
        assert descriptors(horde) >= before + 15
        answers_promptly(horde)
        eventually(lambda: descriptors(horde) < before + 5, PATIENCE, "connections nobody reads are closed")
