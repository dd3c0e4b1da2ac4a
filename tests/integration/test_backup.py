"""Backup and restore against real servers: the drill, what is refused, and that no table can be forgotten."""

import contextlib
import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.accounts import people
from app.accounts.decider import RegisterUser, TransferKudos
from app.embedded.stack import EmbeddedStack
from app.operations.backup.commands import backup_command, restore_command
from app.operations.backup.form import MANIFEST, BackupError, NewBackup
from app.operations.backup.tables import Fate, relations
from app.operations.commands import migrate_command, projections_group
from app.operations.log_commands import log_group
from app.platform.commands import Done, Idempotency
from app.platform.keys import key_hash
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.writer import Writer
from projections.store.audit import verify
from tests.acceptance.processes import eventually
from tests.conftest import in_database
from tests.factories import RULES, check_in, deliver, grant, open_realm, pop, register, request, run, submit
from tests.integration.load import USERS, WORKERS, Answer, Client, check_chain, prepare

HOARD = click.Group(commands=[backup_command, restore_command, log_group, projections_group, migrate_command])
KEY = "clientKey-clientKey-cl"

Hoard = Callable[..., Result]
Bare = Callable[[], Settings]


def hoard(settings: Settings, *arguments: Any, **changes: str) -> Result:
    variables = settings.to_env() | {f"HOARD_{name.upper()}": value for name, value in changes.items()}
    result = CliRunner().invoke(HOARD, [str(a) for a in arguments], env=variables)
    # Whatever goes wrong is said in a line: only click's own exit may come out of a command.
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def printed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def bare_database(stack_settings: tuple[EmbeddedStack, Settings]) -> Iterator[Bare]:
    """Makes databases without a single table."""
    _, settings = stack_settings
    made: list[str] = []
    with psycopg.connect(settings.migrate_url or "", autocommit=True) as owner:

        def make() -> Settings:
            made.append(f"bare_{uuid4().hex[:12]}")
            owner.execute(f"CREATE DATABASE {made[-1]}")
            return in_database(settings, made[-1])

        yield make
        for name in made:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def backed_up(writer: Writer, database: Settings, tmp_path: Path) -> Path:
    """A small history in a backup."""
    open_realm(writer)
    client, host, worker, lease = register(), register(), uuid4(), uuid4()
    for command in (client, host, grant(client.user, 10_000), check_in(worker, host.user)):
        run(writer, command)
    job = submit(client.user, prompt="a cat\twith a tab\nand \\N", n=2)
    run(writer, job)
    run(writer, pop(worker, host.user, lease=lease, amount=2))
    run(writer, deliver(lease, host.user, *job.generations))
    folder = tmp_path / "backup"
    assert hoard(database, "backup", folder).exit_code == 0
    return folder


@contextlib.contextmanager
def another_writer(settings: Settings) -> Iterator[Writer]:
    fatal: list[BaseException] = []
    writer = Writer(settings.database_url, settings.realm, RULES, on_fatal=fatal.append)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
        assert not fatal


@contextlib.contextmanager
def a_load(writer: Writer, tell: Callable[[Answer], None]) -> Iterator[None]:
    """Clients that do what people do until the block is left."""
    stop = threading.Event()

    def live(number: int) -> None:
        client = Client(writer, 7000 + number, tell)
        while not stop.is_set():
            client.step()
        client.close()

    threads = [threading.Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def rows(settings: Settings, query: str) -> list[Any]:
    with psycopg.connect(settings.migrate_url or "") as connection:
        return connection.execute(query).fetchall()


def test_the_drill(writer: Writer, database: Settings, bare_database: Bare, tmp_path: Path) -> None:
    """Backed up while commands run, restored elsewhere: the same log to that position, and it goes on from there."""
    prepare(writer)
    person = RegisterUser(
        user=uuid4(), key=uuid4(), key_hash=key_hash(database.pepper, KEY), username="name", number=77
    )
    run(writer, person)
    run(writer, grant(person.user, 50_000))
    gift = TransferKudos(source=person.user, target=USERS[0], amount=100)
    promise = Idempotency(f"{person.user}:transfer", "once", b"f" * 32)
    given = run(writer, gift, idempotency=promise)
    answers: list[Answer] = []
    with a_load(writer, answers.append):
        eventually(lambda: sum(answer[2] == "done" for answer in answers) > 60, 60)
        before = len(answers)
        taken = printed(hoard(database, "backup", tmp_path / "b", "--json"))
        assert len(answers) > before, "writers went on during the backup"
        (end,) = taken["manifest"]["realms"]
        position = end["position"]
        eventually(lambda: max(answer[3] for answer in answers) > position + 20, 60)

    other = bare_database()
    restored = printed(hoard(other, "restore", tmp_path / "b", "--sha256", taken["sha256"], "--json"))
    assert restored["clean"]
    assert restored["realms"] == [end]
    upto = ("--until", position, "--balances", "--json")
    original, again = (printed(hoard(where, "log", "replay", *upto)) for where in (database, other))
    for timing in ("seconds", "events_per_second"):
        original.pop(timing), again.pop(timing)
    assert again == original
    with psycopg.connect(other.migrate_url or "", autocommit=True) as connection:
        assert check_chain(connection) == position
        report = verify(connection, 0)
        assert report.clean
        assert report.position == position
        assert people.subject_of_key(connection, 0, key_hash(other.pepper, KEY)) == person.user
    log = f"SELECT * FROM log.event WHERE position <= {position} ORDER BY position"
    assert rows(other, log) == rows(database, log)
    postings = f"SELECT * FROM log.posting WHERE position <= {position} ORDER BY position, ordinal"
    assert rows(other, postings) == rows(database, postings)
    prompts = "SELECT count(*) FROM vault.job JOIN projections.jobs ON id = job WHERE prompt = 'a cat'"
    jobs = "SELECT count(*) FROM log.event WHERE type = 'jobs.ImageJobSubmitted'"
    assert rows(other, prompts) == rows(other, jobs) != [(0,)]

    with another_writer(other) as further:
        assert run(further, grant(person.user, 1)).position == position + 1
        repeated = further.execute_sync(request(gift, idempotency=promise))
        assert isinstance(repeated, Done)
        assert (repeated.repeated, repeated.position) == (True, given.position)
        job = submit(person.user, models=("drill",))
        run(further, job)
        tried = pop(WORKERS[0], USERS[WORKERS[0].int % len(USERS)])
        run(further, tried)
    assert printed(hoard(other, "projections", "verify", "--json"))["clean"]


def test_every_table_is_backed_up_rebuilt_or_made(owner: psycopg.Connection[Any]) -> None:
    fates = {relation.name: relation.fate for relation in relations(owner)}
    assert {schema.partition(".")[0] for schema, fate in fates.items() if fate is Fate.REBUILT} == {
        "projections",
        "relay",
    }
    assert {name for name, fate in fates.items() if fate is Fate.MADE} == {
        "log.lock",
        "public.alembic_version",
    }
    copied = {name for name, fate in fates.items() if fate is Fate.COPIED}
    assert {
        "log.event",
        "log.posting",
        "vault.person",
        "vault.api_key",
        "vault.job",
        "vault.command",
    } <= copied
    known = owner.execute(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^pg_|information_schema' "
        "AND NOT (schemaname IN ('log', 'vault') AND tablename ~ '_[0-9]+$')"
    ).fetchall()
    assert {name for (name,) in known} == fates.keys()


def test_a_new_table_is_in_the_backup_because_of_its_schema(
    owner: psycopg.Connection[Any], database: Settings, bare_database: Bare, tmp_path: Path
) -> None:
    owner.execute("CREATE TABLE vault.added (realm bigint PRIMARY KEY, words text NOT NULL)")
    owner.execute("INSERT INTO vault.added VALUES (0, 'new')")
    taken = printed(hoard(database, "backup", tmp_path / "b", "--json"))
    tables = {f"{t['schema']}.{t['table']}": t for t in taken["manifest"]["tables"]}
    assert sum(part["rows"] for part in tables["vault.added"]["parts"]) == 1
    refused = hoard(bare_database(), "restore", tmp_path / "b")
    assert refused.exit_code == 1
    assert "vault.added of the backup has no place in this schema" in refused.output


def test_a_schema_that_does_not_say_what_it_is_stops_the_backup(
    owner: psycopg.Connection[Any], database: Settings, tmp_path: Path
) -> None:
    owner.execute("CREATE SCHEMA extra")
    owner.execute("CREATE TABLE extra.thing (id bigint)")
    refused = hoard(database, "backup", tmp_path / "b")
    assert refused.exit_code == 1
    assert "extra.thing" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_a_broken_log_is_refused(
    owner: psycopg.Connection[Any], writer: Writer, database: Settings, tmp_path: Path
) -> None:
    open_realm(writer)
    owner.execute("ALTER TABLE log.posting_00000 DISABLE TRIGGER append_only")
    owner.execute("UPDATE log.posting_00000 SET amount = amount + 1 WHERE position = 1 AND ordinal = 0")
    refused = hoard(database, "backup", tmp_path / "b")
    assert refused.exit_code == 1
    assert "position 1" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_only_an_empty_database_is_restored_into(
    backed_up: Path, database: Settings, new_database: Callable[[], Settings]
) -> None:
    before = rows(database, "SELECT hash FROM log.event ORDER BY position")
    refused = hoard(database, "restore", backed_up)
    assert refused.exit_code == 1
    assert "not empty: log.event holds rows" in refused.output
    assert rows(database, "SELECT hash FROM log.event ORDER BY position") == before
    # one that is migrated and has no events is empty
    assert hoard(new_database(), "restore", backed_up).exit_code == 0


@pytest.mark.parametrize("how", ["altered", "cut", "gone"])
def test_a_damaged_file_is_named(backed_up: Path, bare_database: Bare, how: str) -> None:
    file = backed_up / "vault.person.1.copy.gz"
    content = file.read_bytes()
    match how:
        case "altered":
            file.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
        case "cut":
            file.write_bytes(content[:-1])
        case _:
            file.unlink()
    for arguments in (("restore", backed_up), ("restore", backed_up, "--check")):
        refused = hoard(bare_database(), *arguments)
        assert refused.exit_code == 1
        assert "vault.person.1.copy.gz" in refused.output


def forge(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of a backup and make the manifest agree."""
    path = folder / name
    content = gzip.compress(change(gzip.decompress(path.read_bytes())))
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(content)
    manifest = folder / MANIFEST
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(content).hexdigest()))


def swap_first_two(content: bytes) -> bytes:
    first, second, *rest = content.splitlines(keepends=True)
    return b"".join([second, first, *rest])


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("log.event.1.copy.gz", lambda c: c.replace(b'"amount":10000', b'"amount":10001'), "position 4"),
        ("log.event.1.copy.gz", lambda c: b"".join(c.splitlines(keepends=True)[:-1]), "log.event.1.copy.gz"),
        ("log.event.1.copy.gz", lambda c: c.replace(b"kudos.KudosGranted", b"kudos.KudosGrantee"), "position 4"),
        ("log.posting.1.copy.gz", lambda c: c.replace(b"10000", b"20000", 1), "position 4"),
        ("log.event.1.copy.gz", lambda c: c.replace(b"\t4\t", b"\tx\t", 1), "log.event.1.copy.gz"),
    ],
)  # fmt: skip
def test_a_forged_log_is_refused_with_its_position(
    backed_up: Path, bare_database: Bare, file: str, change: Callable[[bytes], bytes], said: str
) -> None:
    expected = hashlib.sha256((backed_up / MANIFEST).read_bytes()).hexdigest()
    forge(backed_up, file, change)
    other = bare_database()
    refused = hoard(other, "restore", backed_up)
    assert refused.exit_code == 1, refused.output
    assert said in refused.output
    assert rows(other, "SELECT count(*) FROM log.event") == [(0,)], "nothing was loaded"
    refused = hoard(bare_database(), "restore", backed_up, "--sha256", expected)
    assert refused.exit_code == 1
    assert MANIFEST in refused.output


def test_a_cut_log_is_refused_although_everything_in_the_files_agrees(
    backed_up: Path, bare_database: Bare
) -> None:
    manifest = json.loads((backed_up / MANIFEST).read_text())
    (end,) = manifest["realms"]
    end["position"] -= 1
    (backed_up / MANIFEST).write_text(json.dumps(manifest))
    refused = hoard(bare_database(), "restore", backed_up)
    assert refused.exit_code == 1
    assert f"ends at position {end['position'] + 1}" in refused.output


def test_a_manifest_leads_nowhere_else(backed_up: Path, bare_database: Bare) -> None:
    manifest = backed_up / MANIFEST
    manifest.write_text(manifest.read_text().replace("vault.person.1.copy.gz", "../vault.person.1.copy.gz"))
    refused = hoard(bare_database(), "restore", backed_up)
    assert refused.exit_code == 1
    assert "is no name of a file" in refused.output


def test_another_pepper_is_refused_unless_it_is_wanted(backed_up: Path, bare_database: Bare) -> None:
    other = bare_database()
    refused = hoard(other, "restore", backed_up, pepper="another pepper than that one")
    assert refused.exit_code == 1
    assert "HOARD_PEPPER" in refused.output
    wanted = hoard(other, "restore", backed_up, "--any-pepper", pepper="another pepper than that one")
    assert wanted.exit_code == 1, "it is done, and something is not well"
    assert "no API key is valid" in wanted.output
    assert rows(other, "SELECT count(*) > 0 FROM log.event") == [(True,)]


def test_an_older_program_refuses_a_newer_backup(backed_up: Path, bare_database: Bare) -> None:
    manifest = backed_up / MANIFEST
    found = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**found, "revision": "9999"}))
    refused = hoard(bare_database(), "restore", backed_up)
    assert refused.exit_code == 1
    assert "does not know revision 9999" in refused.output


def test_what_was_interrupted_is_no_backup_and_is_done_again(database: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    left = tmp_path / ".b.part"
    left.mkdir()
    (left / "log.event.1.copy.gz").write_bytes(b"half")
    refused = hoard(database, "restore", left)
    assert refused.exit_code == 1
    assert "no whole backup" in refused.output
    assert hoard(database, "backup", folder).exit_code == 0
    assert not left.exists()
    assert folder.stat().st_mode & 0o077 == 0, "it holds what people wrote"
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    again = hoard(database, "backup", folder)
    assert again.exit_code == 1
    assert "never written over" in again.output


def test_two_backups_do_not_write_to_the_same_place(tmp_path: Path) -> None:
    with (
        NewBackup(tmp_path / "b"),
        pytest.raises(BackupError, match="another backup"),
        NewBackup(tmp_path / "b"),
    ):
        pass


def test_a_backup_holds_nobody_up_who_makes_or_drops_partitions(
    owner: psycopg.Connection[Any], writer: Writer, database: Settings, tmp_path: Path
) -> None:
    """Between its copies a backup holds no table: the relay's daily work, and writers behind it, go on."""
    from app.operations.backup.take import snapshot  # noqa: PLC0415

    open_realm(writer)
    with snapshot(database.migrate_url or "") as view:
        run(writer, register())
        owner.execute("SET lock_timeout = '1s'")
        owner.execute("SELECT vault.ensure_partitions(current_date + 30), log.ensure_partitions()")
        with view.borrowed() as connection:
            assert connection.execute("SELECT max(position) FROM log.event").fetchone() == (1,)


def test_buckets_are_listed_compared_and_put_back(
    writer: Writer, database: Settings, bare_database: Bare, tmp_path: Path
) -> None:
    open_realm(writer)
    mine = uuid4().hex
    names = {f"bucket_{kind}": f"{kind}-{mine}" for kind in ("results", "sources", "shared", "datasets")}
    here = msgspec.structs.replace(database, **names)
    store = ObjectStore(here.s3_url, here.s3_access_key, here.s3_secret_key, here.s3_region)
    store.ensure_buckets(dict.fromkeys(names.values()))
    for number in range(3):
        store.put(here.bucket_shared, f"{number}/picture ä.webp", bytes([number]) * 100, "image/webp")
    store.put(here.bucket_results, "lease/generation", b"result", "image/webp")
    listed, copied = tmp_path / "listed", tmp_path / "copied"
    assert hoard(here, "backup", listed).exit_code == 0
    taken = printed(hoard(here, "backup", copied, "--objects", "--json"))
    counts = {b["bucket"]: b["listing"]["rows"] for b in taken["manifest"]["buckets"]}
    assert counts == {"results": 1, "sources": 0, "shared": 3, "datasets": 0}

    store.remove(here.bucket_shared, "1/picture ä.webp")
    store.put(here.bucket_shared, "2/picture ä.webp", b"other", "image/webp")
    store.remove(here.bucket_results, "lease/generation")
    where = {name: str(value) for name, value in names.items()}
    found = hoard(bare_database(), "restore", listed, "--json", **where)
    assert found.exit_code == 1
    by_name = {b["bucket"]: b for b in json.loads(found.stdout)["buckets"]}
    assert by_name["shared"]["missing_keys"] == ["1/picture ä.webp"]
    assert by_name["shared"]["changed_keys"] == ["2/picture ä.webp"]
    assert by_name["results"]["missing"] == 1

    store.put(here.bucket_shared, "2/picture ä.webp", bytes([2]) * 100, "image/webp")
    put_back = printed(hoard(bare_database(), "restore", copied, "--json", **where))
    by_name = {b["bucket"]: b for b in put_back["buckets"]}
    assert by_name["shared"]["put_back"] == 1
    assert store.get(here.bucket_shared, "1/picture ä.webp") == bytes([1]) * 100
    assert store.get(here.bucket_results, "lease/generation") == b"result"


def test_several_realms_and_old_outcomes(
    owner: psycopg.Connection[Any], writer: Writer, database: Settings, bare_database: Bare, tmp_path: Path
) -> None:
    open_realm(writer)
    assert hoard(database, "migrate", realm="5").exit_code == 0
    tenant = msgspec.structs.replace(database, realm=5)
    with another_writer(tenant) as second:
        open_realm(second)
        run(second, register())
    owner.execute("SELECT vault.ensure_partitions(current_date - 12)")
    kept = "INSERT INTO vault.command VALUES (0, 'scope', %s, current_date - %s::int, '', '{}', 1)"
    for day in (0, 6, 10):
        owner.execute(kept, (str(day), day))
    assert hoard(database, "backup", tmp_path / "b").exit_code == 0
    other = bare_database()
    restored = printed(hoard(other, "restore", tmp_path / "b", "--json"))
    assert [(end["realm"], end["position"]) for end in restored["realms"]] == [(0, 1), (5, 2)]
    assert rows(other, "SELECT key FROM vault.command ORDER BY day DESC") == [("0",), ("6",)]
    with another_writer(msgspec.structs.replace(other, realm=5)) as second:
        assert run(second, register()).position == 3


def test_what_cannot_run_says_so(database: Settings, tmp_path: Path) -> None:
    assert hoard(database, "backup", tmp_path / "b", migrate_url="").exit_code == 2
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    assert hoard(database, "backup", tmp_path / "b", migrate_url=away).exit_code == 2
    assert hoard(database, "backup", tmp_path / "b", s3_url="http://127.0.0.1:1").exit_code == 2
    assert list(tmp_path.iterdir()) == []
