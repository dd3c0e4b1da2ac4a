"""`hoard worker status|pause|resume|set|stop`, which speak to a worker that runs, and `init`, which writes its file.

Exit codes: 0 done, 1 there is no worker to speak to, 2 what was asked is refused. `--json` prints the whole answer.
"""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from clients.worker import settings_file
from clients.worker.control import Answer, ControlError, Problem, Request, ask, socket_of
from clients.worker.settings import BACKENDS, KEYS, SettingsError, checked
from clients.worker.standing import Standing

NOBODY, REFUSED = 1, 2


def _speaks(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that speaks to a worker."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document."),
        click.option("--control", help="The worker's control socket, by default beside its file."),
        click.option("--config", type=click.Path(path_type=Path), help="The worker's settings' file."),
    ):
        command = option(command)
    return click.pass_obj(command)


@click.command("init")
@click.option("--name", default=socket.gethostname, help="The worker's name.")
@click.option(
    "--kind", type=click.Choice(list(BACKENDS)), default="image", help="What it does, by default image."
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="The file to write, by default hoard-worker.toml."
)
@click.pass_obj
def init_command(given: tuple[Path | None, str | None], name: str, kind: str, config: Path | None) -> None:
    """Write a settings' file with everything explained."""
    path = config or given[0] or Path("hoard-worker.toml")
    try:
        checked({"name": name})
        settings_file.write_example(path, name, kind)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}; give it the key, or set HOARD_API_KEY, then: hoard worker --config {path}")


@click.command("status")
@_speaks
def status_command(given: tuple[Path | None, str | None], **where: Any) -> None:
    """Show how the worker stands."""
    _said(given, Request(do="status"), **where)


@click.command("pause")
@_speaks
def pause_command(given: tuple[Path | None, str | None], **where: Any) -> None:
    """Have it finish what is begun and take no more."""
    _said(given, Request(do="pause"), **where)


@click.command("resume")
@_speaks
def resume_command(given: tuple[Path | None, str | None], **where: Any) -> None:
    """Have it take jobs again."""
    _said(given, Request(do="resume"), **where)


@click.command("stop")
@_speaks
def stop_command(given: tuple[Path | None, str | None], **where: Any) -> None:
    """Have it deliver what is done, give back the rest and end."""
    _said(given, Request(do="stop"), **where)


@click.command("set")
@click.argument("key", type=click.Choice(KEYS), metavar="KEY")
@click.argument("value")
@click.option("--save", is_flag=True, help="Write it into the settings' file too.")
@_speaks
def set_command(given: tuple[Path | None, str | None], key: str, value: str, **where: Any) -> None:
    """Change a setting while the worker runs. Lists are comma-separated.

    It holds until the worker ends or the file's value of KEY changes.
    """
    request = Request(do="set", key=key, value=value, save=where.pop("save"))
    _said(given, request, **where)


def _said(
    given: tuple[Path | None, str | None],
    request: Request,
    *,
    config: Path | None,
    control: str | None,
    as_json: bool,
) -> None:
    """Ask, and end with the answer."""
    answer, code = Answer(), NOBODY
    try:
        answer = ask(_socket(config or given[0], control or given[1] or ""), request)
        code = REFUSED if answer.problems else 0
    except (ControlError, SettingsError) as error:
        answer = Answer(problems=(Problem(code="NO_WORKER", message=str(error)),))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        for problem in answer.problems:
            click.echo(
                f"{problem.code}: {f'{problem.key}: ' if problem.key else ''}{problem.message}", err=True
            )
        for line in answer.said:
            click.echo(line)
        if request.do != "set" and answer.standing is not None:
            click.echo(_in_words(answer.standing))
    sys.exit(code)


def _socket(config: Path | None, control: str) -> Path:
    """The worker's socket: as given here, as the file says, or beside the file."""
    if not control and config is not None:
        control = str(settings_file.read(config).get("control", ""))
    path = socket_of(config, control)
    if path is None:
        raise ControlError("which worker? Give its --config or --control")
    return path


def _in_words(standing: Standing) -> str:
    """The standing on some lines."""
    pace = "" if standing.seconds_each is None else f", {standing.seconds_each:.1f} s each"
    since = standing.since.astimezone().isoformat(timespec="seconds")
    lines = [
        f"{standing.name} ({standing.kind}): {standing.state}, {standing.doing} of {standing.threads} threads at work{pace}",
        f"since {since}: {standing.delivered} delivered, {standing.faulted} faulted",
        f"{standing.earned} kudos earned",
    ]
    if standing.last_word:
        lines.append(f"last word: {standing.last_word}")
    for lease in standing.leases:
        state = f"{lease.doing} under way, {lease.undone} left" if lease.begun else "taken ahead"
        until = lease.expires_at.astimezone().isoformat(timespec="seconds")
        lines.append(f"lease {lease.lease}: {lease.what}, {state}, until {until}")
    return "\n".join(lines)
