"""Why the log is written the way it is: the harness that finds nothing wrong with it catches each simpler design.

Small tables of their own, many writers with pauses between their statements, readers that tail during the run. Each
wrong design is run until it shows its fault, for a bounded time; the right one must show none in the same harness.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from app.platform.settings import Settings

SETUP = """
CREATE SCHEMA harness;
CREATE TABLE harness.gate (one int PRIMARY KEY);
INSERT INTO harness.gate VALUES (1);
CREATE TABLE harness.identity (position bigint GENERATED ALWAYS AS IDENTITY, xid xid8 DEFAULT pg_current_xact_id());
CREATE TABLE harness.locked (position bigint PRIMARY KEY, xid xid8 DEFAULT pg_current_xact_id());
CREATE TABLE harness.account (balance bigint NOT NULL);
INSERT INTO harness.account VALUES (0);
CREATE TABLE harness.entry (id bigint GENERATED ALWAYS AS IDENTITY, after bigint NOT NULL);
GRANT USAGE ON SCHEMA harness TO hoard_app;
GRANT ALL ON ALL TABLES IN SCHEMA harness TO hoard_app;
"""
#: seconds that a wrong design has to show its fault
BOUND = 20.0
WRITERS = 6

LOCK = "SELECT 1 FROM harness.gate FOR UPDATE"
BY_POSITION = "SELECT position FROM harness.{} WHERE position > %s ORDER BY position"
BY_XMIN = (
    "SELECT position FROM harness.{} WHERE position > %s AND xid < pg_snapshot_xmin(pg_current_snapshot()) "
    "ORDER BY position"
)


class Harness:
    """Connects as the application, in threads."""

    def __init__(self, url: str) -> None:
        self.url = url

    def during(
        self, seconds: float, count: int, work: Callable[[psycopg.Connection[Any], random.Random], None]
    ) -> None:
        """So many threads repeat `work` on connections of their own for so long."""
        until = time.monotonic() + seconds
        faults: list[BaseException] = []

        def loop(seed: int) -> None:
            dice = random.Random(seed)
            with psycopg.connect(self.url) as connection:
                while time.monotonic() < until and not faults:
                    try:
                        work(connection, dice)
                    except psycopg.Error as error:
                        faults.append(error)

        threads = [threading.Thread(target=loop, args=(seed,)) for seed in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults, faults

    def skipped(self, table: str, read: str, write: Callable[..., None], seconds: float) -> int:
        """How many committed rows a tailing reader missed."""
        seen: set[int] = set()
        stop = threading.Event()

        def tail() -> None:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor, done = 0, False
                while not done:
                    done = stop.is_set()
                    for (position,) in connection.execute(read.format(table), [cursor]).fetchall():
                        seen.add(position)
                        cursor = position
                    time.sleep(0.0005)

        reader = threading.Thread(target=tail)
        reader.start()
        self.during(seconds, WRITERS, write)
        stop.set()
        reader.join()
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute(f"SELECT position FROM harness.{table}").fetchall()
        assert len(rows) > 20, "the harness wrote next to nothing"
        return len({position for (position,) in rows} - seen)


@pytest.fixture
def harness(database: Settings, owner: psycopg.Connection[Any]) -> Harness:
    owner.execute(SETUP)
    return Harness(database.database_url)


def pause(dice: random.Random) -> None:
    time.sleep(dice.choice((0, 0, 0.001, 0.004)))


def write_identity(connection: psycopg.Connection[Any], dice: random.Random) -> None:
    """An identity column and no lock. Half of the transactions have their id before their position."""
    if dice.random() < 0.5:
        connection.execute("SELECT pg_current_xact_id()")
        pause(dice)
    connection.execute("INSERT INTO harness.identity DEFAULT VALUES")
    pause(dice)
    if dice.random() < 0.1:
        connection.rollback()
    else:
        connection.commit()


def write_locked(connection: psycopg.Connection[Any], dice: random.Random) -> None:
    """The log's way: lock, then read the last position, then append."""
    if dice.random() < 0.5:
        connection.execute("SELECT pg_current_xact_id()")
        pause(dice)
    connection.execute(LOCK)
    row = connection.execute("SELECT coalesce(max(position), 0) FROM harness.locked").fetchone()
    assert row is not None
    pause(dice)
    connection.execute("INSERT INTO harness.locked VALUES (%s)", [row[0] + 1])
    pause(dice)
    if dice.random() < 0.1:
        connection.rollback()
    else:
        connection.commit()


def test_a_reader_by_position_misses_nothing_of_a_locked_log_and_its_positions_are_dense(
    harness: Harness, owner: psycopg.Connection[Any]
):
    assert harness.skipped("locked", BY_POSITION, write_locked, 2.0) == 0
    row = owner.execute("SELECT count(*), max(position) FROM harness.locked").fetchone()
    assert row is not None
    assert row[0] == row[1]


@pytest.mark.parametrize(
    ("table", "read", "write"),
    [
        ("identity", BY_POSITION, write_identity),
        ("identity", BY_XMIN, write_identity),
        ("locked", BY_XMIN, write_locked),
    ],
    ids=["identity, by position", "identity, by xmin", "locked, by xmin"],
)
def test_the_same_harness_catches_wrong_readers(harness: Harness, table: str, read: str, write: Any):
    deadline = time.monotonic() + BOUND
    while harness.skipped(table, read, write, 0.7) == 0:
        assert time.monotonic() < deadline, "the harness has no teeth: it missed a design known to be wrong"


FOLD = (
    "read AS MATERIALIZED (SELECT balance + 1 AS after FROM harness.account{source}), "
    "changed AS (UPDATE harness.account SET balance = read.after FROM read RETURNING 1) "
    "INSERT INTO harness.entry (after) SELECT after FROM read"
)


def one_statement(connection: psycopg.Connection[Any], _: random.Random) -> None:
    """Lock, read and fold at once: its snapshot is older than its lock."""
    connection.execute(
        f"WITH gate AS MATERIALIZED ({LOCK}), " + FOLD.format(source=" WHERE EXISTS (SELECT FROM gate)")
    )
    connection.commit()


def two_statements(connection: psycopg.Connection[Any], _: random.Random) -> None:
    """Lock, then read and fold."""
    connection.execute(LOCK)
    connection.execute("WITH " + FOLD.format(source=""))
    connection.commit()


def wrong_balances(harness: Harness, owner: psycopg.Connection[Any], work: Any) -> int:
    owner.execute("TRUNCATE harness.entry RESTART IDENTITY; UPDATE harness.account SET balance = 0")
    harness.during(0.7, 4, work)
    row = owner.execute(
        "SELECT count(*) FROM (SELECT after, row_number() OVER (ORDER BY id) AS expected FROM harness.entry) AS e "
        "WHERE after <> expected"
    ).fetchone()
    assert row is not None
    return row[0]


def test_lock_and_read_in_statements_of_their_own_keep_balances_right(
    harness: Harness, owner: psycopg.Connection[Any]
):
    assert wrong_balances(harness, owner, two_statements) == 0


def test_the_same_harness_catches_lock_and_read_in_one_statement(
    harness: Harness, owner: psycopg.Connection[Any]
):
    deadline = time.monotonic() + BOUND
    while wrong_balances(harness, owner, one_statement) == 0:
        assert time.monotonic() < deadline, "the harness has no teeth: it missed a design known to be wrong"
