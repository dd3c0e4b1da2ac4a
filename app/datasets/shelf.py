"""Releases in the bucket of data sets: put there, and rewritten when something of them is withdrawn.

`release.json` is put last, so that a release without one is nobody's. Who changes the bucket holds a lock of the database,
and so nothing is withdrawn from a release that is still being put there. What a rewritten release has in common with
the one before is neither made nor sent again. Look next: `app.datasets.build`, `app.datasets.librarian`.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from app.datasets.build import Adopted, Known, PartKey, Progress, Source, build, workplace
from app.datasets.manifest import (
    MANIFEST,
    RELEASE,
    Line,
    Release,
    ReleaseError,
    decode_lines,
    decode_release,
    name_of,
    read_lines,
)
from app.platform.objects import ObjectStore
from app.platform.storage_errors import ObjectMissingError

PREFIX: Final = "releases/"
#: bytes of the largest table that is read back
_LIMIT: Final = 4 * 1024**3
_KINDS: Final = {
    "parquet": "application/vnd.apache.parquet",
    "tar": "application/x-tar",
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
}


class Shelf:
    """The releases in a bucket. Everything blocks."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects = objects
        self._bucket = bucket
        place = hashlib.sha256(f"{objects.url}/{bucket}".encode()).hexdigest()[:12]
        self._workplace = f"hoard-release-{place}-"

    def names(self) -> list[str]:
        """All folders of releases, finished or not."""
        keys = (entry.key for entry in self._objects.entries(self._bucket, PREFIX))
        return sorted({key.removeprefix(PREFIX).partition("/")[0] for key in keys})

    def releases(self) -> list[Release]:
        """The finished releases, oldest first. Raises `StorageUnavailableError`."""
        found = [release for name in self.names() if (release := self.release(name)) is not None]
        return sorted(found, key=lambda release: release.position)

    def release(self, name: str) -> Release | None:
        """A finished release."""
        content = self._read(name, RELEASE)
        with contextlib.suppress(ReleaseError):
            return None if content is None else decode_release(content)
        return None

    def publish(
        self, source: Source, position: int, work: Path | None = None, progress: Progress | None = None
    ) -> Release:
        """Build a release and put it here, in place of one of that position. The caller holds the lock (`alone`).

        Raises:
            BuildError: it cannot be built.
            OSError, StorageUnavailableError, psycopg.Error: not now.
        """
        self._sweep(work)
        with tempfile.TemporaryDirectory(prefix=self._workplace, dir=work) as temporary:
            folder, name = Path(temporary), name_of(position)
            lines = self._lines(name)
            adopted = self._adopt(name, lines, workplace(folder, position))
            release = build(source, position, folder, adopted, progress)
            self._put(folder / name, name, lines)
        return release

    def _sweep(self, work: Path | None) -> None:
        """Remove what builds for this bucket left on this machine when they were killed: whoever builds is alone."""
        for left in Path(work or tempfile.gettempdir()).glob(f"{self._workplace}*"):
            shutil.rmtree(left, ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Remove what builds that died have left. The caller holds the lock."""
        for name in self.names():
            if self.release(name) is None:
                keys = [entry.key for entry in self._objects.entries(self._bucket, f"{PREFIX}{name}/")]
                self._objects.remove_many(self._bucket, keys)

    def _lines(self, name: str) -> dict[str, Line]:
        """The files of the release that is there."""
        content = self._read(name, MANIFEST)
        with contextlib.suppress(ReleaseError):
            return {} if content is None or self.release(name) is None else decode_lines(content)
        return {}

    def _adopt(self, name: str, lines: dict[str, Line], work: Path) -> Adopted:
        """The parts that are there, with their tables fetched."""
        release = self.release(name)
        parts: dict[PartKey, Known] = {}
        for part in () if release is None else release.parts:
            _, *tables = part.files()
            of_part = tuple(lines[path] for path in part.files() if path in lines)
            content = {path: self._read(name, path) for path in tables}
            if len(of_part) < len(part.files()) or None in content.values():
                continue
            for path, table in content.items():
                target = work / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(table or b"")
            parts[part.copies, part.part] = Known(part, of_part)
        return Adopted(parts)

    def _put(self, folder: Path, name: str, before: dict[str, Line]) -> None:
        lines = read_lines(folder)
        for path in sorted(set(before) - set(lines)):
            self._objects.remove(self._bucket, f"{PREFIX}{name}/{path}")
        for path in (*sorted(lines), MANIFEST, RELEASE):
            if path not in lines or lines[path] != before.get(path):
                kind = _KINDS.get(path.rpartition(".")[2], "text/plain; charset=utf-8")
                self._objects.put_file(self._bucket, f"{PREFIX}{name}/{path}", folder / path, kind)

    def _read(self, name: str, path: str) -> bytes | None:
        try:
            return self._objects.get(self._bucket, f"{PREFIX}{name}/{path}", limit=_LIMIT)
        except ObjectMissingError:
            return None
