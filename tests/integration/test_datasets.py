"""Releases and hourly ratings in the real bucket: put there, rewritten when something is withdrawn, made again the same."""

import contextlib
import io
import json
import os
import random
import select
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from app.dataset_commands import dataset_group
from app.datasets.build import build
from app.datasets.checking import check
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
from tests.gallery import ALL_RULES, Gallery, eventually, picture


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES))


def objects_of(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)


def everything(objects: ObjectStore, bucket: str, prefix: str) -> dict[str, bytes]:
    return {
        entry.key: objects.get(bucket, entry.key, limit=2**30) for entry in objects.entries(bucket, prefix)
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
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


class Builders:
    """Processes of `hoard dataset build` that are killed: forks of one that has loaded the program."""

    PROGRAM = """
import json, os, sys
import app.cli, app.dataset_commands
for line in sys.stdin:
    if not (child := os.fork()):
        app.cli.main(json.loads(line), prog_name="hoard")
    print(child, flush=True)
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

    def __init__(self, variables: dict[str, str]) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            env={**os.environ, **variables, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def kill(self, command: list[str], seen: Callable[[], set[Any]], most: int) -> int:
        """Build, and kill it once it has put so many files: its exit status, 0 if it was quicker than we look."""
        before, found = seen(), set[Any]()
        child = int(self._ask(["dataset", "build", *command, "--json"]))
        ended = select.poll()
        ended.register(descriptor := os.pidfd_open(child), select.POLLIN)

        def ripe() -> bool:
            found.update(seen() - before)
            return len(found) >= most or bool(ended.poll(0))

        try:
            eventually(ripe, 60, "the build has come so far")
        finally:
            os.close(descriptor)
            os.kill(child, signal.SIGKILL)  # it is there, dead or alive, until its parent is told to look
            status = int(self._ask([]))
        assert status in (0, -signal.SIGKILL)
        return status

    def _ask(self, line: list[str]) -> str:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(line) + "\n")
        while not (said := self._parent.stdout.readline().strip()).lstrip("-").isdigit():
            assert self._parent.poll() is None
        return said


def test_a_build_that_is_killed_leaves_no_half_release_and_the_next_one_ends_it(
    gallery: Gallery, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    objects, dice = emptied(settings), random.Random()
    with gallery.publisher() as publisher:
        for seed in range(3):
            publisher.publish(gallery.deliver(picture(64, 64, seed=seed), width=64, height=64).position)
    variables = settings.to_env()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    folder, work, quiet = (tmp_path / name for name in ("folder", "work", "quiet"))
    for each in (folder, work, quiet):
        each.mkdir()
    shelf, bucket = Shelf(objects, settings.bucket_datasets), settings.bucket_datasets
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        source = source_of(settings, connection, objects)
        at = source.log.last()
        release = build(source, at, quiet)
    whole = contents(quiet / release.name)
    to_folder, to_bucket = ["--to", str(folder)], ["--bucket", "--work", str(work)]

    def files(place: Path) -> set[Any]:
        found = set()
        for path in place.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                found.add((path.name, path.stat().st_ino))
        return found

    def uploads() -> set[Any]:
        return {entry.key for entry in objects.entries(bucket, "releases/")}

    with Builders(variables) as builders:
        for command, seen in (
            (to_folder, lambda: files(folder)),
            (to_folder, lambda: files(folder)),
            (to_bucket, lambda: files(work)),
            (to_bucket, uploads),
        ):
            most = dice.randint(1, len(whole))
            builders.kill(["--at", str(at), *command], seen, most)
            there = folder / release.name
            assert not there.exists() or contents(there) == whole, f"killed at {most} files"
            assert shelf.releases() in ([], [release]), f"killed at {most} files"

    for command in (to_folder, to_bucket):
        done = CliRunner().invoke(dataset_group, ["build", "--at", str(at), *command, "--json"])
        assert done.exit_code == 0, done.output
    assert check(folder / release.name).faults == ()
    assert contents(folder / release.name) == whole
    stored = everything(objects, bucket, f"releases/{release.name}/")
    assert {name.removeprefix(f"releases/{release.name}/"): data for name, data in stored.items()} == whole
    assert (shelf.names(), shelf.releases()) == ([release.name], [release])
    assert [path.name for path in folder.iterdir()] == [release.name], "nothing unfinished is left"
    assert list(work.iterdir()) == []


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
