"""Answers out of the log: they name the events that they rest on, and their sums are what the folds say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.research.job import Cause, place_of
from app.workers.lease_decider import ReleaseLease
from events.base import ANONYMOUS, Recorded, postings_of
from events.codec import fact_of
from events.jobs import ImageJobSubmitted
from projections.accounts import Account
from projections.jobs import Job
from tests.factories import check_in, pop, submit
from tests.model import MemoryLog
from tests.research_log import name, research_log, serve
from tests.unit.operations.test_log_copies import write_copy

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return research_log()


@pytest.fixture(scope="module")
def command(log: MemoryLog, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    """`hoard why`, of a copy of the log."""
    folder = tmp_path_factory.mktemp("copy")
    write_copy(folder, log.events, 50)
    return lambda *asked: CliRunner().invoke(main, ["why", *map(str, asked), "--from", str(folder)])


@pytest.fixture(scope="module")
def why(command: Callable[..., Result]) -> Ask:
    def ask(*asked: object) -> dict[str, Any]:
        done = command(*asked, "--json")
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = msgspec.json.decode(done.stdout)
        return answer

    return ask


def of_stream(log: MemoryLog, stream: str) -> list[Recorded]:
    return [event for event in log.events if event.stream == stream]


def test_a_balance_is_the_sum_of_what_is_told(log: MemoryLog, why: Ask):
    rows: list[Any] = [row for row in log.state["accounts"].values() if isinstance(row, Account)]
    for row in rows:
        answer = why("balance", row.id)
        assert answer["total"] == row.balance
        groups = [
            each
            for each in answer["statements"]
            if each["amount"] is not None and "of those" not in each["text"]
        ]
        assert sum(each["amount"] for each in groups) == row.balance
        account = f"user:{row.id}"
        moved = [e.position for e in log.events if dict(postings_of(fact_of(e).event)).get(account)]
        assert sum(each["events"] for each in groups) == len(moved)
        assert {position for each in groups for position in each["positions"]} <= set(moved)


def test_a_balance_as_it_was_and_what_was_consumed_beyond_it(log: MemoryLog, why: Ask):
    poor = name("user", 0)
    answer = why("balance", poor)
    (beyond,) = (each for each in answer["statements"] if "not owed" in each["text"])
    charged = sum(row.charged for row in log.jobs().values() if row.requester == poor)
    covered = sum(
        -amount for e in log.events for a, amount in postings_of(fact_of(e).event) if a == "subsidy:floor"
    )
    assert beyond["text"].startswith(f"{covered / 100:.2f} more")
    assert charged > 2_000 >= charged - covered
    granted = answer["statements"][0]["positions"][-1]
    assert why("balance", poor, "--until", granted)["total"] == 2_000


def test_a_job_tells_who_came_first_and_why(log: MemoryLog, why: Ask):
    jobs: list[Job] = sorted(log.jobs().values(), key=lambda row: row.position)
    leased = {
        fact_of(e).event.job: e.position  # type: ignore[attr-defined]
        for e in reversed(log.events)
        if e.type == "jobs.GenerationsLeased"
    }
    told = 0
    for job in jobs:
        first = leased.get(job.id, 10**9)
        waiting = [o for o in jobs if o.position < job.position and leased.get(o.id, 10**9) > job.position]
        ahead = [o for o in waiting if o.rank >= job.rank]
        later = [o for o in jobs if o.position > job.position and leased.get(o.id, 10**9) < first]
        texts = [each["text"] for each in why("job", job.id)["statements"]]
        assert f"{len(ahead)} waiting jobs were ahead of it then, {len(waiting) - len(ahead)} behind" in texts
        overtook = [text for text in texts if "had more kudos in hand" in text]
        assert [int(text.split()[0]) for text in overtook] == ([len(later)] if later else [])
        told += len(overtook)
        assert any(text.endswith("ended, done") for text in texts) is (job.ended_at is not None)
    assert told > 3


def test_a_price_is_what_was_quoted_charged_and_posted(log: MemoryLog, why: Ask):
    for job in log.jobs().values():
        answer = why("price", job.id)
        assert answer["total"] == job.charged
        quoted = [each["amount"] for each in answer["statements"] if each["text"].startswith("quoted: ")]
        assert sum(quoted) == job.n * (job.price + job.tax)
        stream = {event.position for event in of_stream(log, f"job-{job.id}")}
        assert {position for each in answer["statements"] for position in each["positions"]} <= stream


def test_a_rater_is_told_what_the_log_holds_of_it(log: MemoryLog, why: Ask):
    rater = name("user", 2)
    (earned,) = why("rater", rater)["statements"]
    assert earned["text"] == "12 judgements earned 60.00"
    assert (earned["events"], len(earned["positions"])) == (12, 8)


def test_what_the_log_does_not_hold_is_one_line(command: Callable[..., Result]):
    for question in ("job", "price", "balance", "rater"):
        done = command(question, UUID(int=1))
        assert (done.exit_code, len(done.output.splitlines())) == (1, 1), done.output
        assert str(UUID(int=1)) in done.output
    assert command("job", "nonsense").exit_code == 2
    assert command("job", name("job", 5), "--until", 3).exit_code == 1


def test_it_reads_well(command: Callable[..., Result]):
    done = command("job", name("job", 5))
    assert done.exit_code == 0
    assert "among registered users, with 10.50 kudos in hand" in done.output
    assert "position" in command("price", name("job", 5)).output


def test_a_job_that_only_others_could_be_served_before(tmp_path: Path):
    log = research_log(jobs=0)
    mine = submit(name("user", 4), job=name("job", 100), models=("another",))
    log.run(mine)
    log.run(submit(name("user", 0), job=name("job", 101)))

    serve(log, name("worker", 0), name("user", 5), 99)
    write_copy(tmp_path, log.events, 1_000)
    done = CliRunner().invoke(main, ["why", "job", str(mine.job), "--from", str(tmp_path)])
    assert "1 leases of jobs behind it came first: their workers could not serve this one" in done.output, (
        done.output
    )


@pytest.mark.parametrize(
    ("mine", "other", "fetching", "cause"),
    [
        (ANONYMOUS, name("user", 1), False, Cause.TIER),
        (name("user", 1), name("user", 4), False, Cause.KUDOS),
        (name("user", 4), name("user", 0), False, Cause.OWN),
        (name("user", 4), name("user", 1), True, Cause.FETCHING),
        (name("user", 4), ANONYMOUS, True, Cause.FETCHING),
    ],
)
def test_each_reason_to_be_served_later_has_its_own_words(
    mine: UUID, other: UUID, fetching: bool, cause: Cause
):
    """The worker is that of the poorest user."""
    log = research_log(jobs=0)
    worker, host = name("worker", 1), name("user", 0)
    log.run(check_in(worker, host))
    job = submit(mine, job=name("job", 1))
    if fetching:
        scratch = research_log(jobs=0)
        scratch.run(job)
        (event,) = (fact.event for fact in scratch.facts if isinstance(fact.event, ImageJobSubmitted))
        log.append(msgspec.structs.replace(event, fetching=True))
    else:
        log.run(job)
    log.run(submit(other, job=name("job", 2)))
    serve(log, worker, host, 1)
    place = place_of(name("job", 1), log.events)
    (lease,) = (e.position for e in log.events if e.type == "jobs.GenerationsLeased")
    found = {said: [e.position for e in leases] for said, leases in place.first.items() if leases}
    assert found == {cause: [lease]}


def test_an_earlier_job_of_higher_rank_that_waits_again_was_ahead():
    log = research_log(jobs=0)
    worker, host, lease = name("worker", 0), name("user", 5), name("lease", 9)
    log.run(submit(name("user", 4), job=name("job", 1)))
    log.run(pop(worker, host, lease=lease))
    log.run(submit(name("user", 1), job=name("job", 2)))
    log.run(ReleaseLease(lease=lease, owner=host))
    log.run(pop(worker, host, lease=name("lease", 10)))
    place = place_of(name("job", 2), log.events)
    assert (place.ahead, len(place.first[Cause.AHEAD])) == (0, 1)
