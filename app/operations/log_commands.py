"""`hoard log export|verify|replay|tables`. They only read options and print.

With `--from DIR` a command needs neither settings nor a database. Look next: `app.operations.log_source`,
`app.operations.export`, `app.operations.verify_log`, `app.operations.replay`; `app.research` for what is asked of it.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from app.operations.balances import balances_of_copy
from app.operations.export import Exported, ExportError, FolderTarget, export
from app.operations.live_log import LiveLog
from app.operations.log_source import (
    CopiedLog,
    Until,
    broken_log,
    bucket_copy,
    copy_of,
    end_of,
    opened,
    source_options,
    until_option,
)
from app.operations.log_tables import SCRIPT, TablesError, write_tables
from app.operations.replay import Replayed, replay
from app.operations.segments import Copy, CopyError
from app.operations.verify_log import Proof, verify_copy, verify_live
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
    target = bucket_copy(settings) if out is None else FolderTarget(out)
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
@source_options
@json_option
@one_line_errors
def verify_command(folder: Path | None, *, bucket: bool, as_json: bool) -> None:
    """Prove that a log is complete and unaltered: exit status 1 and the first bad position if it is not."""
    with progress_bar("verifying", shown=not as_json) as progress:
        if (copy := copy_of(folder, bucket=bucket)) is not None:
            proof = verify_copy(copy, progress)
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
@source_options
@until_option
@click.option("--balances", is_flag=True, help="Also print the balance of every user.")
@click.option("--queue", is_flag=True, help="Also print what waits, best first.")
@click.option("--ratings", is_flag=True, help="Also print the mean rating of every picture that has one.")
@click.option("--balances-only", is_flag=True, help="Only sum up the postings of a copy: much faster.")
@json_option
@one_line_errors
def replay_command(
    folder: Path | None,
    until: Until | None,
    *,
    bucket: bool,
    balances: bool,
    queue: bool,
    ratings: bool,
    balances_only: bool,
    as_json: bool,
) -> None:
    """Fold a log in memory with the server's own folds, and print where it stands or stood."""
    if balances_only:
        _replay_balances(copy_of(folder, bucket=bucket), until, as_json=as_json)
        return
    replayed, seconds = _replayed(folder, until, bucket=bucket, shown=not as_json)
    wanted = {"balances": balances, "queue": queue, "ratings": ratings}
    speed = round(replayed.position / seconds)
    if as_json:
        shown = {
            name: value for name, value in msgspec.to_builtins(replayed).items() if wanted.get(name, True)
        }
        print_json({**shown, "seconds": round(seconds, 3), "events_per_second": speed})
    else:
        _print_replayed(replayed, wanted)
        click.echo(f"{seconds:.1f} s, {speed} events/s")
    if replayed.total != 0:
        raise WrongError("the accounts do not sum to zero")


@log_group.command("tables")
@source_options
@until_option
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write: it must be empty, or not there.",
)
@json_option
@one_line_errors
def tables_command(
    folder: Path | None, until: Until | None, out: Path, *, bucket: bool, as_json: bool
) -> None:
    """Write the rows of every projection, as they are or were, as Parquet files with a DuckDB script that opens them."""
    with (
        opened(folder, bucket=bucket) as source,
        progress_bar("folding", shown=not as_json) as progress,
        broken_log(),
    ):
        last = end_of(source, until)
        try:
            described = write_tables(source.realm, source.events(last), last, out, progress)
        except TablesError as error:
            raise WrongError(str(error)) from None
    if as_json:
        print_json(described)
        return
    _print_counts("rows", described.tables)
    click.echo(f"{out}: position {described.position}; open it by: cd {out} && duckdb -init {SCRIPT}")


def _replayed(
    folder: Path | None, until: Until | None, *, bucket: bool, shown: bool
) -> tuple[Replayed, float]:
    """The log summed up, and the seconds that took."""
    with opened(folder, bucket=bucket) as source, progress_bar("replaying", shown=shown) as progress:
        last = end_of(source, until)
        started = time.perf_counter()
        with broken_log():
            replayed, _ = replay(source.events(last), last, progress)
        return replayed, time.perf_counter() - started


def _replay_balances(copy: Copy | None, until: Until | None, *, as_json: bool) -> None:
    if copy is None:
        raise click.UsageError("--balances-only needs a copy: --from DIR or --bucket")
    try:
        source = CopiedLog(copy)
        last = end_of(source, until)
        with progress_bar("adding up", shown=not as_json) as progress, broken_log():
            found = balances_of_copy(copy, source.manifest, last, progress)
    except CopyError as error:
        raise WrongError(f"{error.file or copy}: {error.problem}") from None
    if as_json:
        print_json({"position": last, "balances": found})
    else:
        for account, amount in found.items():
            click.echo(f"{account:<42} {kudos(amount):>16}")
    if sum(found.values()) != 0:
        raise WrongError("the accounts do not sum to zero")


def _print_replayed(replayed: Replayed, wanted: dict[str, bool]) -> None:
    click.echo(f"position {replayed.position}")
    _print_counts("events", replayed.events)
    _print_counts("jobs", replayed.jobs)
    _print_counts("generations", replayed.generations)
    click.echo(f"accounts: {replayed.accounts}, workers: {replayed.workers}")
    click.echo("system accounts, in kudos:")
    for name, amount in replayed.system.items():
        click.echo(f"  {name:<32} {kudos(amount):>16}")
    click.echo(f"sum over all accounts: {kudos(replayed.total)}")
    if wanted["balances"]:
        click.echo("subject                               balance, held, consumed, earned, in kudos:")
        for row in replayed.balances:
            amounts = (row.balance, row.held, row.consumed, row.earned)
            click.echo(f"{row.subject}  {'  '.join(f'{kudos(amount):>14}' for amount in amounts)}")
    if wanted["queue"]:
        click.echo("waiting jobs, best first:     kind, tier, priority, waiting generations, submitted:")
        for job in replayed.queue:
            values = (job.kind, job.tier, kudos(job.priority), job.waiting, job.submitted_at.isoformat())
            click.echo(f"{job.job}  {'  '.join(f'{value:>14}' for value in values)}")
    if wanted["ratings"]:
        click.echo("picture                               ratings, mean, mean without the suspect ones:")
        for picture in replayed.ratings:
            said = (picture.ratings, _mean(picture.mean), _mean(picture.mean_trusted))
            click.echo(f"{picture.picture}  {'  '.join(f'{value:>14}' for value in said)}")


def _mean(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.2f}"


def _print_counts(title: str, counts: dict[str, int]) -> None:
    click.echo(f"{title}:")
    for name, number in counts.items():
        click.echo(f"  {name:<32} {number:>12}")
