"""The vault: everything that must be erasable, in rows written by the same transaction as the event they belong to.

Prompts, links to sources, what was told of pictures, where webhooks lead and what they were told, usernames, names of
workers and teams and what is said to and of them, key hashes, notes, and outcomes of commands. No projection reads it.
Rows are plain data, so that deciders can return them. Look next: `alembic/versions`, which makes the tables;
`app.platform.picture_words` for the rows about pictures that people rate.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from app.platform.picture_words import (
    AppealWords,
    ImageImport,
    ImageSetWords,
    ImportedPictureWords,
    KnownAnswer,
    MirrorWait,
    RatingNote,
    RatingOrigin,
)
from events.store.arrays import byteas, int8s, texts
from events.store.columns import Table
from events.webhooks import WebhookEvent

SCHEMA = "vault"


class Person(msgspec.Struct, frozen=True):
    """A user's alias `username#number`: the only link from a subject to a name."""

    subject: UUID
    username: str
    number: int


class ApiKey(msgspec.Struct, frozen=True):
    """An API key, as HMAC-SHA-256 with the pepper; the key itself is nowhere."""

    hash: bytes
    key: UUID
    subject: UUID


class JobWords(msgspec.Struct, frozen=True):
    """What a client wrote: prompts, the other parameters that go to workers as a JSON text, for whom a service asked."""

    job: UUID
    prompt: str
    negative_prompt: str
    payload: str
    #: a service's own name for whom it asked; empty where there is none
    proxied_account: str = ""


class GenerationSeed(msgspec.Struct, frozen=True):
    """The seed that a worker is to use for a generation."""

    generation: UUID
    job: UUID
    seed: int


class ResultWords(msgspec.Struct, frozen=True):
    """What a worker wrote about a result: the seed it used, its metadata and its notes as JSON texts, and its words."""

    generation: UUID
    lease: UUID
    seed: str | None
    metadata: str | None
    notes: str | None = None
    #: of a text job, what was written
    text: str | None = None
    #: of an interrogation, what was told, as a JSON text
    form: str | None = None


class SourceRole(StrEnum):
    """What a picture is to the job it came with."""

    SOURCE = "source"
    MASK = "mask"
    EXTRA = "extra"


class JobSource(msgspec.Struct, frozen=True):
    """A picture that a job is drawn from: where it lies in the bucket of sources, or where it is to be fetched."""

    job: UUID
    role: SourceRole
    #: among those of its role, from 0
    ordinal: int
    #: how much of it a remix takes, from 0 to 1
    strength: float
    #: in the bucket of sources; empty until it is there
    key: str
    #: as the client wrote it; empty once it was fetched
    url: str
    #: it must have an alpha channel, for there is no mask
    alpha: bool = False
    #: of an interrogation, by what its URL is known again though it is forgotten (`app.platform.sources.digest_of`)
    digest: UUID | None = None


class ToldForm(msgspec.Struct, frozen=True):
    """What a form told of the picture at a URL, to be given again to whoever asks the same of it.

    The URL is not here, only what it makes under the pepper. It outlives the words of the job that it was told for.
    """

    #: the generation that it was delivered for, of which job, under which lease
    generation: UUID
    job: UUID
    lease: UUID
    #: what the URL makes
    source: UUID
    form: str
    #: jobs that may be not safe for work are told nothing of others, and tell them nothing
    nsfw: bool
    #: as in `ResultWords.form`
    told: str
    expires_at: datetime


class DeliveryState(StrEnum):
    """Where the telling of a webhook stands."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


class WebhookFault(StrEnum):
    """Why an attempt to tell a webhook came to nothing."""

    #: no connection, no answer that is one, or a certificate that nobody vouches for
    UNREACHABLE = "UNREACHABLE"
    FORBIDDEN_ADDRESS = "FORBIDDEN_ADDRESS"
    TOO_SLOW = "TOO_SLOW"
    #: another answer than 2xx; redirects are not followed
    REFUSED = "REFUSED"
    #: 410
    GONE = "GONE"
    #: its owner, or the house, wants nothing to be told there
    INACTIVE = "INACTIVE"


class WorkerName(msgspec.Struct, frozen=True):
    """A worker's unique name."""

    worker: UUID
    name: str


class MaintenanceMessage(msgspec.Struct, frozen=True):
    """What a worker's owner says while it is in maintenance."""

    worker: UUID
    message: str


class WorkerDescription(msgspec.Struct, frozen=True):
    """What a worker's owner says of it."""

    worker: UUID
    description: str


class WorkerMessage(msgspec.Struct, frozen=True):
    """What somebody tells a worker, or all of them, and until when."""

    message: UUID
    #: None for all
    worker: UUID | None
    sender: UUID
    words: str
    #: who says so, in the sender's words
    origin: str
    sent_at: datetime
    expires_at: datetime


class TeamWords(msgspec.Struct, frozen=True):
    """A team's unique name, and what it says of itself."""

    team: UUID
    name: str
    info: str


class WebhookPlace(msgspec.Struct, frozen=True):
    """Where a user's webhook leads."""

    webhook: UUID
    owner: UUID
    url: str
    #: since when nothing is accepted there; None if the last was
    failing_since: datetime | None = None


class JobWebhook(msgspec.Struct, frozen=True):
    """Where the client of one job wants to be told what becomes of it; its own id is the job's."""

    job: UUID
    owner: UUID
    url: str
    #: of what
    events: tuple[WebhookEvent, ...]
    #: what it is signed with, as its client gave it; empty: what follows from the job's id
    secret: str


class Attempt(msgspec.Struct, frozen=True):
    """One try to tell a webhook something."""

    at: datetime
    #: what its server answered; None if it did not
    status: int | None
    #: why it came to nothing; None if it did not
    fault: WebhookFault | None
    milliseconds: int


class WebhookDelivery(msgspec.Struct, frozen=True):
    """A fact that a webhook is told of, once it is told: written by the relay and by actors, never by commands."""

    webhook: UUID
    #: of the fact in the log
    position: int
    id: UUID
    owner: UUID
    job: UUID | None
    generation: UUID | None
    #: one of `WebhookEvent`, or a ping
    event: str
    happened_at: datetime
    state: DeliveryState
    #: attempts since it was last begun
    tries: int
    #: all attempts, oldest first, the last ones if there are many
    attempts: tuple[Attempt, ...]
    #: when it is tried next; None once it is settled
    next_at: datetime | None
    #: when an actor was last asked to try
    asked_at: datetime | None
    #: until when an actor is at it
    claimed_until: datetime | None


class Note(msgspec.Struct, frozen=True):
    """Words that an operator gave with a command, such as the reason of a grant."""

    command: UUID
    words: str


TABLES: dict[type[msgspec.Struct], Table[Any]] = {
    Person: Table("person", Person, key=("subject",)),
    ApiKey: Table("api_key", ApiKey, key=("hash",)),
    JobWords: Table("job", JobWords, key=("job",)),
    GenerationSeed: Table("generation", GenerationSeed, key=("generation",)),
    ResultWords: Table("result", ResultWords, key=("generation",)),
    JobSource: Table("source", JobSource, key=("job", "role", "ordinal")),
    ToldForm: Table("told", ToldForm, key=("generation",)),
    WorkerName: Table("worker", WorkerName, key=("worker",)),
    MaintenanceMessage: Table("maintenance", MaintenanceMessage, key=("worker",)),
    Note: Table("note", Note, key=("command",)),
    WorkerDescription: Table("worker_description", WorkerDescription, key=("worker",)),
    WorkerMessage: Table("worker_message", WorkerMessage, key=("message",)),
    TeamWords: Table("team", TeamWords, key=("team",)),
    WebhookPlace: Table("webhook", WebhookPlace, key=("webhook",)),
    JobWebhook: Table("job_webhook", JobWebhook, key=("job",)),
    WebhookDelivery: Table("webhook_delivery", WebhookDelivery, key=("webhook", "position")),
    ImageSetWords: Table("image_set", ImageSetWords, key=("image_set",)),
    ImportedPictureWords: Table("imported_picture", ImportedPictureWords, key=("picture",)),
    ImageImport: Table("image_import", ImageImport, key=("image_set", "source")),
    MirrorWait: Table("mirror_wait", MirrorWait, key=("picture",)),
    RatingNote: Table("rating_note", RatingNote, key=("rating",)),
    RatingOrigin: Table("rating_origin", RatingOrigin, key=("rating",)),
    KnownAnswer: Table("known_answer", KnownAnswer, key=("picture",)),
    AppealWords: Table("appeal", AppealWords, key=("appeal",)),
}

UPSERTS: dict[type[msgspec.Struct], str] = {row: table.upsert(SCHEMA) for row, table in TABLES.items()}


class Erase(msgspec.Struct, frozen=True):
    """Take a row away, by its one key: a decider returns it in place of the row."""

    kind: type[msgspec.Struct]
    key: UUID


#: what takes rows away, by kind; binds: realm, keys
ERASURES: dict[type[msgspec.Struct], str] = {
    row: f"DELETE FROM {SCHEMA}.{table.name} WHERE realm = %b AND {table.key[0]} = ANY(%b::uuid[])"  # noqa: S608
    for row, table in TABLES.items()
    if len(table.key) == 1
}


class CommandOutcome(msgspec.Struct, frozen=True):
    """The kept outcome of a command with an idempotency key."""

    scope: str
    key: str
    day: date
    request_hash: bytes
    outcome: str
    position: int


#: Binds: realm, scopes, keys.
FIND_OUTCOMES = (
    "SELECT c.scope, c.key, c.day, c.request_hash, c.outcome, c.position FROM unnest(%b::text[], %b::text[]) "
    "AS asked(scope, key) JOIN vault.command c ON c.realm = %b AND c.scope = asked.scope AND c.key = asked.key "
    "AND c.day >= current_date - 7"
)
#: Binds: realm, then one array a column.
KEEP_OUTCOMES = (
    "INSERT INTO vault.command (realm, scope, key, day, request_hash, outcome, position) SELECT %b::bigint, t.* "
    "FROM unnest(%b::text[], %b::text[], %b::date[], %b::bytea[], %b::text[], %b::bigint[]) AS t"
)


def outcome_parameters(realm: int, kept: list[CommandOutcome]) -> list[Any]:
    """What `KEEP_OUTCOMES` takes."""
    return [
        realm,
        texts([c.scope for c in kept]),
        texts([c.key for c in kept]),
        [c.day for c in kept],
        byteas([c.request_hash for c in kept]),
        texts([c.outcome for c in kept]),
        int8s([c.position for c in kept]),
    ]
