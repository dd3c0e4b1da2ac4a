"""The log up to a cut, folded into a scratch index on disk: what a release needs and nothing else.

An index on disk, so that a million ratings need no memory; it is made anew from the log each time, never kept and never
trusted. Removals are folded beyond the cut, too: what is not shared any more is in no release, whenever it was cut. Knows
no bucket and no vault. Look next: `app.datasets.build`, `events.images`, `events.ratings`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from events.base import Event, Fact, Recorded
from events.codec import fact_of
from events.images import (
    SHARED_SET,
    ImageSetOpened,
    ImagesImported,
    MirrorFailed,
    PictureCaseDecided,
    PictureMirrored,
    PictureReported,
    PicturesTakenDown,
    RedistributionSet,
)
from events.jobs import ImageJobSubmitted
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.ratings import (
    BestNamed,
    ImageRated,
    PicturesCompared,
    RaterAssessed,
    RaterJudged,
    RatingsMarked,
)
from events.sharing import (
    PicturePublished,
    PicturesWithdrawn,
    ShareConsentForced,
    ShareConsentGiven,
    ShareConsentWithdrawn,
    WithheldReason,
)

#: facts after which something is not shared any more, or is again: followed beyond the cut
REMOVALS: Final[tuple[type[Event], ...]] = (
    ShareConsentWithdrawn,
    PicturesWithdrawn,
    CaseOpened,
    CaseDecided,
    MirrorFailed,
    PictureReported,
    PictureCaseDecided,
    PicturesTakenDown,
    RedistributionSet,
)
#: all that a release is made from
FACTS: Final[tuple[type[Event], ...]] = (
    ImageJobSubmitted,
    ShareConsentGiven,
    ShareConsentForced,
    PicturePublished,
    ImageSetOpened,
    ImagesImported,
    PictureMirrored,
    ImageRated,
    PicturesCompared,
    BestNamed,
    RatingsMarked,
    RaterAssessed,
    RaterJudged,
    *REMOVALS,
)
NAMES: Final = sorted(cls.TYPE for cls in FACTS)
REMOVAL_NAMES: Final = sorted(cls.TYPE for cls in REMOVALS)

#: of the index's pages that are kept in memory, in KiB
_CACHE: Final = 32 * 1024
_TABLES: Final = """
CREATE TABLE job (id BLOB PRIMARY KEY, drawn_from_picture INT, consent INT, text_version INT) WITHOUT ROWID;
CREATE TABLE picture (position INT, ordinal INT, id BLOB, image_set BLOB, job BLOB, owner BLOB, sha256 TEXT, phash TEXT,
  width INT, height INT, size INT, nsfw INT, model TEXT, at INT, hash TEXT, part INT, original TEXT, copied TEXT, copy_part INT,
  removed INT, reason TEXT, hidden INT, PRIMARY KEY (position, ordinal)) WITHOUT ROWID;
CREATE UNIQUE INDEX picture_id ON picture (id);
CREATE INDEX picture_job ON picture (job) WHERE job IS NOT NULL;
CREATE TABLE image_set (id BLOB PRIMARY KEY, name TEXT, licence TEXT, redistributed INT) WITHOUT ROWID;
CREATE TABLE rating (position INTEGER PRIMARY KEY, id BLOB, rater BLOB, picture BLOB, image_set BLOB, job BLOB, value INT,
  artifacts INT, tags TEXT, own INT, again INT, generated INT, given INT, age INT, balance INT, trusted INT, kind TEXT,
  client TEXT, version TEXT, took INT, at INT, hash TEXT);
CREATE TABLE mark (rating BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE counted (picture BLOB PRIMARY KEY, n INT) WITHOUT ROWID;
CREATE TABLE rater (id BLOB PRIMARY KEY, reliability INT, bias INT, spread INT, standing TEXT, verdict TEXT) WITHOUT ROWID;
CREATE TABLE pair (position INT, ordinal INT, first BLOB, second BLOB, label REAL, rater BLOB, at INT, source TEXT,
  PRIMARY KEY (position, ordinal)) WITHOUT ROWID;
CREATE TABLE words (picture BLOB PRIMARY KEY, prompt TEXT, hash TEXT, model TEXT, url TEXT) WITHOUT ROWID;
"""
#: a picture that is shared, and was to be: consent stands, and no source picture is in it
SHARED: Final = (
    "removed IS NULL AND NOT hidden AND (job IS NULL OR EXISTS (SELECT 1 FROM job AS j WHERE j.id = picture.job "
    "AND j.consent IS NOT NULL AND NOT j.drawn_from_picture))"
)

_PRESENT: Final = f"""
DROP TABLE IF EXISTS present;
CREATE TABLE present (id BLOB PRIMARY KEY, part INT, copy_part INT, image_set BLOB, job BLOB, owner BLOB) WITHOUT ROWID;
INSERT INTO present SELECT id, part,
  CASE WHEN image_set IN (SELECT s.id FROM image_set AS s WHERE s.redistributed) THEN copy_part END,
  image_set, job, owner FROM picture WHERE {SHARED} ORDER BY id;
CREATE INDEX present_part ON present (part);
CREATE INDEX present_copy_part ON present (copy_part) WHERE copy_part IS NOT NULL;
"""  # noqa: S608


class Scratch:
    """An index on disk. One thread at a time; everything blocks."""

    def __init__(self, path: Path, cache: int = _CACHE) -> None:
        """Make an empty index that keeps at most `cache` KiB of itself in memory; what was there is thrown away.

        Raises `OSError`, `sqlite3.Error`.
        """
        path.unlink(missing_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{cache}; "
            "PRAGMA temp_store=FILE;" + _TABLES
        )
        self._shared_pictures = 0
        self._copies = 0
        #: facts beyond the cut are folded now: only what takes something away counts
        self._beyond = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def fold(self, events: Iterable[Recorded], *, beyond: bool = False) -> int:
        """Fold events in order; what a release does not need is passed over. The position of the last one, or 0.

        With `beyond`, those are facts behind the cut: they only take away.
        """
        position = 0
        self._beyond = beyond
        self.connection.execute("BEGIN")
        for recorded in events:
            position = recorded.position
            if recorded.type in _WANTED:
                self._apply(fact_of(recorded), recorded.hash)
        self.connection.execute("COMMIT")
        return position

    def rows(self, statement: str, parameters: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one after another."""
        return iter(self.connection.cursor().execute(statement, parameters))

    def settle(self) -> None:
        """Say, for the queries of a release, which pictures are in it: `present`, with the part of each."""
        self.connection.executescript(_PRESENT)

    def parts(self) -> int:
        """How many parts the shared pictures make, withdrawn ones counted."""
        return -(-self._shared_pictures // PART_PICTURES)

    def copy_parts(self) -> int:
        """How many parts the copies of imported pictures make, in sets of which none are released, too."""
        return -(-self._copies // PART_PICTURES)

    def _apply(self, fact: Fact, digest: bytes) -> None:
        event = fact.event
        match event:
            case ImageRated():
                self._rated(event, fact, digest)
            case PicturesCompared() | BestNamed():
                self._judged(event, fact)
            case PicturePublished():
                self._published(event, fact, digest)
            case ImagesImported():
                self._imported(event, fact, digest)
            case RatingsMarked() | RaterAssessed() | RaterJudged():
                self._about_rater(event)
            case (
                ImageJobSubmitted()
                | ShareConsentGiven()
                | ShareConsentForced()
                | ImageSetOpened()
                | RedistributionSet()
            ):
                self._beginning(event, fact)
            case PictureMirrored():
                self._mirrored(event, digest)
            case _:
                self._removed(event, fact.position)

    def _do(self, statement: str, parameters: tuple[Any, ...]) -> None:
        self.connection.execute(statement, parameters)

    def _beginning(self, event: Event, fact: Fact) -> None:
        match event:
            case ImageJobSubmitted() if event.shared:
                drawn = event.source_processing is not None or event.source_mask or event.extra_sources > 0
                self._do("INSERT INTO job VALUES (?, ?, NULL, NULL)", (event.job.bytes, drawn))
            case ShareConsentGiven() | ShareConsentForced():
                said = (fact.position, event.text_version, event.job.bytes)
                self._do("UPDATE job SET consent = ?, text_version = ? WHERE id = ?", said)
            case ImageSetOpened():
                self._do(
                    "INSERT INTO image_set VALUES (?, ?, ?, 0)",
                    (event.image_set.bytes, event.name, event.licence),
                )
            case RedistributionSet() if not (self._beyond and event.allowed):
                self._do(
                    "UPDATE image_set SET redistributed = ? WHERE id = ?",
                    (event.allowed, event.image_set.bytes),
                )
            case _:
                pass

    def _published(self, event: PicturePublished, fact: Fact, digest: bytes) -> None:
        part = self._shared_pictures // PART_PICTURES
        self._shared_pictures += 1
        self._do(
            _PICTURE,
            (
                fact.position,
                0,
                event.generation.bytes,
                SHARED_SET.bytes,
                event.job.bytes,
                event.requester.bytes,
                event.sha256,
                event.perceptual_hash,
                event.width,
                event.height,
                event.size,
                event.nsfw,
                event.model,
                micros(fact),
                digest.hex(),
                part,
            ),
        )

    def _imported(self, event: ImagesImported, fact: Fact, digest: bytes) -> None:
        self.connection.executemany(
            _PICTURE,
            (
                (
                    fact.position,
                    ordinal,
                    picture.id.bytes,
                    event.image_set.bytes,
                    None,
                    None,
                    None,
                    None,
                    picture.width,
                    picture.height,
                    None,
                    picture.nsfw,
                    "",
                    micros(fact),
                    digest.hex(),
                    None,
                )
                for ordinal, picture in enumerate(event.pictures)
            ),
        )

    def _mirrored(self, event: PictureMirrored, digest: bytes) -> None:
        part = self._copies // PART_PICTURES
        self._copies += 1
        said = (event.sha256, event.perceptual_hash, event.width, event.height, event.size)
        self._do(
            "UPDATE picture SET sha256 = ?, phash = ?, width = ?, height = ?, size = ?, original = ?, copied = ?, "
            "copy_part = ? WHERE id = ?",
            (*said, event.original_sha256, digest.hex(), part, event.picture.bytes),
        )

    def _rated(self, event: ImageRated, fact: Fact, digest: bytes) -> None:
        of = event.context
        self._do(
            _RATING,
            (
                fact.position,
                event.rating.bytes,
                event.rater.bytes,
                event.picture.bytes,
                event.image_set.bytes,
                None if event.job is None else event.job.bytes,
                event.value,
                event.artifacts,
                " ".join(event.tags),
                event.own,
                event.again,
                of.generated,
                of.given,
                of.account_age,
                of.balance,
                of.trusted,
                of.kind,
                of.client,
                of.client_version,
                of.took,
                micros(fact),
                digest.hex(),
            ),
        )
        self._do(
            "INSERT INTO counted VALUES (?, 1) ON CONFLICT (picture) DO UPDATE SET n = n + 1",
            (event.picture.bytes,),
        )

    def _judged(self, event: PicturesCompared | BestNamed, fact: Fact) -> None:
        if isinstance(event, PicturesCompared):
            label = {"FIRST": 1.0, "SECOND": 0.0, "TIE": 0.5}[event.preference]
            pairs = [(event.picture, event.other, label, "COMPARISON")]
        else:
            pairs = [(event.best, other, 1.0, "BEST_OF") for other in event.others]
        self.connection.executemany(
            "INSERT INTO pair VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    fact.position,
                    ordinal,
                    first.bytes,
                    second.bytes,
                    label,
                    event.rater.bytes,
                    micros(fact),
                    source,
                )
                for ordinal, (first, second, label, source) in enumerate(pairs)
            ),
        )

    def _about_rater(self, event: RatingsMarked | RaterAssessed | RaterJudged) -> None:
        match event:
            case RatingsMarked():
                statement = (
                    "INSERT OR IGNORE INTO mark VALUES (?)"
                    if event.suspect
                    else "DELETE FROM mark WHERE rating = ?"
                )
                self.connection.executemany(statement, ((mark.rating.bytes,) for mark in event.marks))
            case RaterAssessed():
                of = event.scores
                self._do(
                    "INSERT INTO rater VALUES (?1, ?2, ?3, ?4, ?5, NULL) ON CONFLICT (id) DO UPDATE SET "
                    "reliability = ?2, bias = ?3, spread = ?4, standing = ?5",
                    (event.rater.bytes, of.reliability, of.bias, of.spread, event.standing),
                )
            case RaterJudged():
                self._do(
                    "INSERT INTO rater VALUES (?1, NULL, NULL, NULL, NULL, ?2) ON CONFLICT (id) DO UPDATE SET verdict = ?2",
                    (event.rater.bytes, event.verdict),
                )

    def _removed(self, event: Event, position: int) -> None:
        match event:
            case ShareConsentWithdrawn():
                self._remove("job", (event.job,), position, WithheldReason.CONSENT_WITHDRAWN)
            case PicturesWithdrawn():
                self._remove("id", event.generations, position, event.reason)
            case CaseOpened():
                self._remove("id", (event.generation,), position, WithheldReason.REPORTED)
            case CaseDecided() if event.verdict is Verdict.UPHELD:
                self._remove("job", (event.job,), position, WithheldReason.REPORTED)
            case PicturesTakenDown():
                gone = tuple(each.picture for each in event.pictures)
                self._remove("id", gone, position, WithheldReason.TAKEN_DOWN)
            case MirrorFailed():
                self._remove("id", (event.picture,), position, event.reason)
            case PictureReported():
                self._do("UPDATE picture SET hidden = ? WHERE id = ?", (position, event.picture.bytes))
            case PictureCaseDecided():
                self._do("UPDATE picture SET hidden = 0 WHERE id = ?", (event.picture.bytes,))
                if event.verdict is Verdict.UPHELD:
                    self._remove("id", (event.picture,), position, WithheldReason.TAKEN_DOWN)
            case _:
                pass

    def _remove(self, by: str, ids: tuple[UUID, ...], position: int, reason: str) -> None:
        self.connection.executemany(
            f"UPDATE picture SET removed = ?, reason = ? WHERE {by} = ? AND removed IS NULL",  # noqa: S608 - by a column
            ((position, reason, each.bytes) for each in ids),
        )


#: pictures in one tar, withdrawn ones counted: what is withdrawn later changes one tar and no other
PART_PICTURES: Final = 1000
_WANTED: Final = frozenset(NAMES)
_RATING: Final = (
    "INSERT INTO rating VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PICTURE: Final = "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL, 0)"


def micros(fact: Fact) -> int:
    """Microseconds since 1970 of a fact."""
    at = fact.occurred_at
    return int(at.timestamp()) * 1_000_000 + at.microsecond
