"""`hoard raters assess|list|judge` and `hoard known-answers`: reads options and prints.

Look next: `app.raters.assessing`, docs/raters.md.
"""

from __future__ import annotations

from uuid import UUID

import click
import msgspec

from app.platform import vault
from app.platform.commands import Rejection, Request
from app.platform.ids import new_id
from app.platform.picture_words import KnownAnswer
from app.platform.terminal import (
    WrongError,
    database,
    json_option,
    one_line_errors,
    print_json,
    settings_from_environment,
    writing,
)
from app.raters.assessing import Assessor, RefusedError
from app.raters.decider import RULES, JudgeRater
from events.ratings import RaterVerdict, Standing
from projections.store.tables import LIVE

_LIST = (
    "SELECT id, standing, causes, given, marked, verdict, appeal IS NOT NULL FROM "  # noqa: S608
    f"{LIVE}.raters WHERE realm = %s AND (%s::text IS NULL OR standing = %s) "
    "ORDER BY marked DESC, id LIMIT %s"
)
_PICTURE = f"SELECT image_set FROM {LIVE}.pictures WHERE realm = %s AND id = %s"  # noqa: S608
_KNOWN = "SELECT picture, lowest, highest FROM vault.known_answer WHERE realm = %s ORDER BY picture"


@click.group("raters")
def raters_group() -> None:
    """How far each rater is believed, and what follows."""


@raters_group.command("assess")
@json_option
@one_line_errors
def assess_command(*, as_json: bool) -> None:
    """Assess all raters by all ratings: standings, marks, rewards that go back or are paid out. Safe to run again."""
    settings = settings_from_environment()
    with writing(settings, RULES) as writer, database(settings.database_url) as connection:
        try:
            done = Assessor(connection, settings.realm, writer).run()
        except RefusedError as error:
            raise WrongError(str(error)) from None
    if as_json:
        print_json(msgspec.structs.asdict(done))
        return
    told = ", ".join(f"{count} {name.lower()}" for name, count in done.standings.items()) or "nobody"
    click.echo(f"{done.ratings} ratings: {told}; {done.marked} ratings marked, {done.lifted} marks lifted")


@raters_group.command("list")
@click.option("--standing", type=click.Choice([each.value for each in Standing]), help="Only these.")
@click.option("--first", type=click.IntRange(1, 1_000), default=50, show_default=True)
@json_option
@one_line_errors
def list_command(standing: str | None, first: int, *, as_json: bool) -> None:
    """List raters, most marked ratings first."""
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        rows = connection.execute(_LIST, (settings.realm, standing, standing, first)).fetchall()
    names = ("id", "standing", "causes", "given", "marked", "verdict", "appeals")
    told = [dict(zip(names, (str(row[0]), *row[1:]), strict=True)) for row in rows]
    if as_json:
        print_json(told)
        return
    for each in told:
        click.echo("  ".join(f"{name} {value}" for name, value in each.items() if value is not None))


@raters_group.command("judge")
@click.argument("rater", type=click.UUID)
@click.argument("verdict", type=click.Choice([each.value.lower() for each in RaterVerdict]))
@one_line_errors
def judge_command(rater: UUID, verdict: str) -> None:
    """Clear RATER, or confirm what the assessment says: marks and rewards follow at once."""
    settings = settings_from_environment()
    with writing(settings, RULES) as writer, database(settings.database_url) as connection:
        command = JudgeRater(rater=rater, verdict=RaterVerdict(verdict.upper()), by=None)
        outcome = writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            raise WrongError(outcome.message)
        marked, lifted = Assessor(connection, settings.realm, writer).mark()
    click.echo(f"{verdict}: {marked} ratings marked, {lifted} marks lifted")


@click.group("known-answers")
def known_answers_group() -> None:
    """Pictures of which is known how they are to be rated; mixed in unannounced, and never in the public log."""


@known_answers_group.command("add")
@click.argument("picture", type=click.UUID)
@click.argument("lowest", type=click.IntRange(1, 10))
@click.argument("highest", type=click.IntRange(1, 10))
@one_line_errors
def add_command(picture: UUID, lowest: int, highest: int) -> None:
    """Ratings of PICTURE from LOWEST to HIGHEST are right."""
    if lowest > highest:
        raise click.UsageError("the lowest is above the highest")
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        row = connection.execute(_PICTURE, (settings.realm, picture)).fetchone()
        if row is None:
            raise WrongError("no such picture")
        answer = KnownAnswer(picture, row[0], lowest, highest)
        parameters = vault.TABLES[KnownAnswer].parameters(settings.realm, [answer])
        connection.execute(vault.UPSERTS[KnownAnswer], parameters)
    click.echo(f"{picture}: {lowest} to {highest}")


@known_answers_group.command("list")
@json_option
@one_line_errors
def known_command(*, as_json: bool) -> None:
    """List them."""
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        rows = connection.execute(_KNOWN, (settings.realm,)).fetchall()
    if as_json:
        print_json([{"picture": str(row[0]), "lowest": row[1], "highest": row[2]} for row in rows])
        return
    for picture, lowest, highest in rows:
        click.echo(f"{picture}  {lowest} to {highest}")
