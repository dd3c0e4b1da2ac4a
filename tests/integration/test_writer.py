"""The writer and its callers: idempotency, bad neighbours, a full queue, a holder of the lock that fell asleep."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from app.accounts.decider import Opened, OpenRealm, TransferKudos, Transferred
from app.platform.commands import Command, Decision, Done, Idempotency, Needs, Rejection, Request, Rule
from app.platform.handling import fingerprint
from app.platform.settings import Settings
from app.platform.writer import InternalError, Writer, WriterBusyError, WriterStoppedError
from app.platform.writer import thread as writer_thread
from app.workers.decider import SetMaintenance
from events.store import log
from tests.factories import RULES, check_in, grant, open_realm, register, request, run, submit, uid
from tests.integration.load import check_chain

ALICE, BOB = uid(1), uid(2)


class Strange(Command, frozen=True, kw_only=True):
    """A command that misbehaves in the way it is told to."""

    how: str


def _strange_needs(command: Strange) -> Needs:
    if command.how == "needs raise":
        raise RuntimeError("needs")
    return Needs()


def _strange(command: Strange, rows: Any) -> Decision:
    if command.how == "raises":
        raise RuntimeError("decide")
    if command.how == "reaches too far":
        rows.account(uid(77))
    if command.how == "sleeps":
        time.sleep(5)
    return Decision((), Opened())


STRANGE = {**RULES, Strange: Rule(Strange, Opened, _strange_needs, _strange)}


class Unknown(Command, frozen=True, kw_only=True):
    """A command that no rule decides."""


class Answers:
    """Collects the answers of commands that are submitted together."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._done = threading.Semaphore(0)
        self.made: list[Any] = []

    def submit(self, *requests: Request) -> "Answers":
        for one in requests:
            place = len(self.made)
            self.made.append(None)
            self._writer.submit(one, lambda outcome, place=place: self._answer(place, outcome))
        return self

    def _answer(self, place: int, outcome: Any) -> None:
        assert self.made[place] is None, "answered twice"
        self.made[place] = outcome
        self._done.release()

    def wait(self, seconds: float = 30) -> list[Any]:
        deadline = time.monotonic() + seconds
        for _ in self.made:
            assert self._done.acquire(timeout=max(0.1, deadline - time.monotonic())), self.made
        return self.made


@pytest.fixture
def people(start_writer: Callable[..., Writer]) -> None:
    """Alice with 1000 hundredths, and Bob."""
    writer = start_writer()
    open_realm(writer)
    for user in (ALICE, BOB):
        run(writer, register(user))
    run(writer, grant(ALICE, 1000))


def transfer(amount: int, key: str | None = None, *, scope: str = "alice:transfer") -> Request:
    command = TransferKudos(source=ALICE, target=BOB, amount=amount)
    return request(command, idempotency=keyed(amount, key, scope) if key else None)


def keyed(amount: int, key: str, scope: str = "alice:transfer") -> Idempotency:
    return Idempotency(scope, key, str(amount).encode())


def count(owner: psycopg.Connection[Any], name: str = "kudos.KudosTransferred") -> int:
    row = owner.execute("SELECT count(*) FROM log.event WHERE type = %s", [name]).fetchone()
    assert row is not None
    return row[0]


pytestmark = pytest.mark.usefixtures("people")


# --- idempotency


def test_a_repeat_has_the_first_outcome_and_other_parameters_are_an_error(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    """Over two writers: what one committed the other one knows."""
    first, second = start_writer(), start_writer()
    done = first.execute_sync(transfer(300, "k"))
    assert done == Done(Transferred(source=ALICE, amount=300), done.position)
    for writer in (first, second):
        assert writer.execute_sync(transfer(300, "k")) == Done(done.result, done.position, repeated=True)
        conflict = writer.execute_sync(transfer(301, "k"))
        assert isinstance(conflict, Rejection)
        assert conflict.code == "IDEMPOTENCY_CONFLICT"
    assert count(owner) == 1
    assert second.execute_sync(transfer(301, "k", scope="alice:other")).repeated is False
    assert count(owner) == 2


def test_the_same_key_twice_in_one_batch(start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]):
    writer = start_writer(start=False)
    answers = Answers(writer).submit(
        transfer(300, "k"), transfer(300, "k"), transfer(7, "k"), transfer(300, "l")
    )
    writer.start()
    first, repeat, conflict, other = answers.wait()
    assert (repeat.result, repeat.position, repeat.repeated) == (first.result, first.position, True)
    assert conflict.code == "IDEMPOTENCY_CONFLICT"
    assert (other.repeated, count(owner)) == (False, 2)


def test_the_same_key_on_two_writers_at_once(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writers = [start_writer() for _ in range(2)]
    answers = [Answers(w).submit(*(transfer(5, f"k{n}") for n in range(40))) for w in writers]
    one, two = (a.wait() for a in answers)
    assert [a.position for a in one] == [a.position for a in two]
    assert all(a.repeated != b.repeated for a, b in zip(one, two, strict=True))
    assert count(owner) == 40


def test_what_an_older_program_kept_by_another_rule_is_the_answer_whatever_it_was_asked(writer: Writer):
    for old in (b"1" * 32, b"\x01" + b"1" * 32):
        first = transfer(7)
        first.idempotency = Idempotency("alice:transfer", old.hex(), old)
        done = writer.execute_sync(first)
        again = transfer(8)
        again.idempotency = Idempotency("alice:transfer", old.hex(), fingerprint({"amount": 8}))
        assert writer.execute_sync(again) == Done(done.result, done.position, repeated=True)


def test_neither_a_refusal_nor_an_acceptance_that_changed_nothing_is_remembered(
    start_writer: Callable[..., Writer],
):
    writer = start_writer()
    assert isinstance(writer.execute_sync(transfer(2000, "k")), Rejection)
    run(writer, grant(ALICE, 5000))
    assert writer.execute_sync(transfer(2000, "k")).repeated is False
    key = Idempotency("system:open", "k", b"")
    assert writer.execute_sync(request(OpenRealm(), idempotency=key)).repeated is False
    assert writer.execute_sync(request(OpenRealm(), idempotency=key)).repeated is False


def test_outcomes_older_than_seven_days_are_forgotten(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writer = start_writer()
    writer.execute_sync(transfer(5, "k"))
    owner.execute("SELECT vault.ensure_partitions(current_date - 9)")
    owner.execute("UPDATE vault.command SET day = current_date - 7")
    assert writer.execute_sync(transfer(5, "k")).repeated is True
    owner.execute("UPDATE vault.command SET day = current_date - 8")
    assert writer.execute_sync(transfer(5, "k")).repeated is False


# --- neighbours

LONE_SURROGATE = "a \ud800 cat"


@pytest.mark.parametrize(
    "bad",
    [
        Strange(how="raises"),
        Strange(how="reaches too far"),
        Strange(how="needs raise"),
        Unknown(),
        submit(ALICE, prompt=LONE_SURROGATE),
        submit(ALICE, prompt="a \x00 cat"),
        register(BOB),
    ],
    ids=["decider raises", "row not gathered", "needs raise", "no rule", "surrogate", "NUL", "fold raises"],
)
def test_a_bad_command_harms_no_neighbour(
    bad: Command, start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writer = start_writer(rules=STRANGE, start=False)
    answers = Answers(writer).submit(transfer(1), transfer(2), request(bad), transfer(3, "k"), transfer(4))
    writer.start()
    one, two, refused, three, four = answers.wait()
    assert isinstance(refused, InternalError | psycopg.Error)
    assert all(isinstance(outcome, Done) for outcome in (one, two, three, four))
    assert count(owner) == 4
    assert check_chain(owner) == 8
    assert run(writer, grant(BOB, 1)).position == 9
    locks = owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    ).fetchone()
    assert locks == (0,), "the lock was left held"


def test_a_unique_name_taken_in_the_vault_fails_only_its_own_command(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    run(start_writer(), register(uid(5), number=4711))
    writer = start_writer(start=False)
    answers = Answers(writer).submit(transfer(1), request(register(uid(6), number=4711)), transfer(2))
    writer.start()
    one, refused, two = answers.wait()
    assert isinstance(refused, psycopg.errors.UniqueViolation)
    assert isinstance(one, Done)
    assert isinstance(two, Done)
    assert owner.execute("SELECT count(*) FROM projections.accounts WHERE id = %s", [uid(6)]).fetchone() == (
        0,
    )


# --- the queue


def test_a_full_queue_refuses_and_loses_nothing(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer_thread, "QUEUE_LIMIT", 30)
    writer = start_writer(start=False)
    answers = Answers(writer).submit(*(transfer(1) for _ in range(30)))
    with pytest.raises(WriterBusyError) as refused:
        writer.submit(transfer(1), lambda _: pytest.fail("refused and answered"))
    assert refused.value.retry_after > 0
    writer.start()
    outcomes = answers.wait()
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert count(owner) == 30


def test_a_batch_is_bounded(start_writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    original = writer_thread.decide_batch

    def counted(connection: Any, realm: int, rules: Any, requests: Any, *more: Any) -> Any:
        sizes.append(len(requests))
        return original(connection, realm, rules, requests, *more)

    monkeypatch.setattr(writer_thread, "decide_batch", counted)
    writer = start_writer(start=False)
    answers = Answers(writer).submit(*(transfer(1) for _ in range(300)))
    writer.start()
    answers.wait()
    assert sizes == [256, 44]


def test_what_one_batch_writes_twice_to_the_vault_is_as_written_last(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
):
    writer = start_writer(start=False)
    user, worker = uid(1), uid(0x100)
    words = [SetMaintenance(worker=worker, owner=user, maintenance=True, message=m) for m in ("one", "two")]
    commands = (check_in(worker, user), *words)
    answers = Answers(writer).submit(*(request(command) for command in commands))
    writer.start()
    outcomes = answers.wait()
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert "command_failed" not in caplog.text
    assert owner.execute("SELECT message FROM vault.maintenance").fetchall() == [("two",)]


def test_a_stopping_writer_answers_what_waits_and_takes_no_more(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writer = start_writer(start=False)
    answers = Answers(writer).submit(*(transfer(1) for _ in range(20)))
    writer.start()
    writer.stop()
    assert all(isinstance(outcome, Done) for outcome in answers.wait(1))
    with pytest.raises(WriterStoppedError):
        writer.submit(transfer(1), lambda _: None)
    assert count(owner) == 20


@pytest.mark.anyio
async def test_commands_from_an_event_loop(start_writer: Callable[..., Writer]):
    writer = start_writer(rules=STRANGE)
    done = await writer.execute(transfer(5))
    assert isinstance(done, Done)
    assert isinstance(await writer.execute(transfer(10**9)), Rejection)
    with pytest.raises(InternalError):
        await writer.execute(request(Strange(how="raises")))


# --- the lock


def test_a_writer_that_falls_asleep_under_the_lock_is_thrown_out_and_others_go_on(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer_thread, "PATIENCE_SECONDS", 7.0)  # it is tried twice, and not four times
    sleeper, other = start_writer(rules=STRANGE), start_writer()
    asleep = Answers(sleeper).submit(request(Strange(how="sleeps")), transfer(1))
    time.sleep(0.3)
    started = time.monotonic()
    assert isinstance(other.execute_sync(transfer(2)), Done)
    assert time.monotonic() - started < 12
    assert [type(outcome) for outcome in asleep.wait(60)] == [WriterBusyError, Done], (
        "the neighbour is not harmed"
    )
    assert count(owner) == 2


def test_an_outage_of_the_database_is_waited_for(
    database: Settings, start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writer = start_writer()
    run(writer, grant(ALICE, 1))
    owner.execute("ALTER ROLE hoard_app CONNECTION LIMIT 0")
    try:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hoard-writer' "
            "AND datname = current_database()"
        )
        answers = Answers(writer).submit(transfer(1), transfer(2))
        time.sleep(0.7)
        assert answers.made == [None, None]
    finally:
        owner.execute("ALTER ROLE hoard_app CONNECTION LIMIT -1")
    outcomes = answers.wait()
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes


def test_a_long_outage_is_told_to_callers_and_nothing_is_done_later(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer_thread, "PATIENCE_SECONDS", 0.5)
    writer = start_writer(start=False)
    owner.execute("ALTER ROLE hoard_app CONNECTION LIMIT 0")
    try:
        writer.start()
        answers = Answers(writer).submit(transfer(1)).wait()
    finally:
        owner.execute("ALTER ROLE hoard_app CONNECTION LIMIT -1")
    assert isinstance(answers[0], WriterBusyError)
    assert isinstance(writer.execute_sync(transfer(2)), Done)
    assert count(owner) == 1


# --- what a batch writes


def test_positions_instants_and_metadata(start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]):
    writer = start_writer(start=False)
    one, two = transfer(1), transfer(2)
    one.actor, one.causation, one.correlation = ALICE, 3, uid(8)
    answers = Answers(writer).submit(one, two)
    writer.start()
    assert [outcome.position for outcome in answers.wait()] == [5, 6]
    first, second = log.read_all(owner, 0, 4)
    assert first.occurred_at == second.occurred_at, "one instant a batch"
    assert msgspec.json.decode(first.metadata) == {
        "command": str(one.id), "actor": str(ALICE), "causation": 3, "correlation": str(uid(8)),
    }  # fmt: skip
    assert msgspec.json.decode(second.metadata) == {"command": str(two.id)}
    assert (first.stream, first.subject, first.event_id.version) == (f"user-{ALICE}", ALICE, 7)
    rows = owner.execute("SELECT account, amount, balance FROM log.posting WHERE position = 6").fetchall()
    assert rows == [(f"user:{ALICE}", -2, 997), (f"user:{BOB}", 2, 3)]


def test_the_clock_never_runs_backwards(start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]):
    ahead = (
        "INSERT INTO log.event SELECT realm, position + 1, gen_random_uuid(), stream, 'kudos.KudosGranted', 1, "
        "subject, now() + interval '1 hour', data, metadata, hash FROM log.event ORDER BY position DESC LIMIT 1"
    )
    owner.execute(ahead)
    done = start_writer().execute_sync(transfer(1))
    five, six = log.read_all(owner, 0, 4)
    assert done.position == 6
    assert six.occurred_at == five.occurred_at


def test_each_batch_announces_its_last_position(database: Settings, start_writer: Callable[..., Writer]):
    with psycopg.connect(database.database_url, autocommit=True) as listener:
        listener.execute("LISTEN hoard_log_0")
        writer = start_writer(start=False)
        answers = Answers(writer).submit(transfer(1), transfer(2))
        writer.start()
        answers.wait()
        (note,) = listener.notifies(timeout=2, stop_after=1)
    assert note.payload == "6"


@pytest.mark.parametrize(
    "change",
    [
        "SELECT 1",
        "ALTER TABLE projections.accounts DROP COLUMN late_paid",
        "ALTER TABLE projections.accounts ALTER COLUMN late_paid TYPE text",
        "DROP TABLE projections.accounts",
    ],
)
def test_a_process_that_does_not_know_a_live_version_stops_itself(
    database: Settings, owner: psycopg.Connection[Any], change: str
):
    fatal: list[BaseException] = []
    writer = Writer(database.database_url, 0, RULES, on_fatal=fatal.append)
    writer.start()
    assert isinstance(writer.execute_sync(transfer(10**9)), Rejection), "statements are prepared"
    owner.execute(change)
    owner.execute("UPDATE relay.projection SET version = 99 WHERE name = 'accounts'")
    with pytest.raises(WriterStoppedError):
        writer.execute_sync(transfer(1))
    assert type(fatal[0]).__name__ == "VersionMismatchError"
    idle = owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    ).fetchone()
    writer.stop()
    assert idle == (0,), "the lock was left held"
    assert count(owner) == 0


def test_a_command_of_no_effect_writes_nothing(start_writer: Callable[..., Writer]):
    done = start_writer().execute_sync(request(OpenRealm()))
    assert done == Done(Opened(), 4)


def test_ids_are_given_by_callers(start_writer: Callable[..., Writer]):
    asked = transfer(1)
    assert isinstance(asked.id, UUID)
    assert isinstance(start_writer().execute_sync(asked), Done)
