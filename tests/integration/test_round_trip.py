"""Statements in one round trip: rows of each, large ones, failing ones, and what a connection is like afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from app.platform.round_trip import Statement, travel
from app.platform.settings import Settings


@pytest.fixture
def connection(database: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.database_url, prepare_threshold=None) as opened:
        yield opened


def ask(connection: psycopg.Connection[Any], *statements: Statement) -> list[list[Any]]:
    return connection.wait(travel(connection, statements))


def test_each_statement_gets_its_rows(connection: psycopg.Connection[Any]):
    now, some = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC), UUID(int=7)
    assert ask(
        connection,
        Statement("SELECT %(a)s::bigint, %(b)s::text, %(a)s::bigint", {"a": 1, "b": "x", "c": "left out"}),
        Statement("SELECT %s::uuid, %b::timestamptz, 5 %% 3", (some, now)),
        Statement("SELECT 1 WHERE false"),
        Statement("""SELECT '{"a": [1, null]}'::jsonb, NULL::bytea, true"""),
    ) == [[(1, "x", 1)], [(some, now, 2)], [], [({"a": [1, None]}, None, True)]]


def test_the_same_statement_may_be_asked_more_than_once(connection: psycopg.Connection[Any]):
    same = [Statement("SELECT %s::bigint", (number,)) for number in range(40)]
    for _ in range(2):
        assert ask(connection, *same) == [[(number,)] for number in range(40)]


def test_more_goes_out_and_comes_back_than_any_buffer_holds(connection: psycopg.Connection[Any]):
    large = "x" * 2_000_000
    assert ask(connection, *(Statement("SELECT %s::text", (large,)) for _ in range(8))) == [[(large,)]] * 8


def test_a_transaction_goes_on_over_trips_until_it_is_ended(connection: psycopg.Connection[Any]):
    ask(connection, Statement("BEGIN"), Statement("CREATE TEMP TABLE t (n bigint)"))
    assert connection.info.transaction_status is TransactionStatus.INTRANS
    ask(connection, Statement("INSERT INTO t VALUES (%s)", (1,)), Statement("COMMIT"))
    assert connection.info.transaction_status is TransactionStatus.IDLE
    assert ask(connection, Statement("SELECT n FROM t")) == [[(1,)]]


def test_what_fails_is_raised_and_nothing_behind_it_was_done(connection: psycopg.Connection[Any]):
    ask(connection, Statement("CREATE TEMP TABLE t (n bigint)"))
    insert = Statement("INSERT INTO t VALUES (%s)", (1,))
    wrong = (Statement("SELECT 1 / %s::bigint", (0,)), Statement("SELECT no_such_column"))
    for statement in wrong:
        with pytest.raises((psycopg.errors.DivisionByZero, psycopg.errors.UndefinedColumn)):
            ask(connection, Statement("BEGIN"), insert, statement, insert, Statement("COMMIT"))
        assert connection.info.transaction_status is TransactionStatus.INERROR
        connection.rollback()
        assert ask(connection, Statement("SELECT count(*) FROM t")) == [[(0,)]]
    assert ask(connection, insert, Statement("SELECT count(*) FROM t")) == [[], [(1,)]]


def test_a_lost_connection_is_an_operational_error(
    connection: psycopg.Connection[Any], owner: psycopg.Connection[Any]
):
    ask(connection, Statement("SELECT 1"))
    owner.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        ask(connection, Statement("SELECT 1"), Statement("SELECT 2"))
    assert connection.closed
