"""What a worker gets is what a naive scan of every job would give it, at that command's place in the log.

Random queues and workers on the real database; several commands a batch, so that a pop must see what was submitted,
taken, given back and cancelled in front of it in its own batch.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from app.accounts.decider import GrantRole
from app.jobs.decider import CancelJob
from app.jobs.image_params import Lora, PostProcessor
from app.platform.commands import Command, Done
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.platform.writer.gather import _READS
from app.platform.writer.thread import SETTINGS
from app.workers.decider import Capabilities, ImageCapabilities, SetMaintenance
from app.workers.lease_decider import PopJob, ReleaseLease, ResultState
from events.accounts import Role
from events.base import ANONYMOUS, Fact
from events.codec import fact_of
from events.jobs import JobKind
from events.store import log
from projections import memory
from projections.queue import CANDIDATES, REQUIREMENTS, STANDING_REQUIREMENTS
from projections.registry import INLINE
from projections.store import audit, search
from tests.factories import (
    capabilities,
    check_in,
    deliver,
    deliver_text,
    form_capabilities,
    grant,
    many_workers,
    open_realm,
    pop,
    register,
    request,
    run,
    search_of,
    submit,
    submit_forms,
    submit_text,
    text_capabilities,
    uid,
    unlimited,
)
from tests.integration.test_writer import Answers
from tests.model import naive_pop

USERS = tuple(uid(number) for number in range(1, 7))
WORKERS = tuple(uid(0x100 + number) for number in range(8))
WRITERS = tuple(uid(0x110 + number) for number in range(4))
TELLERS = tuple(uid(0x120 + number) for number in range(4))
MODELS = tuple(f"model {letter}" for letter in "abcdefgh")
#: of several classes, and one that nobody described
TEXT_MODELS = ("Llama-3.2-1B-Instruct", "Qwen3-8B", "Qwen2.5-32B-Instruct", "unheard of")
FORMS = ("caption", "interrogation", "nsfw", "palette", "RealESRGAN_x2plus")
#: work a second of which less is slow, in the unit of each kind
SLOW = {JobKind.IMAGE: 500_000, JobKind.TEXT: 5_000, JobKind.INTERROGATION: 100}
OF_TRUSTED = ("trusted_worker", "untrusted_unsafe_address")
WORDS = ("cat", "dog", "bird", "Horse", "fish")


def owner_of(worker: UUID) -> UUID:
    return USERS[worker.int % 4]


class Market:
    """A writer fed with batches, and a mirror folded from its log."""

    def __init__(self, database: Settings, new_writer: Callable[[], Writer], seed: int) -> None:
        self._new_writer = new_writer
        self._connection = psycopg.connect(database.database_url, autocommit=True)
        self.dice = random.Random(seed)
        self.state = memory.empty(INLINE)
        self.position = 0
        self._facts: list[Fact] = []
        self.prompts: dict[UUID, str] = {}
        self.able: dict[UUID, Capabilities] = {}
        self.blacklist: dict[UUID, tuple[str, ...]] = {}
        self.friends: dict[UUID, tuple[UUID, ...]] = {}
        self.taken = self.exhausted = 0
        #: who polls
        self.workers: tuple[UUID, ...] = WORKERS
        #: kinds of work that was taken
        self.kinds: set[JobKind] = set()

    def close(self) -> None:
        self._connection.close()

    def batch(self, commands: Sequence[Command]) -> None:
        """Commit commands in one batch and check every pop among them."""
        writer = self._new_writer()
        answers = Answers(writer).submit(*(request(command) for command in commands))
        self.prompts |= {c.job: getattr(c, "prompt", "") for c in commands if hasattr(c, "max_kudos")}  # type: ignore[attr-defined]
        writer.start()
        outcomes = answers.wait()
        writer.stop()
        self._facts = [fact_of(event) for event in log.read_all(self._connection, 0, self.position)]
        for command, outcome in zip(commands, outcomes, strict=True):
            assert not isinstance(outcome, BaseException), outcome
            if isinstance(command, PopJob):
                self._check(command, outcome)
        self._fold(self.position + len(self._facts))
        again = [
            (command, outcome.result.after)
            for command, outcome in zip(commands, outcomes, strict=True)
            if isinstance(command, PopJob) and isinstance(outcome, Done) and outcome.result.after
        ]
        for command, after in again:
            self.exhausted += 1
            further = msgspec.structs.replace(command.search, after=after)
            self.batch([msgspec.structs.replace(command, lease=uuid4(), search=further)])

    def _fold(self, upto: int) -> None:
        while self.position < upto:
            memory.apply(self.state, self._facts.pop(0), INLINE)
            self.position += 1

    def _check(self, command: PopJob, outcome: Any) -> None:
        assert isinstance(outcome, Done)
        popped = outcome.result
        self._fold(outcome.position - (popped.lease is not None))
        workers: Any = self.state["workers"]
        wanted = naive_pop(self.state, self.prompts, workers[command.worker], command.search)
        if popped.lease is None:
            if wanted is not None:
                place = (0, -popped.after[0], popped.after[1]) if popped.after else None
                assert place, f"nothing, though {wanted[1]} waits"
                assert wanted[0] > place, "a job before the cursor was skipped"
            return
        self.taken += 1
        self._fold(outcome.position)
        leases: Any = self.state["leases"]
        lease = leases[popped.lease]
        assert wanted is not None, "a job was given that this worker may not serve"
        self.kinds.add(lease.kind)
        most = command.amount if wanted[1].batching else 1
        assert (lease.job, list(lease.generations)) == (wanted[1].id, wanted[2][:most])

    # --- what people do

    def submission(self) -> Command:
        dice = self.dice
        sides = dice.choice(((512, 512), (448, 512), (576, 576), (64, 64)))
        return submit(
            dice.choice((*USERS, ANONYMOUS, ANONYMOUS)),
            n=dice.choice((1, 1, 2, 3)),
            models=dice.choice((dice.sample(MODELS, dice.randint(1, 3)), (), MODELS)),
            nsfw=dice.random() < 0.2,
            prompt=f"a {dice.choice(WORDS)} and a {dice.choice(WORDS)}",
            width=sides[0],
            height=sides[1],
            post_processing=(PostProcessor.GFPGAN,) if dice.random() < 0.1 else (),
            loras=(Lora(name="a style"),) if dice.random() < 0.1 else (),
            tiling=dice.random() < 0.1,
            clip_skip=dice.choice((1, 1, 1, 2)),
            steps=dice.choice((10, 30, 40)),
            wish=self.wish(),
        )

    def text(self) -> Command:
        """Lengths of what is read and written both decide who holds it."""
        dice = self.dice
        n = dice.choice((1, 1, 2, 3))
        return submit_text(
            dice.choice((*USERS, ANONYMOUS)),
            n=n,
            models=dice.choice((dice.sample(TEXT_MODELS, dice.randint(1, 3)), (), TEXT_MODELS)),
            nsfw=dice.random() < 0.2,
            prompt=f"a {dice.choice(WORDS)} and a {dice.choice(WORDS)}",
            max_length=dice.choice((80, 120, 240)),
            max_context_length=dice.choice((1024, 2048, 8192)),
            wish={
                **self.wish(WRITERS),
                "soft_prompt": dice.choice((None, None, "sweet", "sour")),
                "validated_backends": dice.random() < 0.4,
                "batching": n == 1 or dice.random() < 0.7,
            },
        )

    def forms(self) -> Command:
        """Several forms of one picture, which different workers may tell."""
        dice = self.dice
        return submit_forms(
            dice.choice((*USERS, ANONYMOUS)),
            *dice.sample(FORMS, dice.randint(1, 4)),
            tiles=dice.choice((1, 4, 9)),
            nsfw=dice.random() < 0.2,
            **self.wish(TELLERS),
        )

    def anything_asked(self) -> Command:
        """A job of any kind."""
        return self.dice.choice((self.submission, self.text, self.forms))()

    def wish(self, workers: Sequence[UUID] = WORKERS) -> dict[str, Any]:
        """Which workers may serve a job."""
        dice = self.dice
        some = tuple(dice.sample(workers, dice.randint(1, 3)))
        return {
            "allowed_workers": some if (chosen := dice.random()) < 0.15 else (),
            "denied_workers": some if chosen > 0.8 else (),
            "trusted_workers": dice.random() < 0.1,
            "slow_workers": dice.random() > 0.1,
            "extra_slow_workers": dice.random() < 0.3,
            "unsafe_address": dice.random() < 0.2,
        }

    def checked_in(self, worker: UUID) -> Command:
        dice = self.dice
        allows = [name for name in REQUIREMENTS if name not in STANDING_REQUIREMENTS and dice.random() < 0.85]
        if worker in WORKERS:
            able: Capabilities = capabilities(
                dice.sample(MODELS, dice.randint(1, len(MODELS))),
                max_pixels=dice.choice((512 * 512, 1024 * 1024)),
                nsfw=dice.random() < 0.7,
                post_processing=dice.random() < 0.7,
                allows=allows,
                extra_slow=dice.random() < 0.1,
            )
        elif worker in WRITERS:
            able = text_capabilities(
                dice.sample(TEXT_MODELS, dice.randint(1, len(TEXT_MODELS))),
                max_length=dice.choice((100, 4096)),
                max_context_length=dice.choice((1024, 1_048_576)),
                soft_prompts=dice.sample(("sweet", "sour"), dice.randint(0, 2)),
                allows=allows,
                agent=dice.choice(("test:1", "KoboldCppEmbedWorker:1", "KoboldCppEmbedWorker:2")),
                extra_slow=dice.random() < 0.1,
            )
        else:
            able = form_capabilities(
                dice.sample(FORMS, dice.randint(1, len(FORMS))),
                max_tiles=dice.choice((4, 64)),
                allows=allows,
                extra_slow=dice.random() < 0.1,
            )
        self.friends[worker] = tuple(dice.sample(USERS, dice.choice((0, 0, 1, 2))))
        self.able[worker] = able
        self.blacklist[worker] = tuple(w.lower() for w in dice.sample(WORDS, dice.choice((0, 0, 1, 2))))
        return check_in(worker, owner_of(worker), able)

    def pop(self) -> Command:
        worker = self.dice.choice(self.workers)
        workers: Any = self.state["workers"]
        return pop(
            worker,
            owner_of(worker),
            self.able[worker],
            amount=self.dice.choice((1, 1, 2, 5)),
            choice=self.dice.randint(0, 9),
            blacklist=self.blacklist[worker],
            friends=self.friends[worker],
            standing=self._standing(worker),
            own_only=workers[worker].maintenance,
        )

    def _standing(self, worker: UUID) -> set[str]:
        """What a worker allows by its owner's standing and its speed."""
        rows: Any = self.state["workers"]
        accounts: Any = self.state["accounts"]
        slow = rows[worker].extra_slow or 0 < rows[worker].speed < SLOW[rows[worker].kind]
        trusted = "trusted" in accounts[owner_of(worker)].roles
        validated = self.able[worker].agent.startswith("KoboldCpp")
        standing = (("not_slow", not slow), ("validated_backend", validated))
        return {*(name for name, true in standing if true), *(OF_TRUSTED if trusted else ())}

    def end(self) -> Command | None:
        """A lease ends in one way or another, mostly badly, so that much is tried again."""
        leases: Any = self.state["leases"]
        live = [lease for lease in leases.values() if lease.state.value == "LIVE"]
        if not live:
            return None
        lease = self.dice.choice(live)
        if self.dice.random() < 0.3:
            return ReleaseLease(lease=lease.id, owner=lease.owner)
        state = self.dice.choices((ResultState.OK, ResultState.FAULTED), (1, 3))[0]
        made = deliver_text if lease.kind is JobKind.TEXT else deliver
        return made(lease.id, lease.owner, *lease.pending, state=state)

    def cancel(self) -> Command | None:
        jobs = list(self.state["jobs"])
        return CancelJob(job=self.dice.choice(jobs)) if jobs else None

    def maintenance(self) -> Command:
        worker = self.dice.choice(self.workers)
        on = self.dice.random() < 0.3
        return SetMaintenance(worker=worker, owner=owner_of(worker), maintenance=on, message="")

    def anything(self) -> Command | None:
        makers = (
            self.submission if self.workers is WORKERS else self.anything_asked,
            self.pop,
            self.end,
            self.cancel,
            self.maintenance,
        )
        if self.dice.random() < 0.03:
            return self.checked_in(self.dice.choice(self.workers))
        return self.dice.choices(makers, (6, 9, 5, 1, 1))[0]()


@pytest.fixture
def market(database: Settings, start_writer: Callable[..., Writer], request: pytest.FixtureRequest) -> Any:
    made = Market(database, lambda: start_writer(start=False), getattr(request, "param", 0))
    open_first = start_writer()
    open_realm(open_first)
    for user in USERS:
        run(open_first, register(user, user.int))
        run(open_first, grant(user, user.int * 5000))
        run(open_first, unlimited(user))
    for user in USERS[::2]:
        run(open_first, GrantRole(user=user, role=Role.TRUSTED))
    for user in USERS:
        run(open_first, many_workers(user))
    made.batch([made.checked_in(worker) for worker in WORKERS])
    yield made
    made.close()


#: the seeds of markets; a few suffice to notice, more are for the soak
SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (3, 4, 5, 6))]


@pytest.mark.parametrize("market", SEEDS, indirect=True)
def test_pops_are_those_of_a_naive_scan(
    market: Market, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search, "CANDIDATES", 3)  # so few that some workers have to go on behind them
    market.batch([market.submission() for _ in range(80)])
    for _ in range(45):
        commands = [market.anything() for _ in range(market.dice.randint(1, 8))]
        market.batch([command for command in commands if command is not None])
    assert market.taken > 30
    report = audit.verify(owner, 0)
    assert report.clean, report


def test_pops_of_all_kinds_are_those_of_a_naive_scan(
    market: Market, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
):
    """Pictures, texts and forms in one queue."""
    monkeypatch.setattr(search, "CANDIDATES", 3)
    market.workers = (*WORKERS[:4], *WRITERS, *TELLERS)
    market.batch([market.checked_in(worker) for worker in market.workers])
    market.batch([market.anything_asked() for _ in range(90)])
    for _ in range(45):
        commands = [market.anything() for _ in range(market.dice.randint(1, 8))]
        market.batch([command for command in commands if command is not None])
    assert market.taken > 30
    assert market.kinds == set(JobKind)
    report = audit.verify(owner, 0)
    assert report.clean, report


def failing_worker(market: Market, models: Sequence[str]) -> tuple[UUID, ImageCapabilities]:
    worker, able = uid(0x200), capabilities(models)
    market.able[worker], market.blacklist[worker] = able, ()
    market.batch([check_in(worker, USERS[0], able)])
    return worker, able


def fail_all(market: Market, worker: UUID, able: ImageCapabilities, times: int) -> None:
    for _ in range(times):
        command = pop(worker, USERS[0], able)
        market.batch([command])
        leases: Any = market.state["leases"]
        lease = leases[command.lease]
        market.batch([deliver(lease.id, lease.owner, *lease.generations, state=ResultState.FAULTED)])


def test_a_worker_goes_on_where_it_stopped(market: Market):
    """A word of its blacklist is in every job that the first look at the queue finds."""
    worker, able = failing_worker(market, ["m"])
    market.batch([submit(USERS[5], models=["m"], prompt="a cat") for _ in range(CANDIDATES + 3)])
    market.batch([submit(USERS[1], models=["m"], prompt="a dog")])
    market.batch([pop(worker, USERS[0], able, blacklist=("cat",))])
    assert market.exhausted == 1
    assert market.taken == 1


def test_a_job_in_many_classes_does_not_hide_the_others(market: Market):
    """It heads every class the worker looks at first, and the worker has failed it before."""
    models = [f"m{number}" for number in range(CANDIDATES + 4)]
    worker, able = failing_worker(market, models)
    market.batch([submit(USERS[5], models=models[:-1])])
    fail_all(market, worker, able, 1)
    market.batch([submit(USERS[1], models=models[-1:])])
    market.batch([pop(worker, USERS[0], able)])
    assert market.taken == 2


def test_own_jobs_that_were_turned_down_do_not_hide_the_others(market: Market):
    worker, able = failing_worker(market, ["m"])
    market.batch([submit(USERS[0], models=["m"]) for _ in range(CANDIDATES + 2)])
    fail_all(market, worker, able, CANDIDATES + 2)
    market.batch([submit(USERS[5], models=["m"])])  # more kudos: ranked above all of them
    market.batch([pop(worker, USERS[0], able)])
    assert market.taken == CANDIDATES + 3


def test_many_pops_in_one_batch_take_one_job_each_and_go_on_behind_the_candidates(market: Market):
    worker, able = failing_worker(market, ["m"])
    market.batch([submit(USERS[1], models=["m"]) for _ in range(50)])
    market.batch([pop(worker, USERS[0], able) for _ in range(60)])
    while market.taken < 50:
        before = market.taken
        market.batch([pop(worker, USERS[0], able) for _ in range(60)])
        assert market.taken > before, "some job is never found"
    leases: Any = market.state["leases"]
    assert len({lease.job for lease in leases.values()}) == 50


def test_what_came_back_in_the_same_batch_is_found_despite_a_blacklist(market: Market):
    worker, able = failing_worker(market, ["m"])
    other = uid(0x201)
    market.batch([check_in(other, USERS[1], able), submit(USERS[2], models=["m"], prompt="a cat")])
    first = pop(other, USERS[1], able)
    market.batch([first])
    release = ReleaseLease(lease=first.lease, owner=USERS[1])
    market.batch([release, pop(worker, USERS[0], able, blacklist=("dog",))])
    assert market.taken == 2


# --- what a search costs


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [node for below in plan.get("Plans", ()) for node in _nodes(below)]
    return [plan, *inner]


def _explained(connection: psycopg.Connection[Any], statement: str, parameters: Any) -> tuple[list[Any], int]:
    row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return _nodes(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_a_search_reads_no_table_from_end_to_end_and_does_not_grow_with_the_queue(
    database: Settings, start_writer: Callable[..., Writer], owner: psycopg.Connection[Any]
):
    writer = start_writer()
    open_realm(writer)
    run(writer, register(USERS[0]))
    run(writer, check_in(WORKERS[0], USERS[0]))
    run(writer, unlimited(ANONYMOUS))
    dice, costs = random.Random(1), []
    nothing = search_of(uid(9), USERS[0], capabilities(["unheard of"], nsfw=False))
    some = search_of(uid(9), USERS[0], capabilities(MODELS[:4], nsfw=False), blacklist=("zebra",))
    for jobs in (300, 2700):
        answers = Answers(writer).submit(
            *(
                request(
                    submit(
                        ANONYMOUS, models=dice.sample(MODELS, 2), nsfw=dice.random() < 0.5,
                        width=64 * dice.randint(1, 6), height=64 * dice.randint(1, 6),
                    )
                )
                for _ in range(jobs)
            )
        )  # fmt: skip
        assert all(isinstance(outcome, Done) for outcome in answers.wait(60))
        owner.execute(
            "VACUUM ANALYZE projections.jobs, projections.queue_head, projections.queue_entry, vault.job"
        )
        with psycopg.connect(database.database_url, options=SETTINGS, autocommit=True) as connection:
            for wanted in (some, nothing):
                nodes, blocks = _explained(
                    connection, search.FIND, search.Questions(0, [wanted]).parameters()
                )
                tables = [n for n in nodes if "Relation Name" in n]
                assert tables
                assert not [n for n in tables if "Seq Scan" in n["Node Type"] or n.get("Disabled")]
                costs.append(blocks)
    assert costs[2] <= 3 * costs[0] + 50, costs
    assert costs[3] <= 50, costs


def test_gathering_reads_no_table_from_end_to_end(database: Settings, start_writer: Callable[..., Writer]):
    writer = start_writer()
    open_realm(writer)
    Answers(writer).submit(*(request(submit(ANONYMOUS)) for _ in range(500))).wait()
    ids = {
        "accounts": [ANONYMOUS],
        "jobs": [uid(1)],
        "leases": [uid(2)],
        "workers": [uid(3)],
        "teams": [uid(4)],
        "modes": [ANONYMOUS],
        **{
            name: [uid(5)]
            for name in ("webhooks", "image_sets", "pictures", "ratings", "raters", "takedowns")
        },
        "realm": 0,
    }
    with psycopg.connect(database.database_url, options=SETTINGS, autocommit=True) as connection:
        connection.execute("SELECT set_config('hoard.found', '[]', false)")
        for statement in _READS.values():
            nodes, _ = _explained(connection, statement, ids)
            assert not [n for n in nodes if "Seq Scan" in n["Node Type"] or n.get("Disabled")]
