"""The `up` command of `hoard`, to be added to the group in `app.cli`. It only reads options; `up` does the work."""

import sys
from pathlib import Path

import click

from app.embedded.up import default_data, up


@click.command("up")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    envvar="HOARD_PORT",
    show_default=True,
    help="API port.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_data,
    envvar="HOARD_DATA",
    show_default=".hoard in the checkout",
    help="Data folder; two stacks need two.",
)
@click.option("--worker/--no-worker", default=True, show_default=True, help="Run the embedded worker too.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written when everything answers: addresses and API keys as JSON, mode 0600.",
)
def up_command(port: int, data: Path, *, worker: bool, ready_file: Path | None) -> None:
    """Run everything on this machine, in the foreground, until Ctrl+C.

    PostgreSQL, Valkey and S3 come from installed packages and keep their data in one folder; nothing else is
    needed. What ends by itself is reported and started again.
    """
    sys.exit(up(port, data, worker, ready_file))
