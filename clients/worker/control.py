"""The worker's small control surface: one JSON line asked, one answered, on a Unix socket that only its owner opens.

Serves `hoard worker status|pause|resume|set|stop`; the asking side is `ask`. Answers never hold the key or a prompt.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import msgspec

from clients.worker.settings import Fault, SettingsError
from clients.worker.standing import Standing

Deed = Literal["status", "pause", "resume", "set", "stop"]
#: A Unix socket's path holds no more bytes than this.
LONGEST_PATH = 100
LONGEST_LINE = 64 * 1024
#: Seconds to say a line, or to hear one.
PATIENCE = 10.0


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker is to do; `key`, `value` (as typed) and `save` belong to `set`."""

    do: Deed
    key: str = ""
    value: str = ""
    save: bool = False


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why it was not done: INVALID_REQUEST, or INVALID_SETTING with the setting's key."""

    code: str
    message: str
    key: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the worker stands now and what changed, or every problem there was."""

    standing: Standing | None = None
    said: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class ControlError(Exception):
    """The worker cannot be spoken to."""


class Change(Protocol):
    """Gives a setting another value."""

    def __call__(self, key: str, text: str, *, save: bool) -> tuple[str, ...]:
        """What there is to say of it. Raises SettingsError."""
        ...


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done to the worker."""

    standing: Callable[[], Standing]
    pause: Callable[[], None]
    resume: Callable[[], None]
    stop: Callable[[], None]
    change: Change


def socket_of(settings_file: Path | None, control: str) -> Path | None:
    """Where a worker is spoken to: at `control`, else beside its file, else nowhere."""
    if control:
        return Path(control).expanduser()
    return None if settings_file is None else settings_file.with_suffix(".sock")


class ControlServer:
    """Listens while it is entered. Raises ControlError on entry if another worker does already."""

    def __init__(self, path: Path, controls: Controls) -> None:
        self._path = path
        self._controls = controls
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if len(str(self._path).encode()) > LONGEST_PATH:
            raise ControlError(f"the path of the control socket is too long: {self._path}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self._path.is_socket():
                if await asyncio.to_thread(_alive, self._path):
                    raise ControlError(f"another worker is controlled at {self._path}")
                self._path.unlink()  # left by a worker that was killed
            listener.bind(str(self._path))
            self._path.chmod(0o600)  # nobody can connect before it listens
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE)
        except OSError as error:
            listener.close()
            raise ControlError(f"cannot listen at {self._path}: {error.strerror}") from error
        except ControlError:
            listener.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(PATIENCE):
                answer = self._answer(await reader.readline())
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        writer.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Answer(problems=(Problem(code="INVALID_REQUEST", message=str(error)),))
        said: tuple[str, ...] = ()
        try:
            if request.do == "set":
                said = self._controls.change(request.key, request.value, save=request.save)
            elif request.do != "status":
                getattr(self._controls, request.do)()
        except SettingsError as error:
            return Answer(problems=tuple(_problem(fault) for fault in error.faults))
        return Answer(standing=self._controls.standing(), said=said)


def _problem(fault: Fault) -> Problem:
    return Problem(code="INVALID_SETTING", message=fault.message, key=fault.key)


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(str(path))
        except OSError:
            return False
        return True


def ask(path: Path, request: Request) -> Answer:
    """The running worker's answer. Raises ControlError if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(str(path))
            asking.sendall(msgspec.json.encode(request) + b"\n")
            with asking.makefile("rb") as answers:
                line = answers.readline()
        except OSError as error:
            raise ControlError(f"no worker answers at {path}: {error.strerror or error}") from error
    try:
        return msgspec.json.decode(line, type=Answer)
    except msgspec.DecodeError as error:
        raise ControlError(f"what answers at {path} is no worker of this version") from error
