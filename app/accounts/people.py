"""From names and keys to subjects and back, for callers that block: the command line.

The vault's `person` is the only link between an alias `username#number` and a subject. Look next:
`app.accounts.handlers`, which does the same for the API; `app.platform.vault`.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from events.base import ANONYMOUS

#: the anonymous user's alias
ANONYMOUS_ALIAS: Final = "Anonymous#0"
#: numbers behind names are random within these bounds, so that they tell nothing about when or who
NUMBERS: Final = (100_000, 999_999_999)

_BY_ALIAS: Final = "SELECT subject FROM vault.person WHERE realm = %s AND username = %s AND number = %s"
_BY_SUBJECT: Final = "SELECT username, number FROM vault.person WHERE realm = %s AND subject = %s"
_BY_KEY: Final = "SELECT subject FROM vault.api_key WHERE realm = %s AND hash = %s"
_ACCOUNT: Final = "SELECT 1 FROM projections.accounts WHERE realm = %s AND id = %s"


def find_subject(connection: Connection[Any], realm: int, text: str) -> UUID | None:
    """The subject that an alias `username#number` or a subject's own id means; None where it means nobody."""
    if text == ANONYMOUS_ALIAS:
        return ANONYMOUS
    username, separator, number = text.rpartition("#")
    if separator:
        if not (number.isascii() and number.isdigit()) or len(number) > len(str(NUMBERS[1])):
            return None
        row = connection.execute(_BY_ALIAS, (realm, username, int(number))).fetchone()
        return None if row is None else UUID(str(row[0]))
    try:
        subject = UUID(text)
    except ValueError:
        return None
    return subject if connection.execute(_ACCOUNT, (realm, subject)).fetchone() is not None else None


def alias_of(connection: Connection[Any], realm: int, subject: UUID) -> str | None:
    """The alias of a subject; None where there is none (any more)."""
    if subject == ANONYMOUS:
        return ANONYMOUS_ALIAS
    row = connection.execute(_BY_SUBJECT, (realm, subject)).fetchone()
    return None if row is None else f"{row[0]}#{row[1]}"


def subject_of_key(connection: Connection[Any], realm: int, digest: bytes) -> UUID | None:
    """The subject whose API key has this hash (`app.platform.keys.key_hash`)."""
    row = connection.execute(_BY_KEY, (realm, digest)).fetchone()
    return None if row is None else UUID(str(row[0]))
