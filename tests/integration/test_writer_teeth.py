"""The checks of `test_writer_concurrency` have teeth: take a safeguard of the writer away, and they find it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from app.accounts.decider import TransferKudos
from app.platform.writer import Writer, apply, gather
from app.platform.writer import thread as writer_thread
from app.platform.writer.recent import Recent
from events.base import Recorded
from events.store import log
from projections.store import audit, derived
from tests.factories import run
from tests.integration.load import USERS, Answer, check_answers, check_chain, drive, prepare


def under_load(writers: list[Writer], steps: int = 8) -> list[Answer]:
    answers: list[Answer] = []
    threads = [t for seed, w in enumerate(writers) for t in drive(w, seed, 4, steps, answers.append)]
    for thread in threads:
        thread.join()
    return answers


def test_without_the_look_up_of_unknown_commits_commands_are_repeated(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    writer = start_writer()
    prepare(writer)
    original, calls = writer_thread.commit_batch, []

    def lose_some_answers(connection: Any, batch: Any, before: Any) -> None:
        calls.append(batch)
        original(connection, batch, before)
        if len(calls) % 5 == 0:
            with suppress(psycopg.Error):
                connection.close()
            raise psycopg.OperationalError("the answer to the commit was lost")

    monkeypatch.setattr(writer_thread, "commit_batch", lose_some_answers)
    answers = under_load([writer])
    check_answers(owner, answers)
    monkeypatch.setattr(Writer, "_committed", lambda *_: False)
    with pytest.raises(AssertionError):
        check_answers(owner, answers + under_load([writer], 20))


def test_without_the_lock_writers_collide_and_only_the_primary_key_keeps_the_log_whole(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    prepare(start_writer())
    monkeypatch.setattr(gather.log, "LOCK", "SELECT 1 WHERE %s >= 0")
    answers = under_load([start_writer() for _ in range(3)])
    assert "UniqueViolation" in {answer for _, _, answer, _ in answers}
    check_chain(owner)


def test_without_the_upkeep_of_the_derived_indexes_the_audit_is_not_clean(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    writer = start_writer()
    prepare(writer)
    assert audit.verify(owner, 0).clean
    monkeypatch.setattr(apply.derived, "statements", lambda *_: [])
    under_load([writer])
    broken = {finding.name for finding in audit.verify(owner, 0).findings if not finding.identical}
    by_entries = {"queue_head", "queue_denial"}  # they are compared with entries, which are wrong
    assert broken >= set(derived.NAMES) - by_entries


def test_a_row_that_is_not_written_is_found(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    writer = start_writer()
    prepare(writer)
    update = apply._update
    monkeypatch.setattr(
        apply, "_update", lambda table, columns: update(table, columns).replace("= t.balance", "= o.balance")
    )
    under_load([writer])
    broken = [finding.name for finding in audit.verify(owner, 0).findings if not finding.identical]
    assert "accounts" in broken


def test_rows_that_miss_what_other_writers_did_are_found(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    def blind(recent: Recent, events: Sequence[Recorded]) -> None:
        recent.position, recent._hash = events[-1].position, events[-1].hash

    def in_turn() -> list[str]:
        for writer in (*writers, *writers):
            run(writer, TransferKudos(source=USERS[0], target=USERS[1], amount=100))
        return [finding.name for finding in audit.verify(owner, 0).findings if not finding.identical]

    writers = (start_writer(), start_writer())
    prepare(writers[0])
    assert in_turn() == []
    monkeypatch.setattr(Recent, "catch_up", blind)
    assert in_turn() == ["postings", "accounts"]


def test_a_forged_hash_is_found_by_the_same_check(writer: Writer, owner: psycopg.Connection[Any]):
    prepare(writer)
    last = check_chain(owner)
    (event,) = log.read_all(owner, 0, last - 1)
    owner.execute(
        "INSERT INTO log.event SELECT realm, position + 1, gen_random_uuid(), stream, type, schema_version, subject, "
        "occurred_at, data, metadata, hash FROM log.event WHERE position = %s",
        [event.position],
    )
    with pytest.raises(AssertionError, match="breaks"):
        check_chain(owner)
