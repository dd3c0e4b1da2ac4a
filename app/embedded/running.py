"""Finding the stack that runs in a data folder, for commands that are given no settings.

`hoard up` leaves its variables in the folder while it runs; without settings of their own the other commands adopt
them. A file left by a killed run does no harm: nothing answers there. Look next: `app.embedded.up`, `app.cli`.
"""

import shlex
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

ENV_FILE: Final = "env.sh"


def adopt(environ: MutableMapping[str, str], default_data: Path) -> None:
    """Add the variables of the stack in `HOARD_DATA` (or `default_data`) unless a database is configured."""
    if environ.get("HOARD_DATABASE_URL"):
        return
    path = Path(environ.get("HOARD_DATA") or default_data) / ENV_FILE
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        for word in shlex.split(line)[1:]:
            name, _, value = word.partition("=")
            environ.setdefault(name, value)
