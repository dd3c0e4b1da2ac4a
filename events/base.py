"""The shape of an event, of its envelope and of a posting.

May not know any particular fact, nor how bytes are stored. Look next: `events.jobs` for facts,
`events.codec` for the stored form, `events.chain` for the hash.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

#: One side of a kudos movement: (account name, amount in hundredths of kudos). See `app.ledger.postings`.
Posting = tuple[str, int]
Postings = tuple[Posting, ...]

#: The single anonymous user of every realm, the owner of the public key `0000000000`.
ANONYMOUS = UUID(int=0)


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact. Subclasses name themselves by literals, never by Python paths, and say their stream and subject."""

    TYPE: ClassVar[str]
    SCHEMA_VERSION: ClassVar[int] = 1

    def stream(self) -> str:
        """The `category-id` name of the entity whose history this fact belongs to."""
        raise NotImplementedError

    def subject(self) -> UUID | None:
        """The person this fact is about, by random id; None where it is about nobody."""
        return None


class Metadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why an event was appended: ids only, never words."""

    #: the internal id of the command that was decided
    command: UUID
    #: the subject that asked for it; None for the system itself
    actor: UUID | None = None
    #: the position of the event that led to this one
    causation: int | None = None
    #: one id over everything that one request of a client set in motion
    correlation: UUID | None = None


class Fact(msgspec.Struct, frozen=True, gc=False):
    """An event at its place: all that a fold may look at."""

    position: int
    occurred_at: datetime
    event: Event


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its whole envelope, as stored. `data` and `metadata` are the stored JSON texts, byte for byte."""

    position: int
    event_id: UUID
    stream: str
    type: str
    schema_version: int
    subject: UUID | None
    occurred_at: datetime
    data: bytes
    metadata: bytes
    hash: bytes


def postings_of(event: Event) -> Postings:
    """The postings that an event moves kudos by: none for most."""
    postings: Postings = getattr(event, "postings", ())
    return postings
