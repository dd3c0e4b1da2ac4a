"""`hoard serve` and `hoard relay`: the long-running processes of the server.

Look next: `app.main`, `app.relay.main`.
"""

from __future__ import annotations

import os
import sys

import click

from app.platform.settings import Settings, SettingsError


def _settings() -> Settings:
    """The settings of the environment, or a clear end."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.command("serve")
@click.option("--share-port", is_flag=True, help="Let other processes with this option serve the same port.")
def serve_command(*, share_port: bool) -> None:
    """Run an API process (HOARD_HOST, HOARD_PORT)."""
    from app.main import serve  # noqa: PLC0415 - the relay needs none of it

    try:
        sys.exit(serve(_settings(), share_port=share_port))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.command("relay")
def relay_command() -> None:
    """Run the follower of the log: reactions, tailing projections, expiries. Several may run; one leads."""
    from app.relay.main import run  # noqa: PLC0415 - the API needs none of it

    sys.exit(run(_settings()))
