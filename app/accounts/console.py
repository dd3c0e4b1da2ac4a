"""Commands about accounts from the command line: a short-lived writer of one process, and what it is asked.

May be used by one thread at a time. Look next: `app.accounts.decider`, `app.accounts.commands`.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection

from app.accounts import people, treasury
from app.accounts.decider import (
    RULES,
    GrantKudos,
    GrantRole,
    OpenRealm,
    RegisterUser,
    SetTrust,
    SetWaitingLimit,
    SetWorkerLimit,
    TrustSet,
)
from app.accounts.people import NUMBERS
from app.accounts.treasury import Adjusted, AdjustKudos, Allowed, SetAllowance
from app.platform.commands import Command, Rejection, Request, rules
from app.platform.ids import new_id
from app.platform.settings import Settings
from app.platform.terminal import WrongError, database
from app.platform.writer import Writer
from events.accounts import AllowanceSource, Role

_ALLOWANCE = (
    "SELECT allowance, allowance_due FROM projections.accounts WHERE realm = %s AND id = %s AND allowance > 0"
)
_BALANCE = "SELECT balance FROM projections.accounts WHERE realm = %s AND id = %s"


class Console:
    """What an operator may do to accounts. Every method raises `WrongError` where a command is refused."""

    def __init__(self, connection: Connection[Any], realm: int, writer: Writer) -> None:
        self.connection = connection
        self.realm = realm
        self._writer = writer

    def subject(self, text: str) -> UUID:
        """The subject of an alias or id. Raises `WrongError` where there is nobody of that name."""
        found = people.find_subject(self.connection, self.realm, text)
        if found is None:
            raise WrongError(f"no such user: {text}")
        return found

    def open_realm(self) -> None:
        """Open the realm, if it is not open."""
        self._execute(OpenRealm(), new_id())

    def register(self, username: str, key_hash: bytes) -> UUID:
        """Open an account with one API key."""
        while True:
            user = new_id()
            number = NUMBERS[0] + secrets.randbelow(NUMBERS[1] - NUMBERS[0] + 1)
            command = RegisterUser(
                user=user,
                key=new_id(),
                key_hash=key_hash,
                username=username,
                number=number,
                by_operator=True,
            )
            # The number may be somebody's: chance will give another.
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                self._execute(command, new_id())
                return user

    def grant(self, user: UUID, amount: int, reason: str, command_id: UUID | None = None) -> int:
        """Give kudos out of the treasury, in hundredths. The account's new balance."""
        note = command_id or new_id()
        self._execute(GrantKudos(user=user, amount=amount, note=note, reason=reason), note)
        return self.balance(user)

    def adjust(self, user: UUID, amount: int, reason: str) -> Adjusted:
        """Correct a balance by so many hundredths, up or down."""
        note = new_id()
        command = AdjustKudos(user=user, amount=amount, note=note, reason=reason)
        result: Adjusted = self._execute(command, note)
        return result

    def set_allowance(self, user: UUID, amount: int, source: AllowanceSource) -> Allowed:
        """Pay an account so many hundredths a month; 0 for nothing more."""
        command = SetAllowance(user=user, amount=amount, source=source)
        result: Allowed = self._execute(command, new_id())
        return result

    def allowance(self, user: UUID) -> tuple[int, datetime | None]:
        """What an account gets each month, in hundredths, and when next."""
        row = self.connection.execute(_ALLOWANCE, (self.realm, user)).fetchone()
        return (row[0], row[1]) if row else (0, None)

    def grant_role(self, user: UUID, role: Role) -> None:
        """Give a role, if the account does not have it."""
        self._execute(GrantRole(user=user, role=role), new_id())

    def set_trust(self, user: UUID, *, trusted: bool) -> TrustSet:
        """Trust an account, or trust it no more."""
        result: TrustSet = self._execute(SetTrust(user=user, trusted=trusted), new_id())
        return result

    def set_waiting_limit(self, user: UUID, limit: int | None) -> None:
        """Say how many generations of an account may wait; None for the default."""
        self._execute(SetWaitingLimit(user=user, limit=limit), new_id())

    def set_worker_limit(self, user: UUID, limit: int | None) -> None:
        """Say how many workers an account may have; None for the default."""
        self._execute(SetWorkerLimit(user=user, limit=limit), new_id())

    def balance(self, user: UUID) -> int:
        """An account's balance in hundredths."""
        row = self.connection.execute(_BALANCE, (self.realm, user)).fetchone()
        return int(row[0]) if row else 0

    def _execute(self, command: Command, command_id: UUID) -> Any:
        outcome = self._writer.execute_sync(Request(command, command_id))
        if isinstance(outcome, Rejection):
            raise WrongError(outcome.message)
        return outcome.result


def _report_nothing(_: BaseException) -> None:
    """The writer's caller is told by its own exception; there is no process to stop."""


@contextlib.contextmanager
def console(settings: Settings) -> Iterator[Console]:
    """A console for a moment. Raises `psycopg.OperationalError` at once where the database does not answer."""
    with database(settings.database_url) as connection:
        writer = Writer(
            settings.database_url, settings.realm, rules(RULES, treasury.RULES), on_fatal=_report_nothing
        )
        writer.start()
        try:
            yield Console(connection, settings.realm, writer)
        finally:
            writer.stop()
