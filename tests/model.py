"""A log in memory: the real deciders, batches and folds over dictionaries instead of tables.

What the writer gathers by SQL is gathered here by plain Python, with the same promises: only the rows that a command's
needs bring, so that a decider that reaches for more fails here as it would there. `naive_pop` says in the simplest
words what a worker must get. Look next: `tests/given.py`, `tests/property/`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.platform import vault
from app.platform.commands import Command, Decision, Done, Needs, Rejection, Request, Rules
from app.platform.rows import Rows
from app.platform.writer.batch import Batch
from app.platform.writer.gather import Gathered
from events.base import Event, Fact, Recorded
from events.chain import genesis
from events.codec import fact_of
from events.jobs import JobKind
from events.operations import HOUSE
from events.store.log import Head, PostingRow
from projections import memory
from projections.accounts import Account
from projections.generations import Generation, GenerationState
from projections.jobs import Job
from projections.queue import CANDIDATES, FRIENDS, OTHERS, OWN, REQUIREMENTS, Candidate, Found, Search, order
from projections.registry import INLINE
from projections.workers import Worker
from tests.factories import RULES, START, request

#: work a second below which a worker is slow: pixelsteps, thousandths of tokens, thousandths of forms
FAST = {JobKind.IMAGE: 500_000, JobKind.TEXT: 5_000, JobKind.INTERROGATION: 100}


class MemoryLog:
    """One realm's log with its inline projections and the parts of the vault that decisions look at."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.now = START
        self.state: memory.State = memory.empty(INLINE)
        self.events: list[Recorded] = []
        self.postings: list[PostingRow] = []
        self.prompts: dict[UUID, str] = {}
        self.known: dict[tuple[str, str], vault.CommandOutcome] = {}

    @property
    def facts(self) -> list[Fact]:
        """The whole history."""
        return [fact_of(event) for event in self.events]

    def accounts(self) -> dict[UUID, Account]:
        return self.state["accounts"]  # type: ignore[return-value]

    def jobs(self) -> dict[UUID, Job]:
        return self.state["jobs"]  # type: ignore[return-value]

    def generations_of(self, job: UUID) -> list[Generation]:
        """A job's generations in their order."""
        found: list[Any] = [g for g in self.state["generations"].values() if g.job == job]  # type: ignore[attr-defined]
        return sorted(found, key=lambda generation: generation.ordinal)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def append(self, event: Event) -> None:
        """Put a fact at the end, undecided."""
        rows = self._gather([], everything=True)
        batch = self._batch(rows)
        done = batch._append(request(_Given()), Decision((event,), _done()))
        assert isinstance(done, Done)
        self._keep(batch)

    def decide(self, command: Command) -> Decision | Rejection:
        """What the rule says, without keeping it."""
        rule = self.rules[type(command)]
        return rule.decide(command, self._gather([rule.needs(command)]))

    def commit(self, requests: Sequence[Request]) -> list[Any]:
        """Decide commands as one batch and keep what they come to: the outcomes, exceptions included."""
        needs = [self.rules[type(r.command)].needs(r.command) for r in requests]
        batch = self._batch(self._gather(needs))
        outcomes = [batch.decide(r) for r in requests]
        self._keep(batch)
        return outcomes

    def run(self, command: Command, **changes: Any) -> Any:
        """Decide and keep one command that must be accepted; its result."""
        (outcome,) = self.commit([request(command, **changes)])
        assert isinstance(outcome, Done), outcome
        return outcome.result

    def _batch(self, rows: Rows) -> Batch:
        last = self.events[-1] if self.events else None
        head = Head(self.now, last.position if last else 0, last.hash if last else genesis(0))
        return Batch(0, self.rules, Gathered(head, rows, dict(self.known)))

    def _keep(self, batch: Batch) -> None:
        self.events.extend(batch.writes.events)
        self.postings.extend(batch.writes.postings)
        self.known = dict(batch.known)
        for row in batch.writes.words:
            if isinstance(row, vault.JobWords):
                self.prompts[row.job] = row.prompt
        for name, table in batch.rows.tables.items():
            self.state[name].update({key: row for key, row in table.items() if row is not None})

    def _gather(self, needs: Sequence[Needs], *, everything: bool = False) -> Rows:
        rows = Rows(self.now)
        if everything:
            for name, table in self.state.items():
                rows.tables[name] = _Open(table)
            return rows
        tables: Any = self.state
        wanted: dict[str, set[UUID]] = {p.name: set() for p in INLINE}
        wanted["modes"].add(HOUSE)
        jobs: set[UUID] = set()
        for need in needs:
            for name in wanted.keys() & Needs.__struct_fields__:
                wanted[name].update(getattr(need, name))
            galleries = (g.id for g in tables["generations"].values() if g.job in need.galleries)
            wanted["pictures"].update(galleries)
            rows.made.update(need.made)
            if need.search is not None:
                found = self.search(need.search)
                rows.put_found(need.search, found)
                jobs.update(candidate.job for candidate in found.candidates)
        leases = [tables["leases"][key] for key in wanted["leases"] if key in tables["leases"]]
        paying = {
            tables["jobs"][key] for key in wanted["jobs"] | {x.job for x in leases} if key in tables["jobs"]
        }
        paying |= {tables["jobs"][key] for key in jobs}
        wanted["accounts"] |= {job.requester for job in paying} | {lease.owner for lease in leases}
        wanted["workers"] |= {lease.worker for lease in leases}
        wanted["jobs"] |= {lease.job for lease in leases}
        named = set(wanted["jobs"])
        wanted["jobs"] |= jobs
        wanted["generations"] |= {g.id for g in tables["generations"].values() if g.job in wanted["jobs"]}
        rows.prompts = {key: self.prompts[key] for key in named if key in self.prompts}
        for name, keys in wanted.items():
            rows.name(name, keys)
            rows.put(name, [tables[name][key] for key in keys if key in tables[name]])
        return rows

    def search(self, search: Search) -> Found:
        """What the SQL search promises: own jobs, then the first places (a job has one for each model) behind `after`."""
        own: list[Candidate] = []
        places: list[Candidate] = []
        for job in self.jobs().values():
            if not _waits(job) or not _may(search, job):
                continue
            barred = any(word in self.prompts[job.id].lower() for word in search.blacklist)
            near = _near(search, job)
            if near and search.after is None and (near == OWN or not search.own_only):
                own.append(Candidate(job.id, near, job.rank, job.position, barred))
            if not search.own_only and _behind(job, search.after) and _may(search, job, waived=False):
                place = Candidate(job.id, OTHERS, job.rank, job.position, barred)
                places += [place] * max(1, len(set(job.models) & set(search.models)))
        own.sort(key=order)
        places = sorted(places, key=order)[:CANDIDATES]
        last = places[-1] if len(places) == CANDIDATES else None
        distinct = dict.fromkeys((*own, *places))
        return Found(tuple(distinct), (last.rank, last.position) if last else None)


def _behind(job: Job, place: tuple[int, int] | None) -> bool:
    return place is None or (-job.rank, job.position) > (-place[0], place[1])


class _Given(Command, frozen=True, kw_only=True):
    """No command: a fact was put into the log by a test."""


def _done() -> Any:
    from app.accounts.decider import Opened  # noqa: PLC0415 - any result will do

    return Opened()


class _Open(dict[Any, Any]):
    """A table in which every key is gathered."""

    def __missing__(self, key: Any) -> None:
        return None


def _waits(job: Job) -> bool:
    return job.waiting > 0 and job.state.value in ("WAITING", "PROCESSING") and not job.fetching


def _near(search: Search, job: Job) -> int:
    if job.requester == search.owner:
        return OWN
    return FRIENDS if job.requester in search.friends else OTHERS


def _may(search: Search, job: Job, *, waived: bool = True) -> bool:
    """Whether a worker may serve a job, said as plainly as can be."""
    if job.kind is not search.kind:
        return False
    anything = job.kind is JobKind.IMAGE and not job.models
    if not anything and not set(job.models) & set(search.models):
        return False
    if any(part > most for part, most in zip(_parts(job.size), _parts(search.max_size), strict=True)):
        return False
    if search.worker in job.denied_workers:
        return False
    if job.allowed_workers and search.worker not in job.allowed_workers:
        return False
    lacking = {name for name, bit in REQUIREMENTS.items() if job.mask & bit and not search.allowed & bit}
    if waived and _near(search, job) != OTHERS:
        lacking -= {"untrusted_requester", "not_covered"}
    return not lacking


def _parts(size: int) -> tuple[int, int]:
    """What is read and what is written, of texts; nothing and all of it, of other kinds."""
    return divmod(size, 2**32)


def _stands_for(worker: Worker, owner: Account | None, job: Job) -> bool:
    """Whether a worker is trusted, fast and known, and has what is wanted; of who showed nothing nobody knows."""
    stands = {
        "trusted_worker": owner is not None and bool({"trusted", "moderator", "operator"} & set(owner.roles)),
        "not_slow": not worker.extra_slow and not 0 < worker.speed < FAST[worker.kind],
        "validated_backend": worker.agent.split(":")[0] == "KoboldCppEmbedWorker",
    }
    has = job.soft_prompt is None or job.soft_prompt in worker.soft_prompts
    return has and all(true for name, true in stands.items() if job.mask & REQUIREMENTS[name])


def naive_pop(
    state: memory.State, prompts: dict[UUID, str], worker: Worker, search: Search
) -> tuple[tuple[int, int, int], Job, list[UUID]] | None:
    """The job that a worker must get, by looking at every one: its place in the order, and what of it may be taken."""
    if worker.paused or worker.deleted:
        return None
    untried: dict[UUID, list[Generation]] = {}
    accounts: Any = state["accounts"]
    rows: Any = state["generations"]
    for generation in rows.values():
        tried = worker.id in generation.barred
        told = generation.form is None or f"*form:{generation.form}" in search.models
        if generation.state is GenerationState.WAITING and not tried and told:
            untried.setdefault(generation.job, []).append(generation)
    best: tuple[tuple[int, int, int], Job, list[UUID]] | None = None
    jobs: Any = state["jobs"]
    for job in jobs.values():
        near = _near(search, job)
        barred = any(word in prompts[job.id].lower() for word in search.blacklist)
        if not _waits(job) or not _may(search, job) or barred or job.id not in untried:
            continue
        if (search.own_only or worker.maintenance) and near != OWN:
            continue
        if not _stands_for(worker, accounts.get(worker.owner), job):
            continue
        if search.after is not None and (near != OTHERS or not _behind(job, search.after)):
            continue
        place = (-near, -job.rank, job.position)
        if best is None or place < best[0]:
            offered = sorted(untried[job.id], key=lambda g: g.ordinal)
            best = (place, job, [g.id for g in offered])
    return best


def day_of(moment: datetime) -> int:
    """Days since 1970."""
    return int(moment.timestamp()) // 86_400
