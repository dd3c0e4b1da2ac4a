"""Several writers, processes and crashes: positions stay dense, nobody is paid twice, no acknowledged command is lost.

The load's clients write down every answer; the log must agree with all of them.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from app.platform.settings import Settings
from app.platform.writer import Writer
from events.store import log
from projections.store import audit
from tests.integration.load import Answer, answers_in, check_answers, check_chain, drive, prepare

CHECKOUT = Path(__file__).parents[2]


def check_everything(owner: psycopg.Connection[Any], answers: list[Answer]) -> int:
    """The log agrees with what everybody was told, and all tables with the log."""
    last = check_chain(owner)
    check_answers(owner, answers)
    report = audit.verify(owner, 0)
    assert report.clean, report
    return last


class Tail:
    """A reader that follows the log by position while others write."""

    def __init__(self, url: str) -> None:
        self.seen: list[int] = []
        self._url = url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            last_round = False
            while not last_round:
                last_round = self._stopping.is_set()
                after = self.seen[-1] if self.seen else 0
                rows = connection.execute(log.READ, (0, after, 50), binary=True).fetchall()
                self.seen += [row[0] for row in rows]
                last_round = last_round and not rows
                time.sleep(0.001)


def test_several_writers_give_dense_positions_and_a_tailing_reader_misses_nothing(
    database: Settings, start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writers = [start_writer() for _ in range(3)]
    prepare(writers[0])
    answers: list[Answer] = []
    with Tail(database.database_url) as tail:
        threads = [
            thread
            for seed, writer in enumerate(writers)
            for thread in drive(writer, seed, 5, 12, answers.append)
        ]
        for thread in threads:
            thread.join()
    last = check_everything(owner, answers)
    assert tail.seen == list(range(1, last + 1))
    assert {answer for _, _, answer, _ in answers} <= {"done", "INSUFFICIENT_KUDOS", "LEASE_ENDED"}


def process(database: Settings, seed: int, clients: int, commands: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.integration.load",
            database.database_url,
            str(seed),
            str(clients),
            str(commands),
        ],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_and_one_of_them_killed(
    database: Settings, writer: Writer, owner: psycopg.Connection[Any]
):
    """An answer that a killed process had given stands; what it had not answered is done once or not at all."""
    prepare(writer)
    whole = process(database, 1, 6, 12)
    victim = process(database, 2, 6, 10_000)
    seen = victim.stdout.readline() if victim.stdout else ""
    time.sleep(1.0)
    victim.send_signal(signal.SIGKILL)
    rest, _ = victim.communicate()
    printed, _ = whole.communicate(timeout=60)
    assert whole.returncode == 0
    answers = answers_in(printed) + answers_in(seen + rest)
    assert len(answers_in(seen + rest)) > 10
    check_everything(owner, answers)


def test_writers_whose_connections_are_killed_lose_and_repeat_nothing(
    start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writers = [start_writer() for _ in range(2)]
    prepare(writers[0])
    answers: list[Answer] = []
    threads = [t for seed, w in enumerate(writers) for t in drive(w, seed, 5, 40, answers.append)]
    dice, kills = random.Random(1), 0
    # Never as fast as a writer can connect again, or the load would wait for the end of the kills.
    while kills < 25 and any(thread.is_alive() for thread in threads):
        time.sleep(dice.uniform(0.02, 0.2))
        killed = owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'hoard-writer' AND datname = current_database() ORDER BY random() LIMIT 1"
        ).fetchall()
        kills += len(killed)
    for thread in threads:
        thread.join()
    assert kills > 8
    check_everything(owner, answers)
    told = {answer for _, _, answer, _ in answers}
    assert told <= {"done", "INSUFFICIENT_KUDOS", "LEASE_ENDED"}, (
        "a killed connection is the writer's business"
    )


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_a_commit_of_unknown_outcome_is_looked_up_by_its_first_event(
    moment: str,
    start_writer: Callable[..., Writer],
    owner: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
):
    from app.platform.writer import thread as writer_thread  # noqa: PLC0415

    writer = start_writer()
    prepare(writer)
    original, lost = writer_thread.commit_batch, []

    def commit(connection: Any, batch: Any, before: Any) -> None:
        if lost:
            original(connection, batch, before)
            return
        lost.append(moment)
        if moment == "after commit":
            original(connection, batch, before)
        with suppress(psycopg.Error):
            connection.close()
        raise psycopg.OperationalError("the answer to the commit was lost")

    monkeypatch.setattr(writer_thread, "commit_batch", commit)
    answers: list[Answer] = []
    for thread in drive(writer, 3, 4, 5, answers.append):
        thread.join()
    assert lost
    check_everything(owner, answers)
