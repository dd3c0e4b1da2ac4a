"""Everything behind `hoard up`: the embedded servers, migrations, seeds, then the application's processes.

It stays in the foreground and restarts what ends by itself. It knows the application only as command lines
(`Program`), so it imports none of it.
"""

import http.client
import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import msgspec

from app.embedded.errors import CancelledError, EmbeddedError
from app.embedded.folder import DataFolder, SeedKeys, port_is_free, write_private
from app.embedded.process import ProcessSpec, own_environment
from app.embedded.running import ENV_FILE
from app.embedded.service import Service
from app.embedded.signals import StopRequest
from app.embedded.stack import await_services, seed_keys_json, services, settings, write_env
from app.embedded.supervisor import Supervisor

HOST: Final = "127.0.0.1"
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
#: Seconds for migrations, for seeds, and for the API to answer its first health request.
_STEP_TIMEOUT: Final = 300.0
_API_TIMEOUT: Final = 60.0
_TICK: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Program:
    """One command of the application."""

    name: str
    argv: tuple[str, ...]
    #: Variables beside the stack's `HOARD_*`.
    env: tuple[tuple[str, str], ...] = ()
    #: Seconds for an orderly end after SIGTERM.
    grace: float = 8.0


@dataclass(frozen=True, kw_only=True)
class Programs:
    """What `up` runs: `steps` to their end, all at once, then `children` for as long as it lives.

    A step that needs another waits for it by itself. The child named `api` is the one whose `/healthz` decides that
    the stack is ready. It is started before anything else is, and waits by itself too: loading it takes longest.
    """

    steps: tuple[Program, ...]
    children: tuple[Program, ...]


def hoard_programs(port: int, keys: SeedKeys, *, worker: bool) -> Programs:
    """The application's real commands."""
    seeds = (("HOARD_SEED_KEYS", seed_keys_json(keys)),)
    children = [
        Program(name="api", argv=_hoard("serve")),
        Program(name="relay", argv=_hoard("relay")),
        Program(name="actors", argv=_hoard("actors", "run")),
    ]
    if worker:
        children.append(
            Program(
                name="worker",
                argv=_hoard(
                    *("worker", "--url", f"http://{HOST}:{port}/graphql"),
                    *("--name", "Embedded worker", "--backend", "procedural"),
                ),
                env=(("HOARD_API_KEY", keys.worker_owner),),
            )
        )
    return Programs(
        steps=(
            Program(name="migrate", argv=_hoard("migrate")),
            Program(name="seed", argv=_hoard("seed", "--wait"), env=seeds),
        ),
        children=tuple(children),
    )


def _hoard(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "app.cli", *arguments)


ProgramsFor = Callable[[int, SeedKeys, bool], Programs]


def _real_programs(port: int, keys: SeedKeys, worker: bool) -> Programs:  # noqa: FBT001 - shape of ProgramsFor
    return hoard_programs(port, keys, worker=worker)


def up(
    port: int,
    data: Path,
    worker: bool,  # noqa: FBT001 - mirrors the command's options
    ready_file: Path | None,
    *,
    programs_for: ProgramsFor = _real_programs,
    report: Callable[[str], None] = click.echo,
) -> int:
    """Run the whole stack until SIGINT or SIGTERM; the exit status of the command.

    `ready_file` is removed at once and written, in one piece and for its owner only, when everything answers.
    """
    stop = StopRequest.on_signals()
    try:
        with DataFolder(data) as folder:
            if not port_is_free(port, HOST):
                raise EmbeddedError(f"port {port} is taken; choose another with --port or HOARD_PORT")
            # Not before the lock is ours: a refused second run must not touch the first one's file.
            _prepare(ready_file)
            try:
                _run(
                    _Run(port, folder, ready_file, stop, report),
                    programs_for(port, folder.secrets.seed_keys, worker),
                )
            finally:
                _remove(ready_file)
                _remove(folder.path / ENV_FILE)
    except CancelledError:
        return 0
    except EmbeddedError as error:
        report(f"hoard up: {error}")
        return 1
    return 0


def _prepare(ready_file: Path | None) -> None:
    """Make the ready file's folder and take away a stale file, before anything is started.

    Raises:
        EmbeddedError: it could not be written at the end either.
    """
    if ready_file is None:
        return
    try:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        write_private(ready_file, b"")
        ready_file.unlink()
    except OSError as error:
        raise EmbeddedError(f"cannot write the ready file {ready_file}: {error.strerror}") from error


def _remove(ready_file: Path | None) -> None:
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Run:
    """What one run of `up` carries around."""

    port: int
    folder: DataFolder
    ready_file: Path | None
    stop: StopRequest
    report: Callable[[str], None]

    def spec(self, program: Program, environment: dict[str, str]) -> ProcessSpec:
        return ProcessSpec(
            name=program.name,
            argv=program.argv,
            cwd=_CHECKOUT,
            log=self.folder.logs / f"{program.name}.log",
            env=own_environment(**environment, PYTHONUNBUFFERED="1") | dict(program.env),
            grace=program.grace,
        )


def _run(run: _Run, programs: Programs) -> None:
    members = tuple(service for service in services(run.folder) if service.replaced_by not in os.environ)
    with Supervisor(lock_fd=run.folder.lock_fd, report=run.report, cancelled=run.stop.is_set) as supervisor:
        if members:
            run.report(f"starting {', '.join(service.name for service in members)} in {run.folder.path}")
        for service in members:
            supervisor.start(service.spec())
        environment = _environment(run, members)
        specs = [run.spec(program, environment) for program in programs.children]
        for spec in specs:
            if spec.name == "api":
                supervisor.start(spec)
        await_services(supervisor, members)
        write_env(run.folder.path / ENV_FILE, environment)
        run.report(f"running {', '.join(step.name for step in programs.steps)}")
        supervisor.run([run.spec(step, environment) for step in programs.steps], _STEP_TIMEOUT)
        supervisor.wait_until("api", lambda: _answers(run.port), _API_TIMEOUT)
        for spec in specs:
            if spec.name != "api":  # the others are its clients
                supervisor.start(spec)
        _announce(run, environment["HOARD_S3_URL"])
        while not run.stop.wait(_TICK):
            supervisor.tend()
        run.report("stopping")


def _environment(run: _Run, members: tuple[Service, ...]) -> dict[str, str]:
    """The caller's `HOARD_*` variables, then what the embedded servers say, then the address."""
    callers = {name: value for name, value in os.environ.items() if name.startswith("HOARD_")}
    embedded = settings(run.folder, members)
    if "HOARD_PEPPER" in callers:
        del embedded["HOARD_PEPPER"]
    here = {"HOARD_HOST": HOST, "HOARD_PORT": str(run.port), "HOARD_URL": f"http://{HOST}:{run.port}"}
    return callers | embedded | here


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def ready_content(port: int, s3_url: str, keys: SeedKeys) -> bytes:
    """The ready file: addresses, and the seeded users' API keys (also at the top level)."""
    named: dict[str, str] = msgspec.to_builtins(keys)
    content = {
        "graphql": f"http://{HOST}:{port}/graphql",
        "subscriptions": f"ws://{HOST}:{port}/graphql",
        "s3": s3_url,
        "keys": named,
        **named,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def _announce(run: _Run, s3_url: str) -> None:
    if run.ready_file is not None:
        write_private(run.ready_file, ready_content(run.port, s3_url, run.folder.secrets.seed_keys))
    run.report(
        f"ready: http://{HOST}:{run.port}/graphql (S3 {s3_url}, logs {run.folder.logs}, "
        f"API keys in {run.folder.path / 'secrets.json'}); Ctrl+C stops everything"
    )


def default_data() -> Path:
    """`.hoard` in the checkout."""
    return _CHECKOUT / ".hoard"
