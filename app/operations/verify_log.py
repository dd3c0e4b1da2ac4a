"""Proving the log, or a copy of it: dense positions, hash chain, readable events, balanced postings.

Reads and never writes. A copy needs no database and no settings, so this module may not import what connects to
one; the live log comes in as iterators (`app.operations.live_log`). Checking stops at the first fault and names its
position: behind it nothing can be trusted. Look next: `events.chain`, `app.operations.segments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from app.operations.segments import (
    MANIFEST,
    Copy,
    CopyError,
    Manifest,
    Segment,
    read_manifest,
    read_segment,
    segment_of,
    sha256_of,
)
from events.base import Event, Recorded, postings_of
from events.chain import genesis, link_of
from events.codec import UnknownEventError, decode, decode_metadata

Progress = Callable[[int, int], None]

#: One row of the postings table: position, ordinal, account, amount in hundredths, the user's balance after it.
PostingValues = tuple[int, int, str, int, int | None]

_USER: Final = "user:"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and the first position that cannot be trusted."""

    position: int
    problem: str
    file: str | None = None

    def line(self) -> str:
        """The fault as one line."""
        return f"position {self.position}{f' in {self.file}' if self.file else ''}: {self.problem}"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `hash` is the chain's at `last`: two copies with the same one are the same log."""

    realm: int
    last: int
    hash: str
    fault: Fault | None

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None


class FaultError(Exception):
    """The first fault that was found."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(problem)
        self.position = position
        self.problem = problem


class Chain:
    """Where the proof stands: the last position that was found good, and its hash."""

    def __init__(self, realm: int) -> None:
        self.position = 0
        self.hash = genesis(realm)

    def extend(self, recorded: Recorded) -> Event:
        """Check one event on top of those before it, and give its fact. Raises `FaultError`."""
        expected = self.position + 1
        if recorded.position != expected:
            raise FaultError(expected, f"is missing; {recorded.position} stands in its place")
        if not _follows(self.hash, recorded):
            raise FaultError(expected, "its hash is not that of its content after the event before it")
        event = _fact(recorded)
        if sum(amount for _, amount in postings_of(event)) != 0:
            raise FaultError(expected, "its postings do not sum to zero")
        self.position, self.hash = expected, recorded.hash
        return event


def _follows(previous: bytes, recorded: Recorded) -> bool:
    """Whether an event has the hash it must have; a text that is no UTF-8 was never hashed."""
    try:
        return link_of(previous, recorded) == recorded.hash
    except UnicodeDecodeError:
        return False


def _fact(recorded: Recorded) -> Event:
    try:
        event = decode(recorded.type, recorded.schema_version, recorded.data)
        decode_metadata(recorded.metadata)
    except (UnknownEventError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultError(recorded.position, f"cannot be decoded: {error}") from None
    if event.stream() != recorded.stream or event.subject() != recorded.subject:
        raise FaultError(recorded.position, "its envelope names another stream or subject than its body")
    return event


def verify_live(
    realm: int,
    last: int,
    events: Iterable[Recorded],
    postings: Iterable[PostingValues],
    progress: Progress | None = None,
) -> Proof:
    """Prove the live log: `events` to position `last`, and the rows of the postings table in their order."""
    chain = Chain(realm)
    table = _Postings(postings)
    try:
        for recorded in events:
            table.compare(recorded.position, chain.extend(recorded))
            _tell(progress, chain.position, last)
        if chain.position != last:
            raise FaultError(chain.position + 1, "is missing")
    except FaultError as fault:
        return _proof(realm, chain, Fault(position=fault.position, problem=fault.problem))
    return _proof(realm, chain, None)


class _Postings:
    """The postings table, read alongside the events."""

    def __init__(self, rows: Iterable[PostingValues]) -> None:
        self._rows: Iterator[PostingValues] = iter(rows)
        self._next = next(self._rows, None)
        self._balances: dict[str, int] = {}

    def compare(self, position: int, event: Event) -> None:
        """Take the rows of one event and compare them with its body and the running balances."""
        expected: list[PostingValues] = []
        for ordinal, (account, amount) in enumerate(postings_of(event)):
            balance = None
            if account.startswith(_USER):
                balance = self._balances[account] = self._balances.get(account, 0) + amount
            expected.append((position, ordinal, account, amount, balance))
        found: list[PostingValues] = []
        while self._next is not None and self._next[0] <= position:
            found.append(self._next)
            self._next = next(self._rows, None)
        if found != expected:
            raise FaultError(position, "the postings table says otherwise than the event")


def verify_copy(copy: Copy, progress: Progress | None = None) -> Proof:
    """Prove a copy, in a folder or elsewhere, by its manifest."""
    try:
        manifest = read_manifest(copy)
    except CopyError as error:
        return Proof(
            realm=0,
            last=0,
            hash="",
            fault=Fault(position=error.position or 1, problem=error.problem, file=error.file),
        )
    chain = Chain(manifest.realm)
    fault = _manifest_fault(manifest) or _segments_fault(copy, manifest, chain, progress)
    return _proof(manifest.realm, chain, fault)


def _manifest_fault(manifest: Manifest) -> Fault | None:
    """What is wrong with the manifest in itself."""
    previous, first = genesis(manifest.realm).hex(), 1
    if manifest.genesis != previous:
        return Fault(position=1, problem="the genesis hash is not this realm's", file=MANIFEST)
    for segment in manifest.segments:
        if segment.first != first or segment.last < first or segment.count != segment.last - first + 1:
            return Fault(position=first, problem="no segment starts here", file=MANIFEST)
        if segment.previous != previous:
            return Fault(
                position=first, problem="the segment does not follow on the one before", file=MANIFEST
            )
        previous, first = segment.hash, segment.last + 1
    if manifest.exported_at != first - 1:
        return Fault(position=first, problem=f"is missing, up to {manifest.exported_at}", file=MANIFEST)
    return None


def _segments_fault(copy: Copy, manifest: Manifest, chain: Chain, progress: Progress | None) -> Fault | None:
    for segment in manifest.segments:
        file = segment_of(copy, segment)
        if file is None:
            return Fault(position=segment.first, problem="the segment is missing", file=segment.file)
        altered = sha256_of(file) != segment.sha256
        problem = _segment_problem(file, segment, manifest, chain, progress)
        if altered:
            # The chain says where; if it does not, then nothing in the file can be trusted.
            at, what = problem or (segment.first, "the file was altered, although its events were not")
            return Fault(
                position=at,
                problem=f"the file's SHA-256 differs from the manifest; {what}",
                file=segment.file,
            )
        if problem is not None:
            return Fault(position=problem[0], problem=problem[1], file=segment.file)
    return None


def _segment_problem(
    file: Path | bytes, segment: Segment, manifest: Manifest, chain: Chain, progress: Progress | None
) -> tuple[int, str] | None:
    """The first position of a segment that is wrong, and how."""
    try:
        for recorded in read_segment(file, manifest.realm):
            chain.extend(recorded)
            _tell(progress, chain.position, manifest.exported_at)
    except CopyError as error:
        return chain.position + 1, error.problem
    except FaultError as fault:
        return fault.position, fault.problem
    if chain.position != segment.last:
        return min(chain.position, segment.last) + 1, f"the segment should end at {segment.last}"
    if chain.hash.hex() != segment.hash:
        return segment.last, "its hash is not the manifest's"
    return None


def _tell(progress: Progress | None, position: int, last: int) -> None:
    if progress is not None and (position % 1000 == 0 or position == last):
        progress(position, last)


def _proof(realm: int, chain: Chain, fault: Fault | None) -> Proof:
    return Proof(realm=realm, last=chain.position, hash=chain.hash.hex(), fault=fault)
