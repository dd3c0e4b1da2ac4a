"""The commands of `hoard` for running the house: `migrate`, `config`, `projections`. They read options and print.

Exit statuses are those of `app.platform.terminal`. Look next: `app.operations.log_commands` (`log`),
`app.operations.events_doc` (`docs`), `app.accounts.commands` (`seed`, `grant`, `role`).
"""

from __future__ import annotations

import os

import click
import msgspec

from app.operations.migrate import MigrationError, make_buckets, migrate, owner_url
from app.platform.model_reference import ModelReference
from app.platform.networks import Networks
from app.platform.news import News
from app.platform.settings import Settings, SettingsError
from app.platform.storage_errors import StorageUnavailableError
from app.platform.terminal import (
    WRONG,
    CannotRunError,
    database,
    json_option,
    one_line_errors,
    print_json,
    progress_bar,
    settings_from_environment,
)
from projections.base import FoldError
from projections.store.audit import Report, verify
from projections.store.build import rebuild


@click.command("migrate")
@json_option
@one_line_errors
def migrate_command(*, as_json: bool) -> None:
    """Bring the database to this program's schema and projections; nothing happens where it is there already."""
    settings = settings_from_environment()
    # Alembic connects by itself, without a time limit and with a traceback.
    with database(_owner(settings)):
        pass
    with progress_bar("building projections", shown=not as_json) as progress:
        built = migrate(settings, progress)
    try:
        versions = make_buckets(settings)
    except StorageUnavailableError as error:
        raise CannotRunError(f"the database is migrated, the buckets are not made: {error}") from error
    if as_json:
        print_json({"migrated": True, "projections_built": built, "results_keep_versions": versions})
    else:
        click.echo(f"migrated; projections {'were built from the log' if built else 'are up to date'}")
    if not versions:
        click.echo(
            "storage keeps no versions: a worker can replace its picture until its link ends", err=True
        )


@click.command("config")
@json_option
def config_command(*, as_json: bool) -> None:
    """Print the settings without their secrets, or everything that is wrong with them."""
    shown: dict[str, str] = {}
    faults: tuple[str, ...] = ()
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        faults = error.faults
    else:
        shown, faults = settings.redacted(), _faults_of_files(settings)
    if as_json:
        print_json({"settings": shown, "faults": faults})
    else:
        for name, value in shown.items():
            click.echo(f"{name} = {value}")
        for fault in faults:
            click.echo(fault, err=True)
    if faults:
        raise click.exceptions.Exit(WRONG)


def _faults_of_files(settings: Settings) -> tuple[str, ...]:
    """What is wrong with the files that settings name."""
    faults: tuple[str, ...] = ()
    for load, path in (
        (ModelReference.load, settings.model_reference),
        (Networks.load, settings.unsafe_networks),
        (News, settings.news_file),
    ):
        try:
            load(path)
        except SettingsError as error:
            faults += error.faults
    return faults


@click.group("projections")
def projections_group() -> None:
    """Rebuild what the log means, or prove it."""


@projections_group.command("rebuild")
@json_option
@one_line_errors
def rebuild_command(*, as_json: bool) -> None:
    """Make all projections anew from the log, beside the live ones, and swap the two."""
    settings = settings_from_environment()
    with database(_owner(settings)) as connection, progress_bar("rebuilding", shown=not as_json) as progress:
        try:
            position = rebuild(connection, settings.realm, progress)
        except FoldError as error:
            raise click.ClickException(f"the log is broken: {error}") from None
    if as_json:
        print_json({"position": position})
    else:
        click.echo(f"all projections were rebuilt and stand at position {position}")


@projections_group.command("verify")
@json_option
@one_line_errors
def verify_command(*, as_json: bool) -> None:
    """Fold the log in memory and compare every row of every live projection with it."""
    settings = settings_from_environment()
    url = settings.migrate_url or settings.database_url
    with database(url) as connection, progress_bar("verifying", shown=not as_json) as progress:
        try:
            report = verify(connection, settings.realm, progress)
        except FoldError as error:
            raise click.ClickException(f"the log is broken: {error}") from None
    if as_json:
        print_json({"clean": report.clean, **msgspec.to_builtins(report)})
    else:
        _print_report(report)
    if not report.clean:
        raise click.exceptions.Exit(WRONG)


def _print_report(report: Report) -> None:
    for finding in report.findings:
        verdict = "identical" if finding.identical else f"DIFFERS: {', '.join(finding.differing)}"
        click.echo(f"{finding.name:<16} {finding.rows:>10} rows  {finding.live[:16]}  {verdict}")
    click.echo(f"at position {report.position}; all accounts sum to {report.total}")


def _owner(settings: Settings) -> str:
    try:
        return owner_url(settings)
    except MigrationError as error:
        raise CannotRunError(str(error)) from None
