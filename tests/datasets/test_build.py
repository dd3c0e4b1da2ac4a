"""What a release holds and what it never holds, and that it comes out the same however it was built."""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from app.datasets import build as building
from app.datasets.build import BuildError, Source, build
from app.datasets.checking import check, diff
from app.datasets.people import People
from app.datasets.splits import prompt_hash
from app.estimation.model import fit
from app.estimation.table import Given, table_of
from benchmarks.made_up_release import IMPORTED_SET, MadeUp, submitted
from events.images import (
    SHARED_SET,
    PictureCaseDecided,
    PictureReported,
    PictureReportReason,
    PicturesTakenDown,
    RedistributionSet,
    TakenDown,
)
from events.moderation import Verdict
from events.sharing import PicturePublished, ShareConsentGiven
from tests.datasets.conftest import PEPPER, source_of


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def column(release: Path, table: str, name: str) -> list[object]:
    values: list[object] = (
        ds.dataset(release / table, format="parquet").to_table(columns=[name])[name].to_pylist()
    )
    return values


def small(**more: object) -> MadeUp:
    return MadeUp(12, 60, users=5, withdrawn=(2,), **more)  # type: ignore[arg-type]


class Dies(Exception):
    """The process ends here."""


def test_built_twice_it_is_the_same_to_the_byte(release: Path, log: MadeUp, tmp_path: Path):
    again = tmp_path / build(source_of(log), log.last(), tmp_path).name
    assert files(again) == files(release)
    assert check(release).faults == ()


@pytest.mark.parametrize(
    "dies_in", ["write_part", "write_imported", "rating_rows", "croissant", "encode_release"]
)
def test_killed_anywhere_and_run_again_it_ends_the_same(
    dies_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = small(imports=3)
    whole = tmp_path / "whole" / build(source_of(log), log.last(), tmp_path / "whole").name

    def die(*_: object, **__: object) -> None:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(building, dies_in, die)
        with pytest.raises(Dies):
            build(source_of(log), log.last(), tmp_path)
    assert not (tmp_path / whole.name).exists(), "what is not finished has no name"
    before = log.fetched
    build(source_of(log), log.last(), tmp_path)
    assert files(tmp_path / whole.name) == files(whole)
    if dies_in != "write_part":
        assert log.fetched == before, "what was finished is not made again"


def test_a_finished_part_that_was_damaged_is_made_again(tmp_path: Path):
    log = small()
    name = build(source_of(log), log.last(), tmp_path).name
    sound = files(tmp_path / name)
    (tmp_path / name / "images" / "00000.tar").write_bytes(b"no tar")
    assert check(tmp_path / name).faults
    build(source_of(log), log.last(), tmp_path)
    assert files(tmp_path / name) == sound


def test_the_robust_score_can_be_computed_again_from_the_releases_own_ratings(release: Path):
    given = [
        Given(
            rater=uuid5(NAMESPACE_OID, row["user_id"]),
            picture=UUID(row["id"]),
            value=row["rating"],
            position=row["position"],
            at=0.0,
        )
        for row in pq.read_table(release / "ratings").to_pylist()
        if not (row["own"] or row["again"] or row["suspect"]) and row["account_kind"] != "ANONYMOUS"
    ]
    table = table_of(given)
    fitted = fit(table)
    mine = dict(zip(table.pictures, zip(fitted.score, fitted.error, strict=True), strict=True))
    rows = [row for row in pq.read_table(release / "aggregates").to_pylist() if row["n_trusted"]]
    assert len(rows) == len(mine) > 100
    for row in rows:
        assert (row["robust_score"], row["robust_error"]) == pytest.approx(mine[UUID(row["id"])])
    assert any(abs(row["robust_score"] - row["mean"]) > 0.5 for row in rows), "it is not the mean"


def test_what_was_withdrawn_is_named_and_not_there(release: Path, log: MadeUp):
    gone = {str(picture) for picture in log.gone}
    assert set(column(release, "splits", "id")).isdisjoint(gone)
    assert set(column(release, "ratings", "id")).isdisjoint(gone)
    assert set(column(release, "aggregates", "id")).isdisjoint(gone)
    assert (
        set(column(release, "pairs", "image_0_uid")) | set(column(release, "pairs", "image_1_uid"))
    ).isdisjoint(gone)
    for path in (release / "images").glob("*.tar"):
        with tarfile.open(path) as tar:
            assert {name.partition(".")[0] for name in tar.getnames()}.isdisjoint(gone)
    lines = (release / "TOMBSTONES").read_text().splitlines()
    assert {line.split()[1] for line in lines} == gone
    assert all(len(line.split()[0]) == 64 and line.split()[2] == "CONSENT_WITHDRAWN" for line in lines)


def test_what_is_withdrawn_after_the_cut_is_not_there_either(tmp_path: Path):
    before = MadeUp(12, 60, users=5)
    cut = before.last()
    first = tmp_path / "a" / build(source_of(before), cut, tmp_path / "a").name
    after = small()
    second = tmp_path / "b" / build(source_of(after), cut, tmp_path / "b").name
    assert first.name == second.name
    told = diff(first, second)
    gone = {str(picture) for picture in after.gone}
    assert {name.removesuffix(".webp") for name in told.tables["metadata"].some_removed} == gone
    assert told.tables["metadata"].added == told.tables["metadata"].changed == 0
    assert {line.split()[0] for line in told.buried} == gone
    assert told.unexplained == ()
    assert diff(first, first).tables["ratings"].changed == 0


@pytest.mark.parametrize("verdict", [None, Verdict.UPHELD, Verdict.DISMISSED])
def test_a_reported_picture_is_not_in_it_until_the_report_is_dismissed(
    verdict: Verdict | None, tmp_path: Path
):
    picture, case = MadeUp.picture(0), uuid4()
    told = {"case": case, "picture": picture, "image_set": SHARED_SET}
    extra: list[object] = [PictureReported(**told, rater=MadeUp.user(1), reason=PictureReportReason.PERSONAL)]
    if verdict is not None:
        extra.append(PictureCaseDecided(**told, verdict=verdict))
    log = small(extra=extra)
    name = build(source_of(log), log.last(), tmp_path).name
    there = str(picture) in column(tmp_path / name, "splits", "id")
    assert there == (verdict is Verdict.DISMISSED)
    assert (str(picture) in (tmp_path / name / "TOMBSTONES").read_text()) != there


def test_a_takedown_reaches_imports(tmp_path: Path):
    log = small(imports=3)
    name = build(source_of(log), log.last(), tmp_path).name
    listed = [each for each in column(tmp_path / name, "metadata", "image_name") if each]
    shared = {f"{MadeUp.picture(number)}.webp" for number in range(12)}
    imported = next(str(each) for each in listed if each not in shared)
    gone = TakenDown(picture=UUID(imported[:-5]), image_set=SHARED_SET, job=None)
    after = small(imports=3, extra=[PicturesTakenDown(takedown=uuid4(), pictures=(gone,))])
    name = build(source_of(after), after.last(), tmp_path).name
    assert imported not in column(tmp_path / name, "metadata", "image_name")
    assert f"{imported[:-5]} TAKEN_DOWN" in (tmp_path / name / "TOMBSTONES").read_text()


@pytest.mark.parametrize("fault", ["no consent", "a source picture"])
def test_what_should_never_have_been_published_is_in_no_release(fault: str, tmp_path: Path):
    job, picture, requester = uuid4(), uuid4(), MadeUp.user(1)
    from_picture = {"source_mask": True} if fault == "a source picture" else {}
    extra: list[object] = [submitted(job, requester, (picture,), **from_picture)]
    if fault != "no consent":
        extra.append(ShareConsentGiven(job=job, requester=requester, text_version=1))
    extra.append(
        PicturePublished(
            job=job,
            requester=requester,
            generation=picture,
            sha256="0" * 64,
            perceptual_hash="0" * 16,
            width=1,
            height=1,
            size=1,
        )
    )
    log = small(extra=extra)
    with pytest.raises(BuildError, match="without consent, or from source"):
        build(source_of(log), log.last(), tmp_path)


def test_a_picture_that_is_lost_or_another_one_stops_the_build(tmp_path: Path):
    log = small()
    log.gone.add(MadeUp.picture(0))
    with pytest.raises(BuildError, match="is not in the shared bucket"):
        build(source_of(log), log.last(), tmp_path)
    with pytest.raises(BuildError, match="no position"):
        build(source_of(log), log.last() + 1, tmp_path)


def test_no_prompt_and_no_requester_is_in_two_splits(release: Path):
    table = ds.dataset(release / "splits", format="parquet").to_table().to_pylist()
    anonymous = People(PEPPER, 0).hash(bytes(16))
    of_prompt: dict[str, set[str]] = {}
    of_user: dict[str, set[str]] = {}
    for row in table:
        of_prompt.setdefault(row["prompt_hash"], set()).add(row["split"])
        if row["user_id"] not in (None, anonymous):
            of_user.setdefault(row["user_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in (*of_prompt.values(), *of_user.values()))
    assert {split for splits in of_prompt.values() for split in splits} == {"train", "validation", "test"}
    assert prompt_hash("A  castle ") == prompt_hash("a castle") != prompt_hash("a castle!")


def test_hashes_of_people_need_the_key(release: Path, log: MadeUp):
    known = People(PEPPER, 0)
    assert known.hash(MadeUp.user(1).bytes) in column(release, "ratings", "user_id")
    for other in (People("another pepper entirely", 0), People(PEPPER, 1)):
        ours = {known.hash(MadeUp.user(number).bytes) for number in range(24)}
        assert ours.isdisjoint({other.hash(MadeUp.user(number).bytes) for number in range(24)})
    text = b"".join(files(release).values())
    assert all(str(MadeUp.user(number)).encode() not in text for number in range(1, 24))


def test_every_row_leads_to_its_event(release: Path, log: MadeUp):
    rows = ds.dataset(release / "metadata", format="parquet").to_table().to_pylist()
    hashes = {
        event.position: event.hash.hex() for event in log.events(0, log.last(), ["sharing.PicturePublished"])
    }
    shared = [row for row in rows if row["user_type"] != "import"]
    assert shared
    assert all(hashes[row["position"]] == row["event_hash"] for row in shared)
    assert all(row["consent_position"] < row["position"] and row["consent_version"] == 1 for row in shared)
    said = json.loads((release / "release.json").read_text())
    assert said["log_hash"] == log.at(said["position"]).hash.hex()


def test_a_changed_file_is_found(release: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(release, copy)
    (copy / "ratings" / "part-00000.parquet").write_bytes(b"")
    (copy / "LICENSE").unlink()
    (copy / "more").write_text("x")
    assert len(check(copy).faults) == 3


def test_withdrawing_changes_one_part_and_makes_no_other_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.datasets.scratch.PART_PICTURES", 4)
    before, after = MadeUp(12, 30, users=5), MadeUp(12, 30, users=5, withdrawn=(2,))
    cut = before.last()
    build(source_of(before), cut, tmp_path)
    tars = {path.name: path.read_bytes() for path in tmp_path.glob("*/images/*.tar")}
    build(source_of(after), cut, tmp_path)
    assert after.fetched == 2, "what is left of the part that the job was in"
    left = {path.name: path.read_bytes() for path in tmp_path.glob("*/images/*.tar")}
    assert set(tars) == {"00000.tar", "00001.tar", "00002.tar"}
    assert {name for name in tars if left.get(name) != tars[name]} == {"00001.tar"}


def test_a_source_without_pictures_makes_a_release_of_nothing(tmp_path: Path):
    log = MadeUp(2, 0, users=2)
    name = build(Source(log, log, People(PEPPER, 0)), 1, tmp_path).name
    assert check(tmp_path / name).faults == ()
    assert json.loads((tmp_path / name / "release.json").read_text())["pictures"] == 0


def imported_tars(release: Path) -> dict[str, bytes]:
    """The files in the tars of copies."""
    found = {}
    for path in sorted((release / "images").glob("imported-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                opened = tar.extractfile(member)
                assert opened is not None
                found[member.name] = opened.read()
    return found


def built(log: MadeUp, folder: Path, position: int | None = None) -> Path:
    return folder / build(source_of(log), position or log.last(), folder).name


def test_copies_of_imports_are_in_it_where_their_licence_allows(tmp_path: Path):
    log = small(imports=5, copies=3)
    release = built(log, tmp_path / "a")
    there = {str(log.imported(number)) for number in range(3)}
    inside = imported_tars(release)
    assert {name.partition(".")[0] for name in inside} == there
    one = str(log.imported(0))
    about = json.loads(inside[f"{one}.json"])
    assert about["sha256"] == hashlib.sha256(inside[f"{one}.webp"]).hexdigest()
    assert (about["licence"], about["set_name"]) == ("CC-BY-4.0", "found")
    assert inside[f"{one}.txt"].decode() == about["caption"] == f"found {log.imported(0).hex[:6]}"
    rows = {
        row["image_name"][:-5]: row
        for row in ds.dataset(release / "metadata", format="parquet").to_table().to_pylist()
        if row["user_type"] == "import"
    }
    assert {name for name, row in rows.items() if row["part_id"] == 0} == there
    assert {row["original_sha256"] for name, row in rows.items() if name not in there} == {None}
    assert all(row["url"] for row in rows.values())
    said = json.loads((release / "release.json").read_text())
    assert said["pictures"] == 12 - 2 + 3
    assert check(release).faults == ()
    assert files(built(log, tmp_path / "b")) == files(release), "built again it is the same"


def test_without_a_licence_that_allows_it_there_are_hashes_only(tmp_path: Path):
    log = small(imports=5, copies=3, redistributed=False)
    release = built(log, tmp_path)
    assert imported_tars(release) == {}
    table = ds.dataset(release / "metadata", format="parquet").to_table().to_pylist()
    copied = [row for row in table if row["original_sha256"] is not None]
    assert len(copied) == 3
    assert all(row["sha256"] and row["phash"] and row["url"] and row["part_id"] is None for row in copied)
    assert "Imported pictures are not here" in (release / "README.md").read_text()


@pytest.mark.parametrize("first", [True, False])
def test_a_licence_that_is_taken_back_reaches_earlier_releases_and_one_that_is_given_does_not(
    first: bool, tmp_path: Path
):
    before = small(imports=5, copies=3, redistributed=first)
    cut = before.last()
    release = built(before, tmp_path / "a")
    changed = RedistributionSet(image_set=IMPORTED_SET, allowed=not first)
    after = small(imports=5, copies=3, redistributed=first, extra=[changed])
    again = built(after, tmp_path / "b", cut)
    if first:
        assert imported_tars(release)
        assert not imported_tars(again)
        assert diff(release, again).unexplained == (), "their rows stay"
    else:
        assert files(again) == files(release)
        assert imported_tars(built(after, tmp_path / "c"))


def test_a_takedown_of_a_copy_changes_its_tar_and_leaves_a_tombstone(tmp_path: Path):
    log = small(imports=5, copies=3)
    cut, gone = log.last(), log.imported(1)
    release = built(log, tmp_path / "a")
    taken = PicturesTakenDown(
        takedown=uuid4(), pictures=(TakenDown(picture=gone, image_set=IMPORTED_SET, job=None),)
    )
    again = built(small(imports=5, copies=3, extra=[taken]), tmp_path / "b", cut)
    assert f"{gone}.webp" in imported_tars(release)
    assert {name.partition(".")[0] for name in imported_tars(again)} == {
        str(log.imported(number)) for number in (0, 2)
    }
    sha256 = hashlib.sha256(log.copy(gone, _sha256_of(log, gone))).hexdigest()
    assert f"{sha256} {gone} TAKEN_DOWN" in (again / "TOMBSTONES").read_text()
    shared = "images/00000.tar"
    assert files(release)[shared] == files(again)[shared], "other tars are as they were"


def _sha256_of(log: MadeUp, picture: UUID) -> str:
    (found,) = (
        event["sha256"]
        for recorded in log.events(0, log.last(), ["images.PictureMirrored"])
        if (event := json.loads(recorded.data))["picture"] == str(picture)
    )
    return str(found)


def test_a_release_says_where_it_is_published(tmp_path: Path):
    log = small()
    there = replace(source_of(log), address="https://data.example/releases/")
    name = build(there, log.last(), tmp_path).name
    said = json.loads((tmp_path / name / "croissant.json").read_text())
    assert said["url"] == f"https://data.example/releases/{name}/"
    unsaid = json.loads((built(log, tmp_path / "b") / "croissant.json").read_text())
    assert unsaid["url"] == "./"
    assert {files["includes"] for files in unsaid["distribution"]} >= {"images/*.tar", "ratings/*.parquet"}


def test_words_that_are_erased_change_the_tar_of_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = small(imports=5, copies=3)
    release = built(log, tmp_path)
    one = f"{log.imported(0)}.json"
    assert json.loads(imported_tars(release)[one])["url"]
    monkeypatch.setattr(log, "words", lambda _: {})
    built(log, tmp_path)
    about = json.loads(imported_tars(release)[one])
    assert (about["url"], about["caption"]) == (None, None)
