"""The command `hoard demo`.

Look next: `app.demo.story`.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import click

from app.demo.stage import CHECKOUT, StageError, stage
from app.demo.story import chapter, tell
from clients.api import RefusedError, UnreachableError


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the data folder, for looking around afterwards.")
@click.option(
    "--models",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Python that has the models (`make models`): real ones write and look.",
)
def demo_command(*, keep: bool, models: Path | None) -> None:
    """Run the main jobs end to end on a stack of its own, and prove it from the log."""
    home = CHECKOUT / ".hoard"
    home.mkdir(exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="demo-", dir=home))
    try:
        chapter("0. A real stack starts: PostgreSQL, Valkey, an S3 server, API, relay, actors")
        with stage(data) as running:
            asyncio.run(tell(running, home / "pictures", models=models))
            chapter(
                "Done: a picture, a text and what the picture shows; every kudos accounted for, every projection as the log says."
            )
    except (StageError, RefusedError, UnreachableError) as error:
        click.secho(f"\nThe demo failed: {error}\nLogs are in {data / 'logs'}", err=True, fg="red")
        sys.exit(1)
    if keep:
        click.echo(f"data kept in {data}: hoard up --data {data}")
    else:
        shutil.rmtree(data, ignore_errors=True)
