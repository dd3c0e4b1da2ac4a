"""What a person may ask of the house, done by an operator: everything exported, everything withdrawn, everything erased."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.accounts.decider import GrantRole
from app.accounts.treasury import SetAllowance
from app.cli import main
from app.datasets.build import build
from app.datasets.librarian import source_of
from app.platform import vault
from app.platform.objects import Missing, result_key
from app.platform.picture_words import AppealWords, RatingNote, RatingOrigin
from app.platform.settings import Settings
from app.platform.sources import upload_key
from app.platform.writer import Writer
from app.privacy import erasing
from app.privacy.exporting import lines_about
from app.privacy.traces import NOBODYS, TRACES, binds, rows_of
from app.teams.decider import CreateTeam
from app.webhooks.decider import CreateWebhook
from events.accounts import AllowanceSource, Role
from events.base import ANONYMOUS
from events.webhooks import WebhookEvent
from tests.factories import check_in, grant, register, run, submit
from tests.gallery import ALL_RULES, Delivery, Gallery, picture

#: in every word that the person wrote
MARK = "markedword"
SECRET = "whsec_neverToBeShown"


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES))


Hoard = Callable[..., Result]


@pytest.fixture
def hoard(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Hoard:
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.user_commands.BELIEF_SECONDS", 0.0)  # nobody serves here
    return lambda *arguments, **more: CliRunner().invoke(main, list(arguments), **more)


@pytest.fixture
def connection(settings: Settings) -> Any:
    with psycopg.connect(settings.database_url, autocommit=True, options="-c timezone=UTC") as opened:
        yield opened


def tables(connection: psycopg.Connection[Any]) -> dict[str, set[str]]:
    """The tables of the vault as they are, with their columns; a partitioned one once."""
    rows = connection.execute(
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'vault'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND a.attnum > 0 AND NOT a.attisdropped"
    )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def put(connection: psycopg.Connection[Any], realm: int, *rows: msgspec.Struct) -> None:
    for row in rows:
        table = vault.TABLES[type(row)]
        connection.execute(vault.UPSERTS[type(row)], table.parameters(realm, [row]))


class Life:
    """Somebody who did everything that leaves words in the vault, and somebody else beside them."""

    def __init__(self, gallery: Gallery, connection: psycopg.Connection[Any]) -> None:
        self.gallery, self.connection = gallery, connection
        self.user, self.other, self.worker, self.team = uuid4(), uuid4(), uuid4(), uuid4()
        write = gallery.writer
        run(write, msgspec.structs.replace(register(self.user, 700_001), username=MARK))
        run(write, msgspec.structs.replace(register(self.other, 700_002), username="bystander"))
        run(write, submit(self.other, shared=True, prompt="a bystander's prompt"))
        reason = msgspec.structs.replace(grant(self.user, 500_000), reason=f"for {MARK}")
        run(write, reason, id=reason.note)
        run(write, SetAllowance(user=self.user, amount=100, source=AllowanceSource.MANUAL))
        run(write, GrantRole(user=self.user, role=Role.TRUSTED))
        wishes = {"requester": self.user, "prompt": f"a {MARK}"}
        self.published: Delivery = gallery.deliver(picture(seed=1), **wishes)
        gallery.publish(self.published.position)
        gallery.upload(self.published.lease, self.published.generation, picture(seed=1))
        self.running, self.lease, (self.generation,) = gallery.lease(**wishes, shared=True)
        self.waiting = submit(self.user, shared=True, prompt=MARK)
        run(write, self.waiting)
        run(write, check_in(self.worker, self.user))
        run(write, CreateTeam(team=self.team, creator=self.user, name=f"team {MARK}", info=MARK))
        hook = CreateWebhook(
            webhook=uuid4(), owner=self.user, url=f"https://{MARK}.example/", events=tuple(WebhookEvent)
        )
        run(write, hook)
        self.source, self.upload = f"jobs/{uuid4()}", upload_key(self.user, uuid4())
        for key in (self.source, self.upload):
            gallery.objects.put(gallery.settings.bucket_sources, key, b"x", "image/webp")
        self._words(hook.webhook)

    def _words(self, webhook: UUID) -> None:
        now = datetime.now(UTC)
        put(
            self.connection,
            self.gallery.settings.realm,
            vault.JobSource(self.running, vault.SourceRole.SOURCE, 0, 1.0, self.source, f"https://{MARK}/"),
            vault.ToldForm(
                self.generation, self.running, self.lease, uuid4(), "CAPTION", False, MARK, now + timedelta(1)
            ),
            vault.JobWebhook(self.running, self.user, f"https://{MARK}/", tuple(WebhookEvent), SECRET),
            vault.WebhookDelivery(
                webhook, 1, uuid4(), self.user, self.running, None, "PING", now,
                vault.DeliveryState.DELIVERED, 1, (), None, None, None,
            ),
            vault.WorkerDescription(self.worker, MARK),
            vault.MaintenanceMessage(self.worker, MARK),
            vault.WorkerMessage(uuid4(), self.worker, uuid4(), f"to {MARK}", "", now, now + timedelta(1)),
            vault.WorkerMessage(uuid4(), None, self.user, MARK, MARK, now, now + timedelta(1)),
            RatingNote(uuid4(), self.user, MARK),
            RatingOrigin(uuid4(), self.user, uuid4(), now),
            AppealWords(uuid4(), self.user, MARK),
        )  # fmt: skip
        kept = vault.CommandOutcome(
            f"{self.user}/submitImageJob",
            MARK,
            now.date(),
            b"0" * 33,
            json.dumps({"user": str(self.user)}),
            1,
        )
        self.connection.execute(
            vault.KEEP_OUTCOMES, vault.outcome_parameters(self.gallery.settings.realm, [kept])
        )

    def rows(self, table: str) -> list[str]:
        trace = next(trace for trace in TRACES if trace.table == table)
        asked = binds(self.gallery.settings.realm, self.user)
        return [row[0] for row in self.connection.execute(rows_of(trace), asked)]

    def left(self) -> dict[str, str]:
        """Rows of the vault in which the person's id or words still are, by table."""
        found = {}
        for table in tables(self.connection):
            for (row,) in self.connection.execute(f"SELECT to_jsonb(t)::text FROM vault.{table} AS t"):
                if MARK in row or str(self.user) in row:
                    found[table] = row
        return found

    def log(self, upto: int | None = None) -> list[tuple[Any, ...]]:
        rows = self.connection.execute(
            "SELECT position, hash, data FROM log.event WHERE position <= %s ORDER BY position",
            (upto or 2**62,),
        )
        return rows.fetchall()

    def about(self, user: UUID) -> list[bytes]:
        return list(lines_about(self.connection, self.gallery.settings.realm, user))


@pytest.fixture
def life(gallery: Gallery, connection: psycopg.Connection[Any]) -> Life:
    return Life(gallery, connection)


def test_every_table_of_the_vault_is_somebodys_or_says_why_not(connection: psycopg.Connection[Any]):
    """A new table that is in neither list fails here: say whose its rows are, in `app.privacy.traces`."""
    there = tables(connection)
    known = {trace.table for trace in TRACES}
    assert set(there) == known | set(NOBODYS)
    assert not known & set(NOBODYS)
    people = {
        "subject",
        "owner",
        "rater",
        "sender",
        "requester",
        "creator",
        "user",
        "account",
        "by",
        "job",
        "scope",
    }
    for table in NOBODYS:
        assert not there.get(table, set()) & people, f"{table} has a column about somebody"
    for trace in TRACES:
        assert set(trace.key) | set(trace.hidden) <= there[trace.table]
    assert TRACES[-1].table == "person", "until the end the person is found by name"


def test_an_export_has_everything_and_no_secret(life: Life, hoard: Hoard, tmp_path: Path):
    alias = f"{MARK}#700001"
    done = hoard("user", "export", alias, "--out", str(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    file = tmp_path / f"{life.user}.jsonl"
    assert json.loads(done.stdout) == {
        "user": str(life.user),
        "file": str(file),
        "lines": len(file.read_bytes().splitlines()),
    }
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = {line["kind"] for line in lines}
    assert {f"vault.{trace.table}" for trace in TRACES} <= kinds
    assert {"account", "statement", "job", "generation", "worker", "team", "webhooks", "picture"} <= kinds
    (account,) = (line["row"] for line in lines if line["kind"] == "account")
    assert account["id"] == str(life.user)
    assert (
        sum(
            line["row"]["amount"]
            for line in lines
            if line["kind"] == "statement" and line["row"]["account"].startswith("user:")
        )
        == account["balance"]
    )
    assert SECRET not in text
    assert '"hash"' not in json.dumps([line for line in lines if line["kind"] == "vault.api_key"])
    assert "bystander" not in text
    again = tmp_path / "again.jsonl"
    assert hoard("user", "export", str(life.user), "--out", str(again)).exit_code == 0
    assert again.read_bytes() == file.read_bytes()
    refused = hoard("user", "export", alias, "--out", str(again))
    assert (refused.exit_code, "there already" in refused.output) == (2, True)


def test_an_erased_person_is_in_no_row_and_the_log_goes_on(
    life: Life, hoard: Hoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gallery, settings = life.gallery, life.gallery.settings
    for trace in TRACES:
        assert life.rows(trace.table), f"the test has no row in {trace.table}: it would prove nothing of it"
    before, beside = life.log(), life.about(life.other)
    alias = f"{MARK}#700001"
    assert hoard("user", "erase", alias, input="n\n").exit_code == 1
    assert life.log() == before

    # killed in the middle, and run again by the name that is still there
    steps = iter(range(9))
    whole = erasing.Eraser._rows

    def dies(*arguments: Any) -> int:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(erasing.Eraser, "_rows", dies)
        assert hoard("user", "erase", alias, "--yes").exit_code != 0
    assert life.left(), "it died before the end"
    done = hoard("user", "erase", alias, "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert life.left() == {}
    appended = life.log()
    assert appended[: len(before)] == before
    again = hoard("user", "erase", str(life.user), "--yes", "--json")
    assert json.loads(again.stdout)["erased"] == {}
    assert life.log() == appended, "a second time changes nothing"
    assert life.about(life.other) == beside, "nobody else is touched"

    # nothing waits, nothing is held, and nothing is left in the buckets of others' eyes
    ((held, waiting, allowance),) = life.connection.execute(
        "SELECT held, waiting, allowance FROM projections.accounts WHERE id = %s", (life.user,)
    ).fetchall()
    assert (held, waiting, allowance) == (0, 0, 0)
    lease, generation = life.published.lease, life.published.generation
    for bucket, key in (
        (settings.bucket_results, result_key(lease, generation)),
        (settings.bucket_sources, life.source),
        (settings.bucket_sources, life.upload),
    ):
        assert isinstance(gallery.objects.stat(bucket, key), Missing), key
    assert hoard("projections", "verify").exit_code == 0

    # what was published is withdrawn, and the next release has a tombstone in its place
    with gallery.publisher() as publisher:
        for (position,) in life.connection.execute(
            "SELECT position FROM log.event WHERE type = 'sharing.ShareConsentWithdrawn' ORDER BY position"
        ).fetchall():
            publisher.withdraw(position)
    assert gallery.shared(generation) == (None, None)
    source = source_of(settings, life.connection, gallery.objects)
    release = build(source, source.log.last(), tmp_path)
    folder = tmp_path / release.name
    assert (release.pictures, str(generation) in (folder / "TOMBSTONES").read_text()) == (0, True)
    for path in folder.rglob("*.*"):
        if path.is_file():
            assert MARK.encode() not in path.read_bytes(), path.name


def test_an_operator_withdraws_everything_of_a_user(life: Life, hoard: Hoard):
    done = hoard("user", "withdraw", f"{MARK}#700001", "--json")
    assert json.loads(done.stdout) == {"user": str(life.user), "jobs": 3}
    assert json.loads(hoard("user", "withdraw", str(life.user), "--json").stdout)["jobs"] == 0


@pytest.mark.parametrize("command", ["withdraw", "export", "erase"])
def test_nobody_and_everybody_are_refused(gallery: Gallery, hoard: Hoard, command: str, tmp_path: Path):
    more = {"withdraw": (), "export": ("--out", str(tmp_path)), "erase": ("--yes",)}[command]
    for name, why in (
        ("Anonymous#0", "told apart"),
        (str(ANONYMOUS), "told apart"),
        ("nobody#5", "no such user"),
    ):
        refused = hoard("user", command, name, *more)
        assert (refused.exit_code, why in refused.output) == (1, True), refused.output
