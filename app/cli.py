"""`hoard`, the one command. Each part lives with what it does; this only puts them together.

Look next: `app.embedded.commands` (up), `app.operations.commands`, `app.actors_commands`, `clients.commands`.
"""

from __future__ import annotations

import importlib
import os

import click

from app.embedded.running import adopt
from app.embedded.up import default_data

#: command name -> (module, object): loaded when called, so that `hoard worker` needs nothing of the server
_COMMANDS = {
    "up": ("app.embedded.commands", "up_command"),
    "demo": ("app.demo.commands", "demo_command"),
    "serve": ("app.process_commands", "serve_command"),
    "relay": ("app.process_commands", "relay_command"),
    "actors": ("app.actors_commands", "actors_group"),
    "worker": ("clients.commands", "worker_command"),
    "generate": ("clients.commands", "generate_command"),
    "write": ("clients.commands", "write_command"),
    "interrogate": ("clients.commands", "interrogate_command"),
    "rate": ("clients.commands", "rate_command"),
    "migrate": ("app.operations.commands", "migrate_command"),
    "seed": ("app.accounts.commands", "seed_command"),
    "grant": ("app.accounts.commands", "grant_command"),
    "adjust": ("app.accounts.commands", "adjust_command"),
    "allowance": ("app.accounts.commands", "allowance_command"),
    "role": ("app.accounts.commands", "role_command"),
    "trust": ("app.accounts.commands", "trust_command"),
    "limit": ("app.accounts.commands", "limit_command"),
    "user": ("app.user_commands", "user_group"),
    "mode": ("app.operations.mode_commands", "mode_command"),
    "config": ("app.operations.commands", "config_command"),
    "backup": ("app.operations.backup.commands", "backup_command"),
    "restore": ("app.operations.backup.commands", "restore_command"),
    "log": ("app.operations.log_commands", "log_group"),
    "why": ("app.research_commands", "why_group"),
    "shadow": ("app.research_commands", "shadow_command"),
    "projections": ("app.operations.commands", "projections_group"),
    "dataset": ("app.dataset_commands", "dataset_group"),
    "takedown": ("app.images.commands", "takedown_group"),
    "raters": ("app.raters.commands", "raters_group"),
    "known-answers": ("app.raters.commands", "known_answers_group"),
    "train-aesthetic": ("app.aesthetics.commands", "train_command"),
    "docs": ("app.operations.events_doc", "docs_group"),
    "schema": ("app.schema_commands", "schema_command"),
}


class Hoard(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=Hoard, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Hoard: a crowdsourced AI cluster's server, its worker and its client.

    Without HOARD_... settings the commands find the stack that `hoard up` runs in HOARD_DATA (default .hoard).
    """
    if context.invoked_subcommand not in ("up", "demo"):
        adopt(os.environ, default_data())


if __name__ == "__main__":
    main(prog_name="hoard")
