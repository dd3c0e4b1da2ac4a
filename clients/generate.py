"""`hoard generate`: pictures from a prompt, on the command line. Look next: `ordering.py`, `generate_options.py`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from clients.api import endpoint
from clients.generate_options import shaping, wish_of
from clients.ordering import Order, carry_out
from clients.ordering_options import addressed
from clients.report import Report


@click.command("generate")
@click.argument("prompt")
@shaping
@click.option("--source", help="A picture to start from: a file, or an https link.")
@click.option("--mask", help="Where to paint it anew: white in this file or link.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to save pictures."
)
@addressed
def generate_command(
    *,
    url: str,
    api_key: str,
    out: Path,
    as_json: bool,
    source: str | None,
    mask: str | None,
    **options: Any,
) -> None:
    """Have pictures made from PROMPT."""
    given = {"source": source, "sourceMask": mask}
    sources = {field: where for field, where in given.items() if where is not None}
    try:
        order = Order(url=endpoint(url), key=api_key, wish=wish_of(**options), sources=sources, out=out)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(carry_out(order, Report(as_json=as_json))))
