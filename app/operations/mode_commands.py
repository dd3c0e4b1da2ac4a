"""`hoard mode`: what the house is set to, and switching it. Reads options and prints.

Look next: `app.operations.decider`, `docs/status.md`.
"""

from __future__ import annotations

import click

from app.operations.decider import RULES, SetMode, Switched
from app.platform.commands import Rejection, Request
from app.platform.ids import new_id
from app.platform.settings import Settings
from app.platform.terminal import (
    WrongError,
    database,
    json_option,
    one_line_errors,
    print_json,
    settings_from_environment,
    writing,
)
from events.operations import HOUSE, Mode

_MODES = "SELECT maintenance, invite_only, raid FROM projections.modes WHERE realm = %s AND id = %s"
#: modes by the names on the command line
_NAMES = {mode.value.lower().replace("_", "-"): mode for mode in Mode}


@click.command("mode")
@click.argument("mode", type=click.Choice(list(_NAMES)), required=False)
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@json_option
@one_line_errors
def mode_command(mode: str | None, state: str | None, *, as_json: bool) -> None:
    """Switch MODE of the house on or off; without MODE: show all of them."""
    if mode is not None and state is None:
        raise click.UsageError("say whether: on or off")
    settings = settings_from_environment()
    if mode is None:
        shown = _shown(settings)
    else:
        with writing(settings, RULES) as writer:
            command = SetMode(mode=_NAMES[mode], on=state == "on")
            outcome = writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            raise WrongError(outcome.message)
        shown = outcome.result
    told = {name: getattr(shown, _NAMES[name].value.lower()) for name in _NAMES}
    if as_json:
        print_json({name.replace("-", "_"): on for name, on in told.items()})
        return
    for name, on in told.items():
        click.echo(f"{name:<12} {'on' if on else 'off'}")


def _shown(settings: Settings) -> Switched:
    with database(settings.database_url) as connection:
        row = connection.execute(_MODES, (settings.realm, HOUSE)).fetchone() or (False, False, False)
    return Switched(maintenance=row[0], invite_only=row[1], raid=row[2])
