"""Importing a source into a set: page by page, so that whoever is killed goes on where it was, and nothing comes twice.

Of addresses only the words and the ids are kept. Files are cleaned, held against the takedowns and put into the bucket
before any event names them. May not be used by two processes for one source at a time: that would only be slow. Look
next: `app.images.sources`, `app.images.decider`, docs/image-sets.md.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.images.copies import TRIES, mirrored
from app.images.decider import (
    FailMirror,
    Import,
    Imported,
    ImportPictures,
    MirrorSettled,
    Opened,
    OpenImageSet,
    SetRedistribution,
    picture_id,
)
from app.images.sources import SAFE, Bad, Row, Source
from app.platform import vault
from app.platform.commands import Command, Rejection, Request
from app.platform.ids import new_id
from app.platform.objects import ObjectStore, imported_key
from app.platform.picture_words import ImageImport, ImportedPictureWords
from app.platform.pictures.clean import CleanPicture, Withheld, inspect
from app.platform.takedowns import Against, against
from app.platform.writer import Writer
from events.images import IMPORTED_AT_ONCE, ImportedPicture, MirrorFault

#: pictures of files that are cleaned and put at a time
AT_ONCE: Final = 4

_WHERE = vault.TABLES[ImageImport].select(vault.SCHEMA, "image_set = %(set)s AND source = %(source)s")


class RefusedError(Exception):
    """The log refused a command of the import; the message names the field and the limit."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"{rejection.message} ({'.'.join(rejection.path[1:]) or rejection.code})")


class SetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The set to import into: as it is, or as it is opened."""

    name: str
    licence: str
    target: int
    description: str
    #: whether releases may hold copies of its pictures; None: as it was said before, or else not
    redistribute: bool | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far an import is."""

    #: rows that were looked at, in all runs
    done: int
    added: int
    repeated: int
    bad: int
    #: rows of the source, where that is known
    rows: int | None


Tell = Callable[[Progress], None]
TellBad = Callable[[Bad], None]


class _File(msgspec.Struct, frozen=True):
    """A picture of a source that was read and cleaned."""

    row: Row
    clean: CleanPicture
    #: SHA-256 of what was read, hexadecimal
    original: str


class Importer:
    """Imports sources. One thread calls it; it uses a few of its own for files."""

    def __init__(
        self,
        *,
        realm: int,
        pool: ConnectionPool[Connection[Any]],
        writer: Writer,
        objects: ObjectStore,
        bucket: str,
    ) -> None:
        """Name what to work with.

        Args:
            realm: whose log.
            pool: autocommitting connections, at least `AT_ONCE` + 1.
            writer: knows `app.images.decider.RULES`.
            objects: the storage of the bucket.
            bucket: that of data sets.
        """
        self._realm = realm
        self._pool = pool
        self._writer = writer
        self._objects = objects
        self._bucket = bucket

    def run(self, source: Source, options: SetOptions, tell: Tell, tell_bad: TellBad) -> Progress:
        """Import all that is not there; going on where an earlier run was.

        Raises:
            RefusedError: the set cannot be, or be meant, so.
            SourceError, StorageUnavailableError, WriterBusyError, psycopg.Error: it can be run again.
        """
        opened = self._execute(
            OpenImageSet(
                name=options.name,
                licence=options.licence,
                target=options.target,
                description=options.description,
            )
        )
        assert isinstance(opened, Opened)
        if options.redistribute is not None:
            self._execute(SetRedistribution(image_set=opened.image_set, allowed=options.redistribute))
        at = self._reached(opened.image_set, UUID(bytes=bytes.fromhex(source.digest)[:16]))
        rows = iter(()) if at.finished else source.read(at.done)
        for page in _pages(rows):
            bad = [row for row in page if isinstance(row, Bad)]
            good = [row for row in page if isinstance(row, Row)]
            refused, added = self._page(opened.image_set, good)
            bad += refused
            for each in sorted(bad, key=lambda row: row.number):
                tell_bad(each)
            at = msgspec.structs.replace(
                at,
                done=at.done + len(page),
                added=at.added + added,
                repeated=at.repeated + len(page) - len(bad) - added,
                bad=at.bad + len(bad),
            )
            self._keep(at)
            tell(_progress(at, source))
        self._keep(msgspec.structs.replace(at, finished=True))
        return _progress(at, source)

    def _page(self, image_set: UUID, rows: list[Row]) -> tuple[list[Bad], int]:
        """What of a page is bad after all, and how many pictures came in."""
        imports = [_of_address(image_set, row) for row in rows if row.read is None]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            of_files = [row for row in rows if row.read is not None]
            looked = list(threads.map(partial(self._cleaned, image_set), of_files))
            files = [found for found in looked if isinstance(found, _File)]
            imports += [_of_file(image_set, file.row, file.clean) for file in files]
            added = self._added(image_set, imports) if imports else 0
            recorded = threads.map(partial(self._recorded, image_set), files)
            refused = [found for found in recorded if found is not None]
        return [found for found in looked if isinstance(found, Bad)] + refused, added

    def _added(self, image_set: UUID, imports: list[Import]) -> int:
        result = self._execute(ImportPictures(image_set=image_set, imports=tuple(imports)))
        assert isinstance(result, Imported)
        return result.added

    def _cleaned(self, image_set: UUID, row: Row) -> _File | Bad:
        assert row.read is not None, "addresses are not read"
        try:
            data = row.read()
        except OSError as error:
            return Bad(row.number, f"cannot be read ({error.strerror})")
        clean = inspect(data, None)
        if isinstance(clean, Withheld):
            return Bad(row.number, f"no picture to show ({clean.reason.lower()})")
        file = _File(row, clean, hashlib.sha256(data).hexdigest())
        if self._against(file).takedown is not None:
            return self._taken_down(file, _of_file(image_set, row, clean))
        return file

    def _against(self, file: _File) -> Against:
        with self._pool.connection() as connection:
            return against(
                connection, self._realm, file.clean.sha256, file.clean.perceptual_hash, file.original
            )

    def _taken_down(self, file: _File, item: Import) -> Bad:
        """Leave nothing of it, and nobody it is handed to: an earlier run may have named it in the log, without a copy."""
        failed = FailMirror(picture=item.picture.id, reason=MirrorFault.BLOCKLISTED)
        outcome = self._writer.execute_sync(Request(failed, new_id()))
        if isinstance(outcome, Rejection) and outcome.code != "NOT_FOUND":
            raise RefusedError(outcome)
        self._objects.remove(self._bucket, item.words.key)
        return Bad(file.row.number, "it was taken down")

    def _recorded(self, image_set: UUID, file: _File) -> Bad | None:
        """Put the file, and say that it is there. Both may be done again."""
        item = _of_file(image_set, file.row, file.clean)
        for _ in range(TRIES):
            held = self._against(file)
            if held.takedown is not None:
                return self._taken_down(file, item)
            self._objects.put(self._bucket, item.words.key, file.clean.webp, "image/webp")
            command = mirrored(item.words, file.clean, held.known, file.original)
            outcome = self._writer.execute_sync(Request(command, new_id()))
            if not isinstance(outcome, Rejection):
                assert isinstance(outcome.result, MirrorSettled)
                return None
            if outcome.code != "TRY_AGAIN":
                raise RefusedError(outcome)
        return Bad(file.row.number, "takedowns keep being ordered: import it again")

    def _execute(self, command: Command) -> Any:
        outcome = self._writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            raise RefusedError(outcome)
        return outcome.result

    def _reached(self, image_set: UUID, source: UUID) -> ImageImport:
        asked = {"realm": self._realm, "set": image_set, "source": source}
        with self._pool.connection() as connection:
            rows = vault.TABLES[ImageImport].load_all(connection.execute(_WHERE, asked, binary=True))
        empty = ImageImport(image_set, source, done=0, added=0, repeated=0, bad=0, finished=False)
        return rows[0] if rows else empty

    def _keep(self, at: ImageImport) -> None:
        parameters = vault.TABLES[ImageImport].parameters(self._realm, [at])
        with self._pool.connection() as connection:
            connection.execute(vault.UPSERTS[ImageImport], parameters)


def _pages(rows: Iterable[Row | Bad]) -> Iterator[list[Row | Bad]]:
    source = iter(rows)
    while page := list(itertools.islice(source, IMPORTED_AT_ONCE)):
        yield page


def _progress(at: ImageImport, source: Source) -> Progress:
    return Progress(at.done, at.added, at.repeated, at.bad, source.rows)


def _of_address(image_set: UUID, row: Row) -> Import:
    key = picture_id(image_set, row.url)
    return _item(row, key, image_set, (row.width, row.height), url=row.url, key="")


def _of_file(image_set: UUID, row: Row, clean: CleanPicture) -> Import:
    key = picture_id(image_set, clean.sha256)
    size = (clean.width, clean.height)
    return _item(row, key, image_set, size, url="", key=imported_key(key, clean.sha256))


def _item(
    row: Row,
    picture: UUID,
    image_set: UUID,
    size: tuple[int, int],
    *,
    url: str,
    key: str,
) -> Import:
    nsfw = (row.nsfw or "").upper() not in SAFE
    return Import(
        ImportedPicture(picture, *size, nsfw),
        ImportedPictureWords(
            picture=picture,
            image_set=image_set,
            url=url,
            key=key,
            caption=row.caption,
            nsfw=row.nsfw,
            similarity=row.similarity,
            aesthetic_score=row.aesthetic_score,
            hash=row.hash,
            punsafe=row.punsafe,
            pwatermark=row.pwatermark,
        ),
    )
