"""What is known of a delivered picture that is to be shared: facts from the log, words from the vault. Reads only.

The facts say what was asked for, delivered and agreed to; the words are gone once somebody had them erased. Reads on
a psycopg connection whose time zone is UTC, for the published metadata must come out the same every time. Look next:
`app.sharing.publish`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.vault import GenerationSeed, JobWords, ResultWords
from app.sharing.decider import unshared
from events.base import Event, Fact
from events.codec import decode, fact_of
from events.jobs import GenerationDelivered, ImageJobSubmitted
from events.moderation import CaseDecided, CaseOpened
from events.sharing import (
    ShareConsentForced,
    ShareConsentGiven,
    ShareConsentWithdrawn,
    WithheldReason,
)
from events.store import log
from projections.generations import Generation
from projections.store.tables import LIVE, TABLES

R = TypeVar("R")

_BEGINNING: Final = [ImageJobSubmitted.TYPE, ShareConsentGiven.TYPE, ShareConsentForced.TYPE]
_STREAM = (
    "SELECT position, occurred_at, type, schema_version, data FROM log.event "
    "WHERE realm = %s AND stream = %s AND type = ANY(%s) ORDER BY position"
)
_GENERATION = TABLES["generations"].select(LIVE, "id = %(id)s")
_PUBLISHED = TABLES["generations"].select(LIVE, "job = %(job)s AND sha256 IS NOT NULL")
_UNSHARED = f"SELECT unshared FROM {LIVE}.jobs WHERE realm = %s AND id = %s"  # noqa: S608
_SHARED_JOBS = f"SELECT id FROM {LIVE}.jobs WHERE realm = %s AND id = ANY(%s) AND shared"  # noqa: S608
_MOST_DIGITS: Final = 20


class NotShareableError(Exception):
    """No picture is to be shared because of this event, and repeating the attempt changes nothing."""


class Words(msgspec.Struct, frozen=True):
    """What the vault still knows: prompts as the client wrote them, the seed as text."""

    prompt: str
    negative_prompt: str
    seed: str


class Story(msgspec.Struct, frozen=True):
    """One delivered picture."""

    #: of the delivery
    position: int
    delivered: GenerationDelivered
    delivered_at: datetime
    submitted: ImageJobSubmitted
    submitted_at: datetime
    #: as it stands: whether it was published or withheld before
    generation: Generation
    #: why it is not shared any more
    unshared: WithheldReason | None
    #: None: erased
    words: Words | None


def shared_jobs(connection: Connection[Any], realm: int, jobs: Collection[UUID]) -> set[UUID]:
    """Those of some jobs whose pictures are shared. The flag never changes after submission."""
    return {row[0] for row in connection.execute(_SHARED_JOBS, (realm, list(jobs)))}


def job_to_withdraw(connection: Connection[Any], realm: int, position: int) -> UUID:
    """The job of which the fact at a position ended some sharing. Raises `NotShareableError` where it ended none."""
    fact = _fact_at(connection, realm, position)
    if fact is None or not isinstance(fact.event, ShareConsentWithdrawn | CaseOpened | CaseDecided):
        message = f"no sharing ended at {position}"
        raise NotShareableError(message)
    return fact.event.job


def to_withdraw(connection: Connection[Any], realm: int, job: UUID) -> list[Generation]:
    """The published generations of a job that are not shared any more."""
    of_job = _unshared(connection, realm, job)
    rows = connection.execute(_PUBLISHED, {"realm": realm, "job": job}, binary=True)
    found: list[Generation] = TABLES["generations"].load_all(rows)
    return [generation for generation in found if unshared(of_job, generation) is not None]


def story_of(connection: Connection[Any], realm: int, position: int) -> Story:
    """Everything about the delivery at a position. Raises `NotShareableError` where there is nothing to share."""
    delivery = _fact_at(connection, realm, position)
    if delivery is None or not isinstance(delivery.event, GenerationDelivered):
        message = f"no generation was delivered at {position}"
        raise NotShareableError(message)
    delivered = delivery.event
    submission = _agreed_submission(_beginning(connection, realm, delivered.stream()), delivered)
    assert isinstance(submission.event, ImageJobSubmitted)
    (generation,) = TABLES["generations"].load_all(
        connection.execute(_GENERATION, {"realm": realm, "id": delivered.generation}, binary=True)
    )
    return Story(
        position=position,
        delivered=delivered,
        delivered_at=delivery.occurred_at,
        submitted=submission.event,
        submitted_at=submission.occurred_at,
        generation=generation,
        unshared=unshared(_unshared(connection, realm, delivered.job), generation),
        words=_words(connection, realm, delivered),
    )


def _fact_at(connection: Connection[Any], realm: int, position: int) -> Fact | None:
    page = connection.execute(log.READ, (realm, position - 1, 1), binary=True).fetchall()
    fact = fact_of(log.recorded(page[0])) if page else None
    return fact if fact is not None and fact.position == position else None


def _unshared(connection: Connection[Any], realm: int, job: UUID) -> WithheldReason | None:
    row = connection.execute(_UNSHARED, (realm, job)).fetchone()
    return WithheldReason(row[0]) if row is not None and row[0] is not None else None


def _beginning(connection: Connection[Any], realm: int, stream: str) -> list[Fact]:
    rows = connection.execute(_STREAM, (realm, stream, _BEGINNING), binary=True)
    return [Fact(row[0], row[1], _event(row[2:])) for row in rows]


def _event(stored: Sequence[Any]) -> Event:
    name, version, data = stored
    return decode(name, version, data.encode())


def _agreed_submission(beginning: Sequence[Fact], delivered: GenerationDelivered) -> Fact:
    """The submission of a job that its requester agreed to share."""
    submissions = [fact for fact in beginning if isinstance(fact.event, ImageJobSubmitted)]
    agreed = any(isinstance(fact.event, ShareConsentGiven | ShareConsentForced) for fact in beginning)
    if not submissions or not agreed:
        message = f"job {delivered.job} is not shared"
        raise NotShareableError(message)
    return submissions[0]


def _words(connection: Connection[Any], realm: int, delivered: GenerationDelivered) -> Words | None:
    job = _kept(connection, realm, JobWords, "job = %(id)s", delivered.job)
    given = _kept(connection, realm, GenerationSeed, "generation = %(id)s", delivered.generation)
    told = _kept(connection, realm, ResultWords, "generation = %(id)s", delivered.generation)
    if job is None or given is None:
        return None
    # A worker may have used another seed than it was given; but what is no number is no seed, and not published.
    seed = told.seed if told is not None and _is_number(told.seed) else None
    return Words(job.prompt, job.negative_prompt, seed or str(given.seed))


def _kept(connection: Connection[Any], realm: int, kind: type[R], where: str, key: UUID) -> R | None:
    table = vault.TABLES[kind]  # type: ignore[index]
    rows = connection.execute(table.select(vault.SCHEMA, where), {"realm": realm, "id": key}, binary=True)
    found: list[R] = table.load_all(rows)
    return found[0] if found else None


def _is_number(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
