"""`hoard backup` and `hoard restore`. They only read options and print.

Exit statuses are those of `app.platform.terminal`. Look next: `app.operations.backup.take`,
`app.operations.backup.load`, `docs/backup.md`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
import msgspec

from app.operations.backup.form import BackupError, Progress, check_files, read_manifest
from app.operations.backup.load import Restored, restore
from app.operations.backup.take import Taken, take
from app.operations.migrate import MigrationError, owner_url
from app.platform.settings import Settings
from app.platform.terminal import (
    WRONG,
    CannotRunError,
    WrongError,
    database,
    json_option,
    one_line_errors,
    print_json,
    progress_bar,
    settings_from_environment,
)

_PEPPER_WARNING = (
    "keep HOARD_PEPPER with it but not in the same place: without it no API key in this backup is valid "
    "(hoard up has it in secrets.json of its data folder)"
)


@click.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--objects", is_flag=True, help="Also copy what is in the buckets, not only the lists of it.")
@json_option
@one_line_errors
def backup_command(folder: Path, *, objects: bool, as_json: bool) -> None:
    """Back up log, vault and the lists of the buckets into the new folder DIR, while everything goes on."""
    settings = _reachable()
    with progress_bar("backing up", shown=not as_json) as progress:
        try:
            taken = take(settings, folder, progress, objects=objects)
        except BackupError as error:
            raise WrongError(str(error)) from None
    if as_json:
        print_json({"folder": str(folder), **msgspec.to_builtins(taken)})
    else:
        _print_taken(folder, taken)
    click.echo(_PEPPER_WARNING, err=True)


def _print_taken(folder: Path, taken: Taken) -> None:
    manifest = taken.manifest
    for end in manifest.realms:
        click.echo(f"realm {end.realm}: {end.position} events, chain hash {end.hash}")
    rows = sum(part.rows for table in manifest.tables for part in table.parts)
    click.echo(f"{rows} rows of {len(manifest.tables)} tables")
    for bucket in manifest.buckets:
        how = "listed" if bucket.archive is None else "copied"
        click.echo(f"bucket {bucket.bucket}: {bucket.listing.rows} objects, {bucket.bytes} bytes, {how}")
    click.echo(f"{folder} is whole; SHA-256 of its manifest: {taken.sha256}")


@click.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--sha256", "expected", help="What the manifest's SHA-256 must be, as `hoard backup` printed it."
)
@click.option("--any-pepper", is_flag=True, help="Restore although all API keys will be void.")
@click.option("--check", is_flag=True, help="Only compare the files with the manifest; needs no settings.")
@json_option
@one_line_errors
def restore_command(
    folder: Path, expected: str | None, *, any_pepper: bool, check: bool, as_json: bool
) -> None:
    """Restore the backup in DIR into an empty database, prove it, and look for what the buckets lack."""
    with contextlib.ExitStack() as bars:

        def stage(label: str) -> Progress:
            bars.close()
            return bars.enter_context(progress_bar(label, shown=not as_json))

        try:
            if check:
                check_files(folder, read_manifest(folder, expected), stage("checking files"))
                done = None
            else:
                done = restore(_reachable(), folder, stage, expected=expected, any_pepper=any_pepper)
        except BackupError as error:
            raise WrongError(str(error)) from None
    if done is None:
        _say({"whole": True}, f"{folder} is whole", as_json=as_json)
        return
    if as_json:
        print_json({"clean": done.clean, **msgspec.to_builtins(done)})
    else:
        _print_restored(done)
    if not done.clean:
        raise click.exceptions.Exit(WRONG)


def _say(value: dict[str, bool], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        click.echo(text)


def _print_restored(done: Restored) -> None:
    click.echo(f"restored as of {done.taken_at}")
    for end in done.realms:
        click.echo(f"realm {end.realm}: {end.position} events, complete and unaltered, chain hash {end.hash}")
    click.echo(f"projections {'are what the log says' if done.projections_clean else 'DIFFER from the log'}")
    if not done.keys_valid:
        click.echo("HOARD_PEPPER is another one: no API key is valid")
    for bucket in done.buckets:
        click.echo(
            f"bucket {bucket.bucket}: {bucket.listed} listed, {bucket.missing} missing, {bucket.changed} changed, "
            f"{bucket.put_back} put back"
        )
        for key in bucket.missing_keys:
            click.echo(f"  missing {key}")
        for key in bucket.changed_keys:
            click.echo(f"  changed {key}")


def _reachable() -> Settings:
    """The settings, if an owner's role is among them and its database answers."""
    settings = settings_from_environment()
    try:
        url = owner_url(settings)
    except MigrationError as error:
        raise CannotRunError(str(error)) from None
    # Alembic connects by itself, without a time limit and with a traceback.
    with database(url):
        return settings
