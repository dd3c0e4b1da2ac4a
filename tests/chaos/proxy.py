"""A way to a server that can be cut: forwards bytes, swallows them, or answers every request with an error.

Loopback only, one thread a connection. The bytes are not looked at, so that signed links stay good.
"""

import contextlib
import select
import socket
import threading
from typing import Literal, Self

Mode = Literal["open", "mute", "failing"]
_FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """A listening port before a server's. Use as a context manager; set `mode` at any time."""

    def __init__(self, port: int) -> None:
        """Name the server's port."""
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._mode: Mode = "open"
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def set(self, mode: Mode) -> None:
        """From now on; connections from before are cut, except that mute ones stay mute."""
        self._mode = mode
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.set("open")
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            with client, contextlib.suppress(OSError):
                if self._mode == "failing":
                    client.recv(65536)
                    client.sendall(_FAILURE)
                elif self._mode == "mute":
                    while client.recv(65536):
                        pass
                else:
                    self._forward(client)
        finally:
            self._open.discard(client)

    def _forward(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)
