"""Copies of imported pictures, fetched from a stranger's server into the real bucket: each is had whole, or given up with a reason.

"Outside" is 127.0.0.2, which the settings open; 127.0.0.1 is inside. Look next: `tests/hostile/test_sources.py` for all
that servers may do.
"""

import asyncio
import csv
import hashlib
import io
import json
import ssl
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from app.actors_main import make_mirrorer, make_pool, make_remover
from app.dataset_commands import dataset_group
from app.images.decider import picture_id, set_id
from app.images.mirroring import Limits, Mirrorer, enqueue
from app.main import make_services, run_services
from app.platform import alone as locks
from app.platform.alone import alone
from app.platform.objects import imported_key, imported_prefix
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.ratings.links import links_of
from tests.acceptance.processes import Process
from tests.gallery import ALL_RULES, Gallery, eventually, picture
from tests.stranger import INSIDE, OUTSIDE, PEM, Says, Stranger, answer, redirect

HOST = "pictures.example"
NAME = "found"
SET = set_id(NAME)
LIMITS = Limits(at_once=8, of_one_host=8, most_bytes=200_000, seconds=5.0)


async def outside(_host: str, _port: int) -> Sequence[str]:
    return [OUTSIDE]


class House(Gallery):
    """A realm with a set of addresses at a stranger's server."""

    def __init__(self, settings: Settings, writer: Writer, stranger: Stranger, folder: Path) -> None:
        super().__init__(msgspec.structs.replace(settings, source_networks=f"{OUTSIDE}/32"), writer)
        self.stranger = stranger
        self.folder = folder
        self.bucket = settings.bucket_datasets

    def command(self, *arguments: str) -> Any:
        """What a command says, as JSON."""
        told = CliRunner(env=self.settings.to_env()).invoke(dataset_group, [*arguments, "--json"])
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    def load(self, *paths: str, hashes: Sequence[str] = (), mirror: bool = True) -> None:
        """Import the addresses of paths, and let them be mirrored."""
        table = self.folder / f"{paths[0]}.csv"
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("url", "text", "sha256"))
            for number, path in enumerate(paths):
                told = hashes[number] if number < len(hashes) else ""
                rows.writerow((self.stranger.url(path, HOST), f"about {path}", told))
        options = ["--set", NAME, "--licence", "CC-BY-4.0", *(["--mirror"] if mirror else [])]
        done = self.command("import", str(table), *options)
        assert done["added"] == len(paths)
        assert done["queued"] == (len(paths) if mirror else 0)

    def id(self, path: str) -> UUID:
        return picture_id(SET, self.stranger.url(path, HOST))

    @contextmanager
    def mirrorer(self, **parts: Any) -> Iterator[Mirrorer]:
        """The part of the actors' process that mirrors; `parts` replace its own, by their private names."""
        made = make_mirrorer(self.settings, self.writer)
        tls = ssl.create_default_context(cafile=str(PEM))
        for name, part in {"limits": LIMITS, "lookup": outside, "tls": tls, **parts}.items():
            setattr(made, f"_{name}", part)
        try:
            yield made
        finally:
            made.close()

    def mirror(self, **parts: Any) -> int:
        """Settle all that is due."""
        count = 0
        with self.mirrorer(**parts) as mirrorer:
            while done := mirrorer.step():
                count += done
        return count

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def facts(self, path: str) -> list[tuple[str, dict[str, Any]]]:
        """What happened to a picture after it was imported."""
        rows = self.sql(
            "SELECT type, data FROM log.event WHERE stream = %s ORDER BY position", f"picture-{self.id(path)}"
        )
        return [(kind.rpartition(".")[2], json.loads(data)) for kind, data in rows]

    def fault(self, path: str) -> str | None:
        """Why there is no copy of a picture; None if nothing is said."""
        reasons = [data["reason"] for kind, data in self.facts(path) if kind == "MirrorFailed"]
        assert len(reasons) <= 1, "it is said once"
        return reasons[0] if reasons else None

    def state(self, path: str) -> tuple[Any, ...]:
        """State, hash of the copy, where it lies."""
        (row,) = self.sql(
            "SELECT p.state, p.sha256, v.key FROM projections.pictures p JOIN vault.imported_picture v "
            "ON v.picture = p.id WHERE p.id = %s",
            self.id(path),
        )
        return row

    def copies(self, path: str) -> list[str]:
        return [entry.key for entry in self.objects.entries(self.bucket, imported_prefix(self.id(path)))]

    def waiting(self) -> list[tuple[UUID, int]]:
        return self.sql("SELECT picture, attempts FROM vault.mirror_wait ORDER BY due, picture")

    def make_due(self) -> None:
        self.sql("UPDATE vault.mirror_wait SET due = now()")

    def order(self, **what: Any) -> int:
        """Order a takedown; its position."""
        self.take_down(**what)
        (row,) = self.sql("SELECT max(position) FROM log.event WHERE type = 'images.TakedownOrdered'")
        return int(row[0])


@pytest.fixture
def house(settings: Settings, start_writer: Callable[..., Writer], tmp_path: Path) -> Iterator[House]:
    with Stranger(tls=True) as stranger:
        yield House(settings, start_writer(rules=ALL_RULES), stranger, tmp_path)


def told_picture() -> bytes:
    """A PNG that says more than its picture."""
    about = PngImagePlugin.PngInfo()
    about.add_text("parameters", "a secret prompt")
    output = io.BytesIO()
    Image.open(io.BytesIO(picture(96, 64))).save(output, "PNG", pnginfo=about)
    return output.getvalue()


def pages(stranger: Stranger, inside: Stranger) -> dict[str, str | None]:
    """What a server says to each path, and what comes of it; None for a copy."""
    good = told_picture()

    def drip() -> Says:
        yield b"HTTP/1.1 200 OK\r\n\r\n" + good[:40]
        for byte in good[40:]:
            if stranger.over.wait(0.05):
                return
            yield bytes([byte])

    stranger.pages |= {
        "/good": answer(good),
        "/moved": redirect("/good"),
        "/known": answer(good),
        "/changed": answer(good),
        "/inside": redirect(f"http://{INSIDE}:{inside.port}/secret"),
        "/meta": redirect("http://169.254.169.254/latest/meta-data"),
        "/large": answer(picture(2_000, 2_000, kind="PNG") + bytes(200_000)),
        "/page": answer(b"<html>" * 10),
        "/declined": answer(good, x_robots_tag="noai, noimageai"),
        "/indexed": answer(good, x_robots_tag="otherbot: noindex"),
        "/cut": answer(good[:-40]),
        "/drip": drip,
    }
    return {
        "good": None,
        "moved": None,
        "known": None,
        "changed": "CHANGED",
        "inside": "FORBIDDEN_ADDRESS",
        "meta": "FORBIDDEN_ADDRESS",
        "large": "TOO_LARGE",
        "page": "NO_PICTURE",
        "declined": "DECLINED",
        "indexed": None,
        "cut": "NO_PICTURE",
        "drip": "TOO_SLOW",
        "missing": "UNREACHABLE",
    }


def test_each_address_has_a_copy_or_a_reason(house: House):
    sha256 = hashlib.sha256(told_picture()).hexdigest()
    with Stranger(INSIDE, secret=answer(b"secret")) as inside:
        wanted = pages(house.stranger, inside)
        hashes = [{"known": sha256.upper(), "changed": "0" * 64}.get(path, "") for path in wanted]
        house.load(*wanted, hashes=hashes)
        limits = msgspec.structs.replace(LIMITS, seconds=0.8)
        assert house.mirror(limits=limits, pauses=()) == len(wanted)
        assert inside.connections == 0
    assert {path: house.fault(path) for path in wanted} == wanted
    assert house.waiting() == []
    for path, fault in wanted.items():
        state, copied, key = house.state(path)
        if fault is not None:
            assert (state, copied, key, house.copies(path)) == ("REMOVED", None, "", [])
            continue
        assert (state, key) == ("OPEN", imported_key(house.id(path), copied))
        assert house.copies(path) == [key]
        lies = house.objects.get(house.bucket, key)
        assert hashlib.sha256(lies).hexdigest() == copied
        assert b"secret" not in lies
        ((kind, fact),) = house.facts(path)
        assert kind == "PictureMirrored"
        assert (fact["original_sha256"], fact["width"], fact["height"]) == (sha256, 96, 64)
        assert fact["size"] == len(lies)
    seen = len(house.stranger.visits)
    told = house.command("mirror", NAME, "--wait")
    assert (told["queued"], told["waiting"]) == (0, 0), "what is settled is not asked for again"
    assert (house.mirror(), len(house.stranger.visits)) == (0, seen)
    links = asyncio.run(_links(house, "good", "cut"))
    assert f"/{house.bucket}/{house.state('good')[2]}?" in links[house.id("good")]
    assert "X-Amz-Expires=" in links[house.id("good")]
    assert links[house.id("cut")] == house.stranger.url("cut", HOST), "without a copy it is the address"


async def _links(house: House, *paths: str) -> dict[UUID, str]:
    async with run_services(services := make_services(house.settings, print)):
        return dict(await links_of(services, [(house.id(path), SET) for path in paths]))


class KilledError(BaseException):
    """The process, as far as the test goes."""


def test_whoever_is_killed_loses_nothing_and_leaves_nothing_half(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    first, second = picture(64, 64), picture(64, 64, seed=1)
    house.stranger.pages |= {"/a": answer(first), "/gone": answer(first)}
    house.load("a", "gone")
    put = house.objects.put

    def dies(*arguments: Any) -> str:
        put(*arguments)
        raise KilledError

    with house.mirrorer() as mirrorer, monkeypatch.context() as patched:
        patched.setattr(mirrorer._objects, "put", dies)
        with pytest.raises(KilledError):
            mirrorer.step()
    assert house.facts("a") == house.facts("gone") == []
    assert len(house.waiting()) == 2
    assert house.copies("a") or house.copies("gone"), "the attempt has left a copy that no event names"
    # meanwhile the one is another picture, and the other is none
    house.stranger.pages |= {"/a": answer(second), "/gone": answer(status=404)}
    with house.mirrorer() as mirrorer, monkeypatch.context() as patched:
        patched.setattr(mirrorer, "_tidy", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            mirrorer.step()
    asked = len(house.stranger.visits)
    house.mirror()
    assert house.waiting() == []
    assert house.copies("gone") == []
    assert house.fault("gone") == "UNREACHABLE"
    assert house.copies("a") == [house.state("a")[2]]
    assert house.objects.get(house.bucket, house.state("a")[2]) == second
    assert len(house.facts("a")) == 1
    assert len(house.stranger.visits) <= asked + 1, "what was recorded is not fetched again"


def test_what_may_pass_is_tried_again_less_and_less_often(house: House):
    house.stranger.pages["/a"] = house.stranger.pages["/b"] = answer(status=503)
    house.load("a", "b")
    for attempt in (1, 2):
        assert house.mirror(pauses=(60.0, 3_600.0)) == 2
        assert [tries for _, tries in house.waiting()] == [attempt] * 2
        ((least, most),) = house.sql("SELECT min(due) - now(), max(due) - now() FROM vault.mirror_wait")
        assert 30 < least.total_seconds() <= most.total_seconds() <= (60, 3_600)[attempt - 1]
        house.make_due()
    house.stranger.pages["/b"] = answer(picture(64, 64))
    house.mirror(pauses=(60.0, 3_600.0))
    assert (house.fault("a"), house.fault("b"), house.waiting()) == ("UNREACHABLE", None, [])
    assert house.state("b")[1] is not None


def test_takedowns_hold_against_copies_whenever_they_are_ordered(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    files = {name: picture(64, 64, kind="PNG", seed=number) for number, name in enumerate("abcde")}
    original = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    house.stranger.pages |= {f"/{name}": answer(file) for name, file in files.items()}
    house.load("a", "b", mirror=False)
    with make_pool(house.settings) as pool:
        remover = make_remover(house.settings, pool, house.writer)
        # before: by the hash of the file as it is at its address
        remover.carry_out(house.order(sha256=original["a"]))
        assert house.command("mirror", NAME)["queued"] == 2
        house.mirror()
        assert (house.fault("a"), house.copies("a")) == ("BLOCKLISTED", [])
        assert house.fault("b") is None
        # after: by what it looks like, and by the same hash of another one
        ((_, mirrored),) = house.facts("b")
        house.load("c")
        house.mirror()
        assert len(house.copies("b")) == len(house.copies("c")) == 1
        remover.carry_out(house.order(perceptual_hash=mirrored["perceptual_hash"], distance=0))
        remover.carry_out(house.order(sha256=original["c"]))
        for name in "bc":
            assert (house.state(name)[0], house.copies(name)) == ("REMOVED", [])
        # in between: when the copy lies there already
        house.load("d")
        put = house.objects.put

        def ordered(*arguments: Any) -> str:
            etag = put(*arguments)
            remover.carry_out(house.order(sha256=original["d"]))
            return etag

        with house.mirrorer() as mirrorer, monkeypatch.context() as patched:
            patched.setattr(mirrorer._objects, "put", ordered)
            mirrorer.step()
    assert (house.fault("d"), house.copies("d"), house.waiting()) == ("BLOCKLISTED", [], [])


def test_one_host_is_asked_for_a_few_at_a_time_and_a_limit_holds(house: House):
    now, most, lock = 0, 0, threading.Lock()

    def counted() -> Says:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        yield answer(picture(64, 64))

    house.stranger.pages |= {f"/{number}": counted for number in range(8)}
    house.load(*(str(number) for number in range(8)), mirror=False)
    assert house.command("mirror", NAME, "--limit", "5")["waiting"] == 5
    assert house.mirror(limits=msgspec.structs.replace(LIMITS, of_one_host=2)) == 5
    assert most == 2
    assert house.command("mirror", NAME, "--limit", "5")["queued"] == 3
    realm, at = house.settings.realm, house.settings.database_url
    with house.mirrorer() as mirrorer, psycopg.connect(at, autocommit=True) as other:
        with alone(other, locks.mirrors(realm)):
            assert mirrorer.step() == 0, "one process of the house fetches at a time"
        assert mirrorer.step() == 3


def test_a_set_is_redistributed_when_an_operator_says_so(house: House):
    house.load("a", mirror=False)

    def row() -> dict[str, Any]:
        (found,) = house.command("sets")
        return dict(found)

    assert (row()["id"], row()["redistributed"]) == (str(SET), False)
    for option, said in (("--redistribute", True), ("--redistribute", True), ("--no-redistribute", False)):
        told = house.command("mirror", NAME, option)
        assert (told["redistributed"], told["waiting"]) == (said, 1)
    assert len(house.sql("SELECT 1 FROM log.event WHERE type = 'images.RedistributionSet'")) == 2
    env = house.settings.to_env()
    for arguments in (["mirror", "nothing"], ["mirror", NAME, "--status", "--limit", "1"]):
        refused = CliRunner(env=env).invoke(dataset_group, arguments)
        assert refused.exit_code == 2
        assert "Traceback" not in refused.output


def test_a_release_holds_the_copies_that_may_be_passed_on(house: House, tmp_path: Path):
    house.stranger.pages |= {f"/{name}": answer(picture(64, 64, seed=ord(name))) for name in "ab"}
    house.load("a", "b")
    house.mirror()

    def copies(at: int, to: str) -> dict[str, bytes]:
        built = house.command("build", "--at", str(at), "--to", str(tmp_path / to))
        path = tmp_path / to / built["name"] / "images" / "imported-00000.tar"
        if not path.exists():
            return {}
        with tarfile.open(path) as tar:
            return {name: tar.extractfile(name).read() for name in tar.getnames() if "webp" in name}  # type: ignore[union-attr]

    ((last,),) = house.sql("SELECT max(position) FROM log.event")
    assert copies(last, "before") == {}
    house.command("mirror", NAME, "--redistribute")
    assert copies(last, "as-before") == {}, "what is allowed later changes no release"
    wanted = {f"{house.id(name)}.webp": picture(64, 64, seed=ord(name)) for name in "ab"}
    assert copies(last + 1, "after") == wanted
    with make_pool(house.settings) as pool:
        remover = make_remover(house.settings, pool, house.writer)
        remover.carry_out(house.order(sha256=hashlib.sha256(wanted[f"{house.id('a')}.webp"]).hexdigest()))
    del wanted[f"{house.id('a')}.webp"]
    assert copies(last + 1, "after") == wanted
    tombs = (tmp_path / "after" / f"v1-{last + 1}" / "TOMBSTONES").read_text()
    assert f"{house.id('a')} TAKEN_DOWN" in tombs


def test_actors_that_are_killed_while_they_fetch_are_followed_by_others(house: House, tmp_path: Path):
    go = threading.Event()

    def slow() -> Says:
        go.wait(20)
        yield answer(picture(64, 64))

    with Stranger(slow=slow) as plain:
        house.load("slow", mirror=False)
        # a process of its own believes no certificate of a test's
        house.sql("UPDATE vault.imported_picture SET url = %s", plain.url("slow"))
        with psycopg.connect(house.settings.database_url, autocommit=True) as connection:
            assert enqueue(connection, house.settings.realm, SET, None) == 1
        process = Process(tmp_path / "log", "actors", "run", variables=house.settings.to_env())
        eventually(lambda: plain.visits, 30, "it is asked for")
        process.stop(SIGKILL)
        go.set()
        # the database has to notice first
        eventually(house.mirror, 20, "another one goes on")
    assert [kind for kind, _ in house.facts("slow")] == ["PictureMirrored"]
    assert house.copies("slow") == [house.state("slow")[2]]
