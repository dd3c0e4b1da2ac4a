"""The commands of `hoard` about accounts: `seed`, `grant`, `adjust`, `allowance`, `role`, `trust`, `limit`.

They only read options and print.

Look next: `app.accounts.console`, `app.accounts.seeding`; `app.operations.commands` has the other commands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import click

from app.accounts.console import console
from app.accounts.people import alias_of
from app.accounts.seeding import SeedKeysError, parse_keys, seed
from app.ledger.standing import MAX_WAITING
from app.platform.terminal import (
    CannotRunError,
    json_option,
    kudos,
    one_line_errors,
    print_json,
    settings_from_environment,
)
from app.platform.versions import stand_by
from events.accounts import AllowanceSource, Role

#: The variable with the API keys of the users to seed, as JSON; no setting, since only `seed` is told it.
SEED_KEYS: Final = "HOARD_SEED_KEYS"

_AMOUNT: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?")


class KudosType(click.ParamType[int]):
    """An amount of kudos with at most two decimal places, positive unless said otherwise; hundredths inside."""

    name = "kudos"

    def __init__(
        self, said: str = "a positive number", fits: Callable[[int], bool] = lambda n: n > 0
    ) -> None:
        self._said, self._fits = said, fits

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The hundredths. Ends the command with a usage error."""
        text = str(value)
        if _AMOUNT.fullmatch(text) is None or not self._fits(amount := int(Decimal(text) * 100)):
            self.fail(f"must be {self._said} with at most two decimal places", param, ctx)
        return amount


@click.command("seed")
@click.option("--wait", is_flag=True, help="Wait for `hoard migrate`, if it has not been run yet.")
@json_option
@one_line_errors
def seed_command(*, wait: bool, as_json: bool) -> None:
    """Open the realm and make its first users; what is there already stays.

    HOARD_SEED_KEYS holds the API keys of the users operator, client and workerOwner as JSON. Without it only the
    anonymous user is made.
    """
    settings = settings_from_environment()
    # No option: a key on a command line can be read by anybody on the machine.
    keys = os.environ.get(SEED_KEYS)
    try:
        parsed = parse_keys(keys) if keys else None
    except SeedKeysError as error:
        raise CannotRunError(f"{SEED_KEYS} {error}") from None
    if wait:
        stand_by(settings.database_url, settings.realm)
    with console(settings) as opened:
        seeded = seed(opened, settings.pepper, parsed)
        aliases = {
            name: alias_of(opened.connection, opened.realm, user) for name, user in seeded.users.items()
        }
    if as_json:
        users = {name: {"id": user, "alias": aliases[name]} for name, user in seeded.users.items()}
        print_json({"users": users, "created": seeded.created})
        return
    click.echo("the realm is open")
    for name, user in seeded.users.items():
        click.echo(f"{aliases[name]} ({user}): {'made' if name in seeded.created else 'there'}")


@click.command("grant")
@click.argument("user")
@click.argument("amount", type=KudosType())
@click.option("--reason", required=True, help="Why: kept where it can be forgotten, never in the log.")
@json_option
@one_line_errors
def grant_command(user: str, amount: int, reason: str, *, as_json: bool) -> None:
    """Give USER (name#number, or an id) AMOUNT kudos out of the treasury."""
    with console(settings_from_environment()) as opened:
        subject = opened.subject(user)
        balance = opened.grant(subject, amount, reason)
    if as_json:
        print_json({"user": subject, "granted": kudos(amount), "balance": kudos(balance)})
    else:
        click.echo(f"{user} was granted {kudos(amount)} kudos; the balance is {kudos(balance)}")


# An amount below zero looks like an option.
@click.command("adjust", context_settings={"ignore_unknown_options": True})
@click.argument("user")
@click.argument("amount", type=KudosType("a number other than zero", lambda amount: amount != 0))
@click.option("--reason", required=True, help="Why: kept where it can be forgotten, never in the log.")
@json_option
@one_line_errors
def adjust_command(user: str, amount: int, reason: str, *, as_json: bool) -> None:
    """Correct the balance of USER (name#number, or an id) by AMOUNT kudos; below zero to take what is available."""
    with console(settings_from_environment()) as opened:
        done = opened.adjust(opened.subject(user), amount, reason)
    if as_json:
        print_json({"user": done.user, "adjusted": kudos(amount), "balance": kudos(done.balance)})
    else:
        click.echo(f"{user} was corrected by {kudos(amount)} kudos; the balance is {kudos(done.balance)}")


@click.command("allowance")
@click.argument("user")
@click.argument("amount", type=KudosType("zero or more", lambda amount: amount >= 0), required=False)
@click.option(
    "--source",
    type=click.Choice([source.value for source in AllowanceSource]),
    default=AllowanceSource.MANUAL.value,
    show_default=True,
    help="What it is for.",
)
@json_option
@one_line_errors
def allowance_command(user: str, amount: int | None, source: str, *, as_json: bool) -> None:
    """Give USER (name#number, or an id) AMOUNT kudos each month, the first at once; 0 ends it. Without AMOUNT: show it."""
    with console(settings_from_environment()) as opened:
        subject = opened.subject(user)
        paid = 0
        if amount is not None:
            paid = opened.set_allowance(subject, amount, AllowanceSource(source)).paid
        monthly, next_at = opened.allowance(subject)
    if as_json:
        told = None if next_at is None else next_at.isoformat()
        print_json({"user": subject, "allowance": kudos(monthly), "paid": kudos(paid), "nextAt": told})
    elif next_at is None:
        click.echo(f"{user} gets no allowance")
    else:
        click.echo(
            f"{user} gets {kudos(monthly)} kudos a month, next at {next_at:%Y-%m-%d %H:%M} UTC; {kudos(paid)} were paid now"
        )


@click.command("role")
@click.argument("user")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@json_option
@one_line_errors
def role_command(user: str, role: str, *, as_json: bool) -> None:
    """Give USER (name#number, or an id) a role."""
    with console(settings_from_environment()) as opened:
        subject = opened.subject(user)
        opened.grant_role(subject, Role(role))
    if as_json:
        print_json({"user": subject, "role": role})
    else:
        click.echo(f"{user} has the role {role}")


@click.command("trust")
@click.argument("user")
@click.option("--revoke", is_flag=True, help="Trust USER no more; then work does not earn it back either.")
@json_option
@one_line_errors
def trust_command(user: str, *, revoke: bool, as_json: bool) -> None:
    """Trust USER (name#number, or an id): what their workers earned and earn may be spent at once."""
    with console(settings_from_environment()) as opened:
        subject = opened.subject(user)
        done = opened.set_trust(subject, trusted=not revoke)
    if as_json:
        print_json({"user": subject, "trusted": done.trusted, "released": kudos(done.released)})
    elif revoke:
        click.echo(f"{user} has not the role trusted")
    else:
        click.echo(f"{user} is trusted; {kudos(done.released)} kudos were released from escrow")


class LimitType(click.ParamType[int | None]):
    """A number of generations, or the word `default`."""

    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """The number, None for the default. Ends the command with a usage error."""
        text = str(value)
        if text == "default":
            return None
        if not (text.isascii() and text.isdigit()) or int(text) > MAX_WAITING:
            self.fail(f"must be a whole number from 0 to {MAX_WAITING}, or default", param, ctx)
        return int(text)


@click.command("limit")
@click.argument("user")
@click.argument("limit", type=LimitType())
@click.option(
    "--workers", is_flag=True, help="How many workers USER may have, in place of generations that wait."
)
@json_option
@one_line_errors
def limit_command(user: str, limit: int | None, *, workers: bool, as_json: bool) -> None:
    """Let at most LIMIT generations of USER (name#number, or an id) wait at once, or the `default` number."""
    with console(settings_from_environment()) as opened:
        subject = opened.subject(user)
        if workers:
            opened.set_worker_limit(subject, limit)
        else:
            opened.set_waiting_limit(subject, limit)
    if as_json:
        print_json({"user": subject, "limit": limit})
    else:
        what = "workers" if workers else "generations waiting"
        click.echo(f"{user} may have {'the default number of' if limit is None else limit} {what}")
