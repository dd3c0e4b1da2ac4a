"""The log is append-only by the database: nobody's UPDATE, DELETE or TRUNCATE, and the application makes no tables."""

import itertools
from typing import Any

import psycopg
import pytest
from psycopg import errors

from app.platform.writer import Writer
from tests.factories import grant, open_realm, register, run

TABLES = ("log.event", "log.posting", "log.event_00000", "log.posting_00000", "log.event_00001")
CHANGES = ("UPDATE {} SET realm = 1", "DELETE FROM {}", "TRUNCATE {}")


@pytest.fixture
def filled(writer: Writer) -> None:
    open_realm(writer)
    person = register()
    run(writer, person)
    run(writer, grant(person.user, 100))


@pytest.mark.usefixtures("filled")
def test_nobody_changes_the_log(owner: psycopg.Connection[Any], application: psycopg.Connection[Any]):
    for table, change in itertools.product(TABLES, CHANGES):
        with pytest.raises(errors.RestrictViolation, match="append-only"):
            owner.execute(change.format(table))
        with pytest.raises(errors.InsufficientPrivilege):
            application.execute(change.format(table))
    with pytest.raises(errors.RestrictViolation, match="append-only"):
        owner.execute("TRUNCATE log.event, log.posting CASCADE")
    row = owner.execute("SELECT count(*) FROM log.event").fetchone()
    assert row == (3,)


@pytest.mark.usefixtures("filled")
def test_not_even_a_statement_that_changes_no_row(owner: psycopg.Connection[Any]):
    with pytest.raises(errors.RestrictViolation):
        owner.execute("DELETE FROM log.event WHERE position = -1")


LIFTS = (
    "ALTER TABLE log.event DISABLE TRIGGER append_only",
    "ALTER TABLE log.event_00000 DISABLE TRIGGER ALL",
    "DROP TRIGGER append_only ON log.event",
    "SET session_replication_role = replica",
    "DROP TABLE log.event",
    "ALTER TABLE log.event DETACH PARTITION log.event_00000",
    "CREATE OR REPLACE FUNCTION log.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TABLE log.mine (id int)",
    "CREATE TABLE public.mine (id int)",
    "CREATE TABLE vault.mine (id int)",
    "CREATE TABLE projections.mine (id int)",
    "CREATE SCHEMA mine",
    "DROP SCHEMA projections CASCADE",
    "INSERT INTO log.event_00000 SELECT * FROM log.event",
    "SET ROLE hoard_owner",
    "DELETE FROM log.lock",
    "INSERT INTO log.lock VALUES (7)",
    "UPDATE relay.projection SET version = 7",
)


@pytest.mark.usefixtures("filled")
def test_the_application_cannot_lift_the_guard(application: psycopg.Connection[Any]):
    for statement in LIFTS:
        with pytest.raises(errors.InsufficientPrivilege):
            application.execute(statement)


def test_partitions_are_made_two_ahead_by_whoever_asks_and_are_guarded(
    owner: psycopg.Connection[Any], application: psycopg.Connection[Any]
):
    far = "INSERT INTO log.event VALUES (0, 10000001, gen_random_uuid(), 'user-x', 'x', 1, NULL, now(), '{}', '{}', '')"
    owner.execute(far)
    assert application.execute("SELECT log.ensure_partitions()").fetchone() == (4,)
    assert application.execute("SELECT log.ensure_partitions()").fetchone() == (0,)
    with pytest.raises(errors.RestrictViolation):
        owner.execute("DELETE FROM log.event_00004")
    assert application.execute("SELECT count(*) FROM log.event WHERE position > 10000000").fetchone() == (1,)


def test_the_database_itself_keeps_registered_balances_from_sinking(application: psycopg.Connection[Any]):
    insert = "INSERT INTO log.posting VALUES (0, 1, 0, %s, -1, -1)"
    with pytest.raises(errors.CheckViolation):
        application.execute(insert, ["user:00000000-0000-0000-0000-000000000001"])
    application.execute(insert, ["user:00000000-0000-0000-0000-000000000000"])
