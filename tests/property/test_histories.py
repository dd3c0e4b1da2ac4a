"""Whatever people do: nothing raises, kudos add up, counts add up, and batches are cut anywhere."""

import math
from collections import Counter
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.decider import SubmitImageJob
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.text_decider import SubmitTextJob
from app.platform.commands import Done, Rejection, Request
from app.workers.lease_decider import PopJob, ResultState, SubmitResults
from events.base import ANONYMOUS, postings_of
from events.chain import genesis, link_of
from events.codec import fact_of
from events.jobs import GenerationDelivered, JobKind
from events.operations import HOUSE
from projections import memory
from projections.generations import GenerationState
from projections.jobs import Job
from projections.leases import LeaseState
from projections.registry import INLINE
from tests.factories import uid
from tests.model import MemoryLog, naive_pop
from tests.property.histories import Play, cut, histories
from tests.property.oracle import Books
from tests.property.playing import Move
from tests.property.rating import check_ratings


def played(made: list[Move]) -> Play:
    play = Play()
    play.play(made)
    return play


def check_outcomes(outcomes: list[Any]) -> None:
    """A command is accepted or refused; it never raises."""
    assert all(isinstance(outcome, Done | Rejection) for outcome in outcomes)


def check_money(log: MemoryLog) -> None:
    """Postings conserve kudos, and the accountant who reads none agrees with the accounts."""
    for fact in log.facts:
        assert sum(amount for _, amount in postings_of(fact.event)) == 0
    sums: Counter[str] = Counter()
    for row in log.postings:
        sums[row.account] += row.amount
        assert row.balance is None or row.balance == sums[row.account]
    assert sum(sums.values()) == 0
    books = Books().read(log.facts)
    for user, account in log.accounts().items():
        assert account.balance == sums[f"user:{user}"] == books.balance[user]
        assert account.held == books.held(user)
        assert account.escrow == sums[f"escrow:{user}"] == books.escrow[user] >= 0
        came = account.earned + account.uptime + account.granted + account.received
        came += account.adjusted + account.allowances + account.rated
        assert account.rating_escrow == books.of_ratings[user]
        genesis_of_account = -5000 if account.anonymous else 0
        assert account.balance + account.escrow == came - account.sent - account.spent + genesis_of_account
        assert (account.consumed, account.earned) == (books.consumed[user], books.earned[user])
        assert account.anonymous or account.available >= 0
    assert log.accounts()[ANONYMOUS].balance == -5000
    for key, job in log.jobs().items():
        assert (job.held, job.charged) == (books.hold[key], books.charged[key])
        assert not job.final or job.held == 0


def check_work(log: MemoryLog) -> None:
    """Counts of jobs are counts of their generations, and what is in process is under one live lease."""
    leases: Any = log.state["leases"]
    waiting: Counter[tuple[UUID, bool]] = Counter()
    for job in log.jobs().values():
        forms = job.kind is JobKind.INTERROGATION
        waits = {g.id for g in log.generations_of(job.id) if g.state is GenerationState.WAITING}
        waiting[job.requester, forms] += len(waits)
        assert {g for g, _, waiting in job.forms if waiting} == (waits if forms else set())
    for key, account in log.accounts().items():
        assert (account.waiting, account.waiting_forms) == (waiting[key, False], waiting[key, True])
    for job in log.jobs().values():
        counted = Counter(g.state for g in log.generations_of(job.id))
        assert [counted[state] for state in GenerationState] == _counts(job)
        assert job.final == (job.open == 0)
    generations: Any = log.state["generations"]
    for g in generations.values():
        if g.state is GenerationState.PROCESSING:
            assert leases[g.lease].state is LeaseState.LIVE
            assert g.id in leases[g.lease].pending
        if g.state is GenerationState.WAITING:
            assert not any(x.state is LeaseState.LIVE and g.id in x.pending for x in leases.values())


def _counts(job: Job) -> list[int]:
    return [job.waiting, job.processing, job.done, job.censored, job.faulted, job.cancelled]


def check_log(log: MemoryLog) -> None:
    """Dense positions, an unbroken chain, instants that never run back, and a replay that gives the same rows."""
    assert [event.position for event in log.events] == list(range(1, len(log.events) + 1))
    digest = genesis(0)
    for event in log.events:
        digest = link_of(digest, event)
        assert event.hash == digest
    instants = [event.occurred_at for event in log.events]
    assert instants == sorted(instants)
    assert memory.replay(log.facts, INLINE) == log.state


@settings(max_examples=150)
@given(histories(80, 10))
def test_every_history_adds_up(made: list[Move]):
    play = played(made)
    check_outcomes(play.outcomes)
    check_money(play.log)
    check_work(play.log)
    check_ratings(play.log)
    check_log(play.log)


class WatchedPlay(Play):
    """A play that checks each command against what the log held just before."""

    def do(self, command: Any) -> None:
        match command:
            case PopJob():
                self._poll(command)
            case SubmitResults():
                self._deliver_results(command)
            case SubmitImageJob() | SubmitTextJob() | SubmitInterrogationJob():
                house = self.rows("modes").get(HOUSE)
                super().do(command)
                if house is not None and house.maintenance:
                    assert isinstance(self.outcomes[-1], Rejection), "no jobs are taken in maintenance"
            case _:
                super().do(command)

    def _poll(self, command: PopJob) -> None:
        """The worker gets what a naive scan gives it."""
        worker = self.rows("workers").get(command.worker)
        wanted = worker and naive_pop(self.log.state, self.log.prompts, worker, command.search)
        super().do(command)
        lease = self.rows("leases").get(command.lease)
        got = (lease.job, list(lease.generations)) if lease else None
        most = command.amount if wanted is None or wanted[1].batching else 1
        assert got == (wanted and (wanted[1].id, wanted[2][:most]))

    def _deliver_results(self, command: SubmitResults) -> None:
        """Under a live lease all is paid; texts are measured by their letters."""
        lease, before = self.rows("leases")[command.lease], len(self.log.events)
        live = {r.generation: r.state for r in command.results if r.generation in lease.pending}
        super().do(command)
        for generation, state in live.items() if lease.state is LeaseState.LIVE else ():
            outcome = self.outcomes[-1]
            if state is not ResultState.FAULTED:
                assert isinstance(outcome, Done), "a delivery under a live lease is always paid"
                (answer,) = [o for o in outcome.result.outcomes if o.generation == generation]
                assert answer.state in (GenerationState.DONE, GenerationState.CENSORED)
        texts = {r.generation: len(r.text) for r in command.results if r.text is not None}
        for event in map(fact_of, self.log.events[before:]):
            if isinstance(done := event.event, GenerationDelivered):
                letters = texts.get(done.generation)
                assert done.tokens == (0 if letters is None else max(20, math.ceil(letters / 4)))


@settings(max_examples=100)
@given(histories(80, 10))
def test_pops_are_those_of_a_naive_scan_and_live_deliveries_are_always_paid(made: list[Move]):
    play = WatchedPlay()
    play.play(made)
    check_outcomes(play.outcomes)


def bare(log: MemoryLog) -> list[tuple[Any, ...]]:
    """The log without ids of events."""
    return [(e.position, e.stream, e.type, e.subject, e.occurred_at, e.data) for e in log.events]


def outcomes_of(outcomes: list[Any]) -> list[Any]:
    return [(o.result, o.position) if isinstance(o, Done) and o.position else o for o in outcomes]


@settings(max_examples=100)
@given(histories(80, 10), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_any_cut_of_the_same_commands_into_batches_gives_the_same_log(made: list[Move], sizes: list[int]):
    play = played(made)
    other = MemoryLog()
    outcomes: list[Any] = []
    for step in cut(play.script, sizes):
        if isinstance(step, int | float):
            other.wait(step)
        else:
            outcomes += other.commit([Request(command, uid(1)) for command in step])
    check_outcomes(outcomes)
    assert bare(other) == bare(play.log)
    assert outcomes_of(outcomes) == outcomes_of(play.outcomes)
    assert other.postings == play.log.postings
    assert other.state == play.log.state
