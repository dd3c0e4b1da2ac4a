"""`hoard log export|verify|replay`. They only read options and print.

With `--from DIR` a command needs neither settings nor a database. Look next: `app.operations.export`,
`app.operations.verify_log`, `app.operations.replay`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from app.operations.balances import balances_of_copy
from app.operations.export import BucketTarget, Exported, ExportError, FolderTarget, Target, export
from app.operations.live_log import LiveLog
from app.operations.replay import Replayed, replay
from app.operations.segments import CopyError, read_copy, read_manifest
from app.operations.verify_log import Proof, verify_copy, verify_live
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.terminal import (
    WRONG,
    WrongError,
    database,
    json_option,
    kudos,
    one_line_errors,
    print_json,
    progress_bar,
    settings_from_environment,
)
from events.base import Recorded
from events.codec import UnknownEventError
from projections.base import FoldError

_from_option = click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of an exported copy, instead of the live log.",
)


@click.group("log")
def log_group() -> None:
    """Copy the log, prove it, replay it."""


@log_group.command("export")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to copy to.")
@click.option("--bucket", is_flag=True, help="Copy to log/ in the datasets bucket.")
@click.option(
    "--segment-events",
    type=click.IntRange(1, 5_000_000),
    help="Events in a segment.  [default: as in the copy that is there, or 100000]",
)
@json_option
@one_line_errors
def export_command(out: Path | None, segment_events: int | None, *, bucket: bool, as_json: bool) -> None:
    """Copy the log into Parquet segments with a manifest; only what is missing is added to a copy."""
    if (out is None) == (not bucket):
        raise click.UsageError("give either --out DIR or --bucket")
    settings = settings_from_environment()
    target = _target(settings, out)
    with (
        database(settings.database_url) as connection,
        progress_bar("exporting", shown=not as_json) as progress,
    ):
        try:
            exported = export(connection, settings.realm, target, segment_events, progress)
        except ExportError as error:
            raise WrongError(str(error)) from None
    if as_json:
        print_json(exported)
    else:
        _print_exported(exported, f"{settings.bucket_datasets}/log/" if out is None else str(out))


def _target(settings: Settings, out: Path | None) -> Target:
    if out is not None:
        return FolderTarget(out)
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    return BucketTarget(store, settings.bucket_datasets)


def _print_exported(exported: Exported, where: str) -> None:
    manifest = exported.manifest
    click.echo(f"{where} holds {manifest.exported_at} events in {len(manifest.segments)} segments")
    click.echo(
        f"segments kept {len(exported.kept)}, added {len(exported.added)}, repaired {len(exported.repaired)}"
    )
    for name in exported.repaired:
        click.echo(f"was damaged or missing: {name}", err=True)
    if manifest.segments:
        click.echo(f"chain hash {manifest.segments[-1].hash}")


@log_group.command("verify")
@_from_option
@json_option
@one_line_errors
def verify_command(folder: Path | None, *, as_json: bool) -> None:
    """Prove that a log is complete and unaltered: exit status 1 and the first bad position if it is not."""
    with progress_bar("verifying", shown=not as_json) as progress:
        if folder is not None:
            proof = verify_copy(folder, progress)
        else:
            settings = settings_from_environment()
            with database(settings.database_url) as connection:
                live = LiveLog(connection, settings.realm)
                proof = verify_live(settings.realm, live.last, live.events(), live.postings(), progress)
    if as_json:
        print_json({"clean": proof.clean, **msgspec.to_builtins(proof)})
    else:
        _print_proof(proof)
    if not proof.clean:
        raise click.exceptions.Exit(WRONG)


def _print_proof(proof: Proof) -> None:
    if proof.fault is not None:
        click.echo(proof.fault.line())
        return
    click.echo(f"realm {proof.realm}: {proof.last} events, complete and unaltered")
    click.echo(f"chain hash {proof.hash}")


@log_group.command("replay")
@_from_option
@click.option("--upto", type=click.IntRange(min=0), help="Stop after this position.")
@click.option("--balances", is_flag=True, help="Also print the balance of every user.")
@click.option("--balances-only", is_flag=True, help="Only sum up the postings of a copy: much faster.")
@json_option
@one_line_errors
def replay_command(
    folder: Path | None, upto: int | None, *, balances: bool, balances_only: bool, as_json: bool
) -> None:
    """Fold a log in memory with the server's own folds, and print where it stands."""
    if balances_only:
        _replay_balances(folder, upto, as_json=as_json)
        return
    with _source(folder, upto) as (events, last), progress_bar("replaying", shown=not as_json) as progress:
        started = time.perf_counter()
        try:
            replayed, _ = replay(events, last, progress)
        except CopyError as error:
            raise WrongError(f"position {error.position} in {error.file}: {error.problem}") from None
        except (FoldError, UnknownEventError, msgspec.MsgspecError) as error:
            raise WrongError(f"the log is broken: {error}") from None
        seconds = time.perf_counter() - started
    speed = round(replayed.position / seconds)
    if as_json:
        shown = msgspec.to_builtins(replayed)
        if not balances:
            del shown["balances"]
        print_json({**shown, "seconds": round(seconds, 3), "events_per_second": speed})
    else:
        _print_replayed(replayed, balances=balances)
        click.echo(f"{seconds:.1f} s, {speed} events/s")
    if replayed.total != 0:
        raise WrongError("the accounts do not sum to zero")


def _replay_balances(folder: Path | None, upto: int | None, *, as_json: bool) -> None:
    if folder is None:
        raise click.UsageError("--balances-only needs a copy: --from DIR")
    try:
        manifest = read_manifest(folder)
        with progress_bar("adding up", shown=not as_json) as progress:
            found = balances_of_copy(folder, manifest, upto, progress)
    except CopyError as error:
        raise WrongError(f"{error.file or folder}: {error.problem}") from None
    except (UnknownEventError, msgspec.MsgspecError) as error:
        raise WrongError(f"the log is broken: {error}") from None
    if as_json:
        print_json({"position": _end(manifest.exported_at, upto), "balances": found})
    else:
        for account, amount in found.items():
            click.echo(f"{account:<42} {kudos(amount):>16}")
    if sum(found.values()) != 0:
        raise WrongError("the accounts do not sum to zero")


@contextlib.contextmanager
def _source(folder: Path | None, upto: int | None) -> Iterator[tuple[Iterator[Recorded], int]]:
    """The events of a copy or of the live log, and the position they go to."""
    if folder is not None:
        try:
            manifest = read_manifest(folder)
        except CopyError as error:
            raise WrongError(error.problem) from None
        yield read_copy(folder, manifest, upto), _end(manifest.exported_at, upto)
        return
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        live = LiveLog(connection, settings.realm)
        yield live.events(upto), _end(live.last, upto)


def _end(last: int, upto: int | None) -> int:
    return last if upto is None else min(last, upto)


def _print_replayed(replayed: Replayed, *, balances: bool) -> None:
    click.echo(f"position {replayed.position}")
    _print_counts("events", replayed.events)
    _print_counts("jobs", replayed.jobs)
    _print_counts("generations", replayed.generations)
    click.echo(f"accounts: {replayed.accounts}, workers: {replayed.workers}")
    click.echo("system accounts, in kudos:")
    for name, amount in replayed.system.items():
        click.echo(f"  {name:<32} {kudos(amount):>16}")
    click.echo(f"sum over all accounts: {kudos(replayed.total)}")
    if balances:
        click.echo("subject                               balance, held, consumed, earned, in kudos:")
        for row in replayed.balances:
            amounts = (row.balance, row.held, row.consumed, row.earned)
            click.echo(f"{row.subject}  {'  '.join(f'{kudos(amount):>14}' for amount in amounts)}")


def _print_counts(title: str, counts: dict[str, int]) -> None:
    click.echo(f"{title}:")
    for name, number in counts.items():
        click.echo(f"  {name:<32} {number:>12}")
