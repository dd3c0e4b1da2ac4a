"""What an import reads: tables of addresses, folders of pictures, WebDataset tars. One row at a time, whatever its size.

A row is a picture to import or is bad, with a reason that names no address. Nothing is decoded or stored here. Look
next: `app.images.importing`.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
from pyarrow import parquet

#: an address, and a caption, have at most so many characters
MOST_URL: Final = 2_000
MOST_CAPTION: Final = 10_000
#: a picture in a folder or tar has at most so many bytes
MOST_BYTES: Final = 20 * 1024 * 1024
#: pixels a side
MOST_PIXELS: Final = 65_535
#: what LAION calls a picture that nobody need be warned of; anything else, or nothing, may be not safe for work
SAFE: Final = frozenset({"UNLIKELY", "SAFE", "FALSE", "0"})

_PICTURES: Final = frozenset({"jpg", "jpeg", "png", "webp"})
#: columns that say what the file itself hashes to; `hash` may be of anything
_OF_FILE: Final = ("sha256", "md5")
#: by what other names columns go
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("url", "image_url", "link"),
    "caption": ("text", "caption", "prompt", "txt"),
    "width": ("width", "original_width"),
    "height": ("height", "original_height"),
    "nsfw": ("nsfw",),
    "similarity": ("similarity",),
    "aesthetic_score": ("aesthetic_score", "aesthetic"),
    "hash": ("hash", *_OF_FILE),
    "punsafe": ("punsafe",),
    "pwatermark": ("pwatermark",),
}


class SourceError(Exception):
    """The source cannot be read at all; the message says why."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of a source."""

    #: from 1; a tar's and a folder's are counted in the order of their names
    number: int
    #: empty where the picture itself is here
    url: str = ""
    #: reads the file; None where only its address is here
    read: Callable[[], bytes] | None = None
    caption: str | None = None
    width: int = 0
    height: int = 0
    nsfw: str | None = None
    similarity: float | None = None
    aesthetic_score: float | None = None
    hash: str | None = None
    punsafe: float | None = None
    pwatermark: float | None = None


class Bad(msgspec.Struct, frozen=True):
    """A row that is not imported."""

    number: int
    reason: str


class Source(msgspec.Struct, frozen=True):
    """A source that can be read from any row on."""

    #: what it is known again by: content and size of its parts, not where it lies
    digest: str
    #: rows, where that is known beforehand
    rows: int | None
    #: all rows behind so many
    read: Callable[[int], Iterator[Row | Bad]]


def open_source(path: Path) -> Source:
    """A source by what it is. Raises `SourceError`."""
    if path.is_dir():
        tars = sorted(path.glob("*.tar"))
        return _tars(tars) if tars else _folder(path)
    if path.suffix == ".tar":
        return _tars([path])
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in (".csv", ".tsv"):
        return _csv(path)
    raise SourceError(f"{path} is no .parquet, .csv, .tsv, .tar, and no folder of pictures or tars")


def row_of(number: int, given: Mapping[str, Any]) -> Row | Bad:
    """A row of a table, by its columns' names in lower case."""
    url = _text(given, "url").strip()
    if not url:
        return Bad(number, "no address")
    if len(url) > MOST_URL:
        return Bad(number, f"an address of more than {MOST_URL} characters")
    try:
        parts = urlsplit(url)
    except ValueError:
        return Bad(number, "no valid address")
    if parts.hostname is None or not url.isascii() or any(sign.isspace() for sign in url):
        return Bad(number, "no valid address")
    if parts.scheme != "https":
        return Bad(number, "not https")
    try:
        return _row(number, given, url=url)
    except ValueError as error:
        return Bad(number, str(error))


def _row(number: int, given: Mapping[str, Any], **known: Any) -> Row:
    """Raises `ValueError` for what is no number, or absurd."""
    caption = _text(given, "caption")
    if len(caption) > MOST_CAPTION:
        raise ValueError(f"a caption of more than {MOST_CAPTION} characters")
    return Row(
        number=number,
        caption=caption or None,
        width=_pixels(given, "width"),
        height=_pixels(given, "height"),
        nsfw=_text(given, "nsfw")[:32] or None,
        similarity=_number(given, "similarity"),
        aesthetic_score=_number(given, "aesthetic_score"),
        hash=_hash(given),
        punsafe=_number(given, "punsafe"),
        pwatermark=_number(given, "pwatermark"),
        **known,
    )


def _found(given: Mapping[str, Any], field: str) -> Any:
    return next((given[name] for name in _NAMES[field] if given.get(name) not in (None, "")), None)


def _text(given: Mapping[str, Any], field: str) -> str:
    value = _found(given, field)
    # PostgreSQL keeps no NUL
    return "" if value is None else str(value).replace("\0", "")


def _hash(given: Mapping[str, Any]) -> str | None:
    """`sha256:…` or `md5:…` of the file, if that is there; else whatever is called `hash`."""
    for name in _OF_FILE:
        if given.get(name) not in (None, ""):
            return f"{name}:{str(given[name]).strip().lower()}"[:128]
    return _text(given, "hash")[:128] or None


def _number(given: Mapping[str, Any], field: str) -> float | None:
    value = _found(given, field)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{field} is no number") from None
    return number if number == number and abs(number) != float("inf") else None  # noqa: PLR0124 - NaN


def _pixels(given: Mapping[str, Any], field: str) -> int:
    number = _number(given, field)
    if number is None:
        return 0
    if not 0 <= number <= MOST_PIXELS:
        raise ValueError(f"{field} is not 0 to {MOST_PIXELS} pixels")
    return int(number)


def _digest(parts: Iterator[tuple[str, int, bytes]]) -> str:
    """Of names, sizes and first bytes: reading a terabyte to know a source again would take too long."""
    whole = hashlib.sha256()
    for name, size, first in parts:
        whole.update(f"{name}:{size}:".encode() + hashlib.sha256(first).digest())
    return whole.hexdigest()


def _first(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(65_536)


def _one(path: Path) -> str:
    return _digest(iter([("", path.stat().st_size, _first(path))]))


def _parquet(path: Path) -> Source:
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is no Parquet file ({error})") from None
    names = {name: name.lower() for name in file.schema_arrow.names}
    wanted = {name for known in _NAMES.values() for name in known}
    columns = [name for name, lower in names.items() if lower in wanted]
    _need_url({names[name] for name in columns}, path)

    def read(behind: int) -> Iterator[Row | Bad]:
        number = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number + rows <= behind:
                number += rows
                continue
            for batch in file.iter_batches(4_096, row_groups=[group], columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    if number > behind:
                        yield row_of(number, {names[name]: value for name, value in row.items()})

    return Source(_one(path), file.metadata.num_rows, read)


def _need_url(lower: set[str], path: Path) -> None:
    if not lower & set(_NAMES["url"]):
        raise SourceError(f"{path} has no column {' or '.join(_NAMES['url'])}, in any case")


def _csv(path: Path) -> Source:
    csv.field_size_limit(1_000_000)

    def rows() -> Iterator[dict[str, str]]:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")

    first = next(rows(), None)
    _need_url({str(name).strip().lower() for name in first or {}}, path)

    def read(behind: int) -> Iterator[Row | Bad]:
        numbered = enumerate(rows(), 1)
        try:
            for number, row in itertools.islice(numbered, behind, None):
                yield row_of(number, {str(name).strip().lower(): value for name, value in row.items()})
        except csv.Error as error:
            raise SourceError(f"{path} is no table ({error})") from None

    return Source(_one(path), None, read)


def _folder(path: Path) -> Source:
    files = sorted(
        file for file in path.rglob("*") if file.suffix.lower().lstrip(".") in _PICTURES and file.is_file()
    )
    if not files:
        raise SourceError(f"{path} holds no pictures (.jpg, .jpeg, .png, .webp)")

    def beside(file: Path, suffix: str) -> bytes | None:
        found = file.with_suffix(suffix)
        return found.read_bytes() if found.is_file() else None

    def read(behind: int) -> Iterator[Row | Bad]:
        for number, file in itertools.islice(enumerate(files, 1), behind, None):
            yield _sample(
                number, file.stat().st_size, file.read_bytes, beside(file, ".txt"), beside(file, ".json")
            )

    parts = ((str(file.relative_to(path)), file.stat().st_size, b"") for file in files)
    return Source(_digest(parts), len(files), read)


def _sample(
    number: int, size: int, read: Callable[[], bytes], text: bytes | None, about: bytes | None
) -> Row | Bad:
    """A picture with what lies beside it: its caption and, as JSON, whatever columns a table would have."""
    if size > MOST_BYTES:
        return Bad(number, f"a picture of more than {MOST_BYTES} bytes")
    try:
        told = json.loads(about) if about is not None else {}
        given = {str(name).lower(): value for name, value in told.items()} if isinstance(told, dict) else {}
        if text is not None:
            given["caption"] = text.decode("utf-8", errors="replace").strip()
        return _row(number, given, read=read)
    except ValueError as error:
        return Bad(number, str(error) if not isinstance(error, json.JSONDecodeError) else "no valid JSON")


def _tars(paths: list[Path]) -> Source:
    def read(behind: int) -> Iterator[Row | Bad]:
        number = 0
        for path in paths:
            for sample in _samples(path):
                number += 1
                if number > behind:
                    yield _of_tar(number, sample)

    return Source(_digest((p.name, p.stat().st_size, _first(p)) for p in paths), None, read)


def _samples(path: Path) -> Iterator[dict[str, bytes]]:
    """The files of one picture, by their endings: in a WebDataset they lie together. Raises `SourceError`."""
    try:
        with tarfile.open(path) as tar:
            files = (member for member in tar if member.isfile())
            for _, members in itertools.groupby(files, lambda member: member.name.partition(".")[0]):
                sample: dict[str, bytes] = {}
                for member in members:
                    kind = member.name.rpartition(".")[2].lower()
                    file = tar.extractfile(member)
                    if file is not None:
                        sample[kind] = file.read(MOST_BYTES + 1)
                if sample.keys() & _PICTURES:
                    yield sample
    except (tarfile.TarError, OSError) as error:
        raise SourceError(f"{path} is no tar ({error})") from None


def _of_tar(number: int, sample: Mapping[str, bytes]) -> Row | Bad:
    data = next(sample[kind] for kind in sorted(sample.keys() & _PICTURES))
    return _sample(number, len(data), lambda: data, sample.get("txt"), sample.get("json"))
