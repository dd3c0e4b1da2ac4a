"""Short names for ids, and a log as a table that can be read beside the steps that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from events.base import ANONYMOUS, Event, Fact
from events.codec import fact_of
from tests.factories import uid

_KINDS = ("none", "user", "worker", "job", "lease", "again", "other", "team", "picture")
#: where in an id is what: another realm's thing is another thing
_REALM, _PART, _KIND = 96, 64, 32
_MOST_REALMS = 1_000_000
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
#: fields that a reader can do without
_DULL = frozenset(
    {
        "accurate_steps", "cfg_scale", "clip_skip", "etag", "hires_fix", "karras", "kind", "lease_seconds", "pixelsteps",
        "postings", "price_book", "quote", "rank", "sampler", "steps", "threads", "tiling", "agent", "text_version",
        "perceptual_hash", "size", "height", "tier", "key",
    }
)  # fmt: skip


class Ids:
    """Makes ids by kind and number, so that two runs of one history have the same, named as Hypothesis names bundles."""

    def __init__(self, realm: int) -> None:
        self._realm = realm
        #: the anonymous user is user_0
        self._next = {**dict.fromkeys(_KINDS, 0), "user": 1}

    def next(self, kind: str) -> UUID:
        """The id that the next of a kind will have; it is used up by `new`."""
        return uid(self._realm << _REALM | _KINDS.index(kind) << _KIND | self._next[kind])

    def new(self, kind: str) -> UUID:
        """The next id of a kind."""
        made = self.next(kind)
        self._next[kind] += 1
        return made


def part_of(job: UUID, ordinal: int) -> UUID:
    """The id of a job's generation, which follows from the job's."""
    return uid((ordinal + 1) << _PART | job.int)


#: ids that follow from others, by what they are of
_CALLED: dict[UUID, str] = {}


def call(key: UUID, name: str) -> UUID:
    """Have an id that follows from others read as this."""
    _CALLED[key] = plain(name)
    return key


def name_of(key: UUID) -> str:
    """job_3, its second generation job_3.2, user_1, …"""
    if key in _CALLED:
        return _CALLED[key]
    realm, part, kind, number = (key.int >> shift & 0xFFFFFFFF for shift in (_REALM, _PART, _KIND, 0))
    if key == ANONYMOUS:
        return "user_0"
    if realm > _MOST_REALMS or not 0 < kind < len(_KINDS):
        return str(key)
    return f"{_KINDS[kind]}_{number}" + (f".{part}" if part else "")


def plain(text: object) -> str:
    """A text with names for ids."""
    return _ID.sub(lambda found: name_of(UUID(found.group())), str(text))


def _amounts(event: Event) -> str:
    moved = [
        f"{account.removeprefix('user:')} {amount:+}" for account, amount in getattr(event, "postings", ())
    ]
    return f"  [{', '.join(moved)}]" if moved else ""


def _line(fact: Fact, first: Fact) -> str:
    event = fact.event
    fields = {
        name: _short(value, first)
        for name, value in msgspec.structs.asdict(event).items()
        if name not in _DULL
    }
    words = " ".join(f"{name}={text}" for name, text in fields.items() if text)
    seconds = (fact.occurred_at - first.occurred_at).total_seconds()
    return plain(f"{fact.position:4} {seconds:8.0f}s  {type(event).__name__:24} {words}{_amounts(event)}")


def _short(value: Any, first: Fact) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, datetime):
        return f"{(value - first.occurred_at).total_seconds():.0f}s"
    return "" if value in (None, False) else str(value)


def table(events: Iterable[Any]) -> str:
    """A log, one line an event: position, seconds since the first, what happened."""
    facts = [fact_of(event) for event in events]
    return "\n".join(_line(fact, facts[0]) for fact in facts)
