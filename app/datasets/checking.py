"""Checking a release, and comparing two: what is in both, in one only, or says something else.

Reads files only; a stranger's release is read with care. Comparing uses an index on disk, so that its memory does not
grow with the releases. Look next: `app.datasets.manifest`, `app.datasets.commands`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from app.datasets.manifest import MANIFEST, RELEASE, Release, ReleaseError, line_of, read_lines, read_release
from app.datasets.tables import KEYS, TABLES

#: of each kind that are named, at most
SHOWN: Final = 20
#: of a picture or row, what may change without the picture or row being another one
_BATCH: Final = 5_000


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong with a release: nothing, if `faults` is empty."""

    name: str
    position: int
    log_hash: str
    files: int
    faults: tuple[str, ...]


class TableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How a table differs: rows only in the second release, only in the first, in both but different."""

    added: int
    removed: int
    changed: int
    #: names of some of them
    some_added: tuple[str, ...]
    some_removed: tuple[str, ...]
    some_changed: tuple[str, ...]


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """How two releases differ."""

    first: str
    second: str
    tables: dict[str, TableDiff]
    #: pictures that only the second one's tombstones name, as `id reason`
    buried: tuple[str, ...]
    #: pictures that are gone and have no tombstone: there should be none
    unexplained: tuple[str, ...]


def check(folder: Path) -> Checked:
    """Compare every file of a release with its manifest. Raises `ReleaseError` where there is no release."""
    release, lines = read_release(folder), read_lines(folder)
    faults = []
    if line_of(folder, MANIFEST).sha256 != release.manifest:
        faults.append(f"{MANIFEST} is not the one that {RELEASE} names")
    for path, line in lines.items():
        try:
            if line_of(folder, path) != line:
                faults.append(f"{path} is not what the manifest names")
        except OSError:
            faults.append(f"{path} is missing")
    expected = {*lines, MANIFEST, RELEASE}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    faults += [f"{path} is not in the manifest" for path in sorted(found - expected)]
    return _checked(release, len(lines), faults)


def _checked(release: Release, files: int, faults: list[str]) -> Checked:
    return Checked(
        name=release.name,
        position=release.position,
        log_hash=release.log_hash,
        files=files,
        faults=tuple(faults),
    )


def diff(first: Path, second: Path) -> Diff:
    """Compare two releases. Raises `ReleaseError`."""
    names = read_release(first).name, read_release(second).name
    with tempfile.TemporaryDirectory() as scratch:
        index = sqlite3.connect(Path(scratch) / "diff.sqlite", isolation_level=None)
        try:
            index.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32768;")
            tables = {table: _table_diff(index, first, second, table) for table in TABLES}
            buried, unexplained = _buried(index, first, second)
        finally:
            index.close()
    return Diff(first=names[0], second=names[1], tables=tables, buried=buried, unexplained=unexplained)


def _table_diff(index: sqlite3.Connection, first: Path, second: Path, table: str) -> TableDiff:
    for side, folder in (("a", first), ("b", second)):
        index.execute(f"CREATE TABLE {table}_{side} (key TEXT PRIMARY KEY, hash BLOB) WITHOUT ROWID")
        index.execute("BEGIN")
        index.executemany(
            f"INSERT OR REPLACE INTO {table}_{side} VALUES (?, ?)",  # noqa: S608 - names of this program
            _hashed(folder, table),
        )
        index.execute("COMMIT")
    only = "FROM {one} AS x WHERE NOT EXISTS (SELECT 1 FROM {other} AS y WHERE y.key = x.key)"
    a, b = f"{table}_a", f"{table}_b"
    added, some_added = _some(index, only.format(one=b, other=a))
    removed, some_removed = _some(index, only.format(one=a, other=b))
    changed, some_changed = _some(
        index, f"FROM {a} AS x JOIN {b} AS y ON y.key = x.key WHERE x.hash <> y.hash"
    )
    return TableDiff(
        added=added,
        removed=removed,
        changed=changed,
        some_added=some_added,
        some_removed=some_removed,
        some_changed=some_changed,
    )


def _some(index: sqlite3.Connection, what: str) -> tuple[int, tuple[str, ...]]:
    (count,) = index.execute(f"SELECT count(*) {what}").fetchone()
    some = index.execute(f"SELECT x.key {what} ORDER BY x.key LIMIT {SHOWN}")
    return count, tuple(row[0] for row in some)


def _hashed(folder: Path, table: str) -> Iterator[tuple[str, bytes]]:
    key = KEYS[table]
    for row in _rows(folder, f"{table}/*.parquet"):
        name = " ".join(str(row.get(part)) for part in key)
        yield name, hashlib.sha256(msgspec.json.encode(row, order="sorted")).digest()


def _buried(index: sqlite3.Connection, first: Path, second: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before = {row["id"] for row in _rows(first, "TOMBSTONES.parquet")}
    now = {row["id"]: row["reason"] for row in _rows(second, "TOMBSTONES.parquet")}
    gone = index.execute(
        "SELECT key FROM metadata_a WHERE key NOT IN (SELECT key FROM metadata_b) ORDER BY key"
    )
    unexplained = [name for (key,) in gone if (name := key.removesuffix(".webp")) not in now]
    return tuple(f"{key} {reason}" for key, reason in now.items() if key not in before), tuple(unexplained)


def _rows(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise ReleaseError(f"{folder} has no {pattern}")
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ReleaseError(f"{path} cannot be read: {type(error).__name__}") from None
