"""A stranger's server, standing in for the internet: it says to each path whatever a test wants, as slowly as it wants.

It listens at 127.0.0.2 (or ::1, or another address), so that 127.0.0.1 can stand for what is inside. Its certificate,
for pictures.example, is one that nobody else believes; another one is for its address, 127.0.0.2. Look next: `tests/hostile/test_sources.py`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

PEM = Path(__file__).with_name("stranger.pem")
#: for 127.0.0.2
RECEIVER_PEM = Path(__file__).with_name("receiver.pem")
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"

#: what is sent, piece by piece; it may wait between
Says = Iterable[bytes]
Page = bytes | Callable[[], Says]


@dataclass(frozen=True)
class Visit:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes = b""


def answer(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """A whole HTTP answer; `content_type` becomes `Content-Type`."""
    given = {"content_length": str(len(body)), "content_type": "application/octet-stream", **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{n.replace('_', '-').title()}: {v}" for n, v in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str, status: int = 302, **headers: str) -> bytes:
    """An answer that leads elsewhere."""
    return answer(status=status, location=to, **headers)


class Stranger:
    """A running server. `pages` say what is said; an unknown path is 404."""

    def __init__(self, host: str = OUTSIDE, *, tls: bool = False, pem: Path = PEM, **pages: Page) -> None:
        self.pages: dict[str, Page] = {f"/{name}": page for name, page in pages.items()}
        self.visits: list[Visit] = []
        #: connections that were opened, whether or not anything was asked
        self.connections = 0
        #: set at the end, for pages that wait
        self.over = threading.Event()
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(pem)
        self._socket = socket.create_server((host, 0))
        self.host, self.port = self._socket.getsockname()[:2]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def url(self, path: str = "", host: str | None = None) -> str:
        """A URL of it, under another name if one is given."""
        return f"{'https' if self._tls else 'http'}://{host or self.host}:{self.port}/{path}"

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [visit.path for visit in self.visits]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_:
            open_.callback(connection.close)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                open_.callback(connection.close)
            path = self._request(connection)
            page = self.pages.get(path.partition("?")[0], answer(status=404))
            for piece in (page,) if isinstance(page, bytes) else page():
                connection.sendall(piece)

    def _request(self, connection: socket.socket) -> str:
        text = b""
        while b"\r\n\r\n" not in text and (more := connection.recv(65_536)):
            text += more
        head, _, body = text.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        path = first.split(" ")[1] if " " in first else ""
        headers = (line.partition(":") for line in lines if line)
        told = {name.lower(): value.strip() for name, _, value in headers}
        while len(body) < int(told.get("content-length", "0")) and (more := connection.recv(65_536)):
            body += more
        self.visits.append(Visit(path, told, body))
        return path
