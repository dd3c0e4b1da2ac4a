"""`hoard dataset build|list|verify|diff`. They only read options and print.

`verify` and `diff` need neither settings nor a database, unless the log is asked. Look next: `app.datasets.build`,
`app.datasets.checking`, `app.datasets.shelf`.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from app.datasets.build import BuildError, build
from app.datasets.checking import Diff, check, diff
from app.datasets.librarian import source_of
from app.datasets.manifest import Release, ReleaseError
from app.datasets.reading import LiveLog
from app.datasets.shelf import PREFIX, Shelf
from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.objects import ObjectStore
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

_folder = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("build")
@click.option("--at", "position", type=click.IntRange(min=1), help="Cut the log here.  [default: at its end]")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Build in this folder."
)
@click.option("--bucket", is_flag=True, help="Build into releases/ in the bucket of data sets.")
@click.option("--work", type=_folder, help="With --bucket: where to build it first.  [default: the system's]")
@json_option
@one_line_errors
def build_command(
    position: int | None, folder: Path | None, work: Path | None, *, bucket: bool, as_json: bool
) -> None:
    """Build the release of a position: pictures, metadata, ratings, sums, pairs, splits. Run it again if it was stopped."""
    if (folder is None) == (not bucket):
        raise click.UsageError("give either --to FOLDER or --bucket")
    settings = settings_from_environment()
    with (
        database(settings.database_url) as connection,
        progress_bar("building", shown=not as_json) as progress,
    ):
        objects = _objects(settings)
        source = source_of(settings, connection, objects)
        at = position or source.log.last()
        try:
            if folder is not None:
                release = build(source, at, folder, None, progress)
            else:
                with alone(connection, locks.releases(settings.realm)):
                    release = Shelf(objects, settings.bucket_datasets).publish(source, at, work, progress)
        except BuildError as error:
            raise WrongError(str(error)) from None
    place = f"{settings.bucket_datasets}/{PREFIX}" if folder is None else f"{folder}/"
    if as_json:
        print_json(msgspec.to_builtins(release))
    else:
        click.echo(f"{place}{release.name}: {_summary(release)}")


@click.command("list")
@json_option
@one_line_errors
def list_command(*, as_json: bool) -> None:
    """List the releases in the bucket of data sets, oldest first."""
    settings = settings_from_environment()
    releases = Shelf(_objects(settings), settings.bucket_datasets).releases()
    if as_json:
        print_json({"releases": [msgspec.to_builtins(release) for release in releases]})
        return
    for release in releases:
        click.echo(f"{release.name}  {release.cut_at}  {_summary(release)}")


@click.command("verify")
@click.argument("folder", type=_folder)
@click.option("--log", "against_log", is_flag=True, help="Also compare position and hash with the live log.")
@json_option
@one_line_errors
def verify_command(folder: Path, *, against_log: bool, as_json: bool) -> None:
    """Compare every file of a release with its manifest: exit status 1 if one is another or missing."""
    try:
        checked = check(folder)
    except ReleaseError as error:
        raise CannotRunError(str(error)) from None
    faults = [*checked.faults]
    if against_log:
        settings = settings_from_environment()
        with database(settings.database_url) as connection:
            if not _in_log(LiveLog(connection, settings.realm), checked.position, checked.log_hash):
                faults.append(f"the log has no position {checked.position} with hash {checked.log_hash}")
    if as_json:
        print_json({**msgspec.to_builtins(checked), "clean": not faults, "faults": faults})
    else:
        for fault in faults or [f"{checked.name}: {checked.files} files, complete and unaltered"]:
            click.echo(fault)
    if faults:
        raise click.exceptions.Exit(WRONG)


@click.command("diff")
@click.argument("first", type=_folder)
@click.argument("second", type=_folder)
@json_option
@one_line_errors
def diff_command(first: Path, second: Path, *, as_json: bool) -> None:
    """Compare two releases, table by table: rows added, removed, changed, and what was withdrawn."""
    try:
        told = diff(first, second)
    except ReleaseError as error:
        raise CannotRunError(str(error)) from None
    if as_json:
        print_json(msgspec.to_builtins(told))
    else:
        _print_diff(told)


def _print_diff(told: Diff) -> None:
    click.echo(f"{told.first} -> {told.second}")
    for name, table in told.tables.items():
        click.echo(f"  {name:<12} +{table.added} -{table.removed} ~{table.changed}")
    for line in told.buried:
        click.echo(f"  withdrawn: {line}")
    for picture in told.unexplained:
        click.echo(f"  gone without a tombstone: {picture}")


def _in_log(log: LiveLog, position: int, digest: str) -> bool:
    try:
        return log.at(position).hash.hex() == digest
    except KeyError:
        return False


def _summary(release: Release) -> str:
    rows = release.rows
    return (
        f"{release.pictures} pictures, {rows['ratings']} ratings, {rows['pairs']} pairs, "
        f"{rows['tombstones']} tombstones"
    )


def _objects(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
