"""A realm in which pictures are made: a requester, a worker, real uploads, deliveries, and what is in the buckets.

Look next: `tests/integration/test_sharing.py`.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from minio import Minio
from PIL import Image, ImageDraw

from app.actors_main import make_pool, make_publisher
from app.images.decider import OrderTakedown
from app.platform.commands import Done, Request, rules
from app.platform.ids import new_id
from app.platform.objects import (
    Missing,
    ObjectStore,
    result_key,
    shared_keys,
)
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.sharing import decider as sharing
from app.sharing.publish import Publisher
from app.workers.lease_decider import GenerationResult, ResultState, SubmitResults
from events.jobs import GenerationDelivered
from tests.factories import RULES, check_in, grant, open_realm, pop, register, run, submit

ALL_RULES = RULES | rules(sharing.RULES)


def picture(width: int = 512, height: int = 512, *, kind: str = "WEBP", seed: int = 0) -> bytes:
    """A file with coloured discs; another `seed` makes others."""
    chance = random.Random(seed)
    plain = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(plain)
    for _ in range(12):
        x, y, r = (chance.random() * side for side in (width, height, min(width, height) / 3))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(chance.randrange(256) for _ in range(3)))
    output = io.BytesIO()
    plain.save(output, kind)
    return output.getvalue()


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Delivery:
    """One delivered generation."""

    job: UUID
    generation: UUID
    lease: UUID
    position: int


class Gallery:
    """A realm with a requester, a worker and its owner. The writer knows `ALL_RULES`."""

    def __init__(self, settings: Settings, writer: Writer) -> None:
        self.settings = settings
        self.writer = writer
        self.objects = ObjectStore(
            settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region
        )
        self.worker = uuid4()
        open_realm(writer)
        requester, owner = register(), register()
        self.requester, self.owner = requester.user, owner.user
        run(writer, requester)
        run(writer, owner)
        run(writer, grant(self.requester, 1_000_000))
        run(writer, check_in(self.worker, self.owner))

    def lease(self, *, shared: bool = True, n: int = 1, **wishes: Any) -> tuple[UUID, UUID, tuple[UUID, ...]]:
        """Submit a job and take it all: (job, lease, generations)."""
        wanted = submit(wishes.pop("requester", self.requester), shared=shared, n=n, **wishes)
        run(self.writer, wanted)
        lease = uuid4()
        taken = run(self.writer, pop(self.worker, self.owner, lease=lease, amount=n))
        assert taken.result.lease == lease
        return wanted.job, lease, wanted.generations

    def upload(self, lease: UUID, generation: UUID, data: bytes) -> str:
        """PUT a result; its entity tag."""
        bucket = self.settings.bucket_results
        return self.objects.put(bucket, result_key(lease, generation), data, "application/octet-stream")

    def deliver(self, data: bytes | None = None, *, seed: str = "7", **wishes: Any) -> Delivery:
        """A whole job of one picture, delivered OK. Without data: an object that is not there."""
        job, lease, (generation,) = self.lease(**wishes)
        etag = "0" * 32 if data is None else self.upload(lease, generation, data)
        return self.submit_result(job, lease, generation, etag, seed=seed)

    def submit_result(
        self, job: UUID, lease: UUID, generation: UUID, etag: str, *, version: str = "", seed: str = "7"
    ) -> Delivery:
        """Deliver an uploaded picture."""
        done = GenerationResult(
            generation=generation,
            state=ResultState.OK,
            etag=etag,
            version=version,
            seed=seed,
            metadata=None,
        )
        run(self.writer, SubmitResults(lease=lease, owner=self.owner, results=(done,)))
        with psycopg.connect(self.settings.database_url) as connection:
            row = connection.execute(
                "SELECT max(position) FROM log.event WHERE type = %s", (GenerationDelivered.TYPE,)
            ).fetchone()
        assert row is not None
        return Delivery(job, generation, lease, row[0])

    def shared(self, generation: UUID) -> tuple[bytes | None, bytes | None]:
        """The picture and the metadata in the shared bucket."""
        bucket = self.settings.bucket_shared
        webp, json = (
            None if isinstance(self.objects.stat(bucket, key), Missing) else self.objects.get(bucket, key)
            for key in shared_keys(generation)
        )
        return webp, json

    def verdicts(self, generation: UUID) -> list[dict[str, Any]]:
        """What the log says became of a picture, oldest first."""
        with psycopg.connect(self.settings.database_url) as connection:
            return [
                {"type": name, "metadata": metadata, **data}
                for name, data, metadata in connection.execute(
                    "SELECT type, data::jsonb, metadata::jsonb FROM log.event WHERE type LIKE 'sharing.Picture%%' "
                    "AND data::jsonb ->> 'generation' = %s ORDER BY position",
                    (str(generation),),
                )
            ]

    @contextmanager
    def publisher(self, **changes: Any) -> Iterator[Publisher]:
        """A publisher as the actors' process makes it; `changes` replace its parts, by their private names."""
        with make_pool(self.settings) as pool:
            made = make_publisher(self.settings, pool, changes.pop("writer", self.writer))
            for name, part in changes.items():
                setattr(made, f"_{name}", part)
            yield made

    def publish(self, position: int) -> None:
        """Publish once."""
        with self.publisher() as publisher:
            publisher.publish(position)

    def take_down(self, **what: Any) -> UUID:
        """Order a takedown, which nobody carries out yet."""
        takedown = new_id()
        given = {"sha256": None, "perceptual_hash": None, "distance": 0, **what}
        outcome = self.writer.execute_sync(
            Request(OrderTakedown(takedown=takedown, by=None, **given), new_id())
        )
        assert isinstance(outcome, Done), outcome
        return takedown

    def verdict_on(self, data: bytes) -> str | None:
        """Why a picture, delivered and judged now, is withheld; None if it is published."""
        delivery = self.deliver(data)
        self.publish(delivery.position)
        (verdict,) = self.verdicts(delivery.generation)
        return verdict.get("reason")

    def minio(self) -> Minio:
        """The storage without our wrapper."""
        return Minio(
            self.settings.s3_url.removeprefix("http://"),
            access_key=self.settings.s3_access_key,
            secret_key=self.settings.s3_secret_key,
            region=self.settings.s3_region,
            secure=False,
        )
