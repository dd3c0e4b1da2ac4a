"""Rows of the vault about pictures that people rate: words of sets, addresses and captions, notes, known answers.

Erasable, and read by no projection. Look next: `app.platform.vault`, which writes them; `events.images`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class ImageSetWords(msgspec.Struct, frozen=True):
    """What is said of a set of pictures: where it comes from, what its licence asks for."""

    image_set: UUID
    description: str


class ImportedPictureWords(msgspec.Struct, frozen=True):
    """Where an imported picture is, and what its data set says of it; None where it says nothing."""

    picture: UUID
    image_set: UUID
    #: https; empty where the picture itself was imported
    url: str
    #: in the bucket of data sets; empty where there is no copy
    key: str
    caption: str | None = None
    #: as it stands there, e.g. UNLIKELY, UNSURE, NSFW
    nsfw: str | None = None
    similarity: float | None = None
    aesthetic_score: float | None = None
    #: `sha256:…` or `md5:…` of the file, hexadecimal; or the data set's own hash of address and caption, or whatever
    hash: str | None = None
    punsafe: float | None = None
    pwatermark: float | None = None


class ImageImport(msgspec.Struct, frozen=True):
    """How far the import of one source into a set has come: it goes on from there."""

    image_set: UUID
    #: what follows from the source's content and place
    source: UUID
    #: rows that were looked at; of those, added to the set, there before, bad
    done: int
    added: int
    repeated: int
    bad: int
    finished: bool


class MirrorWait(msgspec.Struct, frozen=True):
    """An imported picture of which a copy is to be made: written by operators' commands and actors, never by decisions."""

    picture: UUID
    image_set: UUID
    #: attempts that failed for a reason that may pass
    attempts: int
    #: when it is tried next
    due: datetime


class RatingNote(msgspec.Struct, frozen=True):
    """What a rater wrote with a rating."""

    rating: UUID
    rater: UUID
    note: str


class RatingOrigin(msgspec.Struct, frozen=True):
    """From which network a rating came, as far as nobody is known by it; kept for a limited time."""

    rating: UUID
    rater: UUID
    #: what the network's address makes under the pepper
    network: UUID
    at: datetime


class KnownAnswer(msgspec.Struct, frozen=True):
    """A picture of which operators know how it is to be rated. Never in the log: that is public."""

    picture: UUID
    image_set: UUID
    #: ratings from the one to the other are right
    lowest: int
    highest: int


class AppealWords(msgspec.Struct, frozen=True):
    """What a rater says about its standing."""

    appeal: UUID
    rater: UUID
    note: str
