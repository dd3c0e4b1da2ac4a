"""The form of a backup: one folder of files, and a manifest that names each with its SHA-256.

A folder is made under another name and gets its own when everything in it is on disk, so a folder with a manifest
is a whole backup. It holds what people wrote: everything is for its owner only. Needs no database and no settings.
Look next: `app.operations.backup.take`, `app.operations.backup.load`.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import hmac
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, Self, cast

import msgspec

from app.operations.segments import sha256_of

MANIFEST: Final = "backup.json"
FORMAT: Final = "hoard-backup-1"
#: bytes that are read or written at a time
CHUNK: Final = 1 << 20
_LEVEL: Final = 3
_NAME: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")

Progress = Callable[[int, int], None]


class BackupError(Exception):
    """A backup cannot be made, is not whole, was altered, or does not fit; the message names the file or position."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `rows` are those of a table or the objects of a bucket."""

    file: str
    sha256: str
    bytes: int
    rows: int


class TableCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table as files in PostgreSQL's text format, compressed."""

    schema: str
    table: str
    columns: tuple[str, ...]
    parts: tuple[Part, ...]


class RealmEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a realm's log ends: the last position and the chain's hash there, hexadecimal."""

    realm: int
    position: int
    hash: str


class BucketCopy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bucket: the list of its objects and, if they were asked for, the objects themselves as a tar file."""

    #: what it is for: results, sources, shared, datasets; its name is a setting
    bucket: str
    #: sum over the objects
    bytes: int
    listing: Part
    archive: Part | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup consists of."""

    format: str
    #: instant of the snapshot, ISO 8601
    taken_at: str
    #: of the schema, as migrations name it
    revision: str
    #: tells one pepper from another without telling it
    pepper: str
    realms: tuple[RealmEnd, ...]
    tables: tuple[TableCopy, ...]
    buckets: tuple[BucketCopy, ...]

    def parts(self) -> Iterator[Part]:
        """All files but the manifest."""
        for table in self.tables:
            yield from table.parts
        for bucket in self.buckets:
            yield bucket.listing
            if bucket.archive is not None:
                yield bucket.archive


def pepper_mark(pepper: str) -> str:
    """By what a manifest recognises the pepper under which the keys in a backup were hashed."""
    return hmac.digest(pepper.encode(), b"hoard backup", "sha256")[:8].hex()


class _Hashing:
    """A file that is hashed and counted while it is written; enough of a file for gzip and tarfile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def part(self, name: str, rows: int) -> Part:
        return Part(file=name, sha256=self._sha.hexdigest(), bytes=self.size, rows=rows)


class Writing(msgspec.Struct):
    """A file being written: put bytes into `file`, say how many rows it holds; then `part` describes it."""

    file: IO[bytes]
    rows: int = 0
    part: Part | None = None

    def done(self) -> Part:
        """The finished file."""
        assert self.part is not None
        return self.part


class NewBackup:
    """A backup in the making, beside its final place. Use as a context manager; `finish` makes it whole.

    What an interrupted run left is thrown away: its snapshot is gone, so it cannot be continued.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder, which must not be there yet or be empty."""
        self._final = folder.absolute()
        self._folder = self._final.with_name(f".{self._final.name}.part")
        self._lock = -1

    def __enter__(self) -> Self:
        """Begin. Raises `BackupError`, `OSError`."""
        if self._final.exists() and (not self._final.is_dir() or any(self._final.iterdir())):
            raise BackupError(f"{self._final} is there already and not empty: a backup is never written over")
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BackupError(f"another backup is being written to {self._final}") from None
        self._folder.chmod(0o700)
        for left in self._folder.iterdir():
            left.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        """Throw away what is not finished."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @contextlib.contextmanager
    def write(self, name: str, *, packed: bool) -> Iterator[Writing]:
        """A new file, on disk when the block is left; `packed` by gzip. Raises `OSError`."""
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            hashing = _Hashing(file)
            raw = cast("IO[bytes]", hashing)
            if packed:
                # without name and time, the same rows are the same bytes
                with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as zipped:
                    writing = Writing(cast("IO[bytes]", zipped))
                    yield writing
            else:
                writing = Writing(raw)
                yield writing
            file.flush()
            os.fsync(file.fileno())
        writing.part = hashing.part(name, writing.rows)

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest and give the folder its name. Returns the manifest's SHA-256. Raises `OSError`."""
        with self.write(MANIFEST, packed=False) as writing:
            writing.file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        _sync(self._folder)
        self._folder.rename(self._final)
        _sync(self._final.parent)
        return writing.done().sha256


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path, expected: str | None = None) -> Manifest:
    """The manifest of a backup; `expected` is the SHA-256 that it must have. Raises `BackupError`."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BackupError(f"no whole backup in {folder}: {MANIFEST}: {error.strerror}") from None
    if expected is not None and hashlib.sha256(content).hexdigest() != expected.lower():
        raise BackupError(f"{MANIFEST} was altered: its SHA-256 is not the expected one")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BackupError(f"{MANIFEST} is no manifest: {error}") from None
    if manifest.format != FORMAT:
        raise BackupError(f"{MANIFEST}: the format is {manifest.format!r}, this program knows {FORMAT!r}")
    for part in manifest.parts():
        if not _NAME.fullmatch(part.file):  # a name is no path: it must not lead anywhere else
            raise BackupError(f"{MANIFEST}: {part.file!r} is no name of a file")
    return manifest


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Compare every file with the manifest. Raises `BackupError` that names the first one that differs."""
    total = sum(part.bytes for part in manifest.parts())
    done = 0
    for part in manifest.parts():
        try:
            altered = sha256_of(folder / part.file) != part.sha256
        except OSError as error:
            raise BackupError(f"{part.file} is missing or unreadable: {error.strerror}") from None
        if altered:
            raise BackupError(f"{part.file} was altered or damaged: its SHA-256 is not the manifest's")
        done += part.bytes
        progress(done, max(total, 1))


def unpacked(folder: Path, part: Part) -> Iterator[bytes]:
    """The content of a packed file, piece by piece. Raises `BackupError`."""
    try:
        with gzip.open(folder / part.file, "rb") as file:
            while piece := file.read(CHUNK):
                yield piece
    except (OSError, EOFError) as error:
        raise BackupError(f"{part.file} cannot be read: {error}") from None
