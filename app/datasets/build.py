"""Building a release: the log up to a position, joined to words and pictures, as a folder that others' tools read.

The same position gives the same bytes, however often it is built and wherever an attempt died: parts that are finished
are kept, everything else is made anew, `release.json` is written last, and only then the folder gets its name. What was
withdrawn up to this moment is left out and named among the tombstones, whatever the position. Streams: memory does not
grow with the release. Look next: `app.datasets.scratch` (the fold), `app.datasets.parts`, `app.datasets.scores`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from app.datasets.card import LICENCE, croissant, readme
from app.datasets.manifest import (
    FORMAT,
    MANIFEST,
    RELEASE,
    Line,
    Part,
    Release,
    ReleaseError,
    encode_lines,
    encode_release,
    line_of,
    name_of,
    read_lines,
    read_release,
)
from app.datasets.parts import (
    copies_of,
    inputs_of,
    inputs_of_copies,
    pictures_of,
    write_copies,
    write_imported,
    write_part,
)
from app.datasets.people import People
from app.datasets.reading import GoneError, Log, Pictures
from app.datasets.scores import aggregate_rows, pair_rows, rating_rows
from app.datasets.scratch import NAMES, REMOVAL_NAMES, Scratch
from app.datasets.splits import prompt_hash, split_rows
from app.datasets.tables import TABLES, TOMBSTONES, TableWriter
from events.chain import instant

Progress = Callable[[int, int], None]
#: whether a part is of copies, and its number
PartKey = tuple[bool, int]

#: in the folder of an unfinished release: which parts are finished
_JOURNAL: Final = "parts.jsonl"
_SCRATCH: Final = "scratch.sqlite"
#: how often what is withdrawn meanwhile may send a build back to its beginning
_ATTEMPTS: Final = 5
_TOMBSTONES: Final = (
    "SELECT id, image_set, sha256, coalesce(reason, 'REPORTED'), coalesce(removed, hidden) FROM picture "
    "WHERE removed IS NOT NULL OR hidden ORDER BY position, ordinal"
)
_LOST: Final = (
    "SELECT count(*) FROM picture WHERE removed IS NULL AND NOT hidden AND id NOT IN (SELECT id FROM present)"
)


class BuildError(Exception):
    """No release can be made: the position is not in the log, or a published picture is not where it should be."""


class Known(msgspec.Struct, frozen=True):
    """A part that is finished, from an earlier attempt or an earlier build of the same release."""

    part: Part
    lines: tuple[Line, ...]


class Source(msgspec.Struct, frozen=True):
    """What a release is made from."""

    log: Log
    pictures: Pictures
    people: People
    #: where releases are published, without the last `/`; empty where nobody said
    address: str = ""


class Adopted(msgspec.Struct, frozen=True):
    """Parts that are somewhere else already, so that their tars need not be here; their tables must be."""

    parts: dict[PartKey, Known] = {}


def build(
    source: Source,
    position: int,
    folder: Path,
    adopted: Adopted | None = None,
    progress: Progress | None = None,
) -> Release:
    """Build the release of a position as a folder in a folder, in place of one that is there.

    Args:
        source: where from.
        position: of the last event that counts; must be in the log.
        folder: the release goes into its subfolder `v1-<position>`.
        adopted: parts that need not be made; their tars will not be in the folder.
        progress: told (parts done, parts).

    Raises:
        BuildError: see there.
        OSError, StorageUnavailableError, psycopg.Error: as their names say.
    """
    final, work = folder / name_of(position), workplace(folder, position)
    work.mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        head = source.log.last()
        attempt = _Attempt(source, position, head, work, final, adopted or Adopted(), progress or _silent)
        try:
            release = attempt.run()
        except GoneError as error:
            if not _removed_since(source.log, head):
                raise BuildError(str(error)) from None
            continue
        if not _removed_since(source.log, head):
            _put_in_place(work, final)
            return release
    raise BuildError("pictures are withdrawn faster than a release is built")


def workplace(folder: Path, position: int) -> Path:
    """Where a release is while it is not finished."""
    return folder / f".{name_of(position)}.building"


def _silent(_done: int, _total: int) -> None:
    pass


def _removed_since(log: Log, head: int) -> bool:
    return any(True for _ in log.events(head, log.last(), REMOVAL_NAMES))


def _put_in_place(work: Path, final: Path) -> None:
    """Give a finished folder its name. A folder of that name is put aside first: there may be none for a moment."""
    aside = work.with_suffix(".replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if final.exists():
        final.rename(aside)
    work.rename(final)
    shutil.rmtree(aside, ignore_errors=True)


class _Attempt:
    """One attempt at a release, in a folder that may hold what earlier ones left."""

    def __init__(
        self,
        source: Source,
        position: int,
        head: int,
        work: Path,
        final: Path,
        adopted: Adopted,
        progress: Progress,
    ) -> None:
        self._source = source
        self._position = position
        self._head = head
        self._work = work
        self._adopted = adopted
        self._progress = progress
        self._known = _journal(work) | _finished(work, final)
        self._lines: dict[str, Line] = {}
        self._parts: list[Part] = []
        self._rows: dict[str, int] = {}

    def run(self) -> Release:
        """Make everything, `release.json` last. Raises `GoneError`, `BuildError`."""
        try:
            cut = self._source.log.at(self._position)
        except KeyError:
            raise BuildError(f"the log has no position {self._position}") from None
        self._clear()
        with Scratch(self._work / _SCRATCH) as scratch:
            scratch.fold(self._source.log.events(0, self._position, NAMES))
            scratch.fold(self._source.log.events(self._position, self._head, REMOVAL_NAMES), beyond=True)
            scratch.settle()
            if (lost := next(scratch.rows(_LOST))[0]) > 0:
                raise BuildError(f"{lost} pictures were published without consent, or from source pictures")
            self._write_parts(scratch)
            imported = write_imported(self._work, scratch, self._source.pictures)
            self._add(*self._files("metadata/imported-*.parquet"))
            self._rows["metadata"] = self._rows["pictures"] + imported
            self._read_words(scratch)
            self._write_tables(scratch)
        (self._work / _SCRATCH).unlink()
        self._describe(cut.hash.hex(), imports=imported > 0)
        manifest = encode_lines(self._lines)
        (self._work / MANIFEST).write_bytes(manifest)
        release = self._release(cut.hash.hex(), instant(cut.occurred_at.astimezone(UTC)))
        temporary = self._work / f"{RELEASE}.part"
        temporary.write_bytes(encode_release(release))
        temporary.replace(self._work / RELEASE)
        (self._work / _JOURNAL).unlink(missing_ok=True)
        return release

    def _release(self, log_hash: str, cut_at: str) -> Release:
        return Release(
            format=FORMAT,
            name=name_of(self._position),
            realm=self._source.log.realm,
            position=self._position,
            log_hash=log_hash,
            cut_at=cut_at,
            manifest=line_of(self._work, MANIFEST).sha256,
            rows={table: self._rows[table] for table in sorted((*TABLES, "tombstones"))},
            pictures=self._rows["pictures"] + self._rows["copies"],
            pyarrow=pa.__version__,
            parts=tuple(self._parts),
        )

    def _clear(self) -> None:
        """Throw away what is no finished part."""
        finished = (*self._known.values(), *self._adopted.parts.values())
        kept = {line.path for known in finished for line in known.lines} | {_JOURNAL}
        for path in self._work.rglob("*"):
            if path.is_file() and path.relative_to(self._work).as_posix() not in kept:
                path.unlink()

    def _write_parts(self, scratch: Scratch) -> None:
        folder, pictures, people = self._work, self._source.pictures, self._source.people
        total = scratch.parts() + scratch.copy_parts()
        self._rows |= {"pictures": 0, "copies": 0}
        for number in range(scratch.parts()):
            shared = pictures_of(scratch, number)
            part = Part(part=number, pictures=len(shared), inputs=inputs_of(shared, people))
            self._write_one(part, partial(write_part, folder, number, shared, pictures, people))
            self._rows["pictures"] += len(shared)
            self._progress(number + 1, total)
        for number in range(scratch.copy_parts()):
            copies = copies_of(scratch, number, pictures)
            part = Part(part=number, pictures=len(copies), inputs=inputs_of_copies(copies), copies=True)
            self._write_one(part, partial(write_copies, folder, number, copies, pictures))
            self._rows["copies"] += len(copies)
            self._progress(scratch.parts() + number + 1, total)

    def _write_one(self, part: Part, write: Callable[[], None]) -> None:
        if part.pictures:
            self._add(*self._lines_of(part, write))
            self._parts.append(part)
        else:
            for path in part.files():
                (self._work / path).unlink(missing_ok=True)

    def _lines_of(self, part: Part, write: Callable[[], None]) -> Iterable[Line]:
        """The files of a part, made now if they are not there."""
        key = (part.copies, part.part)
        for known in (self._known.get(key), self._adopted.parts.get(key)):
            if known is not None and known.part == part:
                return known.lines
        write()
        lines = tuple(line_of(self._work, path) for path in part.files())
        with (self._work / _JOURNAL).open("ab") as journal:
            journal.write(msgspec.json.encode(Known(part, lines)) + b"\n")
        return lines

    def _read_words(self, scratch: Scratch) -> None:
        """Prompts from the tables, for pairs and splits."""
        scratch.connection.execute("BEGIN")
        for path in sorted((self._work / "metadata").glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(
                    columns=["image_name", "prompt", "model", "url"], batch_size=5_000
                ):
                    scratch.connection.executemany(
                        "INSERT INTO words VALUES (?, ?, ?, ?, ?)", map(_words, *batch.to_pydict().values())
                    )
        scratch.connection.execute("COMMIT")

    def _write_tables(self, scratch: Scratch) -> None:
        people = self._source.people
        tables: dict[str, Iterable[dict[str, Any]]] = {
            "ratings": rating_rows(scratch, people, 1, self._position),
            "aggregates": aggregate_rows(scratch),
            "pairs": pair_rows(scratch, people),
            "splits": split_rows(scratch, people),
        }
        if not self._rows["metadata"]:
            self._write("metadata", "metadata/part-00000.parquet", ())
        for table, rows in tables.items():
            self._write(table, f"{table}/part-00000.parquet", rows)
        with (
            TableWriter(self._work / "TOMBSTONES.parquet", TOMBSTONES) as writer,
            (self._work / "TOMBSTONES").open("w", encoding="utf-8", newline="\n") as text,
        ):
            for picture, image_set, sha256, reason, at in scratch.rows(_TOMBSTONES):
                row = {
                    "id": _id(picture),
                    "image_set": _id(image_set),
                    "sha256": sha256,
                    "reason": reason,
                    "position": at,
                }
                writer.add(row)
                text.write(f"{sha256 or '-'} {row['id']} {reason} {at}\n")
        self._rows["tombstones"] = writer.count
        self._add(*self._files("TOMBSTONES*"))

    def _write(self, table: str, name: str, rows: Iterable[dict[str, Any]]) -> None:
        with TableWriter(self._work / name, TABLES[table]) as writer:
            for row in rows:
                writer.add(row)
        self._rows[table] = writer.count
        self._add(line_of(self._work, name))

    def _describe(self, log_hash: str, *, imports: bool) -> None:
        name = name_of(self._position)
        files = {
            "README.md": readme(name, self._position, log_hash, self._rows, imports=imports).encode(),
            "LICENSE": LICENCE.encode(),
            "croissant.json": croissant(name, self._rows, self._source.address),
        }
        for path, content in files.items():
            (self._work / path).write_bytes(content)
            self._add(line_of(self._work, path))

    def _files(self, pattern: str) -> Iterable[Line]:
        return [
            line_of(self._work, path.relative_to(self._work).as_posix())
            for path in sorted(self._work.glob(pattern))
        ]

    def _add(self, *lines: Line) -> None:
        self._lines.update((line.path, line) for line in lines)


def _words(name: str, prompt: str | None, model: str | None, url: str | None) -> tuple[Any, ...]:
    picture = UUID(name.removesuffix(".webp"))
    # what has no prompt is like nothing else
    return picture.bytes, prompt, prompt_hash(name if prompt is None else prompt), model, url


def _id(key: bytes) -> str:
    return str(UUID(bytes=key))


def _journal(work: Path) -> dict[PartKey, Known]:
    """The parts that earlier attempts finished, whose files are still what they were."""
    found: dict[PartKey, Known] = {}
    try:
        written = (work / _JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for line in written:
        try:
            known = msgspec.json.decode(line, type=Known)
        except msgspec.MsgspecError:
            continue  # the attempt died while it wrote this
        found[known.part.copies, known.part.part] = known
    return {key: known for key, known in found.items() if all(_stands(work, line) for line in known.lines)}


def _finished(work: Path, final: Path) -> dict[PartKey, Known]:
    """The parts of the same release as it was built before, linked to where this one is made."""
    try:
        release, lines = read_release(final), read_lines(final)
    except ReleaseError:
        return {}
    found = {}
    for part in release.parts:
        of_part = [lines.get(path) for path in part.files()]
        whole = [line for line in of_part if line is not None and _stands(final, line)]
        if len(whole) < len(of_part):
            continue
        for line in whole:
            target = work / line.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.hardlink_to(final / line.path)
        found[part.copies, part.part] = Known(part, tuple(whole))
    return found


def _stands(folder: Path, line: Line) -> bool:
    try:
        return line_of(folder, line.path) == line
    except OSError:
        return False
