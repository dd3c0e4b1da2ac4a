"""`hoard dataset`: what is imported to be rated, and what is released. It only joins the commands of two slices.

Look next: `app.images.commands`, `app.datasets.commands`.
"""

from __future__ import annotations

import click

from app.datasets import commands as releases
from app.images import commands as images


@click.group("dataset")
def dataset_group() -> None:
    """Import and mirror pictures to rate; build, compare and check releases."""


for command in (
    images.import_command,
    images.mirror_command,
    images.sets_command,
    releases.build_command,
    releases.list_command,
    releases.verify_command,
    releases.diff_command,
):
    dataset_group.add_command(command)
