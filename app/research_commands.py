"""`hoard why job|price|balance|rater` and `hoard shadow`: `app.research`, asked of any log that commands can read.

Only joins slices. Look next: `app.research`, `app.operations.log_source`, docs/research.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from app.ledger.priority import AGEING, RankRule
from app.operations.log_source import (
    LogSource,
    Until,
    broken_log,
    end_of,
    opened,
    source_options,
    until_option,
)
from app.platform.model_reference import ModelReference
from app.platform.terminal import WrongError, json_option, kudos, one_line_errors, print_json
from app.raters.explaining import explained
from app.raters.findings import findings_of
from app.research.answers import NothingError, Why
from app.research.balance import why_balance
from app.research.books import BookError, read_book
from app.research.job import place_of, why_job
from app.research.price import why_price
from app.research.rater import why_rater
from app.research.shadow import Shadow, shadow
from app.research.shadow_rank import ShadowRank, shadow_rank
from events.ratings import RaterScores


@click.group("why")
def why_group() -> None:
    """Answers out of the log, each sentence with the positions of the events that it rests on."""


def _question(name: str, what: str) -> Callable[[Callable[..., Why]], click.Command]:
    """A command that answers about an id; `answer` is given the id, the log and the position up to which it counts."""

    def made(answer: Callable[[UUID, LogSource, int], Why]) -> click.Command:
        def command(
            key: UUID, folder: Path | None, until: Until | None, *, bucket: bool, as_json: bool
        ) -> None:
            with opened(folder, bucket=bucket) as source, broken_log(), _nothing():
                why = answer(key, source, end_of(source, until))
            _print(why, as_json=as_json)

        command.__doc__ = answer.__doc__
        wrapped: Any = json_option(one_line_errors(command))
        wrapped = click.argument("key", metavar=what, type=click.UUID)(source_options(until_option(wrapped)))
        return why_group.command(name)(wrapped)

    return made


@_question("job", "JOB")
def job_command(key: UUID, source: LogSource, position: int) -> Why:
    """Why JOB waited, and how it ended. Reads the log up to its first lease."""
    return why_job(
        key, list(source.of_streams([f"job-{key}"])), place_of(key, source.events(position)), position
    )


@_question("price", "JOB")
def price_command(key: UUID, source: LogSource, position: int) -> Why:
    """What JOB's price is made of, and where each part of it went."""
    return why_price(key, list(source.of_streams([f"job-{key}"])), position)


@_question("balance", "USER")
def balance_command(key: UUID, source: LogSource, position: int) -> Why:
    """Where USER's balance comes from: every movement, summed up by its cause."""
    return why_balance(str(key), list(source.of_account(f"user:{key}")), position)


@_question("rater", "USER")
def rater_command(key: UUID, source: LogSource, position: int) -> Why:
    """What USER's standing as a rater rests on: findings, marks, rewards, decisions."""
    return why_rater(key, list(source.of_streams([f"rater-{key}"])), _explain, position)


def _explain(scores: RaterScores) -> list[str]:
    return [explained(finding) for finding in findings_of(scores)]


@contextmanager
def _nothing() -> Iterator[None]:
    try:
        yield
    except NothingError as error:
        raise WrongError(str(error)) from None


def _print(why: Why, *, as_json: bool) -> None:
    if as_json:
        print_json(why)
        return
    for each in why.statements:
        more = f" … {each.events} events" if each.events > len(each.positions) else ""
        amount = "" if each.amount is None else f"  {kudos(each.amount)}"
        click.echo(
            f"{each.at.isoformat(timespec='milliseconds')}  {each.text}{amount}  [{_listed(each.positions)}{more}]"
        )
    if why.total is not None:
        click.echo(f"in all {kudos(why.total)}, at position {why.position}")


def _listed(positions: tuple[int, ...]) -> str:
    return ", ".join(map(str, positions))


@click.command("shadow")
@source_options
@until_option
@click.option(
    "--book",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TOML file of what another price book says otherwise.",
)
@click.option("--model-reference", "reference", help="What is known of models, if not the shipped file.")
@click.option(
    "--ageing", type=click.FloatRange(0, 10_000), help="Kudos that a second of waiting weighs as much as."
)
@click.option("--one-tier", is_flag=True, help="The anonymous user waits among all others.")
@json_option
@one_line_errors
def shadow_command(
    folder: Path | None,
    until: Until | None,
    book: Path | None,
    ageing: float | None,
    reference: str | None,
    *,
    bucket: bool,
    one_tier: bool,
    as_json: bool,
) -> None:
    """Try another price book, or another rank rule, on the jobs of a log. Nothing is changed."""
    ranked = ageing is not None or one_tier
    if (book is not None) is ranked:
        raise click.UsageError("give --book FILE, or --ageing KUDOS and --one-tier")
    with opened(folder, bucket=bucket) as source, broken_log():
        events = source.events(end_of(source, until))
        if ranked:
            hundredths = AGEING if ageing is None else round(100 * ageing)
            rule = RankRule(ageing=hundredths, anonymous_last=not one_tier)
            _print_ranks(shadow_rank(events, rule), as_json=as_json)
            return
        assert book is not None, "one of them is given"
        try:
            other = read_book(book)
        except BookError as error:
            raise WrongError(str(error)) from None
        known = ModelReference.load(reference)
        try:
            made = shadow(events, other, known)
        except ArithmeticError:
            raise WrongError(f"{book}: by such numbers no price can be computed") from None
        _print_shadow(made, as_json=as_json)


def _print_shadow(made: Shadow, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    click.echo(f"{'':<32} {'jobs':>8} {'quoted':>14} {'burnt':>14} {'by the other':>14} {'burnt':>14}")
    rows = {"all": made.total} | made.kinds | made.requesters | made.models
    for name, sums in rows.items():
        amounts = (sums.quoted, sums.burnt, sums.shadow, sums.shadow_burnt)
        click.echo(f"{name:<32} {sums.jobs:>8} {' '.join(f'{kudos(each):>14}' for each in amounts)}")
    click.echo(
        f"jobs whose requester had it in hand, and would not: {made.too_dear}; the other way round: {made.within_reach}"
    )
    for each in made.most_changed:
        click.echo(f"{each.job}  {kudos(each.quoted)} -> {kudos(each.shadow)}  [{each.position}]")
    for kind, count in made.left_out.items():
        click.echo(f"left out, since the log does not hold all that decides their price: {count} of {kind}")
    click.echo("at other prices people would have asked for other things: how much is not known")


def _print_ranks(made: ShadowRank, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    for name, places in made.requesters.items():
        click.echo(
            f"{name}: {places.jobs} jobs, {places.ahead / places.jobs:.1f} ahead on average, by the other rule "
            f"{places.shadow / places.jobs:.1f}; further in front {places.better}, further behind {places.worse}"
        )
    for each in made.most_moved:
        click.echo(f"{each.job}  {each.ahead} ahead -> {each.shadow}  [{each.position}]")
    click.echo(
        "the queue is the real one at each submission: whom the other rule would have served before is not known"
    )
