"""What a fresh installation is seeded with: the anonymous user, and three users whose API keys are given.

May be run again at any time, also by several processes at once: what is there stays as it is. Look next:
`app.accounts.console`, `app.platform.keys`.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import msgspec

from app.accounts import people
from app.accounts.console import Console
from app.platform.keys import is_api_key, key_hash
from events.accounts import Role
from events.codec import decode_metadata

#: What the seeded client is given, so that its first jobs are not served last: 1000.00 kudos.
CLIENT_GRANT: Final = 100_000

#: Advisory lock of everybody who seeds.
_LOCK: Final = 4_850_103
_GRANTS: Final = (
    "SELECT metadata FROM log.event WHERE realm = %s AND stream = %s AND type = 'kudos.KudosGranted'"
)


class SeedKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The API keys of the seeded users: 22 url-safe characters each."""

    operator: str
    client: str
    worker_owner: str


class SeedKeysError(ValueError):
    """The given keys cannot be used; the message never repeats one."""


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects of the seeded users by name, and what was new."""

    users: dict[str, UUID]
    created: tuple[str, ...]


def parse_keys(text: str) -> SeedKeys:
    """The keys in a JSON text. Raises `SeedKeysError`."""
    try:
        keys = msgspec.json.decode(text, type=SeedKeys)
    except msgspec.MsgspecError:
        # Not the reason: it may quote the text.
        raise SeedKeysError('must be JSON: {"operator": …, "client": …, "workerOwner": …}') from None
    values = (keys.operator, keys.client, keys.worker_owner)
    if not all(is_api_key(value) for value in values):
        raise SeedKeysError("must hold keys of 22 url-safe characters")
    if len(set(values)) != len(values):
        raise SeedKeysError("must hold three different keys")
    return keys


def seed(console: Console, pepper: str, keys: SeedKeys | None) -> Seeded:
    """Open the realm and, where keys are given, make its first users. Raises `WrongError`, `psycopg.Error`."""
    console.connection.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK, console.realm))
    try:
        console.open_realm()
        if keys is None:
            return Seeded(users={}, created=())
        created: list[str] = []
        named = {"operator": keys.operator, "client": keys.client, "workerOwner": keys.worker_owner}
        users = {name: _user(console, name, key_hash(pepper, key), created) for name, key in named.items()}
        console.grant_role(users["operator"], Role.OPERATOR)
        _grant_once(console, users["client"])
        return Seeded(users=users, created=tuple(created))
    finally:
        console.connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_LOCK, console.realm))


def _user(console: Console, name: str, digest: bytes, created: list[str]) -> UUID:
    found = people.subject_of_key(console.connection, console.realm, digest)
    if found is not None:
        return found
    created.append(name)
    return console.register(name, digest)


def _grant_once(console: Console, client: UUID) -> None:
    """Give the client its kudos under a command id that follows from the client, by which a repeat is seen."""
    command = uuid5(client, "seed grant")
    rows = console.connection.execute(_GRANTS, (console.realm, f"user-{client}"))
    if any(decode_metadata(metadata.encode()).command == command for (metadata,) in rows):
        return
    console.grant(client, CLIENT_GRANT, "seed", command)
