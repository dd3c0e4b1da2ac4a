"""The commands that run the house, against real servers: copying, proving and replaying the log, seeding, granting."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.accounts.commands import grant_command, limit_command, role_command, seed_command
from app.accounts.decider import RegisterUser
from app.operations import export
from app.operations.commands import config_command, migrate_command, projections_group
from app.operations.log_commands import log_group
from app.platform.ids import new_id
from app.platform.keys import key_hash
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.writer import Writer
from projections.registry import TAILING
from tests.factories import check_in, deliver, grant, open_realm, pop, register, run, submit

#: the same in every process that collects these tests
KEYS = {
    "operator": "operatorKey-operatorKe",
    "client": "clientKey-clientKey-cl",
    "workerOwner": "workerOwnerKey-workerO",
}
HOARD = click.Group(
    commands=[
        migrate_command,
        config_command,
        log_group,
        projections_group,
        seed_command,
        grant_command,
        role_command,
        limit_command,
    ]
)

Hoard = Callable[..., Result]


@pytest.fixture
def hoard(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Hoard:
    """Runs a command; keyword arguments are further variables."""
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str, **variables: str | None) -> Result:
        result = CliRunner().invoke(HOARD, [str(a) for a in arguments], env=variables)
        # Whatever goes wrong is said in a line: only click's own exit may come out of a command.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def history(writer: Writer) -> int:
    """Pictures that are waiting, made, and paid for. The last position."""
    open_realm(writer)
    client, host = register(), register()
    run(writer, client)
    run(writer, host)
    run(writer, grant(client.user, 10_000))
    worker, lease = uuid4(), uuid4()
    run(writer, check_in(worker, host.user))
    first, second = uuid4(), uuid4()
    run(writer, submit(client.user, generations=(first, second), shared=True))
    run(writer, pop(worker, host.user, lease=lease, amount=2))
    run(writer, deliver(lease, host.user, first, second))
    return run(writer, submit(client.user, n=3)).position


def printed(result: Result) -> Any:
    return json.loads(result.stdout)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_copy_is_proved_and_replayed_to_the_live_balances(
    hoard: Hoard,
    history: int,
    tmp_path: Path,
    owner: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
):
    exported = hoard("log", "export", "--out", tmp_path, "--segment-events", 7, "--json")
    assert exported.exit_code == 0, exported.output
    assert printed(exported)["manifest"]["exported_at"] == history
    rows = owner.execute(
        "SELECT id::text, balance, held, consumed, earned FROM projections.accounts ORDER BY id"
    )
    live = [dict(zip(("subject", "balance", "held", "consumed", "earned"), row, strict=True)) for row in rows]
    # A copy needs no settings at all.
    for name in ("DATABASE_URL", "MIGRATE_URL", "REDIS_URL", "S3_URL", "PEPPER"):
        monkeypatch.delenv(f"HOARD_{name}")
    verified = hoard("log", "verify", "--from", tmp_path, "--json")
    assert verified.exit_code == 0
    assert printed(verified)["last"] == history
    replayed = hoard("log", "replay", "--from", tmp_path, "--balances", "--json")
    assert replayed.exit_code == 0
    assert printed(replayed)["balances"] == live
    assert printed(replayed)["total"] == 0
    assert printed(replayed)["generations"] == {"DONE": 2, "WAITING": 3}
    partly = printed(hoard("log", "replay", "--from", tmp_path, "--until", 3, "--json"))
    assert partly["position"] == 3
    assert "balances" not in partly
    assert hoard("log", "verify").exit_code == 2


def test_the_live_log_is_proved_and_replayed(hoard: Hoard, history: int, tmp_path: Path):
    hoard("log", "export", "--out", tmp_path)
    live, copy = hoard("log", "verify", "--json"), hoard("log", "verify", "--from", tmp_path, "--json")
    assert printed(live) == printed(copy)
    replayed = hoard("log", "replay", "--balances")
    assert replayed.exit_code == 0
    assert f"position {history}\n" in replayed.stdout
    assert "sum over all accounts: 0.00" in replayed.stdout


def test_exporting_again_changes_nothing_and_another_folder_gets_the_same_bytes(
    hoard: Hoard, history: int, tmp_path: Path
):
    first, second = tmp_path / "first", tmp_path / "second"
    hoard("log", "export", "--out", first, "--segment-events", 7)
    before = files(first)
    times = {path: path.stat().st_mtime_ns for path in first.glob("*.parquet")}
    again = printed(hoard("log", "export", "--out", first, "--json"))
    assert (again["added"], again["repaired"], len(again["kept"])) == ([], [], -(-history // 7))
    assert files(first) == before
    assert {path: path.stat().st_mtime_ns for path in first.glob("*.parquet")} == times
    hoard("log", "export", "--out", second, "--segment-events", 7)
    assert files(second) == before


def test_only_new_segments_are_added_and_the_short_last_one_gives_way(
    hoard: Hoard, history: int, tmp_path: Path, writer: Writer
):
    hoard("log", "export", "--out", tmp_path, "--segment-events", 7)
    assert history % 7
    whole = {
        name for name in files(tmp_path) if name != f"events-{history - history % 7 + 1}-{history}.parquet"
    }
    for _ in range(8):
        run(writer, register())
    added = printed(hoard("log", "export", "--out", tmp_path, "--json"))
    assert len(added["kept"]) == history // 7
    assert added["manifest"]["exported_at"] == history + 8
    assert whole < files(tmp_path).keys()
    assert {s["file"] for s in added["manifest"]["segments"]} | {"manifest.json"} == files(tmp_path).keys()
    assert hoard("log", "verify", "--from", tmp_path).exit_code == 0


@pytest.mark.usefixtures("history")
def test_damage_is_named_by_verify_and_repaired_by_export(hoard: Hoard, tmp_path: Path):
    hoard("log", "export", "--out", tmp_path, "--segment-events", 7)
    sound = files(tmp_path)
    damaged = tmp_path / "events-8-14.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 3] ^= 1
    damaged.write_bytes(content)
    (tmp_path / "events-1-7.parquet").unlink()
    assert "position 1 in events-1-7.parquet" in hoard("log", "verify", "--from", tmp_path).stdout
    (tmp_path / "events-1-7.parquet").write_bytes(sound["events-1-7.parquet"])
    verified = hoard("log", "verify", "--from", tmp_path, "--json")
    assert verified.exit_code == 1
    assert printed(verified)["fault"]["file"] == "events-8-14.parquet"
    assert 8 <= printed(verified)["fault"]["position"] <= 15
    damaged.unlink()
    assert hoard("log", "replay", "--from", tmp_path).exit_code == 1
    repaired = printed(hoard("log", "export", "--out", tmp_path, "--json"))
    assert repaired["repaired"] == ["events-8-14.parquet"]
    assert files(tmp_path) == sound


@pytest.mark.usefixtures("history")
def test_an_interrupted_export_goes_on_where_it_stopped(
    hoard: Hoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = export.FolderTarget.write
    writes = 0

    def dies(self: export.FolderTarget, name: str, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 4:  # the second segment is there, the manifest does not know it yet
            raise OSError("no space left on device")
        real(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(export.FolderTarget, "write", dies)
        stopped = hoard("log", "export", "--out", tmp_path, "--segment-events", 7)
    assert stopped.exit_code == 2
    assert "no space left" in stopped.stderr
    assert hoard("log", "verify", "--from", tmp_path).exit_code == 0
    continued = printed(hoard("log", "export", "--out", tmp_path, "--json"))
    assert continued["kept"] == ["events-1-7.parquet"]
    whole = tmp_path / "whole"
    hoard("log", "export", "--out", whole, "--segment-events", 7)
    assert {name: content for name, content in files(whole).items() if name in files(whole)} == {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    }


@pytest.mark.usefixtures("history")
def test_a_copy_of_another_log_is_not_added_to(
    hoard: Hoard, tmp_path: Path, new_database: Callable[[], Settings], start_writer: Callable[..., Writer]
):
    hoard("log", "export", "--out", tmp_path, "--segment-events", 7)
    other = new_database()
    assert hoard("seed", HOARD_DATABASE_URL=other.database_url).exit_code == 0
    refused = hoard("log", "export", "--out", tmp_path, HOARD_DATABASE_URL=other.database_url)
    assert refused.exit_code == 1
    assert "another log" in refused.stderr
    assert hoard("log", "export", "--out", tmp_path, "--segment-events", 8).exit_code == 1
    assert hoard("log", "export", "--out", tmp_path, HOARD_REALM="1").exit_code == 1


def test_the_bucket_holds_the_same_copy(hoard: Hoard, history: int, tmp_path: Path, settings: Settings):
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    store.remove(settings.bucket_datasets, "log/manifest.json")
    hoard("log", "export", "--out", tmp_path, "--segment-events", 7)
    exported = printed(hoard("log", "export", "--bucket", "--segment-events", 7, "--json"))
    assert exported["manifest"]["exported_at"] == history
    for name, content in files(tmp_path).items():
        assert store.get(settings.bucket_datasets, f"log/{name}") == content
    again = printed(hoard("log", "export", "--bucket", "--json"))
    assert (again["added"], len(again["kept"])) == ([], len(exported["added"]))
    store.remove(settings.bucket_datasets, "log/manifest.json")


def test_verify_finds_a_posting_that_an_event_does_not_have(
    hoard: Hoard, history: int, owner: psycopg.Connection[Any]
):
    row = owner.execute("SELECT max(position) FROM log.posting").fetchone()
    assert row is not None
    # Only the owner can lift the trigger; that is what a proof is for.
    owner.execute("ALTER TABLE log.posting_00000 DISABLE TRIGGER append_only")
    owner.execute("UPDATE log.posting_00000 SET amount = amount + 1 WHERE position = %s AND ordinal = 0", row)
    verified = hoard("log", "verify", "--json")
    assert verified.exit_code == 1
    assert printed(verified)["fault"]["position"] == row[0]
    assert hoard("projections", "verify").exit_code == 1
    assert history > row[0]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log.event_00000 SET data = replace(data, '10000', '10001') WHERE position = 4",
        "UPDATE log.event_00000 SET subject = NULL WHERE position = 4",
        "UPDATE log.event_00000 SET occurred_at = occurred_at + interval '1 microsecond' WHERE position = 4",
        "DELETE FROM log.event_00000 WHERE position = 4",
    ],
)
def test_verify_and_export_find_an_altered_event(
    hoard: Hoard, tmp_path: Path, owner: psycopg.Connection[Any], change: str
):
    owner.execute("ALTER TABLE log.event_00000 DISABLE TRIGGER append_only")
    assert owner.execute(change).rowcount == 1
    verified = hoard("log", "verify", "--json")
    assert verified.exit_code == 1
    assert printed(verified)["fault"]["position"] == 4
    refused = hoard("log", "export", "--out", tmp_path)
    assert refused.exit_code == 1
    assert "position 4" in refused.stderr


def test_projections_are_proved_and_rebuilt(hoard: Hoard, history: int, owner: psycopg.Connection[Any]):
    clean = hoard("projections", "verify", "--json")
    assert clean.exit_code == 0
    # The relay, which tails the log for some, does not run here; a rebuild brings these up to date.
    tailing = {projection.name for projection in TAILING}
    digests = {f["name"]: f["live"] for f in printed(clean)["findings"] if f["name"] not in tailing}
    owner.execute("UPDATE projections.accounts SET balance = balance + 1 WHERE balance > 0")
    row = owner.execute(
        "SELECT id::text FROM projections.accounts WHERE balance > 0 ORDER BY id LIMIT 1"
    ).fetchone()
    assert row is not None
    broken = hoard("projections", "verify")
    assert broken.exit_code == 1
    line = next(line for line in broken.stdout.splitlines() if line.startswith("accounts"))
    assert "DIFFERS" in line
    assert row[0] in line
    assert printed(hoard("projections", "rebuild", "--json")) == {"position": history}
    rebuilt = hoard("projections", "verify", "--json")
    assert rebuilt.exit_code == 0
    assert digests.items() <= {f["name"]: f["live"] for f in printed(rebuilt)["findings"]}.items()


def counted(owner: psycopg.Connection[Any]) -> dict[str, int]:
    return dict(owner.execute("SELECT type, count(*) FROM log.event GROUP BY 1").fetchall())


def test_seeding_is_done_once(hoard: Hoard, owner: psycopg.Connection[Any], settings: Settings):
    first = hoard("seed", "--json", HOARD_SEED_KEYS=json.dumps(KEYS))
    assert first.exit_code == 0, first.output
    assert printed(first)["created"] == ["operator", "client", "workerOwner"]
    again = hoard("seed", "--json", HOARD_SEED_KEYS=json.dumps(KEYS))
    assert printed(again) == {"users": printed(first)["users"], "created": []}
    assert counted(owner) == {
        "accounts.AnonymousOpened": 1,
        "accounts.UserRegistered": 3,
        "accounts.RoleGranted": 1,
        "kudos.KudosGranted": 1,
    }
    client = printed(first)["users"]["client"]["id"]
    stored = owner.execute(
        "SELECT balance, roles FROM projections.accounts a JOIN vault.api_key k ON k.subject = a.id "
        "WHERE k.hash = %s AND a.id = %s",
        (key_hash(settings.pepper, KEYS["client"]), client),
    )
    assert stored.fetchone() == (100_000, [])
    operator = printed(first)["users"]["operator"]["id"]
    assert owner.execute("SELECT roles FROM projections.accounts WHERE id = %s", (operator,)).fetchone() == (
        ["operator"],
    )


def test_a_seed_that_was_interrupted_is_completed(
    hoard: Hoard, owner: psycopg.Connection[Any], settings: Settings, writer: Writer
):
    """The client is there, was given something by hand, but not yet its seed."""
    open_realm(writer)
    client = new_id()
    digest = key_hash(settings.pepper, KEYS["client"])
    run(writer, RegisterUser(user=client, key=new_id(), key_hash=digest, username="client", number=123_456))
    run(writer, grant(client, 700))
    for _ in range(2):
        assert hoard("seed", HOARD_SEED_KEYS=json.dumps(KEYS)).exit_code == 0
    balance = owner.execute("SELECT balance FROM projections.accounts WHERE id = %s", (client,)).fetchone()
    assert balance == (100_700,)
    assert counted(owner)["accounts.UserRegistered"] == 3


def test_without_keys_only_the_realm_is_opened(hoard: Hoard, owner: psycopg.Connection[Any]):
    for _ in range(2):
        assert hoard("seed", HOARD_SEED_KEYS=None).exit_code == 0
    assert counted(owner) == {"accounts.AnonymousOpened": 1}


@pytest.mark.parametrize(
    "keys",
    [
        "{",
        "{}",
        json.dumps(KEYS | {"client": "short"}),
        json.dumps(KEYS | {"client": KEYS["operator"]}),
        json.dumps(KEYS | {"other": "otherKey-otherKey-othe"}),
    ],
)
def test_keys_that_cannot_be_used_are_refused_and_not_repeated(
    hoard: Hoard, owner: psycopg.Connection[Any], keys: str
):
    refused = hoard("seed", HOARD_SEED_KEYS=keys)
    assert refused.exit_code == 2
    assert "HOARD_SEED_KEYS" in refused.stderr
    assert not any(key in refused.output for key in KEYS.values())
    assert counted(owner) == {}


@pytest.fixture
def people(hoard: Hoard) -> dict[str, dict[str, str]]:
    users: dict[str, dict[str, str]] = printed(hoard("seed", "--json", HOARD_SEED_KEYS=json.dumps(KEYS)))[
        "users"
    ]
    return users


def test_a_grant_by_alias_and_by_id(
    hoard: Hoard, people: dict[str, dict[str, str]], owner: psycopg.Connection[Any]
):
    granted = hoard("grant", people["client"]["alias"], "12.5", "--reason", "helped out")
    assert granted.exit_code == 0
    assert "1012.50" in granted.stdout
    again = printed(hoard("grant", people["client"]["id"], "0.01", "--reason", "rounding", "--json"))
    assert again["balance"] == "1012.51"
    assert ("helped out",) in owner.execute("SELECT words FROM vault.note").fetchall()
    assert owner.execute("SELECT count(*) FROM log.event WHERE data LIKE '%helped%'").fetchone() == (0,)
    assert hoard("log", "verify").exit_code == 0


@pytest.mark.parametrize("amount", ["0", "0.00", "-5", "1.001", "1e3", "NaN", "ten", "1234567890123"])
def test_an_amount_that_is_none_is_a_usage_error(
    hoard: Hoard, people: dict[str, dict[str, str]], amount: str
):
    assert hoard("grant", people["client"]["id"], "--reason", "x", "--", amount).exit_code == 2


@pytest.mark.parametrize(
    "user", ["nobody#123456", "client", "client#x", "Anonymous#0", "6f9f0bf2-0ac9-462d-8244-4d262eaada9c"]
)
@pytest.mark.usefixtures("people")
def test_a_grant_or_role_to_nobody_is_refused(hoard: Hoard, user: str):
    for arguments in (("grant", user, "1", "--reason", "x"), ("role", user, "moderator")):
        refused = hoard(*arguments)
        assert refused.exit_code == 1
        assert "no such" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_role_is_given_once(
    hoard: Hoard, people: dict[str, dict[str, str]], owner: psycopg.Connection[Any]
):
    before = counted(owner)["accounts.RoleGranted"]
    for _ in range(2):
        assert hoard("role", people["client"]["alias"], "trusted").exit_code == 0
    assert counted(owner)["accounts.RoleGranted"] == before + 1
    assert hoard("role", people["client"]["alias"], "king").exit_code == 2


def test_a_limit_is_set_and_set_back(
    hoard: Hoard, people: dict[str, dict[str, str]], owner: psycopg.Connection[Any]
):
    client = people["client"]
    limit = "SELECT waiting_limit FROM projections.accounts WHERE id = %s"
    for given, kept in (("100", 100), ("0", 0), ("default", None)):
        assert hoard("limit", client["alias"], given).exit_code == 0
        assert owner.execute(limit, (client["id"],)).fetchone() == (kept,)
    assert printed(hoard("limit", "Anonymous#0", "9", "--json"))["limit"] == 9
    assert hoard("limit", "nobody#1", "9").exit_code == 1
    for wrong in ("-1", "1000001", "many", "1.5"):
        assert hoard("limit", client["id"], "--", wrong).exit_code == 2


def test_config_shows_no_secret_and_lists_every_fault(hoard: Hoard, settings: Settings):
    shown = hoard("config")
    assert shown.exit_code == 0
    for secret in (settings.pepper, settings.s3_secret_key, settings.s3_access_key):
        assert secret not in shown.output
    assert "database_url = postgresql://" in shown.stdout
    faulty = hoard("config", "--json", HOARD_PORT="x", HOARD_S3_URL="")
    assert faulty.exit_code == 1
    assert len(printed(faulty)["faults"]) == 2
    assert len(hoard("config", HOARD_PORT="x", HOARD_S3_URL="").stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "command",
    [
        ("migrate",),
        ("seed",),
        ("grant", "a#1", "1", "--reason", "x"),
        ("role", "a#1", "trusted"),
        ("limit", "a#1", "7"),
        ("log", "verify"),
        ("log", "replay"),
        ("log", "export", "--out"),
        ("projections", "verify"),
        ("projections", "rebuild"),
    ],
)
def test_missing_settings_and_a_database_that_is_away_are_one_line_each(
    hoard: Hoard, command: tuple[str, ...], tmp_path: Path, unused_port: int
):
    if command[-1] == "--out":
        command = (*command, str(tmp_path / "copy"))
    missing = hoard(*command, HOARD_REDIS_URL="", HOARD_PEPPER="")
    assert missing.exit_code == 2
    assert len(missing.stderr.splitlines()) == 1
    assert "HOARD_REDIS_URL" in missing.stderr
    assert "HOARD_PEPPER" in missing.stderr
    nowhere = f"postgresql://nobody:none@127.0.0.1:{unused_port}/none"
    away = hoard(*command, HOARD_DATABASE_URL=nowhere, HOARD_MIGRATE_URL=nowhere)
    assert away.exit_code == 2
    assert len(away.stderr.splitlines()) == 1
    assert "none@" not in away.stderr


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_owner_is_needed_to_migrate_and_rebuild(hoard: Hoard):
    for command in (("migrate",), ("projections", "rebuild")):
        refused = hoard(*command, HOARD_MIGRATE_URL="")
        assert refused.exit_code == 2
        assert "HOARD_MIGRATE_URL" in refused.stderr


@pytest.mark.usefixtures("history")
def test_migrating_again_changes_nothing(hoard: Hoard):
    assert printed(hoard("migrate", "--json")) == {
        "migrated": True,
        "projections_built": False,
        "results_keep_versions": True,
    }


def test_a_log_without_events_is_a_log(hoard: Hoard, tmp_path: Path):
    assert hoard("log", "verify").exit_code == 0
    assert hoard("log", "export", "--out", tmp_path).exit_code == 0
    assert hoard("log", "verify", "--from", tmp_path).exit_code == 0
    assert printed(hoard("log", "replay", "--from", tmp_path, "--json"))["position"] == 0


def test_export_needs_one_place_to_go(hoard: Hoard, tmp_path: Path):
    assert hoard("log", "export").exit_code == 2
    assert hoard("log", "export", "--out", tmp_path, "--bucket").exit_code == 2
    assert hoard("log", "verify", "--from", tmp_path / "missing").exit_code == 2
    shutil.rmtree(tmp_path)
    assert hoard("log", "export", "--bucket", HOARD_S3_URL="http://127.0.0.1:9").exit_code == 2
