"""GraphQL by plain HTTP, by graphql-transport-ws and by event streams, from the point of view of a stranger's client.

Look next: `tests/acceptance/horde.py` for what is asked.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import connect

USER_ERROR = "... on UserError { code message path }"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def codes(self) -> list[str]:
        """`extensions.code` of its top-level errors."""
        return [str(error.get("extensions", {}).get("code")) for error in self.body.get("errors", [])]


class Refusal(Exception):
    """A mutation answered with a member of `UserError`."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result)
        self.result = result
        self.code: str = result["code"]
        self.path: list[str] = result["path"]
        self.message: str = result["message"]


class Connections:
    """Kept-alive connections, each used by one caller at a time; closed at the end of the tests."""

    def __init__(self) -> None:
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self, netloc: str) -> Iterator[http.client.HTTPConnection]:
        with self._lock:
            idle = self._idle.setdefault(netloc, [])
            connection = idle.pop() if idle else http.client.HTTPConnection(netloc, timeout=90)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            idle.append(connection)

    def close(self) -> None:
        with self._lock:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()


CONNECTIONS = Connections()


class Api:
    """One caller of one endpoint. Safe for threads."""

    def __init__(self, url: str, key: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.key = key
        self._extra = dict(headers or {})

    def headers(self, accept: str = "application/graphql-response+json") -> dict[str, str]:
        made = {"Content-Type": "application/json", "Accept": accept, **self._extra}
        if self.key is not None:
            made["apikey"] = self.key
        return made

    def raw(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST these very bytes."""
        parts = urlsplit(self.url)
        sent = self.headers() | dict(headers or {})
        with CONNECTIONS.borrow(parts.netloc) as connection:
            try:
                connection.request("POST", parts.path, body, sent)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # The server may have closed an idle connection meanwhile, or have been started anew.
                connection.close()
                connection.request("POST", parts.path, body, sent)
                response = connection.getresponse()
            text = response.read()
        found = json.loads(text) if text.startswith(b"{") else {"no JSON": text.decode(errors="replace")}
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, found)

    def post(self, document: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """The answer, whatever it is."""
        body = json.dumps({"query": document, "variables": variables or {}}).encode()
        return self.raw(body, headers)

    def ask(self, document: str, **variables: Any) -> Any:
        """The data of an operation that must succeed."""
        answer = self.post(document, variables)
        assert answer.status == 200, answer
        assert "errors" not in answer.body, answer.body
        return answer.body["data"]

    def call(self, mutation: str, selection: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a mutation. Raises `Refusal` for a user error."""
        name = mutation[0].upper() + mutation[1:]
        document = (
            f"mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ __typename {selection} "
            f"{USER_ERROR} }} }}"
        )
        result: dict[str, Any] = self.ask(document, input=given)[mutation]
        if "code" in result:
            raise Refusal(result)
        return result

    @contextlib.contextmanager
    def websocket(
        self, document: str, variables: Mapping[str, Any] | None = None, *, timeout: float = 20.0
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """The payloads of a subscription by WebSocket, ending when the server completes it."""
        payload = {} if self.key is None else {"apikey": self.key}
        with connect(
            self.url.replace("http", "ws", 1),
            subprotocols=["graphql-transport-ws"],
            max_size=None,
            proxy=None,
        ) as socket:
            socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(socket.recv(timeout))["type"] == "connection_ack"
            asked = {"query": document, "variables": variables or {}}
            socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": asked}))

            def payloads() -> Iterator[dict[str, Any]]:
                while True:
                    message = json.loads(socket.recv(timeout))
                    if message["type"] == "complete":
                        return
                    if message["type"] == "error":
                        yield {"errors": message["payload"]}
                        return
                    if message["type"] == "next":
                        yield message["payload"]

            yield payloads()

    @contextlib.contextmanager
    def events(
        self, document: str, variables: Mapping[str, Any] | None = None, *, timeout: float = 20.0
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """The payloads of a subscription by event stream, ending when the server completes it."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            body = json.dumps({"query": document, "variables": variables or {}})
            connection.request("POST", parts.path, body, self.headers("text/event-stream"))
            with connection.getresponse() as response:
                assert response.status == 200, response.read()
                assert (response.getheader("content-type") or "").startswith("text/event-stream")
                yield _server_sent(response)
        finally:
            connection.close()


def _server_sent(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    event, data = "", ""
    while True:
        line = response.readline()
        assert line, "the stream ended without `complete`"
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            event = text[7:]
        elif text.startswith("data: "):
            data = text[6:]
        elif not text and event == "complete":
            return
        elif not text and event == "next":
            yield json.loads(data)
            event = data = ""
