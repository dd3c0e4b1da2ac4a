"""The options that every command has that asks for a job: whom to ask, as whom, who may serve it, and for how much."""

from collections.abc import Callable
from typing import Any

import click


def addressed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say whom to ask, as whom, and how to answer."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text."),
        click.option(
            "--api-key",
            envvar="HOARD_API_KEY",
            default="",
            help="Your key, or $HOARD_API_KEY; none: anonymous.",
        ),
        click.option(
            "--url",
            envvar="HOARD_URL",
            default="http://127.0.0.1:8000",
            show_default=True,
            help="The server's address, or $HOARD_URL.",
        ),
    ):
        command = option(command)
    return command


#: Option -> the input's field, of the choices that `choosy` adds.
CHOICES = {
    "workers": "workers",
    "deny": "denyWorkers",
    "trusted_workers": "trustedWorkers",
    "slow_workers": "slowWorkers",
    "extra_slow_workers": "extraSlowWorkers",
    "nsfw": "nsfw",
    "max_kudos": "maxKudos",
}


def choosy(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who may serve the job, and for how much."""
    for option in (
        click.option("--max-kudos", help="Refuse to pay more than this."),
        click.option("--nsfw", is_flag=True, default=None, help="Mark the job as not safe for work."),
        click.option(
            "--extra-slow-workers", is_flag=True, default=None, help="Very slow workers will do, too."
        ),
        click.option("--slow-workers/--no-slow-workers", default=None, help="Whether slow workers will do."),
        click.option("--trusted-workers", is_flag=True, default=None, help="Only workers of trusted owners."),
        click.option("--deny", is_flag=True, default=None, help="Any worker but those named."),
        click.option(
            "--worker", "workers", multiple=True, help="Only this worker, by id or name; may be repeated."
        ),
    ):
        command = option(command)
    return command


def given(options: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The fields of what was given. What was not is not sent: the server's defaults hold."""
    found = {field: options.get(name) for name, field in names.items()}
    return {
        field: list(value) if isinstance(value, tuple) else value
        for field, value in found.items()
        if value not in (None, ())
    }
