"""Bytes as no decent client sends them: raw HTTP and raw WebSocket frames over plain sockets."""

import base64
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

ACCEPT = "application/graphql-response+json"
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def dial(url: str, timeout: float = 10.0) -> socket.socket:
    """A connection to the server of a URL."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout)


def head(url: str, method: str = "POST", path: str | None = None, **headers: str) -> bytes:
    """The head of a request; `content_length` becomes `content-length`."""
    given = {"host": urlsplit(url).netloc, "accept": ACCEPT, "content_type": "application/json", **headers}
    lines = [f"{method} {path or urlsplit(url).path} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class Reply:
    """What came back before the server closed, or the first whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        """`extensions.code` of its errors."""
        return [error["extensions"]["code"] for error in json.loads(self.body).get("errors", [])]


def read_reply(connection: socket.socket) -> Reply | None:
    """The next HTTP answer, or None if the server closed without one."""
    with connection.makefile("rb") as file:
        try:
            line = file.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        status = int(line.split()[1])
        headers: dict[str, str] = {}
        while (text := file.readline().decode("latin-1").strip()) != "":
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return Reply(status, headers, file.read(int(headers.get("content-length", "0"))))


def exchange(url: str, *parts: bytes, timeout: float = 10.0) -> Reply | None:
    """Send these bytes on a connection of their own and read the first answer."""
    with dial(url, timeout) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may be there all the same
        return read_reply(connection)


def post(url: str, body: bytes, **headers: str) -> Reply | None:
    """POST these very bytes."""
    return exchange(url, head(url, content_length=str(len(body)), **headers) + body)


def closed(connection: socket.socket, within: float) -> bool:
    """Whether the server ends the connection in so many seconds; what it still says is thrown away."""
    connection.settimeout(within)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A client's WebSocket frame, well made or not."""
    first = (0x80 if fin else 0) | (reserved << 4) | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        start = struct.pack("!BB", first, bit | size)
    elif size < 65_536:
        start = struct.pack("!BBH", first, bit | 126, size)
    else:
        start = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return start + payload
    # A key of zeros leaves the payload readable; the protocol does not mind.
    return start + bytes(4) + payload


@dataclass
class Ended:
    """How the server closed."""

    code: int | None
    reason: str


@dataclass
class RawWebSocket:
    """A WebSocket whose every byte is ours."""

    url: str
    subprotocol: str | None = "graphql-transport-ws"
    extra: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0

    def __enter__(self) -> Self:
        self.socket = dial(self.url, self.timeout)
        asked = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec_websocket_version": "13",
            "sec_websocket_key": base64.b64encode(os.urandom(16)).decode(),
            **self.extra,
        }
        if self.subprotocol is not None:
            asked["sec_websocket_protocol"] = self.subprotocol
        self.socket.sendall(head(self.url, "GET", **asked))
        self._file = self.socket.makefile("rb")
        self.status = int((self._file.readline().split() or [b"0", b"0"])[1])
        while self._file.readline().strip():
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *frames: bytes) -> Self:
        """Send frames as they are."""
        self.socket.sendall(b"".join(frames))
        return self

    def say(self, message: Any) -> Self:
        """Send a message of the protocol, or a text."""
        text = message if isinstance(message, str) else json.dumps(message)
        return self.send(frame(TEXT, text.encode()))

    def init(self, payload: Any = None) -> Self:
        """The handshake of the protocol."""
        self.say({"type": "connection_init", "payload": payload})
        assert self.hear() == {"type": "connection_ack"}
        return self

    def subscribe(self, id_: str, query: str, **variables: Any) -> Self:
        payload = {"query": query, "variables": variables}
        return self.say({"type": "subscribe", "id": id_, "payload": payload})

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame; None at the end."""
        try:
            start = self._file.read(2)
            if len(start) < 2:
                return None
            size = start[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self._file.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self._file.read(8), "big")
            return start[0] & 0x0F, self._file.read(size)
        except ConnectionResetError:
            return None

    def hear(self) -> Any:
        """The next message, or how it ended."""
        while True:
            found = self.frame()
            if found is None:
                return Ended(None, "")
            opcode, payload = found
            if opcode == CLOSE:
                return Ended(int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode())
            if opcode == TEXT:
                return json.loads(payload)

    def end(self) -> Ended:
        """How it ended, messages before that thrown away."""
        while not isinstance(found := self.hear(), Ended):
            pass
        return found
