"""Random histories: small moves, each turned into a command by what the log holds when it is its turn.

A move is four small numbers, so that Hypothesis can shrink a history that breaks something to the few moves that
matter. Here are the moves about pictures, money and workers. Look next: `playing.py`, `words.py`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from app.accounts.decider import (
    GrantKudos,
    GrantRole,
    SetPublicWorkers,
    SetTrust,
    SetWaitingLimit,
    SetWorkerLimit,
    TransferKudos,
)
from app.jobs.decider import CancelJob, ExpireJob, SubmitImageJob, WithdrawConsent
from app.jobs.image_params import Lora, PostProcessor
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.text_decider import SubmitTextJob
from app.moderation.decider import DecideCase
from app.operations.decider import SetMode
from app.platform.commands import Command
from app.platform.vault import JobSource, SourceRole
from app.sharing.decider import WithdrawPictures
from app.sources.decider import AcceptSources, RefuseSources
from app.teams.decider import CreateTeam, DeleteTeam, EditTeam
from app.webhooks.decider import CreateWebhook
from app.workers.conduct import EndRest
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import (
    ExpireLease,
    ExtendLease,
    PopJob,
    ReleaseLease,
    ResultState,
)
from app.workers.reports import case_of
from app.workers.steering_decider import ChangeWorker, DeleteMessage, DeleteWorker, PauseWorker, SendMessage
from app.workers.uptime import ClaimUptime
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import SourceFault, SourceProcessing
from events.moderation import Verdict
from events.operations import Mode
from projections.queue import ALLOWED_BEFORE
from tests.factories import capabilities, submit, uid
from tests.model import MemoryLog
from tests.property.playing import EVERY_WORKER, OF_KIND, USERS, WORKERS, Move, owner_of
from tests.property.rating import Raters
from tests.property.words import able_in_words

MODELS = ("a", "b", "c")
#: seconds
PAUSES = (1, 60, 200, 1300, 90_000)
#: 650, 650 and 9310 hundredths a picture; only the last must be affordable
SIZES: tuple[dict[str, Any], ...] = ({}, {"width": 448, "height": 512}, {"width": 1024, "height": 1024})

#: what workers do besides; the first does all that is asked for here
ALLOWS = (
    (*ALLOWED_BEFORE, "many_steps", "img2img", "lora"),
    (*ALLOWED_BEFORE, "img2img"),
    ("not_extra_slow", "not_covered", "lora"),
    ALLOWED_BEFORE,
)

KINDS = (
    "grant", "transfer", "submit", "submit", "submit", "check_in", "pop", "pop", "pop", "deliver", "deliver",
    "deliver", "late", "fault", "extend", "release", "expire_lease", "cancel", "expire_job", "wait", "wait",
    "maintenance", "role", "race", "doom", "limit",
    "uptime", "trust", "rest", "lora", "choose", "source", "fetched", "steer", "steer", "team", "join", "message", "own",
    "consent", "case", "case", "withdraw", "extend", "extend",
    "write", "write", "write", "ask", "ask", "ask", "again", "again", "pop", "pop", "deliver", "deliver", "tell_on", "house",
    "hook", "hook", "profile", "uptime", "steer", "steer",
    "gallery", "hand", "hand", "judge", "judge", "judge", "rate_own", "bad", "consent", "withdraw", "withdraw", "hook",
)  # fmt: skip

moves = st.tuples(st.sampled_from(KINDS), st.integers(0, 11), st.integers(0, 11), st.integers(0, 11))


def histories(longest: int = 60, shortest: int = 1) -> st.SearchStrategy[list[Move]]:
    """Lists of moves."""
    return st.lists(moves, min_size=shortest, max_size=longest)


class Play(Raters):
    """Plays all moves; some workers of each kind are there from the start."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        super().__init__(log)
        #: messages to workers, and who wrote them
        self._told: list[tuple[UUID, UUID]] = []
        for worker in WORKERS[:5]:
            self.do(self._checks_in(worker, 0))
        for number, worker in enumerate(EVERY_WORKER[6:]):
            self.do(self._checks_in(worker, number % 3))

    def _house(self, a: int, b: int, c: int) -> None:
        """A mode of the house is set for a few moves, by who may or by anybody."""
        mode, by = tuple(Mode)[a % 3], None if b < 8 else (*USERS, ANONYMOUS)[c % 5]
        self.do(SetMode(mode=mode, on=True, by=by))
        for made in (self._write, self._ask, self._submit, self._check_in):
            self.do(made(b, c, a))
        self.do(SetMode(mode=mode, on=False, by=None if c else by))

    def _wait(self, a: int, _: int, __: int) -> None:
        self.pause(PAUSES[a % len(PAUSES)])

    def _race(self, a: int, b: int, c: int) -> None:
        """A lease runs out, others take the work over, and its worker delivers after all, before or after them."""
        if not (leases := self.leases("LIVE")):
            return
        lease = leases[a % len(leases)]
        self.pause(9_000)
        self.do(ExpireLease(lease=lease.id))
        others = OF_KIND[lease.kind]
        for worker in range(3):
            self.do(self.polls(others[(b + worker) % len(others)], 11, c))
        racers = [other for other in self.leases("LIVE") if other.job == lease.job]
        for one in (lease, *racers) if c % 3 else (*racers, lease):
            self.do(self.results(one, one.generations, ResultState.OK))

    def _doom(self, a: int, b: int, c: int) -> None:
        """Every worker takes something and fails."""
        for worker in tuple(OF_KIND.values())[c % 3]:
            pops = self.polls(worker, b, c)
            self.do(pops)
            if (lease := self.rows("leases").get(pops.lease)) is not None:
                self.do(self.results(lease, lease.generations, ResultState.FAULTED))

    def _lora(self, a: int, b: int, c: int) -> Command:
        """Work that not every worker does, for workers that are not slow, or trusted."""
        return submit(
            USERS[a % 4],
            job=self.new(),
            generations=[self.new()],
            models=(MODELS, ("SDXL 1.0", "a"), ())[b % 3],
            loras=(Lora(name="x"),),
            max_kudos=(None, 100_000)[c % 2],
            wish={"slow_workers": c % 3 > 0, "trusted_workers": c % 5 == 0, "extra_slow_workers": b > 5},
        )

    def _choose(self, a: int, b: int, c: int) -> Command:
        """For some workers only, or for all but some."""
        chosen = tuple(dict.fromkeys((WORKERS[a % 6], WORKERS[b % 6])))
        listed = {"denied_workers": chosen} if c % 2 else {"allowed_workers": chosen}
        return submit(USERS[c % 4], job=self.new(), generations=[self.new()], models=(), wish=listed)

    def _source(self, a: int, b: int, c: int) -> Command:
        """A job from a picture: one that is there, or one that is to be fetched."""
        job = self.new()
        given = JobSource(
            job, SourceRole.SOURCE, 0, 1.0, "" if b % 2 else "key", "https://x" if b % 2 else ""
        )
        return submit(
            (*USERS, ANONYMOUS)[a % 5],
            job=job,
            generations=[self.new() for _ in range(1 + c % 2)],
            models=MODELS,
            source_processing=SourceProcessing.IMG2IMG,
            denoising_strength=0.5,
            wish={"sources": (given,)},
        )

    def _fetched(self, a: int, b: int, c: int) -> Command | None:
        """What the fetching actor found out, mostly of a job that waits for it."""
        jobs = [key for key, job in self.log.jobs().items() if job.fetching or b > 9]
        if not jobs:
            return None
        job = jobs[a % len(jobs)]
        if b % 2:
            return RefuseSources(job=job, cause=tuple(SourceFault)[b % len(SourceFault)])
        return AcceptSources(job=job, sources=(), tiles=1 + c)

    def _steer(self, a: int, b: int, c: int) -> Command | None:
        """A worker is paused, goes on, gets another name, or is gone; by its owner or another."""
        worker = EVERY_WORKER[a]
        rows: Any = self.log.state["workers"]
        known = rows.get(worker)
        by = owner_of(worker) if b % 3 else USERS[b % 4]
        if c < 5:
            paused = next((key for key, row in rows.items() if row.paused), worker)
            return PauseWorker(worker=worker if c < 2 else paused, by=self._mostly_may(b), paused=c < 2)
        if c < 10 or known is None:
            return ChangeWorker(
                worker=worker, by=by, name="n" if c % 2 else None, description="d" if c > 6 else None
            )
        leases = tuple(x.id for x in self.leases("LIVE") if x.worker == worker)
        return DeleteWorker(
            worker=worker, by=by, owner=known.owner, team=known.team, leases=leases if c == 10 else (), messages=()
        )  # fmt: skip

    def _team(self, a: int, b: int, c: int) -> Command:
        """Founded, edited or dissolved."""
        by, teams = self._mostly_may(a), self._teams()
        if not teams or b < 4:
            return CreateTeam(team=self.new(), creator=by, name="t", info="")
        team = teams[b % len(teams)]
        if c % 3:
            return EditTeam(team=team, by=by, name="t", info="")
        rows: Any = self.log.state["workers"]
        members = tuple(row.id for row in rows.values() if row.team == team)
        return DeleteTeam(team=team, by=by, workers=members[c % 2 :])

    def _join(self, a: int, b: int, c: int) -> Command | None:
        rows: Any = self.log.state["workers"]
        if not (teams := self._teams()) or (known := rows.get(WORKERS[a % 6])) is None:
            return None
        to = teams[b % len(teams)] if c % 4 else None
        return ChangeWorker(worker=known.id, by=known.owner, moves=True, team=to, before=known.team)

    def _teams(self) -> list[UUID]:
        rows: Any = self.log.state["teams"]
        return list(rows)

    def _message(self, a: int, b: int, c: int) -> Command:
        if self._told and b % 3 == 0:
            message, sender = self._told[a % len(self._told)]
            return DeleteMessage(message=message, sender=sender, by=sender if c else USERS[a % 4])
        worker, message = WORKERS[a % 6], self.new()
        to = worker if c % 4 else None
        sender = owner_of(worker) if b % 2 else USERS[c % 4]
        self._told.append((message, sender))
        return SendMessage(message=message, sender=sender, worker=to, words="w", origin="o", hours=1 + b)

    def _own(self, a: int, b: int, c: int) -> Command:
        """Whose workers are whose, and how many there may be."""
        if c % 2:
            return SetPublicWorkers(user=(*USERS, ANONYMOUS)[a % 5], public=b % 2 == 0)
        by = None if c < 6 else (*USERS, ANONYMOUS)[c % 5]
        return SetWorkerLimit(user=(*USERS, ANONYMOUS)[a % 5], limit=(None, 0, 2, 30, -1)[b % 5], by=by)

    def _grant(self, a: int, b: int, _: int) -> Command:
        return GrantKudos(
            user=USERS[a % 4], amount=(1, 500, 1900, 20_000)[b % 4], note=self.new(), reason="r"
        )

    def _role(self, a: int, b: int, _: int) -> Command:
        return GrantRole(user=(*USERS, ANONYMOUS)[a % 5], role=tuple(Role)[b % 3])

    def _uptime(self, a: int, b: int, c: int) -> Command:
        worker = EVERY_WORKER[a]
        owner = owner_of(worker) if b else USERS[3]
        return ClaimUptime(worker=worker, owner=owner, seconds=(0, 599, 601, 900, 10**6)[c % 5])

    def _trust(self, a: int, b: int, c: int) -> Command:
        by = None if c < 6 else (*USERS, ANONYMOUS)[c % 5]
        return SetTrust(user=(*USERS, ANONYMOUS)[a % 5], trusted=b % 3 > 0, by=by)

    def _rest(self, a: int, b: int, c: int) -> None:
        """A worker fails a whole lot at once, rests, and polls when its rest is over or before."""
        worker = WORKERS[a % len(WORKERS)]
        self.do(submit(USERS[b % 4], job=self.new(), generations=[self.new() for _ in range(22)], models=()))
        pops = self.polls(worker, 20, c)
        self.do(pops)
        if (lease := self.rows("leases").get(pops.lease)) is not None:
            self.do(self.results(lease, lease.generations, ResultState.FAULTED))
        self.pause(PAUSES[b % len(PAUSES)])
        self.do(EndRest(worker=worker))

    def _limit(self, a: int, b: int, c: int) -> Command:
        by = None if c < 6 else (*USERS, ANONYMOUS)[c % 5]
        return SetWaitingLimit(user=(*USERS, ANONYMOUS)[a % 5], limit=(None, 0, 2, 5, 30, -1)[b % 6], by=by)

    def _transfer(self, a: int, b: int, c: int) -> Command:
        everybody = (*USERS, ANONYMOUS, uid(99))
        amount = (0, 1, 300, 950, 5000)[c % 5]
        return TransferKudos(source=everybody[a % 6], target=everybody[b % 6], amount=amount)

    def _submit(self, a: int, b: int, c: int) -> Command:
        named = (MODELS[:1], MODELS[1:], MODELS, ())[b % 4]
        return submit(
            (*USERS, ANONYMOUS)[a % 5],
            job=self.new(),
            generations=[self.new() for _ in range(1 + c % 3)],
            models=named,
            prompt=("a cat", "a dog", "a cat and a dog")[a % 3],
            nsfw=b >= 9,
            shared=c % 2 == 1,
            post_processing=(PostProcessor.GFPGAN,) if a >= 10 else (),
            **SIZES[c % 3],
        )

    def _check_in(self, a: int, b: int, _: int) -> Command:
        return self._checks_in(EVERY_WORKER[a], b)

    def _checks_in(self, worker: UUID, b: int) -> Command:
        if worker not in WORKERS:
            return self.checks_in(worker, able_in_words(worker, b))
        able = capabilities(
            ((*MODELS, "SDXL 1.0"), MODELS[:1], MODELS[1:])[b % 3],
            max_pixels=(1024 * 1024, 512 * 512)[b % 2],
            nsfw=b < 8,
            allows=ALLOWS[b % len(ALLOWS)],
            extra_slow=b == 11,
        )
        return self.checks_in(worker, able)

    def _maintenance(self, a: int, b: int, _: int) -> Command:
        worker = EVERY_WORKER[a]
        return SetMaintenance(worker=worker, owner=owner_of(worker), maintenance=b % 2 == 0, message="")

    def _pop(self, a: int, b: int, c: int) -> PopJob:
        return self.polls(EVERY_WORKER[a], b, c)

    def _deliver(self, a: int, b: int, c: int, states: Sequence[str] = ("LIVE",)) -> Command | None:
        if not (leases := self.leases(*states)):
            return None
        lease = leases[a % len(leases)]
        wanted = lease.generations[: 1 + b % 3] if c < 8 else lease.generations
        kinds = (ResultState.OK,) * 8 + (
            ResultState.CENSORED,
            ResultState.CSAM,
            ResultState.OK,
            ResultState.OK,
        )
        return self.results(lease, wanted, kinds[c], b)

    def _late(self, a: int, b: int, c: int) -> Command | None:
        return self._deliver(a, b, c, ("EXPIRED", "RELEASED", "SETTLED"))

    def _fault(self, a: int, b: int, _: int) -> Command | None:
        if not (leases := self.leases("LIVE")):
            return None
        lease = leases[a % len(leases)]
        return self.results(lease, lease.generations[: 1 + b % 3], ResultState.FAULTED)

    def _extend(self, a: int, b: int, _: int) -> Command | None:
        if not (leases := self.leases()):
            return None
        lease = leases[a % len(leases)]
        return ExtendLease(lease=lease.id, owner=lease.owner if b else uid(99))

    def _release(self, a: int, b: int, _: int) -> Command | None:
        if not (leases := self.leases()):
            return None
        lease = leases[a % len(leases)]
        return ReleaseLease(lease=lease.id, owner=lease.owner if b else uid(99))

    def _expire_lease(self, a: int, _: int, __: int) -> Command | None:
        leases = self.leases("LIVE") or self.leases()
        return ExpireLease(lease=leases[a % len(leases)].id) if leases else None

    def _cancel(self, a: int, _: int, __: int) -> Command | None:
        jobs = list(self.log.jobs())
        return CancelJob(job=jobs[a % len(jobs)]) if jobs else None

    def _consent(self, a: int, _: int, __: int) -> Command | None:
        jobs = list(self.log.jobs())
        return WithdrawConsent(job=jobs[a % len(jobs)]) if jobs else None

    def _withdraw(self, a: int, _: int, __: int) -> Command | None:
        jobs = list(self.log.jobs())
        return WithdrawPictures(job=jobs[a % len(jobs)]) if jobs else None

    def _case(self, a: int, b: int, c: int) -> Command | None:
        """Mostly of what was reported, by who may or by anybody."""
        rows: Any = self.log.state["generations"]
        if not (found := [g for g in rows.values() if g.report is not None or c > 9]):
            return None
        generation = found[a % len(found)]
        return DecideCase(
            case=case_of(generation.id), job=generation.job, generation=generation.id,
            verdict=tuple(Verdict)[c % 2], by=self._mostly_may(b),
        )  # fmt: skip

    def _expire_job(self, a: int, _: int, __: int) -> Command | None:
        jobs = list(self.log.jobs())
        return ExpireJob(job=jobs[a % len(jobs)]) if jobs else None


def created_by(command: Command) -> set[UUID]:
    """Ids that nobody can name before this command has committed."""
    match command:
        case SubmitImageJob() | SubmitTextJob() | SubmitInterrogationJob():
            return {command.job}
        case PopJob():
            return {command.lease}
        case CreateTeam():
            return {command.team}
        case SendMessage():
            return {command.message}
        case CreateWebhook():
            return {command.webhook}
        case _:
            return set()


def cut(script: Sequence[Command | float], sizes: Sequence[int]) -> list[list[Command] | float]:
    """The same commands in batches of about these sizes (taken round and round).

    A batch ends where time passes, and before a command that names what only the batch itself would make.
    """
    made: list[list[Command] | float] = []
    batch: list[Command] = []
    fresh: set[UUID] = set()
    limit = 0
    for step in script:
        named: set[UUID] = set()
        if not isinstance(step, int | float):
            ids = {getattr(step, name, None) for name in ("job", "lease", "team", "message", "webhook")} - {
                None
            }
            named = ids - created_by(step)
        full = len(batch) >= sizes[limit % len(sizes)]
        if batch and (isinstance(step, int | float) or full or named & fresh):
            made.append(batch)
            batch, fresh, limit = [], set(), limit + 1
        if isinstance(step, int | float):
            made.append(step)
        else:
            batch.append(step)
            fresh |= created_by(step)
    return [*made, batch] if batch else made
