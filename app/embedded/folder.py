"""One data folder: its lock, its generated secrets, its remembered ports.

    secrets.json  generated once, mode 0600          ports.json  reused at the next start where still free
    lock          held (flock) while a run lives     postgres/ valkey/ seaweedfs/ logs/

Nothing here starts a process; see `stack` and `supervisor`.
"""

import contextlib
import fcntl
import json
import os
import random
import secrets
import socket
import time
from pathlib import Path
from typing import Self

import msgspec

from app.embedded.errors import EmbeddedError, FolderInUseError

#: Below the range from which systems take ports for outgoing connections, so that nobody borrows one meanwhile.
_PORT_RANGE = range(20000, 32000)
#: Seconds a new run waits for the guardian of a killed run to finish its cleaning up.
_LOCK_PATIENCE = 20.0
#: What may lie in a folder that has no secrets yet: what a killed first run left, what somebody put in place for it,
#: and what a new file system has by itself.
_HARMLESS = frozenset({"lock", "logs", "ports.json", "valkey", "seaweedfs", "lost+found"})


class SeedKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """API keys of the users a fresh installation is seeded with: 22 url-safe characters each."""

    operator: str
    client: str
    worker_owner: str


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """Everything generated for one data folder. Never logged, never on a command line."""

    owner_password: str
    app_password: str
    valkey_password: str
    s3_access_key: str
    s3_secret_key: str
    pepper: str
    weed_jwt_keys: tuple[str, str, str, str]
    seed_keys: SeedKeys

    @classmethod
    def generate(cls) -> "Secrets":
        """New random secrets (the texts are url-safe, so they fit into URLs unescaped)."""
        return cls(
            owner_password=secrets.token_urlsafe(24),
            app_password=secrets.token_urlsafe(24),
            valkey_password=secrets.token_urlsafe(24),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_urlsafe(30),
            pepper=secrets.token_urlsafe(32),
            weed_jwt_keys=(_jwt_key(), _jwt_key(), _jwt_key(), _jwt_key()),
            seed_keys=SeedKeys(operator=_api_key(), client=_api_key(), worker_owner=_api_key()),
        )


def _jwt_key() -> str:
    return secrets.token_urlsafe(32)


def _api_key() -> str:
    return secrets.token_urlsafe(16)


def write_private(path: Path, content: bytes) -> None:
    """Write a file at once and for its owner only: a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class DataFolder:
    """A data folder opened by this process. Use as a context manager, or call `close`."""

    def __init__(self, path: Path) -> None:
        """Create the folder if needed and lock it.

        Raises:
            FolderInUseError: another run owns it.
            EmbeddedError: it cannot be created or written, or it is somebody else's.
        """
        self.path = path.expanduser().absolute()
        self._refuse_foreign()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"cannot use the data folder {self.path}: {error.strerror}") from error
        try:
            self._lock()
            self.secrets = self._load_secrets()
            self._ports = self._load_ports()
        except BaseException:
            os.close(self.lock_fd)
            raise

    @property
    def logs(self) -> Path:
        """Where every child's output goes, one file per process."""
        return self.path / "logs"

    def ports(self, *names: str) -> dict[str, int]:
        """Loopback ports by name: those of the last run where still free, others where not."""
        taken = set(self._ports.values())
        for name in names:
            if name not in self._ports or not port_is_free(self._ports[name]):
                self._ports[name] = _free_port(taken)
                taken.add(self._ports[name])
        write_private(self.path / "ports.json", json.dumps(self._ports, indent=1).encode())
        return {name: self._ports[name] for name in names}

    def close(self) -> None:
        """Release the folder for the next run."""
        os.close(self.lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_foreign(self) -> None:
        """A folder with other things in it is not written to: a mistyped path must not fill somebody's home."""
        if not self.path.is_dir() or any((self.path / own).exists() for own in ("secrets.json", "postgres")):
            return
        try:
            foreign = sorted(
                entry.name
                for entry in self.path.iterdir()
                if entry.name not in _HARMLESS and not entry.name.startswith(".secrets.json.")
            )
        except OSError as error:
            raise EmbeddedError(f"cannot use the data folder {self.path}: {error.strerror}") from error
        if foreign:
            raise EmbeddedError(
                f"{self.path} is not empty and no data folder of Hoard (it holds {foreign[0]!r}); nothing was "
                "touched: choose a new or empty folder with --data or HOARD_DATA"
            )

    def _lock(self) -> None:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _try_lock(self.lock_fd):
            holder = _read_pid(self.lock_fd)
            if holder is not None and _alive(holder):
                raise FolderInUseError(
                    f"another run (process {holder}) owns the data folder {self.path}; "
                    "stop it, or choose another folder with --data or HOARD_DATA"
                )
            # The supervisor is dead, so its guardian holds the lock and is still stopping the children.
            if time.monotonic() > deadline:
                raise FolderInUseError(f"the data folder {self.path} is still locked by a run that is ending")
            time.sleep(0.1)
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, str(os.getpid()).encode(), 0)

    def _load_secrets(self) -> Secrets:
        file = self.path / "secrets.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Secrets)
        except FileNotFoundError:
            if (self.path / "postgres").exists():
                raise EmbeddedError(f"{file} is missing, and the databases beside it need it") from None
        except msgspec.MsgspecError as error:
            raise EmbeddedError(f"{file} is damaged: {error}") from None
        generated = Secrets.generate()
        write_private(file, msgspec.json.format(msgspec.json.encode(generated)))
        return generated

    def _load_ports(self) -> dict[str, int]:
        # Only a preference: a damaged file costs nothing but other port numbers.
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self.path / "ports.json").read_bytes(), type=dict[str, int])
        return {}


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace")
    return int(text) if text.isdigit() else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_port(taken: set[int]) -> int:
    for _ in range(200):
        port = random.choice(_PORT_RANGE)
        if port not in taken and port_is_free(port):
            return port
    raise EmbeddedError(f"no free port between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")
