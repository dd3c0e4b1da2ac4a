"""One child process: how it is described, started, watched and stopped.

Nothing here knows what the child is, and nothing restarts it; see `supervisor`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.embedded.errors import EmbeddedError

Account = Literal["self", "userns", "setuid"]

_LAUNCH = Path(__file__).with_name("launch.py")
#: A log file larger than this many bytes is set aside at the next start (one old file is kept).
_LOG_LIMIT = 20_000_000


def _nothing() -> None:
    """Nothing to tidy up."""


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What to run and how to end it."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    #: Output goes to a file, never to a pipe: a grandchild would keep a pipe open.
    log: Path
    #: The whole environment of the child. Secrets travel here or by `stdin`, never in `argv`.
    env: Mapping[str, str] = field(repr=False)
    stdin: bytes = field(default=b"", repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    #: Seconds between the stop signal and SIGKILL.
    grace: float = 8.0
    account: Account = "self"
    #: Runs before every start and after every end: removes what an unclean end left behind.
    tidy: Callable[[], None] = _nothing


def own_environment(**extra: str) -> dict[str, str]:
    """This process's environment without any `HOARD_*` or `PG*` variable, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOARD_", "PG"))}
    return kept | extra


def launch_argv(spec: ProcessSpec, *, tied: bool) -> list[str]:
    """The command line that runs a spec through `launch`; `tied` asks for its stop signal at this thread's end."""
    signum = str(int(spec.stop_signal)) if tied else "0"
    return [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), signum, spec.account, *spec.argv]


class Child:
    """A started process with a process group of its own."""

    def __init__(self, spec: ProcessSpec) -> None:
        """Start it.

        Raises:
            EmbeddedError: the folder, the log or the binary cannot be used.
        """
        self.spec = spec
        spec.tidy()
        # The kernel watches the starting *thread*; only the main one lives as long as the process.
        tied = threading.current_thread() is threading.main_thread()
        _set_aside(spec.log)
        try:
            with spec.log.open("ab") as log:
                self._popen = subprocess.Popen(
                    launch_argv(spec, tied=tied),
                    cwd=spec.cwd,
                    env=dict(spec.env),
                    stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            raise EmbeddedError(f"cannot start {spec.name}: {error}") from error
        self.started_at = time.monotonic()
        if self._popen.stdin:
            with contextlib.suppress(BrokenPipeError):  # it died at once; `poll` tells
                self._popen.stdin.write(spec.stdin)
                self._popen.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._popen.pid

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> int:
        """Stop it in order, kill it after its grace, sweep its group; the exit status."""
        if self.poll() is None:
            self._popen.send_signal(self.spec.stop_signal)
            self.wait(self.spec.grace)
        return self.kill()

    def kill(self) -> int:
        """Kill whatever is left of its group at once; the exit status."""
        # While the leader is not reaped the group id cannot be reused, afterwards only leftovers carry it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        status = self._popen.wait()
        with contextlib.suppress(EmbeddedError):  # the next start meets the same obstacle and reports it
            self.spec.tidy()
        return status


def describe_exit(status: int) -> str:
    """An exit status in words: `exit status 1` or `SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def log_tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log file, indented for a terminal."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in text.splitlines()[-lines:])


def processes_in(folder: Path, comm: str) -> list[int]:
    """Processes called `comm` whose working folder is `folder` or below it (Linux; elsewhere none is found)."""
    wanted = os.path.realpath(folder)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() != comm:
                continue
            if (entry / "cwd").readlink().is_relative_to(wanted):
                found.append(int(entry.name))
    return found


def evict(folder: Path, comm: str, stop_signal: signal.Signals, grace: float) -> None:
    """End what a killed run left working in `folder`. The caller owns the folder's lock, so nobody else's is hit.

    Raises:
        EmbeddedError: something survives even SIGKILL.
    """
    start = time.monotonic()
    signalled: set[int] = set()
    while pids := processes_in(folder, comm):
        waited = time.monotonic() - start
        if waited > grace + 5:
            raise EmbeddedError(f"process {pids[0]} ({comm}) still works in {folder} and cannot be ended")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                if waited > grace:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in signalled:
                    signalled.add(pid)
                    os.kill(pid, stop_signal)
        time.sleep(0.05)


def _set_aside(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(log.suffix + ".1"))
