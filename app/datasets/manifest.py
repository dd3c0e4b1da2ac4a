"""What a release consists of: `manifest.jsonl` (every file with its size and SHA-256) and `release.json`.

`release.json` is written last: where it stands, the release is whole. Neither holds a time of day, so that the same
release has the same bytes. Reads and writes files only. Look next: `app.datasets.build`, `app.datasets.checking`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

FORMAT: Final = "hoard-release-1"
MANIFEST: Final = "manifest.jsonl"
RELEASE: Final = "release.json"


class ReleaseError(Exception):
    """The folder is no release, or not what it says it is."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a release."""

    path: str
    #: bytes
    size: int
    #: hexadecimal
    sha256: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One tar, of shared pictures with its table, or of copies of imported ones, which share their tables."""

    part: int
    pictures: int
    #: what it was made from: parts with the same one are the same
    inputs: str
    #: of imported pictures
    copies: bool = False

    def files(self) -> tuple[str, ...]:
        """Where in a release its files lie."""
        if self.copies:
            return (copies_name(self.part),)
        return (tar_name(self.part), metadata_name(self.part))


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release cut at a position."""

    format: str
    name: str
    realm: int
    position: int
    #: hash of the log at the position, hexadecimal
    log_hash: str
    #: when the event there happened, UTC
    cut_at: str
    #: hash of `manifest.jsonl`, hexadecimal
    manifest: str
    #: rows of each table, and tombstones
    rows: dict[str, int]
    pictures: int
    #: bytes of tables depend on it
    pyarrow: str
    parts: tuple[Part, ...]


def tar_name(part: int) -> str:
    """Where the pictures of a part lie in a release."""
    return f"images/{part:05}.tar"


def metadata_name(part: int) -> str:
    """Where the metadata of a part's pictures lies in a release."""
    return f"metadata/part-{part:05}.parquet"


def copies_name(part: int) -> str:
    """Where copies of imported pictures lie in a release."""
    return f"images/imported-{part:05}.tar"


def name_of(position: int) -> str:
    """What a release is called."""
    return f"v1-{position}"


def line_of(folder: Path, path: str) -> Line:
    """The line of a file. Raises `OSError`."""
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Line(path=path, size=file.tell(), sha256=digest)


def encode_lines(lines: dict[str, Line]) -> bytes:
    """The manifest's text: sorted by path."""
    return b"".join(msgspec.json.encode(lines[path]) + b"\n" for path in sorted(lines))


def decode_lines(content: bytes) -> dict[str, Line]:
    """The lines of a manifest. Raises `ReleaseError`."""
    try:
        lines = [msgspec.json.decode(line, type=Line) for line in content.splitlines()]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{MANIFEST} cannot be read: {error}") from None
    for line in lines:
        # a release from strangers must not lead anywhere else
        if line.path.startswith("/") or ".." in line.path.split("/"):
            raise ReleaseError(f"{MANIFEST} names a file outside of the release")
    return {line.path: line for line in lines}


def encode_release(release: Release) -> bytes:
    """The text of `release.json`."""
    return msgspec.json.format(msgspec.json.encode(release)) + b"\n"


def decode_release(content: bytes) -> Release:
    """What `release.json` says. Raises `ReleaseError`."""
    try:
        release = msgspec.json.decode(content, type=Release)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{RELEASE} cannot be read: {error}") from None
    if release.format != FORMAT or release.name != name_of(release.position):
        raise ReleaseError(f"{RELEASE} is of another format")
    return release


def read_release(folder: Path) -> Release:
    """The release in a folder. Raises `ReleaseError`."""
    return decode_release(_read(folder, RELEASE))


def read_lines(folder: Path) -> dict[str, Line]:
    """The manifest in a folder. Raises `ReleaseError`."""
    return decode_lines(_read(folder, MANIFEST))


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ReleaseError(f"{folder} is no release: no {name} ({error.strerror})") from None
