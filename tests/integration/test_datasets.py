"""Releases and hourly ratings in the real bucket: put there, rewritten when something is withdrawn, made again the same."""

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from app.dataset_commands import dataset_group
from app.datasets.hourly import HourlyRatings
from app.datasets.librarian import Librarian, source_of
from app.datasets.people import People
from app.datasets.shelf import Shelf
from app.jobs.decider import WithdrawConsent
from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks.made_up_release import MadeUp
from tests.factories import register, run
from tests.gallery import ALL_RULES, Gallery, picture


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES))


def objects_of(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)


def everything(objects: ObjectStore, bucket: str, prefix: str) -> dict[str, bytes]:
    return {
        entry.key: objects.get(bucket, entry.key, limit=2**30) for entry in objects.entries(bucket, prefix)
    }


def emptied(settings: Settings) -> ObjectStore:
    """The bucket is shared by all tests of a process."""
    objects = objects_of(settings)
    for prefix in ("releases/", "ratings/"):
        for entry in objects.entries(settings.bucket_datasets, prefix):
            objects.remove(settings.bucket_datasets, entry.key)
    return objects


def test_a_release_in_the_bucket_is_rewritten_without_what_is_withdrawn(
    gallery: Gallery, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    objects = emptied(settings)
    kept, gone = (gallery.deliver(picture(seed=seed)) for seed in (1, 2))
    with gallery.publisher() as publisher:
        for delivery in (kept, gone):
            publisher.publish(delivery.position)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        source, shelf = source_of(settings, connection, objects), Shelf(objects, settings.bucket_datasets)
        with alone(connection, locks.releases(settings.realm)):
            release = shelf.publish(source, source.log.last(), tmp_path)
        there = everything(objects, settings.bucket_datasets, "releases/")
        prefix = f"releases/{release.name}/"
        assert release.pictures == 2
        # a build that died has left this
        objects.put(settings.bucket_datasets, "releases/v1-1/images/00000.tar", b"x", "application/x-tar")

        librarian = Librarian(settings, objects)
        assert librarian.step()
        run(gallery.writer, WithdrawConsent(job=gone.job))
        ended = source.log.last()
        with gallery.publisher() as publisher:
            publisher.withdraw(ended)
        assert librarian.step()
        librarian.close()

        left = everything(objects, settings.bucket_datasets, "releases/")
        assert all(
            str(gone.generation).encode() not in content
            for name, content in left.items()
            if "TOMB" not in name
        )
        assert str(gone.generation).encode() in left[prefix + "TOMBSTONES"]
        assert "releases/v1-1/images/00000.tar" not in left, "unfinished ones are thrown away"
        with tarfile.open(fileobj=io.BytesIO(left[prefix + "images/00000.tar"])) as tar:
            assert {name.partition(".")[0] for name in tar.getnames()} == {str(kept.generation)}
        (again,) = shelf.releases()
        assert (again.position, again.log_hash, again.pictures) == (release.position, release.log_hash, 1)
        assert set(left) == set(there)
        # what is downloaded now is whole, and the log has its position
        for name, content in left.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, value in settings.to_env().items():
            monkeypatch.setenv(name, value)
        checked = CliRunner().invoke(dataset_group, ["verify", str(tmp_path / prefix), "--log", "--json"])
        assert checked.exit_code == 0, checked.output
        assert json.loads(checked.stdout)["clean"]
        listed = CliRunner().invoke(dataset_group, ["list", "--json"])
        assert [each["name"] for each in json.loads(listed.stdout)["releases"]] == [release.name]
        built = CliRunner().invoke(
            dataset_group, ["build", "--at", str(release.position), "--to", str(tmp_path / "local"), "--json"]
        )
        assert built.exit_code == 0, built.output
        assert json.loads(built.stdout)["manifest"] == again.manifest, "in a folder it is the same release"


def test_a_schedule_builds_a_release_once_there_is_news(gallery: Gallery, settings: Settings):
    objects = emptied(settings)
    librarian = Librarian(msgspec.structs.replace(settings, release_every_hours=1), objects)
    assert librarian.step()
    shelf = Shelf(objects, settings.bucket_datasets)
    (first,) = shelf.releases()
    run(gallery.writer, register())
    assert librarian.step()
    assert [release.name for release in shelf.releases()] == [first.name], "an hour is not over"
    with (
        psycopg.connect(settings.database_url, autocommit=True) as other,
        alone(other, locks.releases(settings.realm)),
    ):
        assert not librarian.step(), "somebody else is at it"
    librarian.close()


def test_hourly_parts_are_the_same_whenever_they_are_made(settings: Settings):
    objects = emptied(settings)
    log, people = MadeUp(40, 9_000, users=9), People("a pepper for tests", 0)
    late = datetime(2030, 1, 1, tzinfo=UTC)
    with HourlyRatings(objects, settings.bucket_datasets, people) as hourly:
        early = hourly.advance(log, datetime(2026, 1, 1, tzinfo=UTC))
        names = early + hourly.advance(log, late)
    assert len(names) > 2
    assert len(early) == len(names) - 1, "an hour that is not over waits"
    parts = everything(objects, settings.bucket_datasets, "ratings/")
    assert sorted(parts) == names
    positions = [
        position
        for name in names
        for position in pq.read_table(io.BytesIO(parts[name]))["position"].to_pylist()
    ]
    rated = [event.position for event in log.events(0, log.last(), ["ratings.ImageRated"])]
    assert positions == rated, "each rating once, in order"
    objects.remove(settings.bucket_datasets, names[1])
    with HourlyRatings(objects, settings.bucket_datasets, people) as hourly:
        assert hourly.advance(log, late) == [names[1]]
        assert hourly.advance(log, late) == []
    assert everything(objects, settings.bucket_datasets, "ratings/") == parts
