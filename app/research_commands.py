"""`hoard why job|price|balance|rater`: the questions of `app.research`, asked of any log that commands can read.

Only joins slices. Look next: `app.research`, `app.operations.log_source`, docs/research.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from app.operations.log_source import (
    LogSource,
    Until,
    broken_log,
    end_of,
    opened,
    source_options,
    until_option,
)
from app.platform.terminal import WrongError, json_option, kudos, one_line_errors, print_json
from app.raters.explaining import explained
from app.raters.findings import findings_of
from app.research.answers import NothingError, Why
from app.research.balance import why_balance
from app.research.job import place_of, why_job
from app.research.price import why_price
from app.research.rater import why_rater
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
