"""`hoard interrogate`: what a picture shows, or what can be made of it, on the command line. Look next: `ordering.py`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from clients.api import endpoint
from clients.generate_options import POST_PROCESSORS
from clients.ordering import INTERROGATIONS, Order, carry_out
from clients.ordering_options import CHOICES, addressed, choosy, given
from clients.report import Report

FORMS = (
    *("CAPTION", "DESCRIBE", "INTERROGATION", "NSFW", "AESTHETIC", "PALETTE", "VECTORIZE"),
    *POST_PROCESSORS,
)
_TOP = {"reuse": "reuse", **CHOICES}


@click.command("interrogate")
@click.argument("picture")
@click.option(
    "--form",
    "forms",
    multiple=True,
    type=click.Choice(FORMS, case_sensitive=False),
    help="What to tell of it, or to make of it; may be repeated. None: CAPTION.",
)
@click.option(
    "--reuse/--no-reuse", default=None, help="Whether what was told before of the same link will do."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to save pictures and drawings.",
)
@choosy
@addressed
def interrogate_command(
    *, picture: str, url: str, api_key: str, out: Path, as_json: bool, forms: tuple[str, ...], **options: Any
) -> None:
    """Have something told of PICTURE, a file or an https link."""
    wish = {"forms": [form.upper() for form in forms or ("CAPTION",)], **given(options, _TOP)}
    try:
        order = Order(
            trade=INTERROGATIONS,
            url=endpoint(url),
            key=api_key,
            wish=wish,
            sources={"source": picture},
            out=out,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(carry_out(order, Report(as_json=as_json))))
