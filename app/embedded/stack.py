"""PostgreSQL, Valkey and S3 of one data folder, started and stopped together.

Tests and benchmarks use `EmbeddedStack` as a context manager; `hoard up` adds the application's processes (`up`).
`python -m app.embedded.stack --data DIR --print-env` runs just the three and writes `DIR/env.sh` to be sourced.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import click
import msgspec

from app.embedded.errors import CancelledError, EmbeddedError
from app.embedded.folder import DataFolder, SeedKeys, write_private
from app.embedded.postgres import Postgres
from app.embedded.seaweed import SeaweedFS
from app.embedded.service import Service
from app.embedded.signals import StopRequest
from app.embedded.supervisor import Supervisor
from app.embedded.valkey import Valkey

#: Seconds a server may take to answer: recovery after a crash included.
_START_TIMEOUT: Final = 60.0


class EmbeddedStack:
    """The three servers. Start it from the main thread: its death then takes them along.

    Two stacks run side by side if their folders differ. Names for `pid` and `restart`: `postgres`, `valkey`,
    `seaweedfs`.
    """

    def __init__(self, data_dir: Path, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Name the folder; nothing is touched before `start`. `cancelled` is asked while starting."""
        self._data_dir = data_dir
        self._cancelled = cancelled
        self._folder: DataFolder | None = None
        self._supervisor: Supervisor | None = None
        self._services: dict[str, Service] = {}

    def lock(self) -> None:
        """Take the data folder without starting anything; `start` does it if nobody did.

        Raises:
            EmbeddedError: the folder is in use or cannot be used.
        """
        if self._folder is None:
            self._folder = DataFolder(self._data_dir)

    def start(self) -> dict[str, str]:
        """Start all three and create roles, database and buckets.

        Returns:
            `HOARD_*` variables for `Settings.from_env`.

        Raises:
            EmbeddedError: the folder is in use, or a server does not start.
        """
        self.lock()
        folder = self._opened()
        try:
            self._supervisor = Supervisor(
                lock_fd=folder.lock_fd, report=_to_stderr, cancelled=self._cancelled
            )
            self._services = {service.name: service for service in services(folder)}
            for service in self._services.values():
                self._supervisor.start(service.spec())
            await_services(self._supervisor, tuple(self._services.values()))
            return settings(folder, tuple(self._services.values()))
        except BaseException:
            self.stop()
            raise

    @property
    def seed_keys(self) -> SeedKeys:
        """API keys for the users a fresh installation is seeded with."""
        return self._opened().secrets.seed_keys

    def pid(self, name: str) -> int:
        """The process id of a server, for tests that kill it."""
        return self._running().pid(name)

    def lives(self, name: str) -> bool:
        """Whether a server runs now."""
        return self._running().lives(name)

    def restart(self, name: str) -> None:
        """Start a server again, whether it lives or was killed, and wait until it answers."""
        supervisor = self._running()
        supervisor.restart(name)
        supervisor.wait_until(name, self._services[name].ready, _START_TIMEOUT)

    def tend(self) -> None:
        """Restart servers that ended by themselves; call it a few times a second if nobody else restarts them."""
        self._running().tend()

    def stop(self) -> None:
        """Stop all three; may be repeated."""
        supervisor, self._supervisor = self._supervisor, None
        folder, self._folder = self._folder, None
        try:
            if supervisor is not None:
                supervisor.close()
        finally:
            if folder is not None:
                folder.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _opened(self) -> DataFolder:
        if self._folder is None:
            raise EmbeddedError("the stack is not running")
        return self._folder

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise EmbeddedError("the stack is not running")
        return self._supervisor


def services(folder: DataFolder) -> tuple[Service, ...]:
    """The servers of a folder, in the order of their start: the slowest first, they do not need each other."""
    return (SeaweedFS(folder), Postgres(folder), Valkey(folder))


def await_services(supervisor: Supervisor, members: tuple[Service, ...]) -> None:
    """Wait for each of the started servers and set it up.

    Raises:
        EmbeddedError: one does not start.
    """
    for service in members:
        supervisor.wait_until(service.name, service.ready, _START_TIMEOUT)
        service.set_up()


def settings(folder: DataFolder, members: tuple[Service, ...]) -> dict[str, str]:
    """The `HOARD_*` variables of a folder whose servers run."""
    merged = {"HOARD_PEPPER": folder.secrets.pepper}
    for service in members:
        merged |= service.settings()
    return merged


def seed_keys_json(keys: SeedKeys) -> str:
    """The value of `HOARD_SEED_KEYS`."""
    return msgspec.json.encode(keys).decode()


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the terminal is this module's output


def write_env(path: Path, environment: dict[str, str]) -> None:
    """Write variables as a private file that a shell can source and `running.adopt` reads."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items())]
    write_private(path, "".join(lines).encode())


@click.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Data folder.")
@click.option("--print-env", is_flag=True, help="Also print the variables, secrets included.")
def main(data: Path, *, print_env: bool) -> None:
    """Run PostgreSQL, Valkey and S3 in the foreground until SIGINT or SIGTERM."""
    stop = StopRequest.on_signals()
    stack = EmbeddedStack(data, stop.is_set)
    env_file = data / "env.sh"
    try:
        stack.lock()
        env_file.unlink(missing_ok=True)  # left by a killed run: nobody may take it for a sign of readiness
        environment = stack.start()
        environment["HOARD_SEED_KEYS"] = seed_keys_json(stack.seed_keys)
        write_env(env_file, environment)
        if print_env:
            click.echo(env_file.read_text(encoding="utf-8"), nl=False)
        _to_stderr(f"ready; source {env_file}")
        while not stop.wait(0.2):
            stack.tend()
        env_file.unlink(missing_ok=True)
    except CancelledError:
        pass
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from error
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
