"""Valkey of a data folder: append-only file on disk, password, loopback.

The configuration goes to the server by stdin, so that the password is neither on a command line nor in a file
other than `secrets.json`.
"""

import signal
import socket
from pathlib import Path

from app.embedded.binaries import valkey_server
from app.embedded.folder import DataFolder
from app.embedded.process import ProcessSpec, evict, own_environment


class Valkey:
    """The Valkey server of one data folder."""

    name = "valkey"
    replaced_by = "HOARD_REDIS_URL"

    def __init__(self, folder: DataFolder) -> None:
        """Bind it to a folder; nothing is started or created yet."""
        self._folder = folder
        self._port = 0

    def spec(self) -> ProcessSpec:
        """How to run it."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._port = self._folder.ports("valkey")["valkey"]
        # The working folder is the data folder, because a quoted `dir` would have to survive any path.
        configuration = (
            f"port {self._port}\nbind 127.0.0.1\ndir .\n"
            'appendonly yes\nappendfsync everysec\nsave ""\n'
            f"requirepass {self._folder.secrets.valkey_password}\n"
        )
        return ProcessSpec(
            name=self.name,
            argv=(str(valkey_server()), "-"),
            cwd=self._data,
            log=self._folder.logs / "valkey.log",
            env=own_environment(),
            stdin=configuration.encode(),
            grace=5.0,
            tidy=lambda: evict(self._data, "valkey-server", signal.SIGTERM, 5.0),
        )

    def ready(self) -> bool:
        """Whether it answers a PING. Spoken by hand: loading a client would take longer than the server's start."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._folder.secrets.valkey_password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def set_up(self) -> None:
        """Nothing to create."""

    def settings(self) -> dict[str, str]:
        """Its URL with the password."""
        return {"HOARD_REDIS_URL": self._url}

    @property
    def _data(self) -> Path:
        return self._folder.path / "valkey"

    @property
    def _url(self) -> str:
        return f"redis://:{self._folder.secrets.valkey_password}@127.0.0.1:{self._port}/0"
