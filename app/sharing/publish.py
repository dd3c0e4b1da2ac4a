"""Publishing one delivered picture (fetched, judged, put into the shared bucket, recorded), and withdrawing a job's.

Killed anywhere, run twice or out of order, bucket and log end the same: the files are written (or removed) before the
event, always with the same bytes, and the event decides. An advisory lock keeps two attempts at one picture apart.
Whatever fails for a time raises and is to be tried again. Look next: `app.sharing.story` (what is known),
`app.platform.pictures.clean` (the gate), `app.sharing.actors` (who calls this).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from app.platform import alone as locks
from app.platform import metrics
from app.platform.alone import alone
from app.platform.commands import Command, Done, Request
from app.platform.ids import new_id
from app.platform.objects import (
    Missing,
    ObjectChangedError,
    ObjectStore,
    ObjectTooLargeError,
    result_key,
    shared_keys,
)
from app.platform.pictures.clean import CleanPicture, Withheld, inspect
from app.platform.storage_errors import ObjectMissingError
from app.platform.takedowns import against
from app.platform.writer import Writer
from app.sharing.decider import PublishPicture, Verdict, WithdrawPictures, WithholdPicture
from app.sharing.metadata import SharedMetadata, UserType, encode
from app.sharing.story import Story, job_to_withdraw, story_of, to_withdraw
from events.base import ANONYMOUS
from events.sharing import WithheldReason

Pool = ConnectionPool[Connection[Any]]

#: seconds that an attempt waits for another one at the same picture
LOCK_SECONDS: Final = 60
SETTINGS: Final = (
    f"-c timezone=UTC -c jit=off -c lock_timeout={LOCK_SECONDS}s -c application_name=hoard-actors"
)


class UnsettledError(Exception):
    """The log did not take the verdict, or another one stands: the next attempt goes by what stands."""


class UnrepairableError(Exception):
    """A published picture is missing from the bucket and cannot be made again."""


class Buckets(msgspec.Struct, frozen=True):
    """Where results are fetched and shared pictures put."""

    results: str
    shared: str


class Publication(msgspec.Struct, frozen=True):
    """The two files of a picture that passed the gate."""

    picture: CleanPicture
    metadata: bytes
    #: how many takedowns it was held against
    takedowns: int


class Publisher:
    """Publishes pictures. Safe to share between threads; everything blocks."""

    def __init__(
        self,
        *,
        realm: int,
        pool: Pool,
        writer: Writer,
        objects: ObjectStore,
        buckets: Buckets,
        upscale: Callable[[tuple[str, ...]], int],
    ) -> None:
        """Name what to work with; nothing is contacted.

        Args:
            realm: whose log.
            pool: autocommitting connections with `SETTINGS`.
            writer: knows `app.sharing.decider.RULES`.
            objects: the storage of both buckets.
            buckets: their names.
            upscale: by how much some post-processors, named in order, enlarge each side of a picture.
        """
        self._realm = realm
        self._pool = pool
        self._writer = writer
        self._objects = objects
        self._buckets = buckets
        self._upscale = upscale

    def publish(self, position: int) -> None:
        """Bring bucket and log to what the delivery at `position` calls for.

        Raises:
            NotShareableError: it calls for nothing.
            UnsettledError, UnrepairableError, StorageUnavailableError, WriterBusyError, psycopg.Error: not now.
        """
        with self._pool.connection() as connection, alone(connection, locks.picture(self._realm, position)):
            story = story_of(connection, self._realm, position)
            if story.generation.withheld is not None:
                self._remove(story.generation.id)
            elif story.generation.sha256 is None:
                self._settle(connection, story)
            elif story.unshared is None:
                self._repair(connection, story, story.generation.sha256)

    def withdraw(self, position: int) -> None:
        """Take out of the shared bucket what of a job is not shared any more since the fact at `position`.

        None of that is published after that fact, so that what is found now is all there is.

        Raises:
            NotShareableError: it calls for nothing.
            UnsettledError, StorageUnavailableError, WriterBusyError, psycopg.Error: not now.
        """
        with self._pool.connection() as connection:
            job = job_to_withdraw(connection, self._realm, position)
            for published in to_withdraw(connection, self._realm, job):
                assert published.settled is not None, "what was published was delivered"
                with alone(connection, locks.picture(self._realm, published.settled)):
                    self._remove(published.id)
            request = Request(WithdrawPictures(job=job), new_id(), causation=position)
            if not isinstance(self._writer.execute_sync(request), Done):
                message = f"the withdrawal of job {job} does not stand"
                raise UnsettledError(message)

    def _settle(self, connection: Connection[Any], story: Story) -> None:
        """The first verdict: files first, then the event."""
        judged = self._judge(connection, story)
        if isinstance(judged, WithheldReason):
            # An attempt that died before its event may have left files here.
            self._remove(story.generation.id)
            withhold = WithholdPicture(job=story.delivered.job, generation=story.generation.id, reason=judged)
            self._record(story, withhold, Verdict(withheld=judged))
            return
        self._put(story.generation.id, judged)
        publish = PublishPicture(
            job=story.delivered.job,
            generation=story.generation.id,
            sha256=judged.picture.sha256,
            perceptual_hash=judged.picture.perceptual_hash,
            width=judged.picture.width,
            height=judged.picture.height,
            size=len(judged.picture.webp),
            takedowns=judged.takedowns,
        )
        self._record(story, publish, Verdict(sha256=judged.picture.sha256))

    def _judge(self, connection: Connection[Any], story: Story) -> Publication | WithheldReason:
        if story.unshared is not None:
            return story.unshared
        if story.words is None:
            return WithheldReason.PROMPT_ERASED
        delivered, submitted = story.delivered, story.submitted
        if not delivered.etag:  # nothing says which object was accepted
            return WithheldReason.MISSING
        key = result_key(delivered.lease, delivered.generation)
        try:
            data = self._objects.get(
                self._buckets.results, key, etag=delivered.etag, version=delivered.version
            )
        except (ObjectMissingError, ObjectChangedError):
            return WithheldReason.MISSING
        except ObjectTooLargeError:
            return WithheldReason.TOO_LARGE
        scale = self._upscale(submitted.post_processing)
        picture = inspect(data, (submitted.width * scale, submitted.height * scale))
        if isinstance(picture, Withheld):
            return picture.reason
        held = against(connection, self._realm, picture.sha256, picture.perceptual_hash)
        if held.takedown is not None:
            return WithheldReason.BLOCKLISTED
        return Publication(picture, encode(metadata_of(story, picture)), held.known)

    def _repair(self, connection: Connection[Any], story: Story, sha256: str) -> None:
        """Put back what is missing of a published picture: only the very file that was published."""
        keys = shared_keys(story.generation.id)
        if not any(isinstance(self._objects.stat(self._buckets.shared, key), Missing) for key in keys):
            return
        judged = self._judge(connection, story)
        if isinstance(judged, WithheldReason) or judged.picture.sha256 != sha256:
            message = f"generation {story.generation.id} was published and is missing"
            raise UnrepairableError(message)
        self._put(story.generation.id, judged)

    def _put(self, generation: UUID, publication: Publication) -> None:
        """The picture, then its metadata: whoever finds the second finds both."""
        picture_key, metadata_key = shared_keys(generation)
        self._objects.put(self._buckets.shared, picture_key, publication.picture.webp, "image/webp")
        self._objects.put(self._buckets.shared, metadata_key, publication.metadata, "application/json")

    def _remove(self, generation: UUID) -> None:
        for key in reversed(shared_keys(generation)):
            self._objects.remove(self._buckets.shared, key)

    def _record(self, story: Story, command: Command, verdict: Verdict) -> None:
        outcome = self._writer.execute_sync(Request(command, new_id(), causation=story.position))
        if not isinstance(outcome, Done) or outcome.result != verdict:
            message = f"the verdict on generation {story.generation.id} does not stand"
            raise UnsettledError(message)
        metrics.child(metrics.PUBLICATIONS, verdict.withheld or "published").inc()


def metadata_of(story: Story, picture: CleanPicture) -> SharedMetadata:
    """What is published beside a picture whose words are not erased."""
    submitted, delivered, words = story.submitted, story.delivered, story.words
    assert words is not None, "erased words keep a picture from being published"
    return SharedMetadata(
        id=str(delivered.generation),
        set=str(delivered.job),
        prompt=words.prompt,
        negative_prompt=words.negative_prompt or None,
        width=submitted.width,
        height=submitted.height,
        steps=submitted.steps,
        sampler=submitted.sampler,
        cfg=submitted.cfg_scale,
        karras=submitted.karras,
        pp=submitted.post_processing,
        seed=words.seed,
        model=delivered.model,
        censored=False,
        user_type=UserType.ANON if delivered.requester == ANONYMOUS else UserType.REGISTERED,
        sha256=picture.sha256,
        perceptual_hash=picture.perceptual_hash,
        position=story.position,
        submitted_at=story.submitted_at.astimezone(UTC),
        delivered_at=story.delivered_at.astimezone(UTC),
    )
