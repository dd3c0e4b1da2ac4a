"""What a release is made from: the log, shared pictures, copies of imported ones, and the vault's words of these. Reads only.

The log is append-only, so that pages of it can be read one after another without a snapshot. Look next:
`app.datasets.scratch`, `app.datasets.build`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.objects import ObjectStore, imported_key, shared_keys
from app.platform.picture_words import ImportedPictureWords
from app.platform.storage_errors import ObjectMissingError
from events.base import Recorded
from events.store import log

_PAGE: Final = 5_000
_WORDS = vault.TABLES[ImportedPictureWords]
_IMPORTED: Final = _WORDS.select(vault.SCHEMA, "picture = ANY(%(ids)s)")


class GoneError(Exception):
    """A picture that was published or copied is not in its bucket, or is another one."""

    def __init__(self, picture: UUID, problem: str) -> None:
        super().__init__(f"picture {picture} {problem}")
        self.picture = picture


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What is published beside a shared picture, as far as a release shows it; docs/sharing.md explains it."""

    id: str
    set: str
    prompt: str
    negative_prompt: str | None
    steps: int
    sampler: str
    cfg: float
    karras: bool
    pp: tuple[str, ...]
    seed: str
    model: str
    user_type: str
    sha256: str
    licence: str
    delivered_at: datetime


class Log(Protocol):
    """One realm's log."""

    realm: int

    def last(self) -> int:
        """Position of the last event."""

    def at(self, position: int) -> Recorded:
        """The event at a position. Raises `KeyError`."""

    def events(self, after: int, upto: int, names: Sequence[str]) -> Iterator[Recorded]:
        """The events of these types after a position, up to another one, in order."""


class Pictures(Protocol):
    """Where published pictures are."""

    def fetch(self, picture: UUID) -> tuple[bytes, bytes]:
        """A picture's file, and what is published beside it. Raises `GoneError`."""

    def copy(self, picture: UUID, sha256: str) -> bytes:
        """The file of the copy of an imported picture. Raises `GoneError`."""

    def words(self, pictures: Sequence[UUID]) -> dict[UUID, ImportedPictureWords]:
        """What is known of imported pictures; erased ones are left out."""


class LiveLog:
    """The log in the database. `connection` is in autocommit."""

    def __init__(self, connection: Connection[Any], realm: int) -> None:
        self._connection = connection
        self.realm = realm

    def last(self) -> int:
        """See `Log`."""
        row = self._connection.execute(log.LAST_POSITION, (self.realm,)).fetchone()
        return int(row[0]) if row else 0

    def at(self, position: int) -> Recorded:
        """See `Log`."""
        rows = self._connection.execute(log.READ, (self.realm, position - 1, 1), binary=True).fetchall()
        if not rows or rows[0][0] != position:
            raise KeyError(position)
        return log.recorded(rows[0])

    def events(self, after: int, upto: int, names: Sequence[str]) -> Iterator[Recorded]:
        """See `Log`."""
        while after < upto:
            asked = {"realm": self.realm, "after": after, "names": list(names), "limit": _PAGE}
            rows = self._connection.execute(log.READ_TYPES, asked, binary=True).fetchall()
            for row in rows:
                if row[0] > upto:
                    return
                yield log.recorded(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]


class Buckets:
    """The bucket of shared pictures, that of data sets, and the vault."""

    def __init__(
        self, connection: Connection[Any], realm: int, objects: ObjectStore, *, shared: str, datasets: str
    ) -> None:
        self._connection = connection
        self._realm = realm
        self._objects = objects
        self._shared = shared
        self._datasets = datasets

    def fetch(self, picture: UUID) -> tuple[bytes, bytes]:
        """See `Pictures`. Raises `GoneError`, `StorageUnavailableError`."""
        picture_key, metadata_key = shared_keys(picture)
        try:
            return self._objects.get(self._shared, picture_key), self._objects.get(self._shared, metadata_key)
        except ObjectMissingError:
            raise GoneError(picture, "is not in the shared bucket") from None

    def copy(self, picture: UUID, sha256: str) -> bytes:
        """See `Pictures`. Raises `GoneError`, `StorageUnavailableError`."""
        try:
            return self._objects.get(self._datasets, imported_key(picture, sha256))
        except ObjectMissingError:
            raise GoneError(picture, "has no copy in the bucket of data sets") from None

    def words(self, pictures: Sequence[UUID]) -> dict[UUID, ImportedPictureWords]:
        """See `Pictures`."""
        asked = {"realm": self._realm, "ids": list(pictures)}
        found = _WORDS.load_all(self._connection.execute(_IMPORTED, asked, binary=True))
        return {words.picture: words for words in found}


def shown(picture: UUID, sha256: str, file: bytes, metadata: bytes) -> Shown:
    """What is published beside a picture, if file and metadata are those that were published. Raises `GoneError`."""
    if hashlib.sha256(file).hexdigest() != sha256:
        raise GoneError(picture, "is another file in the shared bucket than the one that was published")
    try:
        said = msgspec.json.decode(metadata, type=Shown)
    except msgspec.MsgspecError:
        raise GoneError(picture, "has no readable metadata in the shared bucket") from None
    if said.id != str(picture) or said.sha256 != sha256:
        raise GoneError(picture, "has the metadata of another one in the shared bucket")
    return said
