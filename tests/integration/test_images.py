"""Importing pictures to rate and taking pictures down, against the real database and storage.

Whatever is killed and run again adds nothing twice and leaves nothing behind.
"""

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.actors_main import make_pool, make_remover
from app.images.importing import Importer, Progress, RefusedError, SetOptions
from app.images.sources import Bad, SourceError, open_source
from app.images.takedown import Remover
from app.platform.commands import Command, Decision, Done, Needs, Request, Result, Rule, rules
from app.platform.ids import new_id
from app.platform.objects import imported_key, imported_prefix
from app.platform.settings import Settings
from app.platform.writer import Writer
from events.images import PictureCaseDecided, PictureReported, PictureReportReason
from events.moderation import Verdict
from tests.gallery import ALL_RULES, Gallery, picture

SET = SetOptions(name="laion-sample", licence="CC-BY-4.0", target=3, description="a sample")


class Given(Command, frozen=True, kw_only=True):
    """Facts about one picture by one rater, undecided."""

    events: tuple[Any, ...]
    picture: UUID
    rater: UUID


class Taken(Result, frozen=True, kw_only=True):
    """They are in the log."""


GIVEN = Rule(
    Given,
    Taken,
    lambda c: Needs(pictures=(c.picture,), raters=(c.rater,)),
    lambda c, _: Decision(c.events, Taken()),
)


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES | rules((GIVEN,))))


@pytest.fixture
def importer(gallery: Gallery) -> Iterator[Importer]:
    settings = gallery.settings
    with make_pool(settings) as pool:
        yield Importer(
            realm=settings.realm,
            pool=pool,
            writer=gallery.writer,
            objects=gallery.objects,
            bucket=settings.bucket_datasets,
        )


@pytest.fixture
def remover(gallery: Gallery) -> Iterator[Remover]:
    with make_pool(gallery.settings) as pool:
        yield make_remover(gallery.settings, pool, gallery.writer)


def load(importer: Importer, path: Path, options: SetOptions = SET) -> tuple[Progress, list[Bad]]:
    bad: list[Bad] = []
    return importer.run(open_source(path), options, lambda _: None, bad.append), bad


def pictures(application: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return application.execute(
        "SELECT p.id, p.state, p.wanted, p.nsfw, p.sha256, v.url, v.key, v.caption, v.punsafe "
        "FROM projections.pictures p JOIN vault.imported_picture v ON v.picture = p.id ORDER BY v.url, p.id"
    ).fetchall()


def table(count: int = 1_200) -> list[dict[str, Any]]:
    return [
        {
            "URL": f"https://pictures.example/{number}.jpg",
            "TEXT": f"picture {number}",
            "WIDTH": 640,
            "HEIGHT": 480,
            "NSFW": "UNLIKELY" if number % 2 else "NSFW",
            "punsafe": 0.25,
        }
        for number in range(count)
    ]


def test_a_table_of_addresses_is_imported_once(
    importer: Importer, application: psycopg.Connection[Any], tmp_path: Path
):
    rows = table()
    rows[7]["URL"] = "http://plain.example/a.jpg"
    rows[8]["URL"] = ""
    rows[9]["URL"] = rows[10]["URL"]
    rows[11]["WIDTH"] = 10**9
    path = tmp_path / "sample.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    done, bad = load(importer, path)
    assert (done.done, done.added, done.bad) == (1_200, 1_196, 3)
    assert [(row.number, row.reason) for row in bad] == [
        (8, "not https"),
        (9, "no address"),
        (12, "width is not 0 to 65535 pixels"),
    ]
    found = pictures(application)
    assert len(found) == 1_196
    assert {(state, wanted) for _, state, wanted, *_ in found} == {("OPEN", 3)}
    assert sum(row[3] for row in found) == sum(
        row["NSFW"] == "NSFW" for i, row in enumerate(rows) if i not in (7, 8, 9, 11)
    )
    assert {row[8] for row in found} == {0.25}
    again, _ = load(importer, path)
    assert again == done, "it was finished"
    copied = tmp_path / "copy.csv"
    with copied.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    other, _ = load(importer, copied)
    assert (other.added, other.repeated, other.bad) == (0, 1_197, 3)
    assert len(pictures(application)) == 1_196


class DiesError(Exception):
    """The process, as far as the test goes."""


class Dies:
    """Storage at whose first call the process dies."""

    def __getattr__(self, name: str) -> Any:
        raise DiesError


def test_an_import_that_is_killed_goes_on_where_it_was(
    importer: Importer, application: psycopg.Connection[Any], tmp_path: Path
):
    path = tmp_path / "sample.parquet"
    parquet.write_table(pa.Table.from_pylist(table()), path)

    def die(progress: Progress) -> None:
        if progress.done >= 1_000:
            raise DiesError

    with pytest.raises(DiesError):
        importer.run(open_source(path), SET, die, lambda _: None)
    seen: list[int] = []
    done = importer.run(open_source(path), SET, lambda progress: seen.append(progress.done), lambda _: None)
    assert seen == [1_200], "the first thousand are not read again"
    assert (done.added, len(pictures(application))) == (1_200, 1_200)


def folder(path: Path) -> Path:
    """Three pictures, one of which is none, with what lies beside them."""
    path.mkdir()
    (path / "a.png").write_bytes(picture(kind="PNG", width=96, height=64))
    (path / "a.txt").write_text("a caption\n")
    (path / "a.json").write_text(json.dumps({"NSFW": "UNLIKELY", "AESTHETIC_SCORE": 5.5}))
    (path / "b.webp").write_bytes(picture(seed=1, width=64, height=64))
    (path / "c.jpg").write_bytes(b"no picture")
    return path


def tar_of(path: Path) -> Path:
    with tarfile.open(path.with_suffix(".tar"), "w") as tar:
        for file in sorted(path.iterdir()):
            member = tarfile.TarInfo(file.name)
            member.size = file.stat().st_size
            tar.addfile(member, io.BytesIO(file.read_bytes()))
    return path.with_suffix(".tar")


@pytest.mark.parametrize("as_tar", [False, True])
def test_files_are_imported_with_a_clean_copy_of_each(
    importer: Importer,
    gallery: Gallery,
    application: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    as_tar: bool,
):
    source = folder(tmp_path / "pictures")
    source = tar_of(source) if as_tar else source
    put = gallery.objects.put

    def dies(*arguments: Any) -> str:
        put(*arguments)
        raise DiesError

    with monkeypatch.context() as patched:
        patched.setattr(gallery.objects, "put", dies)
        with pytest.raises(DiesError):
            load(importer, source)
    assert len(pictures(application)) == 2, "the log knows them, and no copy"
    done, bad = load(importer, source)
    assert (done.done, done.bad, [row.number for row in bad]) == (3, 1, [3])
    found = {row[7]: row for row in pictures(application)}
    assert set(found) == {"a caption", None}
    key, state, _, nsfw, sha256, url, place, *_ = found["a caption"]
    assert (state, nsfw, url, place) == ("OPEN", False, "", imported_key(key, sha256))
    lies = gallery.objects.get(gallery.settings.bucket_datasets, place)
    assert lies[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "Not A Name"}, "lower case"),
        ({"licence": "free for all"}, "SPDX"),
        ({"target": 0}, "1 to 100"),
        ({"description": "x" * 2_001}, "at most 2000"),
    ],
)
def test_a_set_that_cannot_be_is_refused(
    importer: Importer, tmp_path: Path, changed: dict[str, Any], says: str
):
    path = tmp_path / "sample.csv"
    path.write_text("url\nhttps://pictures.example/1.jpg\n")
    options = {name: getattr(SET, name) for name in SET.__struct_fields__} | changed
    with pytest.raises(RefusedError, match=says):
        load(importer, path, SetOptions(**options))
    load(importer, path)
    with pytest.raises(RefusedError, match=r"licence CC-BY-4\.0"):
        load(
            importer,
            path,
            SetOptions(**{**{n: getattr(SET, n) for n in SET.__struct_fields__}, "licence": "MIT"}),
        )


def test_what_is_no_source_is_told(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"no table")
    (tmp_path / "b.csv").write_text("name\nx\n")
    (tmp_path / "empty").mkdir()
    for name, says in (("a.parquet", "no Parquet"), ("b.csv", "no column url"), ("empty", "no pictures")):
        with pytest.raises(SourceError, match=says):
            open_source(tmp_path / name)


# takedowns


def ordered(gallery: Gallery, **what: Any) -> tuple[UUID, int]:
    takedown = gallery.take_down(**what)
    with psycopg.connect(gallery.settings.database_url) as connection:
        row = connection.execute("SELECT max(position) FROM log.event").fetchone()
    assert row is not None
    return takedown, row[0]


def test_a_takedown_takes_what_is_shared_and_what_was_imported(
    gallery: Gallery,
    importer: Importer,
    remover: Remover,
    application: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    shared, other = gallery.deliver(picture()), gallery.deliver(picture(seed=5))
    for delivery in (shared, other):
        gallery.publish(delivery.position)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(picture(kind="JPEG"))
    load(importer, tmp_path / "pictures")
    ((imported, *_),) = pictures(application)
    (published,) = gallery.verdicts(shared.generation)
    takedown, position = ordered(gallery, perceptual_hash=published["perceptual_hash"], distance=6)
    with monkeypatch.context() as patched:
        patched.setattr(remover, "_objects", Dies())
        with pytest.raises(DiesError):
            remover.carry_out(position)
    for _ in range(2):
        remover.carry_out(position)
    assert gallery.shared(shared.generation) == (None, None)
    assert None not in gallery.shared(other.generation)
    bucket = gallery.settings.bucket_datasets
    assert not list(gallery.objects.entries(bucket, imported_prefix(imported)))
    states = dict(application.execute("SELECT id, state FROM projections.pictures").fetchall())
    assert states == {shared.generation: "REMOVED", imported: "REMOVED", other.generation: "OPEN"}
    gone = application.execute(
        "SELECT sha256, withheld FROM projections.generations WHERE id = %s", (shared.generation,)
    ).fetchone()
    assert gone == (None, "TAKEN_DOWN")
    row = application.execute(
        "SELECT taken, complete FROM projections.takedowns WHERE id = %s", (takedown,)
    ).fetchone()
    assert row == (2, True)
    gallery.publish(shared.position)
    assert gallery.shared(shared.generation) == (None, None), "it does not come back"
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "b.jpg").write_bytes(picture(kind="JPEG"))
    _, bad = load(importer, tmp_path / "again")
    assert [row.reason for row in bad] == ["it was taken down"]


def test_a_report_that_is_upheld_takes_the_picture_down(
    gallery: Gallery, remover: Remover, application: psycopg.Connection[Any]
):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    named = {"picture": delivery.generation, "image_set": _set_of(application), "case": new_id()}
    events = (
        PictureReported(rater=gallery.requester, reason=PictureReportReason.ILLEGAL, **named),
        PictureCaseDecided(verdict=Verdict.UPHELD, **named),
    )
    given = Given(events=events, picture=delivery.generation, rater=gallery.requester)
    decided = gallery.writer.execute_sync(Request(given, new_id()))
    assert isinstance(decided, Done)
    for _ in range(2):
        remover.uphold(decided.position)
    (ordered_at,) = application.execute(
        "SELECT position FROM log.event WHERE type = 'images.TakedownOrdered'"
    ).fetchall()
    remover.carry_out(ordered_at[0])
    assert gallery.shared(delivery.generation) == (None, None)


def _set_of(application: psycopg.Connection[Any]) -> UUID:
    row = application.execute("SELECT image_set FROM projections.pictures").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def test_a_file_that_is_taken_down_while_it_is_imported_is_shown_to_nobody(
    gallery: Gallery,
    importer: Importer,
    application: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "pictures").mkdir()
    for number, name in enumerate(("a", "b")):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(picture(64, 64, kind="PNG", seed=number))
    hashes = [hashlib.sha256(picture(64, 64, kind="PNG", seed=number)).hexdigest() for number in range(2)]
    put = gallery.objects.put

    def ordered(*arguments: Any) -> str:
        etag = put(*arguments)
        if hashes:
            gallery.take_down(sha256=hashes.pop(0))
        return etag

    with monkeypatch.context() as patched:
        patched.setattr(importer._objects, "put", ordered)
        done, bad = load(importer, tmp_path / "pictures")
    assert (done.added, [row.reason for row in bad]) == (2, ["it was taken down"] * 2)
    assert [row[1] for row in pictures(application)] == ["REMOVED"] * 2
    bucket = gallery.settings.bucket_datasets
    for row in pictures(application):
        assert not list(gallery.objects.entries(bucket, imported_prefix(row[0])))
