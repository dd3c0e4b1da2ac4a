"""Users and workers: what they ask of the cluster, what they were told, and that they ask again when told nothing.

Every request is kept with what became of it, for `checks.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.accounts.decider import GrantKudos, TransferKudos
from app.jobs.decider import CancelJob, SubmitImageJob, WithdrawConsent
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.interrogation_wish import ToldBefore
from app.jobs.text_decider import SubmitTextJob
from app.platform import ids
from app.platform.commands import Command, Done, Idempotency, Request
from app.platform.handling import idempotency
from app.platform.objects import result_key
from app.platform.vault import JobSource, SourceRole
from app.platform.writer import WriterBusyError
from app.ratings.decider import Candidate, RateImage, RequestRatings, SkipImage
from app.ratings.identity import rating_id
from app.workers.decider import CheckIn
from app.workers.lease_decider import (
    ExtendLease,
    GenerationResult,
    PopJob,
    ReleaseLease,
    ResultState,
    SubmitResults,
)
from events.base import ANONYMOUS
from events.jobs import JobKind, SourceProcessing
from events.ratings import Assigned
from projections.generations import GenerationState
from projections.pictures import PictureState
from projections.queue import ALLOWED_BEFORE
from tests.factories import (
    capabilities,
    check_in,
    form_capabilities,
    pop,
    submit,
    submit_forms,
    submit_text,
    text_capabilities,
)
from tests.property.words import FORMS, made_of
from tests.simulation.cluster import BUCKETS, Cluster, UnreachableError, VanishedError
from tests.simulation.foundation import MODELS, TELLERS, TEXT_MODELS, USERS, WORKERS, WRITERS, owner_of
from tests.simulation.outside import etag_of
from tests.simulation.scheduler import Failure

#: what workers do besides drawing from words
ALLOWS = (
    (*ALLOWED_BEFORE, "img2img"),
    (*ALLOWED_BEFORE, "img2img"),
    ALLOWED_BEFORE,
    ("not_extra_slow", "img2img", "not_covered"),
)
#: commands that may be repeated without a key: the second one finds nothing to do
NATURAL = (
    CancelJob, CheckIn, ExtendLease, RateImage, ReleaseLease, SkipImage, SubmitResults, WithdrawConsent,
)  # fmt: skip
#: asked again so often at most while nobody says what became of a request
PATIENCE = 12


class Known(Enum):
    """What its sender knows of one attempt."""

    NOTHING = "nothing"
    #: it was told that nothing was done
    REFUSED = "refused"
    ANSWERED = "answered"


class Attempt(msgspec.Struct):
    """One request: each has ids of its own for what it would make, as the API's handlers make them."""

    id: UUID
    command: Command
    known: Known = Known.NOTHING


class Operation(msgspec.Struct):
    """What somebody wanted once, however often they asked."""

    command: Command
    promise: Idempotency | None
    #: asking twice for it does no harm even without a promise
    natural: bool
    attempts: list[Attempt] = []
    #: the attempt that was answered, and its answer
    answered: UUID | None = None
    outcome: Any = None


def _with_new_ids(command: Command) -> Command:
    """The command with other ids for what it would make."""
    match command:
        case PopJob():
            return replace(command, lease=ids.new_id())
        case SubmitImageJob():
            made = tuple(ids.new_id() for _ in command.generations)
            job = ids.new_id()
            given = tuple(replace(source, job=job) for source in command.sources)
            return replace(command, job=job, generations=made, sources=given)
        case SubmitTextJob():
            made = tuple(ids.new_id() for _ in command.generations)
            return replace(command, job=ids.new_id(), generations=made)
        case SubmitInterrogationJob():
            made, job = tuple(ids.new_id() for _ in command.generations), ids.new_id()
            given = tuple(replace(source, job=job) for source in command.sources)
            return replace(command, job=job, generations=made, sources=given)
        case GrantKudos():
            return replace(command, note=ids.new_id())
    return command


class People:
    """Everybody outside. They stop asking for new things when `leave` was called."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.scheduler = cluster.scheduler
        self.dice = cluster.scheduler.dice
        self.operations: list[Operation] = []
        #: rate of lost answers and of requests sent twice
        self.doubling = 0.0
        #: chance that a worker delivers after its lease
        self.lateness = 0.0
        self.leaving = False
        self.here = 0
        #: mean seconds between two things that somebody does
        self.pause = 0.5

    def come(self) -> None:
        """Start everybody."""
        for number, user in enumerate(self.dice.sample((*USERS, ANONYMOUS), self.dice.choice((1, 2, 3)))):
            self._spawn(f"user{number}", lambda user=user: self._user(user))
        for number, worker in enumerate(self.dice.sample(WORKERS, self.dice.choice((1, 2, 3)))):
            self._spawn(f"worker{number}", lambda worker=worker: self._worker(worker))
        for number, worker in enumerate((*WRITERS, *TELLERS)):
            if self.dice.random() < 0.4:
                self._spawn(f"other{number}", lambda worker=worker: self._worker_of_words(worker))

    def leave(self) -> None:
        """Nobody begins anything new."""
        self.leaving = True

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        def live() -> None:
            self.here += 1
            try:
                work()
            finally:
                self.here -= 1

        self.cluster.spawn(name, live)

    def _idle(self) -> None:
        self.scheduler.sleep(self.dice.expovariate(1 / self.pause))

    def ask(self, command: Command, actor: UUID, *, promised: bool) -> Any:
        """Ask until it is known what became of it; the outcome, or None if that stays unknown."""
        again = promised or isinstance(command, NATURAL)
        key = str(ids.new_id()) if promised else None
        promise = idempotency(actor, type(command).__name__, key, repr(command))
        assert promise is None or isinstance(promise, Idempotency)
        operation = Operation(command, promise, isinstance(command, NATURAL))
        self.operations.append(operation)
        if again and self.dice.random() < self.doubling:
            self.cluster.spawn("double", lambda: self._double(operation, actor))
        for number in range(PATIENCE if again else 1):
            outcome = self._attempt(operation, actor)
            if outcome is not None:
                return outcome
            self.scheduler.sleep(self.dice.uniform(0.05, 0.4) * (number + 1))
        return None

    def _double(self, operation: Operation, actor: UUID) -> None:
        """The same request once more, by a client that does not wait for its own answer."""
        self.scheduler.sleep(self.dice.uniform(0.0, 1.0))
        self._attempt(operation, actor, keep=False)

    def _attempt(self, operation: Operation, actor: UUID, *, keep: bool = True) -> Any:
        attempt = Attempt(ids.new_id(), _with_new_ids(operation.command))
        operation.attempts.append(attempt)
        name = type(operation.command).__name__
        self.scheduler.note(f"asks {name} {str(attempt.id)[:8]}")
        api = self.dice.choice(self.cluster.apis)
        request = Request(attempt.command, attempt.id, actor=actor, idempotency=operation.promise)
        try:
            outcome = api.call(request)
        except VanishedError:
            self.scheduler.note(f"{str(attempt.id)[:8]}: no answer")
            return None
        except UnreachableError:
            attempt.known = Known.REFUSED
            return None
        except WriterBusyError as busy:
            attempt.known = Known.REFUSED if busy.certain else Known.NOTHING
            self.scheduler.note(f"{str(attempt.id)[:8]}: busy, certain: {busy.certain}")
            return None
        except Exception as error:
            raise Failure(f"{name} {attempt.id} was answered by {error!r}") from error
        self.scheduler.note(f"{str(attempt.id)[:8]}: {outcome!r}")
        attempt.known = Known.ANSWERED if isinstance(outcome, Done) else Known.REFUSED
        if keep:
            operation.answered, operation.outcome = attempt.id, outcome
        return outcome

    def _grant(self, user: UUID, amount: int) -> Command:
        return GrantKudos(user=user, amount=amount, note=ids.new_id(), reason="")

    def _user(self, user: UUID) -> None:
        dice = self.dice
        mine: list[UUID] = []
        while not self.leaving:
            self._idle()
            choice = dice.random()
            if choice < 0.65:
                got = self.ask(self._job(user), user, promised=dice.random() < 0.8)
                if isinstance(got, Done):
                    mine.append(got.result.job)
            elif choice < 0.73 and mine:
                self.ask(CancelJob(job=dice.choice(mine)), user, promised=False)
            elif choice < 0.79 and mine:
                self.ask(WithdrawConsent(job=dice.choice(mine)), user, promised=False)
            elif choice < 0.84 and user != ANONYMOUS:
                self._rate(user)
            elif user != ANONYMOUS:
                target = dice.choice(USERS)
                amount = dice.choice((1, 300, 2_000))
                money = TransferKudos(source=user, target=target, amount=amount)
                wanted = money if choice < 0.94 else self._grant(user, amount)
                self.ask(wanted, user, promised=dice.random() < 0.7)

    def _job(self, user: UUID) -> Any:
        """From words, from a picture that is to be fetched, or for some workers only."""
        dice, job, kind = self.dice, ids.new_id(), self.dice.random()
        if kind > 0.9:
            return self._text(user)
        if kind > 0.8:
            return self._forms(user)
        params: dict[str, Any] = {}
        wish: dict[str, Any] = {}
        if kind < 0.15:
            url = f"https://{dice.choice(('there', 'there', 'busy', 'gone'))}.example/cat.png"
            wish["sources"] = (JobSource(job, SourceRole.SOURCE, 0, 1.0, "", url),)
            params = {"source_processing": SourceProcessing.IMG2IMG, "denoising_strength": 0.5}
        elif kind < 0.3:
            name = dice.choice(("allowed_workers", "denied_workers"))
            wish[name] = tuple(dice.sample(WORKERS, dice.choice((1, 2))))
        return submit(
            user,
            job=job,
            generations=[ids.new_id() for _ in range(dice.choice((1, 1, 2, 3)))],
            models=dice.choice((MODELS, MODELS[:1], ())),
            shared=not params and dice.random() < 0.75,
            wish=wish,
            **params,
        )

    def _text(self, user: UUID) -> Any:
        """Of a model, of any, or for some workers only."""
        dice = self.dice
        return submit_text(
            user,
            job=ids.new_id(),
            generations=[ids.new_id() for _ in range(dice.choice((1, 2)))],
            models=dice.choice((TEXT_MODELS, TEXT_MODELS[:1], ())),
            max_length=dice.choice((33, 80)),
            wish={"denied_workers": WRITERS[:1]} if dice.random() < 0.2 else {},
        )

    def _forms(self, user: UUID) -> Any:
        """One or more of a picture, which is there or is to be fetched."""
        dice, job = self.dice, ids.new_id()
        if (told := self._told()) and dice.random() < 0.5:
            asked = tuple(dict.fromkeys((told.form, FORMS[0])))
            made = [ids.new_id() for _ in asked]
            return submit_forms(user, *asked, job=job, generations=made, tiles=2, told=(told,))
        forms = dice.choice((FORMS, FORMS[:1], FORMS[:2], FORMS[1:]))
        fetched = dice.random() < 0.4
        url = f"https://{dice.choice(('there', 'there', 'busy', 'gone'))}.example/dog.png" if fetched else ""
        return submit_forms(
            user,
            *forms,
            job=job,
            generations=[ids.new_id() for _ in forms],
            tiles=0 if fetched else 2,
            sources=(JobSource(job, SourceRole.SOURCE, 0, 1.0, "" if fetched else "uploads/dog", url),),
        )

    def _told(self) -> ToldBefore | None:
        """A form that was told of some picture: whoever asks about the same has it for nothing."""
        rows: Any = self.cluster.log.state["generations"].values()
        told = [
            row
            for row in rows
            if row.form in FORMS[:3] and row.state is GenerationState.DONE and row.reused is None
        ]
        if not told:
            return None
        row = self.dice.choice(told)
        return ToldBefore(row.form, row.id, row.lease, "{}")

    def _rate(self, user: UUID) -> None:
        """Be handed shared pictures of others, and rate them, or give them back."""
        dice = self.dice
        rows: Any = self.cluster.log.state["pictures"].values()
        shown = [row for row in rows if row.state is PictureState.OPEN and row.owner != user]
        if not shown:
            return
        chosen = dice.sample(shown, min(len(shown), dice.choice((1, 2, 3))))
        handed = [
            Assigned(id=rating_id(user, row.id), picture=row.id, image_set=row.image_set) for row in chosen
        ]
        candidates = tuple(Candidate(assigned=each, wanted=True) for each in handed)
        wanted = RequestRatings(rater=user, amount=len(handed), candidates=candidates)
        self.ask(wanted, user, promised=dice.random() < 0.8)
        for each in handed:
            if dice.random() < 0.2:
                self.ask(SkipImage(rating=each.id, rater=user), user, promised=False)
                continue
            value, artifacts = dice.randrange(1, 11), dice.choice((None, 2))
            rating = RateImage(
                rating=each.id, rater=user, picture=each.picture, value=value, artifacts=artifacts
            )
            self.ask(rating, user, promised=dice.random() < 0.5)

    def _worker_of_words(self, worker: UUID) -> None:
        """Writes texts, or tells several forms at once, each by itself."""
        dice, owner = self.dice, owner_of(worker)
        able: Any = text_capabilities(TEXT_MODELS) if worker in WRITERS else form_capabilities(FORMS)
        while not self.leaving:
            self._idle()
            wanted = pop(worker, owner, able, lease=ids.new_id(), amount=dice.choice((1, 2, 3)))
            got = self.ask(wanted, owner, promised=dice.random() < 0.8)
            if isinstance(got, Done) and got.result.lease is not None:
                self._work(got.result.lease, owner)

    def _worker(self, worker: UUID) -> None:
        dice, owner = self.dice, owner_of(worker)
        mine = capabilities(MODELS)
        while not self.leaving:
            self._idle()
            if dice.random() < 0.2:
                able = capabilities(dice.choice((MODELS, MODELS[:1])), allows=dice.choice(ALLOWS))
                if isinstance(self.ask(check_in(worker, owner, able), owner, promised=False), Done):
                    mine = able
                continue
            wanted = pop(
                worker,
                owner,
                mine,
                lease=ids.new_id(),
                amount=dice.choice((1, 2, 3)),
                choice=dice.randrange(8),
            )
            got = self.ask(wanted, owner, promised=dice.random() < 0.8)
            if isinstance(got, Done) and got.result.lease is not None:
                self._work(got.result.lease, owner)

    def _work(self, key: UUID, owner: UUID) -> None:
        """Upload and deliver, or do one of the many other things that workers do."""
        dice = self.dice
        lease: Any = self.cluster.log.state["leases"][key]
        choice = dice.random()
        if choice < 0.08:
            return  # never heard of again
        if choice < 0.16:
            self.ask(ReleaseLease(lease=key, owner=owner), owner, promised=False)
            return
        if choice < 0.26:
            self.ask(ExtendLease(lease=key, owner=owner), owner, promised=False)
        elif choice < 0.26 + self.lateness:
            self._oversleep(lease)
        self.scheduler.sleep(0.0 if self.leaving else dice.choice((0.05, 0.3, 1.5)))
        results = [self._result(lease, generation) for generation in lease.generations]
        if len(results) > 1 and dice.random() < 0.3:
            self.ask(self._delivery(key, owner, results[:1]), owner, promised=False)
            results = results[dice.randrange(2) :]
        self.ask(self._delivery(key, owner, results), owner, promised=dice.random() < 0.5)

    def _oversleep(self, lease: Any) -> None:
        """Deliver when the lease is over, and perhaps others have the work."""
        seconds = (lease.expires_at - lease.taken_at).total_seconds() + 1
        self.cluster.server.ahead += seconds
        self.scheduler.note(f"oversleeps {lease.id}: {seconds} s pass")
        self.scheduler.sleep(self.dice.uniform(0.3, 1.2))

    def _delivery(self, lease: UUID, owner: UUID, results: list[GenerationResult]) -> Command:
        return SubmitResults(lease=lease, owner=owner, results=tuple(results))

    def _result(self, lease: Any, generation: UUID) -> GenerationResult:
        state = self.dice.choices(tuple(ResultState), (16, 1, 1, 2))[0]
        if lease.kind is not JobKind.IMAGE:
            row: Any = self.cluster.log.state["generations"][generation]
            return made_of(lease.kind, row, state, self.dice.randrange(3))
        etag = None
        if state is ResultState.OK:
            data = self.dice.choice((b"good ", b"good ", b"good ", b"bad ")) + generation.bytes
            self.cluster.storage.objects[BUCKETS.results, result_key(lease.id, generation)] = data
            etag = etag_of(data)
        return GenerationResult(generation=generation, state=state, etag=etag, seed="1", metadata=None)
