"""News that the operator tells everybody: a JSON file, read when a process starts and again whenever it changes.

A fault in it stops a process that starts. One that runs goes on with the news that it has, and says so in its log:
nobody should take a house down by a comma. Look next: `app.operations.house_graphql`, `docs/status.md` for the form.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from app.platform.settings import SettingsError

_log = logging.getLogger(__name__)

#: larger files are no news
MAX_BYTES: Final = 1024 * 1024
MAX_ITEMS: Final = 1_000
MAX_TITLE: Final = 200
MAX_TEXT: Final = 10_000
MAX_TAGS: Final = 10
MAX_TAG: Final = 50
MAX_LINKS: Final = 10


class Importance(StrEnum):
    """Whom a piece of news concerns, and how much."""

    INFORMATION = "INFORMATION"
    #: for owners of workers
    WORKERS = "WORKERS"
    #: for authors of clients
    INTEGRATION = "INTEGRATION"
    UPCOMING = "UPCOMING"
    CRISIS = "CRISIS"


class NewsItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One piece of news."""

    #: the day it is of
    date: date
    title: str
    #: Markdown
    text: str
    importance: Importance = Importance.INFORMATION
    tags: tuple[str, ...] = ()
    #: http and https
    links: tuple[str, ...] = ()


class News:
    """The news of a file, newest first; none without a file."""

    def __init__(self, path: str | None) -> None:
        """Read the file. Raises `SettingsError` with every fault that is found."""
        self._path = None if path is None else Path(path)
        self._seen = self._stamp()
        self.items: tuple[NewsItem, ...] = () if self._path is None else _read(self._path)

    def refresh(self) -> tuple[NewsItem, ...]:
        """The news as the file has it now; as it had it before where it has faults. Reads a file: not for an event loop."""
        stamp = self._stamp()
        if self._path is not None and stamp != self._seen:
            self._seen = stamp
            try:
                self.items = _read(self._path)
            except SettingsError as error:
                _log.warning("news_not_read", extra={"faults": len(error.faults)})
        return self.items

    def _stamp(self) -> tuple[int, int] | None:
        """By what it is known that a file has changed."""
        try:
            found = None if self._path is None else self._path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size)


def _read(path: Path) -> tuple[NewsItem, ...]:
    """Raises `SettingsError`."""
    try:
        with path.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError((_fault(f"cannot be read: {type(error).__name__}"),)) from error
    if len(text) > MAX_BYTES:
        raise SettingsError((_fault(f"must have at most {MAX_BYTES} bytes"),))
    try:
        raw = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError((_fault(f"must be a JSON list of news: {error}"),)) from error
    faults = [] if len(raw) <= MAX_ITEMS else [_fault(f"must have at most {MAX_ITEMS} items")]
    items: list[NewsItem] = []
    for number, given in enumerate(raw, 1):
        try:
            items.append(_checked(msgspec.json.decode(given, type=NewsItem)))
        except (msgspec.DecodeError, ValueError) as error:
            faults.append(_fault(f"item {number}: {error}"))
    faults += [
        _fault(f"has {title[:60]!r} of {day} twice")
        for (day, title), times in Counter((item.date, item.title) for item in items).items()
        if times > 1
    ]
    if faults:
        raise SettingsError(tuple(faults))
    return tuple(sorted(items, key=lambda item: (-item.date.toordinal(), item.title)))


def _checked(item: NewsItem) -> NewsItem:
    """Raises `ValueError`."""
    if not 1 <= len(item.title) <= MAX_TITLE or not item.title.isprintable():
        raise ValueError(f"a title has 1 to {MAX_TITLE} printable characters")
    if not 1 <= len(item.text) <= MAX_TEXT:
        raise ValueError(f"a text has 1 to {MAX_TEXT} characters")
    if len(item.tags) > MAX_TAGS or not all(1 <= len(tag) <= MAX_TAG for tag in item.tags):
        raise ValueError(f"there are at most {MAX_TAGS} tags of 1 to {MAX_TAG} characters")
    if len(item.links) > MAX_LINKS or not all(map(_is_link, item.links)):
        raise ValueError(f"there are at most {MAX_LINKS} links, to http or https")
    return item


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _fault(problem: str) -> str:
    return f"HOARD_NEWS_FILE {problem}"
