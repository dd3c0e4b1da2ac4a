"""Rebuilding gives the live tables byte for byte, and every planted corruption is found."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from app.accounts.decider import GrantRole
from app.operations.decider import SetMode
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.ratings.decider import Candidate, RateImage, RequestRatings
from app.ratings.identity import rating_id
from app.sharing.decider import PublishPicture
from app.teams.decider import CreateTeam
from app.webhooks.decider import CreateWebhook
from events.accounts import Role
from events.images import SHARED_SET
from events.operations import Mode
from events.ratings import Assigned
from projections.registry import ALL, INLINE, TAILING
from projections.store import audit, build, derived
from tests.factories import check_in, deliver, pop, register, run, submit, uid
from tests.integration.load import USERS, WORKERS, Answer, check_answers, check_chain, drive, prepare


def busy(writer: Writer, seed: int, clients: int = 6, steps: int = 12) -> list[Answer]:
    """A random history by several clients."""
    answers: list[Answer] = []
    for thread in drive(writer, seed, clients, steps, answers.append):
        thread.join()
    return answers


#: what has rows in these histories
FILLED = tuple(p.name for p in INLINE if p.name not in {"image_sets", "takedowns"})


def digests(report: audit.Report) -> dict[str, str]:
    """What each projection looks like; the tailing ones follow the log at their own pace."""
    tailing = {projection.name for projection in TAILING}
    return {finding.name: finding.live for finding in report.findings if finding.name not in tailing}


@pytest.fixture
def history(writer: Writer) -> Writer:
    """A writer behind which a random history lies, in which some jobs still wait and one is in process."""
    prepare(writer)
    run(writer, GrantRole(user=USERS[0], role=Role.TRUSTED))
    run(writer, CreateTeam(team=uid(0x200), creator=USERS[0], name="a team", info=""))
    run(writer, CreateWebhook(webhook=uid(0x201), owner=USERS[0], url="https://example.org/", events=()))
    rate_something(writer)
    run(writer, SetMode(mode=Mode.INVITE_ONLY, on=True))
    busy(writer, 1)
    for _ in range(3):
        run(writer, submit(USERS[0], models=("served by nobody",)))
    run(writer, submit(USERS[0], models=("denied to somebody",), wish={"denied_workers": (WORKERS[0],)}))
    run(writer, submit(USERS[0], models=("stable",)))
    run(writer, pop(WORKERS[1], USERS[WORKERS[1].int % len(USERS)]))
    return writer


def rate_something(writer: Writer) -> None:
    """Somebody's own worker draws a picture, it is published, and another rates it."""
    artist, worker, picture, lease = (uid(0x230 + number) for number in range(4))
    run(writer, register(artist))
    run(writer, check_in(worker, artist))
    job = run(writer, submit(artist, generations=(picture,), shared=True)).result.job
    run(writer, pop(worker, artist, lease=lease, own_only=True))
    run(writer, deliver(lease, artist, picture))
    published = PublishPicture(
        job=job, generation=picture, sha256="ab", perceptual_hash="cd", width=512, height=512, size=9
    )
    run(writer, published)
    key = rating_id(USERS[0], picture)
    assigned = Assigned(id=key, picture=picture, image_set=SHARED_SET)
    proposed = Candidate(assigned=assigned, wanted=True)
    run(writer, RequestRatings(rater=USERS[0], amount=1, candidates=(proposed,)))
    run(writer, RateImage(rating=key, rater=USERS[0], picture=picture, value=7, artifacts=0))


@pytest.mark.parametrize("close", [2_000, 10], ids=["in one go", "catching up"])
def test_a_rebuild_gives_the_live_tables_byte_for_byte(
    close: int, history: Writer, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "CLOSE", close)
    monkeypatch.setattr(build, "CHUNK", 7 if close < 100 else 20_000)
    before = audit.verify(owner, 0)
    assert before.clean, before
    assert {finding.name for finding in before.findings} == {p.name for p in ALL} | set(derived.NAMES) | {
        "postings"
    }
    assert all(finding.rows for finding in before.findings if finding.name in FILLED)
    told: list[tuple[int, int]] = []
    last = build.rebuild(owner, 0, lambda position, of: told.append((position, of)))
    assert told[-1] == (last, last)
    after = audit.verify(owner, 0)
    assert after.clean, after
    assert digests(after) == digests(before)
    busy(history, 2, 3, 5)
    assert audit.verify(owner, 0).clean


def test_a_rebuild_while_people_go_on(history: Writer, owner: psycopg.Connection[Any]):
    answers: list[Answer] = []
    threads = drive(history, 3, 5, 20, answers.append)
    for _ in range(3):
        build.rebuild(owner, 0)
    for thread in threads:
        thread.join()
    check_chain(owner)
    check_answers(owner, answers)
    report = audit.verify(owner, 0)
    assert report.clean, report
    assert {answer for _, _, answer, _ in answers} <= {"done", "INSUFFICIENT_KUDOS", "LEASE_ENDED"}


def test_a_rebuild_that_hangs_in_its_swap_holds_nobody_up_for_long(
    history: Writer, owner: psycopg.Connection[Any], database: Settings, monkeypatch: pytest.MonkeyPatch
):
    swapping, went_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        swapping.set()
        went_on.wait(10)

    monkeypatch.setattr(build, "SILENCE_SECONDS", 1)
    monkeypatch.setattr(build, "_swap", hang)
    assert database.migrate_url is not None
    with psycopg.connect(database.migrate_url, autocommit=True) as hanging, ThreadPoolExecutor(1) as pool:
        hung = pool.submit(build.rebuild, hanging, 0)
        assert swapping.wait(20)
        run(history, submit(USERS[0]))  # it had to wait for the lock
        assert not went_on.is_set()
        went_on.set()
        with pytest.raises(psycopg.Error):
            hung.result()
    assert audit.verify(owner, 0).clean


def test_a_rebuild_of_one_realm_leaves_the_others_whole(history: Writer, owner: psycopg.Connection[Any]):
    owner.execute("INSERT INTO log.lock VALUES (1)")
    build.rebuild(owner, 1)
    assert audit.verify(owner, 0).clean


def test_ensure_builds_only_what_is_of_another_version(history: Writer, owner: psycopg.Connection[Any]):
    assert build.ensure(owner, 0) is False
    owner.execute("UPDATE relay.projection SET version = 0 WHERE name = 'jobs'")
    assert build.ensure(owner, 0) is True
    assert build.ensure(owner, 0) is False
    assert audit.verify(owner, 0).clean


def numeric(owner: psycopg.Connection[Any], table: str) -> list[tuple[str, str]]:
    """The columns of a live table with their types."""
    return owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'projections' "
        "AND table_name = %s AND column_name <> 'realm' ORDER BY ordinal_position",
        [table],
    ).fetchall()


#: how to make another value of a type, which no other row of a key has
OTHER = {
    "bigint": "{0} + 1000003", "boolean": "NOT {0}", "text": "{0} || 'x'", "uuid": "gen_random_uuid()",
    "timestamp with time zone": "{0} + interval '1 microsecond'", "jsonb": "jsonb_build_array({0})",
}  # fmt: skip


def test_a_corruption_of_any_column_of_any_table_is_found(history: Writer, owner: psycopg.Connection[Any]):
    """Each column of each table is changed in one row, and the auditor must name that table and no innocent one."""
    assert audit.verify(owner, 0).clean
    for table in (*FILLED, *derived.NAMES):
        columns = numeric(owner, table)
        assert columns
        for name, kind in columns:
            change = f"coalesce({OTHER[kind].format(name)}, {_something(kind)})"
            with owner.transaction(force_rollback=True):
                owner.execute(
                    f"UPDATE projections.{table} SET {name} = {change} WHERE ctid = "
                    f"(SELECT ctid FROM projections.{table} ORDER BY random() LIMIT 1)"
                )
                assert table in _found(owner), f"{table}.{name} was changed and nobody noticed"


def test_an_entry_that_cannot_even_be_computed_with_is_found(history: Writer, owner: psycopg.Connection[Any]):
    owner.execute("UPDATE projections.queue_entry SET denied = denied || 'x' WHERE denied <> ''")
    wrong = {finding.name for finding in audit.verify(owner, 0).findings if not finding.identical}
    assert {"queue_entry", "queue_denial"} <= wrong <= set(derived.NAMES), "and what follows from it"


def _something(kind: str) -> str:
    values = {
        "bigint": "1", "boolean": "true", "text": "'x'", "uuid": "gen_random_uuid()",
        "timestamp with time zone": "now()", "jsonb": "'[]'",
    }  # fmt: skip
    return values[kind]


def _found(owner: psycopg.Connection[Any]) -> set[str]:
    """Tables in which something is wrong, as the auditor sees them inside the caller's transaction."""
    findings: set[str] = set()
    with owner.transaction(force_rollback=True):
        state, _ = audit._fold(owner, 0, 10**9, {p.name: 0 for p in TAILING}, None)
        for projection in INLINE:
            try:
                same = audit._compare(owner, 0, projection, state[projection.name]).identical
            except ValueError:
                same = False  # the row does not even decode
            if not same:
                findings.add(projection.name)
        findings |= {finding.name for finding in audit._derived(owner, 0) if not finding.identical}
    return findings


def test_a_lost_and_an_invented_row_of_any_table_are_found(history: Writer, owner: psycopg.Connection[Any]):
    keys = {
        "queue_entry": "job", "queue_head": "mask", "queue_denial": "mask", "queue_demand": "mask",
        "queue_histogram": "bucket",
    }  # fmt: skip
    for table in (*FILLED, *derived.NAMES):
        one = f"(SELECT ctid FROM projections.{table} LIMIT 1)"
        with owner.transaction(force_rollback=True):
            owner.execute(f"DELETE FROM projections.{table} WHERE ctid = {one}")
            assert table in _found(owner), f"a row of {table} was lost and nobody noticed"
        key = keys.get(table, "id")
        other = "gen_random_uuid()" if key in ("id", "job") else "77"
        with owner.transaction(force_rollback=True):
            owner.execute(
                f"CREATE TEMP TABLE forged ON COMMIT DROP AS SELECT * FROM projections.{table} LIMIT 1"
            )
            owner.execute(f"UPDATE forged SET {key} = {other}")
            owner.execute(f"INSERT INTO projections.{table} SELECT * FROM forged")
            assert table in _found(owner), f"a row of {table} was invented and nobody noticed"


def test_the_report_names_what_differs_and_is_not_clean(history: Writer, owner: psycopg.Connection[Any]):
    owner.execute(
        "UPDATE projections.accounts SET balance = balance + 1 "
        "WHERE id = '00000000-0000-0000-0000-000000000003'"
    )
    report = audit.verify(owner, 0)
    (finding,) = [finding for finding in report.findings if not finding.identical]
    assert (finding.name, finding.differing) == ("accounts", ("00000000-0000-0000-0000-000000000003",))
    assert not report.clean
    build.rebuild(owner, 0)
    assert audit.verify(owner, 0).clean, "a rebuild heals it"


def test_forged_postings_are_found(history: Writer, owner: psycopg.Connection[Any], database: Settings):
    """They balance among themselves, and the application's role may insert them: only the events give them away."""
    with psycopg.connect(database.database_url, autocommit=True) as application:
        application.execute(
            "INSERT INTO log.posting SELECT 0, 2, 7 + n, account, amount, NULL FROM (VALUES "
            "(0, 'system:treasury', -100), (1, 'user:00000000-0000-0000-0000-000000000001', 100)) AS v(n, account, amount)"
        )
    assert not audit.verify(owner, 0).clean


def test_kudos_out_of_nothing_are_found(history: Writer, owner: psycopg.Connection[Any]):
    owner.execute("INSERT INTO log.posting VALUES (0, 2, 7, 'sink:tax', 1, NULL)")
    report = audit.verify(owner, 0)
    assert not report.clean


#: each column of the envelope
FORGERIES = (
    "data = replace(data, '100000', '100001')",
    "data = data || ' '",
    'metadata = \'{"command":"00000000-0000-0000-0000-000000000000"}\'',
    "occurred_at = occurred_at + interval '1 microsecond'",
    "subject = NULL",
    "stream = 'user-x'",
    "type = 'kudos.KudosTransferred'",
    "schema_version = 2",
    "event_id = gen_random_uuid()",
    "hash = sha256('forged')",
)


def test_a_forged_event_breaks_the_chain(writer: Writer, owner: psycopg.Connection[Any]):
    """As only the owner of the database could forge it, with the guard lifted."""
    prepare(writer)
    assert check_chain(owner) > 7
    row = owner.execute("SELECT type FROM log.event WHERE position = 6").fetchone()
    assert row == ("kudos.KudosGranted",)
    owner.execute("ALTER TABLE log.event_00000 DISABLE TRIGGER append_only")
    for change in FORGERIES:
        with owner.transaction(force_rollback=True):
            owner.execute(f"UPDATE log.event_00000 SET {change} WHERE position = 6")
            with pytest.raises(AssertionError, match=r"breaks at (6|7)"):
                check_chain(owner)
    check_chain(owner)


def test_a_removed_event_breaks_the_chain(writer: Writer, owner: psycopg.Connection[Any]):
    prepare(writer)
    owner.execute("ALTER TABLE log.event_00000 DISABLE TRIGGER append_only")
    owner.execute("DELETE FROM log.event_00000 WHERE position = 7")
    owner.execute("UPDATE log.event_00000 SET position = position - 1 WHERE position > 7")
    with pytest.raises(AssertionError, match="breaks at 7"):
        check_chain(owner)


def test_random_histories_stay_clean(start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]):
    writers = [start_writer() for _ in range(2)]
    prepare(writers[0])
    for seed in random.Random(5).sample(range(1000), 3):
        busy(writers[seed % 2], seed, 4, 8)
        report = audit.verify(owner, 0)
        assert report.clean, report
