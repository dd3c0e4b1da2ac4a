"""The relay's copy of the log in the bucket: only what is complete, the same bytes again, proved from the bucket."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from app.operations.export import BUCKET_PREFIX, BucketTarget
from app.operations.segments import read_manifest
from app.operations.verify_log import verify_copy
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.segments import Segments
from tests.factories import open_realm, register, run

EVENTS = 20


@pytest.fixture
def objects(settings: Settings) -> ObjectStore:
    """Storage in whose bucket, which all tests of a process share, no log lies."""
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    for entry in store.entries(settings.bucket_datasets, BUCKET_PREFIX):
        store.remove(settings.bucket_datasets, entry.key)
    return store


class DiesError(Exception):
    """The relay, as far as the test goes."""


class Dies:
    """Storage whose process dies before the n-th thing is put."""

    def __init__(self, objects: ObjectStore, at: int) -> None:
        self._objects, self._at = objects, at

    def __getattr__(self, name: str) -> Any:
        if name.startswith("put"):
            self._at -= 1
            if self._at < 0:
                raise DiesError
        return getattr(self._objects, name)


def test_complete_segments_are_copied_whole_and_once(
    settings: Settings,
    objects: ObjectStore,
    start_writer: Callable[..., Writer],
    application: psycopg.Connection[Any],
):
    writer = start_writer()
    open_realm(writer)
    for _ in range(50):
        run(writer, register())
    target = BucketTarget(objects, settings.bucket_datasets)

    def segments(storage: Any = objects) -> Segments:
        return Segments(
            settings, storage, leading=threading.Event(), stop=threading.Event(), segment_events=EVENTS
        )

    with pytest.raises(DiesError):
        segments(Dies(objects, 1)).step()
    first = segments()
    added = first.step()
    last = application.execute("SELECT max(position) FROM log.event").fetchone()
    assert last is not None
    assert len(added) + 1 >= last[0] // EVENTS, "one of them may have been there"
    manifest = read_manifest(target)
    assert manifest.exported_at == last[0] // EVENTS * EVENTS
    assert all(segment.count == EVENTS for segment in manifest.segments)
    assert verify_copy(target).clean
    assert first.step() == (), "nothing is complete that was not"
    for _ in range(EVENTS):
        run(writer, register())
    assert len(first.step()) == 1
    assert segments().step() == (), "another relay goes on where this one was"
    assert verify_copy(target).clean
