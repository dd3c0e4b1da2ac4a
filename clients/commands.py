"""The commands that `hoard` offers of this package: `worker`, which is here, `generate`, `write`, `interrogate` and `rate`.

What the worker says goes to standard error, one plain line each: ids, sizes, seconds and rewards, never a prompt.
Exit codes: 0 stopped as told, 2 the settings or the account were refused. `control_commands.py` speaks to a worker
that runs.
"""

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from clients.control_commands import (
    init_command,
    pause_command,
    resume_command,
    set_command,
    status_command,
    stop_command,
)
from clients.generate import generate_command
from clients.interrogate import interrogate_command
from clients.rate import rate_command
from clients.worker.choosing import craft_of
from clients.worker.live import LiveSettings
from clients.worker.service import Plan, key_of, work
from clients.worker.settings import BACKENDS, SettingsError, words
from clients.write import write_command

__all__ = ["generate_command", "interrogate_command", "rate_command", "worker_command", "write_command"]

#: The settings' file that is used if it is there.
USUAL_FILE = Path("hoard-worker.toml")


@click.group("worker", invoke_without_command=True)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings' file, by default hoard-worker.toml if there; what is given here goes before it.",
)
@click.option("--url", envvar="HOARD_URL", help="The server's address, or $HOARD_URL.")
@click.option("--name", help="The worker's name, unique on the server.")
@click.option("--kind", type=click.Choice(list(BACKENDS)), help="What it does, by default image.")
@click.option("--backend", help="What does the work; by default procedural, which is no model.")
@click.option("--a1111-url", help="The WebUI's address.")
@click.option("--comfyui-url", help="ComfyUI's address.")
@click.option("--koboldcpp-url", help="KoboldCpp's address.")
@click.option("--openai-url", help="An OpenAI-compatible server's address, before /v1.")
@click.option("--gguf", help="The GGUF file that the backend local runs.")
@click.option("--models", help="Comma-separated models to serve.")
@click.option("--max-pixels", type=int, help="The largest picture, width x height.")
@click.option("--max-length", type=int, help="The longest text, in tokens.")
@click.option("--max-context-length", type=int, help="The most that is read and written, in tokens.")
@click.option("--forms", help="Comma-separated forms of interrogation to tell.")
@click.option("--nsfw/--no-nsfw", default=None, help="Whether to take work marked nsfw.")
@click.option("--blacklist", help="Comma-separated words; prompts with one of them are not taken.")
@click.option("--no-post-processing", is_flag=True, help="Take no work with post-processing.")
@click.option("--threads", type=int, help="Pieces of work done at a time.")
@click.option("--queue-ahead", type=int, help="Leases taken ahead, so that no thread waits.")
@click.option("--amount", type=int, help="Pieces of work per lease.")
@click.option("--wait-seconds", type=int, help="How long a poll waits for a job.")
@click.option("--control", help="Where the running worker can be spoken to, by default beside its file.")
@click.option("--once", is_flag=True, help="Stop after one lease; the same as --max-jobs 1.")
@click.option("--max-jobs", type=click.IntRange(1), help="Stop after so many leases.")
@click.option("--api-key", "key", envvar="HOARD_API_KEY", help="The owner's key, or $HOARD_API_KEY.")
@click.pass_context
def worker_command(
    context: click.Context,
    /,
    *,
    config: Path | None,
    once: bool,
    max_jobs: int | None,
    no_post_processing: bool,
    **options: Any,
) -> None:
    """Take jobs from a server, do their work, and earn kudos; or speak to a worker that does."""
    if config is None and USUAL_FILE.exists():
        config = USUAL_FILE
    if context.invoked_subcommand is not None:
        context.obj = (config, options["control"])
        return
    flags = {key: value for key, value in options.items() if value is not None}
    for key in ("models", "blacklist", "forms"):
        if key in flags:
            flags[key] = words(flags[key])
    if no_post_processing:
        flags["post_processing"] = False
    try:
        live = LiveSettings(config, flags)
        plan = Plan(
            live=live,
            key=key_of(live.current),
            craft=craft_of(live.current),
            max_jobs=1 if once else max_jobs,
        )
    except (SettingsError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(work(plan, say)))


for command in (init_command, status_command, pause_command, resume_command, set_command, stop_command):
    worker_command.add_command(command)


def say(line: str) -> None:
    """One line of the worker's log."""
    click.echo(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}", err=True)
