"""`hoard actors`: run the actors, list what they gave up, send it again. To be added to the group in `app.cli`.

Look next: `app.actors_main`, `app.platform.dead_letters`.
"""

from __future__ import annotations

import os
import sys

import click
import msgspec
import redis

from app.actors_main import run
from app.platform.broker import make_sender
from app.platform.dead_letters import DeadLetter, dead_letters, requeue
from app.platform.settings import Settings, SettingsError


@click.group("actors")
def actors_group() -> None:
    """What happens after a commit: publishing shared pictures, fetching source images."""


@actors_group.command("run")
def run_command() -> None:
    """Run actors in the foreground until SIGINT or SIGTERM."""
    sys.exit(run(_settings()))


@actors_group.command("failed")
@click.option(
    "--limit", type=click.IntRange(min=1), default=1_000, show_default=True, help="How many at most."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def failed_command(limit: int, *, as_json: bool) -> None:
    """List messages that no attempt could settle, oldest first."""
    try:
        letters = dead_letters(make_sender(_settings()), limit)
    except redis.RedisError as error:
        raise _broker_away(error) from error
    if as_json:
        click.echo(msgspec.json.encode(letters).decode())
        return
    for letter in letters:
        click.echo(_line(letter))
    if not letters:
        click.echo("nothing failed", err=True)


@actors_group.command("retry")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def retry_command(ids: tuple[str, ...], *, everything: bool, as_json: bool) -> None:
    """Send dead letters again, by the ids that `failed` shows."""
    if bool(ids) == everything:
        raise click.UsageError("give ids, or --all")
    broker = make_sender(_settings())
    try:
        wanted = tuple(letter.id for letter in dead_letters(broker, sys.maxsize)) if everything else ids
        with click.progressbar(wanted, label="sending", file=sys.stderr) as progress:
            outcome = {key: requeue(broker, key) for key in progress}
    except redis.RedisError as error:
        raise _broker_away(error) from error
    unknown = [key for key, sent in outcome.items() if not sent]
    if as_json:
        sent = [key for key, done in outcome.items() if done]
        click.echo(msgspec.json.encode({"sent": sent, "unknown": unknown}).decode())
    else:
        click.echo(f"{len(outcome) - len(unknown)} sent again")
        for key in unknown:
            click.echo(f"no dead letter {key}", err=True)
    if unknown and not everything:
        sys.exit(1)


def _settings() -> Settings:
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _broker_away(error: redis.RedisError) -> click.ClickException:
    return click.ClickException(f"the broker does not answer: {type(error).__name__}")


def _line(letter: DeadLetter) -> str:
    return f"{letter.id}  {letter.at:%Y-%m-%d %H:%M:%S}Z  {letter.actor}({letter.position})  {letter.error}"
