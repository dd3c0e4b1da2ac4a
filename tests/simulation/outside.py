"""What programs meet outside of the database: the broker, which may lose everything, and object storage."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace

import msgspec
import redis

from app.platform.objects import Missing, ObjectChangedError, ObjectHead
from app.platform.storage_errors import ObjectMissingError, StorageUnavailableError
from tests.simulation.scheduler import Scheduler
from tests.simulation.stand_ins import Waiters


class Message(msgspec.Struct):
    """A call of an actor."""

    actor: str
    position: int
    retries: int = 0


class Broker:
    """Delivers messages late, twice or never; keeps those that are worked on until they are done."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: list[Message] = []
        self._takers = Waiters(scheduler)
        self._generation = 0
        self.away_until = 0.0
        #: chances that a message is delivered twice, is late, is lost although sending it was answered
        self.twice = 0.0
        self.delayed = 0.0
        self.vanish = 0.0
        #: what the relay closes at its end
        self.client = SimpleNamespace(close=lambda: None)
        #: how often an actor was called with a position
        self.called: Counter[tuple[str, int]] = Counter()

    def send(self, actor: str, position: int, retries: int = 0, delay: float = 0.0) -> None:
        """Leave a message. Raises `redis.RedisError`, also after having taken it."""
        scheduler, dice = self._scheduler, self._scheduler.dice
        if scheduler.now < self.away_until:
            raise redis.ConnectionError("the broker is away")
        generation = self._generation
        copies = 2 if dice.random() < self.twice else 0 if dice.random() < self.vanish else 1
        for _ in range(copies):
            late = dice.uniform(0.5, 5.0) if dice.random() < self.delayed else dice.uniform(0.0005, 0.005)
            message = Message(actor, position, retries)
            scheduler.at(delay + late, lambda message=message: self._arrive(message, generation))
        if dice.random() < self.vanish:
            raise redis.TimeoutError("no answer")

    def take(self) -> Message:
        """Wait for a message."""
        while not self._waiting:
            self._takers.wait(None)
        message = self._waiting.pop(self._scheduler.dice.randrange(len(self._waiting)))
        self.called[message.actor, message.position] += 1
        return message

    def give_back(self, message: Message) -> None:
        """Whoever took it died: after a while others get it."""
        generation = self._generation
        self._scheduler.at(3.0, lambda: self._arrive(message, generation))

    def lose_everything(self) -> None:
        """As if its memory were wiped."""
        self._generation += 1
        self._waiting.clear()
        self._scheduler.note("loses everything", "broker")

    def _arrive(self, message: Message, generation: int) -> None:
        if generation == self._generation:
            self._waiting.append(message)
            self._takers.wake(1)


class Storage:
    """Object storage, as `app.platform.objects.ObjectStore`: it may fail before or after it did what was asked."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.objects: dict[tuple[str, str], bytes] = {}
        #: chance that an operation fails
        self.failing = 0.0

    def put(self, bucket: str, key: str, data: bytes, _: str) -> str:
        self._hop()
        self.objects[bucket, key] = data
        self._hop()
        return etag_of(data)

    def get(self, bucket: str, key: str, *, etag: str | None = None, version: str | None = None) -> bytes:
        self._hop()
        data = self.objects.get((bucket, key))
        if data is None:
            raise ObjectMissingError
        if (etag and etag_of(data) != etag) or version:
            raise ObjectChangedError
        return data

    def stat(self, bucket: str, key: str) -> ObjectHead | Missing:
        self._hop()
        data = self.objects.get((bucket, key))
        return Missing() if data is None else ObjectHead(len(data), etag_of(data))

    def remove(self, bucket: str, key: str) -> None:
        self._hop()
        self.objects.pop((bucket, key), None)
        self._hop()

    def remove_many(self, bucket: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.remove(bucket, key)

    def _hop(self) -> None:
        self._scheduler.sleep(self._scheduler.dice.uniform(0.001, 0.02))
        if self._scheduler.dice.random() < self.failing:
            raise StorageUnavailableError("no answer from object storage")


def etag_of(data: bytes) -> str:
    """The entity tag of an object."""
    return hashlib.md5(data).hexdigest()
