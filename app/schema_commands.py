"""`hoard schema`: print the schema to `schema.graphql`, or check that the committed file is true and breaks nobody.

Look next: `app.schema`, `app.platform.graphql.schema_tools`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from app.platform.graphql.schema_tools import breaking_changes, difference, print_sdl, undescribed
from app.schema import schema

FILE = Path(__file__).resolve().parents[1] / "schema.graphql"


@click.command("schema")
@click.option("--write", is_flag=True, help="Write schema.graphql.")
@click.option(
    "--check",
    is_flag=True,
    help="Fail if schema.graphql differs, breaks the last release, or is undescribed.",
)
def schema_command(*, write: bool, check: bool) -> None:
    """Print, write or check the GraphQL schema."""
    if write:
        FILE.write_text(print_sdl(schema), encoding="utf-8")
        click.echo(f"wrote {FILE.name}")
    elif check:
        sys.exit(_check())
    else:
        click.echo(print_sdl(schema), nl=False)


def _check() -> int:
    faults = [f"no description: {place}" for place in undescribed(schema)]
    if difference(schema, FILE):
        faults.append("schema.graphql is not what the code says: run `make schema` and commit it")
    released = _released()
    if released is not None:
        faults += [f"breaking: {change}" for change in breaking_changes(released, print_sdl(schema))]
    for fault in faults:
        click.echo(fault, err=True)
    if not faults:
        click.echo("schema.graphql is true" + ("" if released else "; no release to compare with yet"))
    return 1 if faults else 0


def _released() -> str | None:
    """The schema of the last tagged version, or None before the first."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v*")
    return None if tag is None else _git("show", f"{tag.strip()}:{FILE.name}")


def _git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(FILE.parent), *arguments],  # noqa: S607 - git of the developer's PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None
