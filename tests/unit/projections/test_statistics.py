"""What is counted of deliveries: by kind, name and time, by user, by team."""

from typing import Any

import pytest

from events.base import ANONYMOUS, Event, Fact
from events.jobs import (
    CensorCause,
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    JobKind,
    RedundantDeliveryPaid,
)
from projections import memory, team_totals, throughput, user_records
from projections.throughput import KEPT, SECONDS, Bucket, Span
from projections.user_records import Record, key_of
from tests.factories import at, check_in, deliver, pop, register, submit, uid
from tests.given import given

ALICE, BOB, WORKER, JOB, LEASE, TEAM = uid(1), uid(2), uid(3), uid(4), uid(5), uid(6)
TAILED = (throughput.PROJECTION, user_records.PROJECTION, team_totals.PROJECTION)


def delivered(kind: JobKind = JobKind.IMAGE, **changes: Any) -> GenerationDelivered:
    of_kind: dict[JobKind, dict[str, Any]] = {
        JobKind.IMAGE: {"model": "stable", "pixelsteps": 1_000},
        JobKind.TEXT: {"model": "writer", "pixelsteps": 0, "tokens": 80},
        JobKind.INTERROGATION: {"model": "caption", "pixelsteps": 0, "form": "caption"},
    }
    return GenerationDelivered(
        **{
            "job": JOB, "requester": ALICE, "generation": uid(7), "lease": LEASE, "worker": WORKER, "owner": BOB,
            "etag": "", "waited": False, "price": 100, "tax": 1, "charged": 0, "covered": 0, "postings": (),
            "team": TEAM, "kind": kind, **of_kind[kind], **changes,
        }
    )  # fmt: skip


def after(*events: tuple[float, Event]) -> memory.State:
    """What is counted after events, each so many seconds after the start."""
    facts = [Fact(position, at(seconds), event) for position, (seconds, event) in enumerate(events, 1)]
    return memory.replay(facts, TAILED)


def within(state: memory.State, kind: JobKind, span: Span, name: str = "") -> dict[int, tuple[int, int]]:
    """(count, amount) by the number of the bucket."""
    buckets: list[Bucket] = list(state["throughput"].values())  # type: ignore[arg-type]
    return {
        bucket.number: (bucket.count, bucket.amount)
        for bucket in buckets
        if (bucket.kind, bucket.span, bucket.name) == (kind, span, name)
    }


def number(span: Span, seconds: float) -> int:
    return int(at(seconds).timestamp()) // SECONDS[span]


def test_each_kind_is_counted_by_itself_in_what_it_is_made_of():
    state = after(*((0, delivered(kind)) for kind in JobKind), (1, delivered(JobKind.TEXT)))
    for kind, told in (
        (JobKind.IMAGE, (1, 1_000)),
        (JobKind.TEXT, (2, 160)),
        (JobKind.INTERROGATION, (1, 1)),
    ):
        assert within(state, kind, Span.EVER) == {0: told}
        for span in SECONDS:
            assert within(state, kind, span) == {number(span, 0): told}


def test_models_are_counted_by_hours_and_forms_by_minutes_too():
    state = after((0, delivered()), (0, delivered(model="other: 2")), (0, delivered(JobKind.INTERROGATION)))
    assert within(state, JobKind.IMAGE, Span.EVER, "other: 2") == {0: (1, 1_000)}
    assert within(state, JobKind.IMAGE, Span.HOUR, "stable") == {number(Span.HOUR, 0): (1, 1_000)}
    assert not within(state, JobKind.IMAGE, Span.MINUTE, "stable")
    assert within(state, JobKind.INTERROGATION, Span.MINUTE, "caption") == {number(Span.MINUTE, 0): (1, 1)}


@pytest.mark.parametrize("span", SECONDS)
def test_a_bucket_of_long_ago_makes_place_for_that_of_now(span: Span):
    length, kept = SECONDS[span], KEPT[span]
    state = after(
        (0, delivered()), (1, delivered()), (length, delivered()), (kept * length, delivered(pixelsteps=5))
    )
    first, last = number(span, 0), number(span, kept * length)
    assert last == first + kept
    assert within(state, JobKind.IMAGE, span) == {first + 1: (1, 1_000), last: (1, 5)}


def test_the_table_stays_small_whatever_is_delivered():
    every_half_hour = [(1_800 * n, delivered()) for n in range(48 * 40)]
    every_half_minute = [(30 * n + 1_800 * 48 * 40, delivered()) for n in range(300)]
    state = after(*every_half_hour, *every_half_minute)
    assert len(state["throughput"]) == (60 + 24 + 30 + 1) + (24 + 30 + 1)
    assert within(state, JobKind.IMAGE, Span.EVER) == {0: (2_220, 2_220_000)}


def test_only_what_was_delivered_is_counted():
    reused = FormReused(job=JOB, requester=ALICE, generation=uid(8), reused=uid(9))
    assert not after((0, reused), (0, censored()))["throughput"]


def censored() -> GenerationCensored:
    return GenerationCensored(
        job=JOB, requester=ALICE, generation=uid(7), lease=LEASE, worker=WORKER, owner=BOB, model="stable",
        cause=CensorCause.CENSORED, price=100, tax=1, charged=1, covered=0, postings=(), team=TEAM,
    )  # fmt: skip


def test_a_users_record_is_kept_by_kind():
    state = after(
        (0, delivered(JobKind.TEXT)),
        (0, delivered(JobKind.TEXT, owner=ALICE)),
        (0, FormReused(job=JOB, requester=ALICE, generation=uid(8), reused=uid(9))),
        (0, censored()),
        (0, RedundantDeliveryPaid(
            job=JOB, requester=ALICE, generation=uid(7), lease=LEASE, worker=WORKER, owner=BOB, price=1, postings=(),
        )),
    )  # fmt: skip
    text, image, form = JobKind.TEXT, JobKind.IMAGE, JobKind.INTERROGATION
    assert state["user_records"] == {
        key_of(ALICE, text): Record(key_of(ALICE, text), ALICE, text, 0, 0, 2, 160, 1, 80),
        key_of(BOB, text): Record(key_of(BOB, text), BOB, text, 0, 0, 0, 0, 1, 80),
        key_of(ALICE, form): Record(key_of(ALICE, form), ALICE, form, 0, 0, 1, 1, 0, 0),
        key_of(BOB, image): Record(key_of(BOB, image), BOB, image, 0, 0, 0, 0, 2, 0),
    }


def test_requests_are_counted_once_and_with_their_generations():
    """The reference counts a request when it begins and each of its jobs when it ends."""
    scene = given(
        register(ALICE), register(BOB), check_in(WORKER, BOB), submit(ALICE, job=JOB, n=3), submit(ALICE),
        pop(WORKER, BOB, lease=LEASE),
    )  # fmt: skip
    lease: Any = scene.log.state["leases"][LEASE]
    scene.and_given(deliver(LEASE, BOB, *lease.generations))
    state = memory.replay(scene.log.facts, TAILED)
    amount = 512 * 512 * 30
    assert state["user_records"] == {
        key_of(ALICE, JobKind.IMAGE): Record(
            key_of(ALICE, JobKind.IMAGE), ALICE, JobKind.IMAGE, 2, 4, 1, amount, 0, 0
        ),
        key_of(BOB, JobKind.IMAGE): Record(
            key_of(BOB, JobKind.IMAGE), BOB, JobKind.IMAGE, 0, 0, 0, 0, 1, amount
        ),
    }


def test_the_anonymous_users_record_is_that_of_all_of_them():
    state = after((0, delivered(requester=ANONYMOUS)))
    assert key_of(ANONYMOUS, JobKind.IMAGE) in state["user_records"]


def test_teams_have_pixelsteps_tokens_and_forms():
    total: Any = after(*((0, delivered(kind)) for kind in JobKind), (1, censored()))["team_totals"][TEAM]
    assert (total.pixelsteps, total.tokens, total.forms, total.fulfilled) == (1_000, 80, 1, 4)
