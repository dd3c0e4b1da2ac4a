"""`hoard dataset import|mirror|sets` and `hoard takedown`: reads options and prints.

Look next: `app.images.importing`, `app.images.mirroring`, `app.images.takedown`, docs/image-sets.md.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.images.decider import MOST_TARGET, RULES, LiftTakedown, OrderTakedown, SetRedistribution, set_id
from app.images.importing import AT_ONCE, Importer, Progress, RefusedError, SetOptions
from app.images.mirroring import enqueue
from app.images.sources import Bad, SourceError, open_source
from app.platform.commands import Command, Rejection, Request
from app.platform.ids import new_id
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.takedowns import MOST_DISTANCE
from app.platform.terminal import (
    CannotRunError,
    WrongError,
    database,
    json_option,
    one_line_errors,
    print_json,
    progress_bar,
    settings_from_environment,
    writing,
)
from projections.store.tables import LIVE

_SETS = f"""
SELECT s.id, s.name, s.licence, s.redistributed, s.target, coalesce(t.pictures, 0), coalesce(t.removed, 0),
  coalesce(t.mirrored, 0), coalesce(t.failed, 0), (SELECT count(*) FROM vault.mirror_wait w
  WHERE w.realm = s.realm AND w.image_set = s.id), coalesce(t.ratings, 0)
FROM {LIVE}.image_sets s LEFT JOIN {LIVE}.image_set_totals t USING (realm, id)
WHERE s.realm = %s ORDER BY s.name"""  # noqa: S608
_COLUMNS = (
    "id",
    "name",
    "licence",
    "redistributed",
    "target",
    "pictures",
    "removed",
    "mirrored",
    "failed",
    "waiting",
    "ratings",
)
_TAKEDOWNS = (
    "SELECT id, sha256, perceptual_hash, distance, ordered_at, lifted, taken, complete "  # noqa: S608
    f"FROM {LIVE}.takedowns WHERE realm = %s ORDER BY ordered"
)


#: seconds between two looks at how far actors are
_LOOK_SECONDS = 1.0
_redistribute = click.option(
    "--redistribute/--no-redistribute",
    default=None,
    help="Whether the set's licence lets releases hold copies of its pictures.  [default: as it was said, or not]",
)


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--set", "name", required=True, help="The set's name: lower case letters, digits and -.")
@click.option("--licence", required=True, help="Its SPDX id, as CC-BY-4.0, or LicenseRef-mine.")
@click.option("--description", default="", help="Where it comes from, and what its licence asks for.")
@click.option(
    "--target",
    type=click.IntRange(1, MOST_TARGET),
    default=5,
    show_default=True,
    help="Raters wanted a picture.",
)
@click.option("--mirror", is_flag=True, help="Let actors fetch copies of pictures that are addresses.")
@_redistribute
@click.option("--bad", type=click.Path(path_type=Path, dir_okay=False), help="List bad rows in this file.")
@json_option
@one_line_errors
def import_command(
    source: Path,
    name: str,
    licence: str,
    description: str,
    target: int,
    bad: Path | None,
    *,
    mirror: bool,
    redistribute: bool | None,
    as_json: bool,
) -> None:
    """Import pictures from SOURCE into a set, to be rated: .parquet, .csv or .tsv of addresses, a folder, .tar files.

    Run again after an interruption it goes on where it was; what is in the set is not added twice.
    """
    options = SetOptions(
        name=name, licence=licence, target=target, description=description, redistribute=redistribute
    )
    settings = settings_from_environment()
    with contextlib.ExitStack() as held:
        pool = held.enter_context(_pool(settings))
        writer = held.enter_context(writing(settings, RULES))
        bar = held.enter_context(click.progressbar(length=0, label=f"importing into {name}", hidden=as_json))
        listed = held.enter_context(bad.open("w", encoding="utf-8")) if bad is not None else None

        def tell(progress: Progress) -> None:
            bar.length = progress.rows or progress.done
            bar.update(progress.done - bar.pos)

        def tell_bad(row: Bad) -> None:
            if listed is not None:
                listed.write(f"{row.number}\t{row.reason}\n")

        importer = Importer(
            realm=settings.realm,
            pool=pool,
            writer=writer,
            objects=_objects(settings),
            bucket=settings.bucket_datasets,
        )
        try:
            done = importer.run(open_source(source), options, tell, tell_bad)
        except (RefusedError, SourceError) as error:
            raise WrongError(str(error)) from None
        queued = 0
        if mirror:
            with pool.connection() as connection:
                queued = enqueue(connection, settings.realm, set_id(name), None)
    if as_json:
        told = {"rows": done.done, "added": done.added, "repeated": done.repeated, "bad": done.bad}
        print_json({**told, "queued": queued})
        return
    click.echo(f"{done.done} rows: {done.added} added, {done.repeated} there before, {done.bad} bad")
    if mirror:
        click.echo(f"{queued} to be mirrored by actors: hoard dataset mirror {name} --status")


@click.command("mirror")
@click.argument("name", metavar="SET")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pictures more.")
@_redistribute
@click.option("--status", is_flag=True, help="Only say how far it is.")
@click.option("--wait", is_flag=True, help="Stay until actors are done, and show how far they are.")
@json_option
@one_line_errors
def mirror_command(
    name: str, limit: int | None, *, redistribute: bool | None, status: bool, wait: bool, as_json: bool
) -> None:
    """Let actors fetch copies of what is only an address in SET. What has a copy, or cannot be had, is not asked for again.

    The command may be stopped at any time: actors go on with what waits.
    """
    if status and (limit is not None or redistribute is not None):
        raise click.UsageError("--status only looks: give it neither --limit nor --redistribute")
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        if _set_of(connection, settings.realm, name) is None:
            raise CannotRunError(f"there is no set {name}: hoard dataset sets lists them")
        if redistribute is not None:
            _told(SetRedistribution(image_set=set_id(name), allowed=redistribute))
        queued = 0 if status else enqueue(connection, settings.realm, set_id(name), limit)
        with progress_bar(f"mirroring {name}", shown=wait and not as_json) as progress:
            told = _set_of(connection, settings.realm, name)
            while wait and told and told["waiting"]:
                total = told["mirrored"] + told["failed"] + told["waiting"]
                progress(total - told["waiting"], total)
                time.sleep(_LOOK_SECONDS)
                told = _set_of(connection, settings.realm, name)
    assert told is not None, "sets stay"
    if as_json:
        print_json({"queued": queued, **told})
        return
    click.echo(
        f"{queued} queued; {told['mirrored']} mirrored, {told['failed']} failed, {told['waiting']} waiting"
    )


@click.command("sets")
@json_option
@one_line_errors
def sets_command(*, as_json: bool) -> None:
    """List the sets that were imported."""
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        sets = _sets(connection, settings.realm)
    if as_json:
        print_json(sets)
        return
    rows = [_COLUMNS, *(tuple(str(value) for value in each.values()) for each in sets)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())


def _sets(connection: Connection[Any], realm: int) -> list[dict[str, Any]]:
    """All sets, with what is in each; counts of what happened are some moments old."""
    rows = connection.execute(_SETS, (realm,)).fetchall()
    return [dict(zip(_COLUMNS, (_plain(value) for value in row), strict=True)) for row in rows]


def _set_of(connection: Connection[Any], realm: int, name: str) -> dict[str, Any] | None:
    return next((each for each in _sets(connection, realm) if each["name"] == name), None)


@click.group("takedown")
def takedown_group() -> None:
    """Take pictures down by their hashes: from sharing, rating, imports and releases, now and ever."""


@takedown_group.command("add")
@click.option("--sha256", help="Of the file, 64 hexadecimal digits.")
@click.option("--perceptual-hash", help="Of the picture, 16 hexadecimal digits.")
@click.option(
    "--distance",
    type=click.IntRange(0, MOST_DISTANCE),
    default=MOST_DISTANCE,
    show_default=True,
    help="In how many of 64 bits a perceptual hash may differ.",
)
@click.option("--by", required=True, type=click.UUID, help="The moderator, by id.")
@one_line_errors
def add_command(sha256: str | None, perceptual_hash: str | None, distance: int, by: UUID) -> None:
    """Order a takedown; actors carry it out."""
    takedown = new_id()
    _told(
        OrderTakedown(
            takedown=takedown, sha256=sha256, perceptual_hash=perceptual_hash, distance=distance, by=by
        )
    )
    click.echo(str(takedown))


@takedown_group.command("lift")
@click.argument("takedown", type=click.UUID)
@click.option("--by", required=True, type=click.UUID, help="The moderator, by id.")
@one_line_errors
def lift_command(takedown: UUID, by: UUID) -> None:
    """Let pictures with the hash of TAKEDOWN come again. What it took does not come back."""
    _told(LiftTakedown(takedown=takedown, by=by))
    click.echo("lifted")


@takedown_group.command("list")
@json_option
@one_line_errors
def list_command(*, as_json: bool) -> None:
    """List all takedowns, oldest first."""
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        rows = connection.execute(_TAKEDOWNS, (settings.realm,)).fetchall()
    names = ("id", "sha256", "perceptual_hash", "distance", "ordered_at", "lifted", "taken", "complete")
    told = [dict(zip(names, (_plain(value) for value in row), strict=True)) for row in rows]
    if as_json:
        print_json(told)
        return
    for each in told:
        click.echo("  ".join(f"{name} {value}" for name, value in each.items() if value is not None))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID | datetime) else value


def _told(command: Command) -> None:
    with writing(settings_from_environment(), RULES) as writer:
        outcome = writer.execute_sync(Request(command, new_id()))
    if isinstance(outcome, Rejection):
        raise WrongError(outcome.message)


def _pool(settings: Settings) -> ConnectionPool[Connection[Any]]:
    return ConnectionPool(
        settings.database_url,
        min_size=1,
        max_size=AT_ONCE + 1,
        open=False,
        kwargs={"autocommit": True, "options": "-c timezone=UTC", "connect_timeout": 5},
    )


def _objects(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
