"""What all facts have in common, and the hash chain's text form of an instant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from events.accounts import UserRegistered
from events.base import ANONYMOUS, Event, postings_of
from events.chain import instant
from events.jobs import HoldPlaced
from events.kudos import KudosGranted, KudosTransferred
from events.workers import MaintenanceStarted
from tests.factories import uid

ALICE, BOB = uid(1), uid(2)


def test_a_fact_names_its_stream_and_whom_it_is_about():
    registered = UserRegistered(user=ALICE, key=uid(9))
    assert (registered.stream(), registered.subject()) == (f"user-{ALICE}", ALICE)
    moved = KudosTransferred(source=ALICE, target=BOB, amount=1, postings=())
    assert (moved.stream(), moved.subject()) == (f"user-{ALICE}", ALICE)
    held = HoldPlaced(job=uid(10), requester=ALICE, amount=1)
    assert (held.stream(), held.subject()) == (f"job-{uid(10)}", ALICE)
    paused = MaintenanceStarted(worker=uid(20), owner=BOB)
    assert (paused.stream(), paused.subject()) == (f"worker-{uid(20)}", BOB)


def test_only_some_facts_move_kudos():
    assert postings_of(HoldPlaced(job=uid(10), requester=ALICE, amount=1)) == ()
    moved = (("system:treasury", -1), (f"user:{ALICE}", 1))
    assert postings_of(KudosGranted(user=ALICE, amount=1, postings=moved)) == moved


def test_a_fact_cannot_be_changed():
    with pytest.raises(AttributeError):
        UserRegistered(user=ALICE, key=uid(9)).user = BOB  # type: ignore[misc]


def test_a_fact_without_a_stream_is_none():
    with pytest.raises(NotImplementedError):
        Event().stream()
    assert Event().subject() is None
    assert ANONYMOUS.int == 0


def test_instants_are_written_in_one_way():
    berlin = timezone(timedelta(hours=1))
    assert instant(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000+00:00"
    assert instant(datetime(2026, 1, 1, 1, 0, 0, 5, tzinfo=berlin)) == "2026-01-01T00:00:00.000005+00:00"
