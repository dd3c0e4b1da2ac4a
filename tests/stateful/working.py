"""Rules of workers: showing up, polling, delivering, asking for time, giving back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, initialize, multiple, precondition, rule

from app.workers.decider import (
    Capabilities,
    CheckIn,
    ImageCapabilities,
    InterrogationCapabilities,
    SetMaintenance,
    TextCapabilities,
)
from app.workers.lease_decider import (
    ExtendLease,
    GenerationResult,
    ReleaseLease,
    ResultState,
    SubmitResults,
)
from app.workers.uptime import ClaimUptime
from events.base import ANONYMOUS
from tests.factories import pop
from tests.stateful.comparing import allows
from tests.stateful.model import NAMES, Answer, Done, Worker, version_of
from tests.stateful.rules.wishes import CONTEXT
from tests.stateful.town import Town, leases, seldom, users, workers

#: models, or forms, largest side, or most tokens, what it allows, whether it says that it is slow
ANYBODY = {"untrusted_requester", "not_covered"}
ABILITIES: dict[str, tuple[str, int, set[str], bool]] = {
    "all": ("abc", 1024, {*ANYBODY, "nsfw", "post_processing", "img2img", "lora", "not_extra_slow"}, False),
    "a only": ("a", 640, {*ANYBODY, "nsfw", "img2img", "not_extra_slow"}, False),
    "tame": ("bc", 1024, {*ANYBODY, "post_processing", "not_extra_slow"}, False),
    "for the known": ("abc", 1024, {"lora", "not_covered", "not_extra_slow"}, False),
    "for payers": ("ab", 1024, {"img2img", "nsfw", "untrusted_requester", "not_extra_slow"}, False),
    "slow": ("ab", 1024, {*ANYBODY, "nsfw", "post_processing", "img2img"}, True),
}
WRITERS: dict[str, tuple[str, int, set[str], bool]] = {
    "writes all": ("wxy", 1024, {*ANYBODY, "nsfw", "not_extra_slow"}, False),
    "writes little": ("w", 320, {*ANYBODY, "not_extra_slow"}, False),
    "writes slowly": ("wy", 1024, {*ANYBODY, "nsfw"}, True),
}
TELLERS: dict[str, tuple[tuple[str, ...], int, set[str], bool]] = {
    "tells all": (
        ("caption", "interrogation", "nsfw", "GFPGAN"),
        1,
        {*ANYBODY, "nsfw", "not_extra_slow"},
        False,
    ),
    "captions": (("caption", "nsfw"), 1, {*ANYBODY, "not_extra_slow"}, False),
}
#: kind, models or forms, most, what it allows, whether it says that it is slow
ABLE = {
    **{name: ("IMAGE", *able) for name, able in ABILITIES.items()},
    **{name: ("TEXT", *able) for name, able in WRITERS.items()},
    **{name: ("INTERROGATION", *able) for name, able in TELLERS.items()},
}
#: tokens of a text that a worker delivers: as few as any has, some, more than was asked for
WROTE = (20, 40, 80, 333, 1_000)
#: which of a lease's generations; that one is named twice the handler refuses
PARTS = ("all", "first", "last", "foreign")


class Working(Town):
    """What workers do."""

    @initialize(target=workers)
    def first_workers(self) -> MultipleResults[UUID]:
        """Of pictures two of one owner, one of another; of texts and forms one each."""
        one, other, third = (key for key in self.model.users if key != ANONYMOUS)
        made = [self.ids.new("worker") for _ in range(5)]
        names = (*list(ABILITIES)[:3], "writes all", "tells all")
        for worker, owner, able in zip(made, (one, other, other, other, third), names, strict=True):
            self._check_in(worker, owner, able)
        return multiple(*made)

    @rule(target=workers, owner=users, able=st.sampled_from(list(ABLE)))
    @seldom(3)
    def new_worker(self, owner: UUID, able: str) -> UUID | MultipleResults[UUID]:
        answer = self._check_in(self.ids.next("worker"), owner, able)
        return self.ids.new("worker") if isinstance(answer, Done) else multiple()

    @rule(worker=workers, by=users, able=st.sampled_from(list(ABLE)))
    @seldom(3)
    def check_in(self, worker: UUID, by: UUID, able: str) -> None:
        self._check_in(worker, by, able)

    def _check_in(self, worker: UUID, owner: UUID, able: str) -> Any:
        kind, models, side, allowed, slow = ABLE[able]
        shown = Worker(owner, frozenset(models), side, frozenset(allowed), slow, kind)
        command = CheckIn(
            worker=worker, owner=owner, name=self.words(str(worker)), capabilities=declared(shown)
        )
        return self.send(lambda: (command, lambda: self.model.check_in(worker, replace(shown))))

    @rule(worker=workers, by=st.sampled_from(("owner", "owner", "stranger")), on=st.booleans())
    @seldom(4)
    def maintenance(self, worker: UUID, by: str, on: bool) -> None:
        owner = self.model.workers[worker].owner if by == "owner" else ANONYMOUS
        command = SetMaintenance(worker=worker, owner=owner, maintenance=on, message=self.words("back soon"))
        self.send(lambda: (command, lambda: self.model.maintenance(worker, owner, on=on)))

    @rule(
        worker=workers,
        by=st.sampled_from(("owner", "owner", "stranger")),
        seconds=st.sampled_from((599, 601, 900, 10**6)),
        after=st.sampled_from((0, 100, 700)),
    )
    @seldom(3)
    def claim_uptime(self, worker: UUID, by: str, seconds: int, after: int) -> None:
        """What a process says of a worker that was there, or was not."""
        self.pass_time(after)
        owner = self.model.workers[worker].owner if by == "owner" else ANONYMOUS
        command = ClaimUptime(worker=worker, owner=owner, seconds=seconds)
        self.send(lambda: (command, lambda: self.model.claim_uptime(worker, owner, seconds)))

    @precondition(Town.something_waits)
    @rule(
        target=leases,
        worker=workers,
        amount=st.integers(1, 3),
        shuns=st.sampled_from(("", "cat")),
        friend=st.none() | users,
    )
    def pop(self, worker: UUID, amount: int, shuns: str, friend: UUID | None) -> UUID | MultipleResults[UUID]:
        friends = () if friend is None else (friend,)
        if not self.pop_as(self.ids.next("lease"), worker, amount, shuns, friends):
            return multiple()
        return self.ids.new("lease")

    @precondition(Town.something_waits)
    @rule(target=leases, amount=st.integers(1, 3))
    def everybody_pops(self, amount: int) -> MultipleResults[UUID]:
        made = [
            self.ids.new("lease")
            for worker in list(self.model.workers)
            if self.pop_as(self.ids.next("lease"), worker, amount)
        ]
        return multiple(*made)

    def pop_as(
        self, first: UUID, worker: UUID, amount: int, shuns: str = "", friends: tuple[UUID, ...] = ()
    ) -> bool:
        """Poll under an id; whether there is a lease."""
        if self.model.crowded():
            self.flush()  # all candidates may be turned down: it may have to go on behind them, see `go_on`
        able = self.model.workers[worker]

        def ask() -> Any:
            lease = self.fresh(first)
            command = pop(
                worker,
                able.owner,
                declared(able),
                lease=lease,
                amount=amount,
                choice=lease.int,
                blacklist=(shuns,) if shuns else (),
                friends=friends,
                own_only=able.maintenance,
            )
            return command, lambda: self.model.pop(lease, worker, amount, shuns, friends)

        answer = self.send(ask, who=able.owner, mutation="popJob")
        return isinstance(answer, Done) and answer.changed

    @precondition(Town.something_waits)
    @rule(target=leases, worker=workers)
    def work(self, worker: UUID) -> UUID | MultipleResults[UUID]:
        """A worker takes something and delivers it."""
        key = self.ids.next("lease")
        if not self.pop_as(key, worker, 2):
            return multiple()
        lease = self.model.leases[key]
        self.deliver_as(key, lease.owner, [(generation.id, "OK") for generation in lease.generations])
        return self.ids.new("lease")

    @rule(
        lease=leases,
        by=st.sampled_from(("owner", "owner", "owner", "stranger")),
        state=st.sampled_from(("OK", "OK", "OK", "CENSORED", "CSAM", "FAULTED", "mixed")),
        part=st.sampled_from(PARTS),
        wrote=st.sampled_from(WROTE),
    )
    def deliver(self, lease: UUID, by: str, state: str, part: str, wrote: int) -> None:
        """Subsets, repeats and what is not theirs to deliver; the same lease again and again, also when it is over."""
        found = self.model.leases[lease]
        generations = [generation.id for generation in found.generations]
        named = {
            "all": generations,
            "first": generations[:1],
            "last": generations[-1:],
            "foreign": [*generations, *[key for key in self.model.generations if key not in generations][:1]],
        }[part]
        states = ("OK", "FAULTED", "CENSORED") if state == "mixed" else (state,)
        results = [(generation, states[at % len(states)]) for at, generation in enumerate(named)]
        self.deliver_as(lease, found.owner if by == "owner" else ANONYMOUS, results, wrote)

    @precondition(Town.something_runs)
    @rule(wrote=st.sampled_from(WROTE))
    def all_deliver(self, wrote: int) -> None:
        """Every worker that is at work delivers everything."""
        for lease in list(self.model.leases.values()):
            if lease.state == "LIVE":
                self.deliver_as(lease.id, lease.owner, [(g.id, "OK") for g in lease.pending], wrote)

    def deliver_as(
        self, lease: UUID, owner: UUID, results: list[tuple[UUID, str]], wrote: int = WROTE[0]
    ) -> None:
        """Submit results; texts of so many tokens."""
        job = self.model.leases[lease].job
        url = None
        if job.wish.kind == "INTERROGATION":
            self.flush()
            url = self.world.pictures().get(job.id)
        command = SubmitResults(
            lease=lease,
            owner=owner,
            results=tuple(self._result(lease, key, state, wrote) for key, state in results),
            source=url,
        )

        def foretell() -> Answer:
            was = {generation.id for generation in job.generations if generation.paid}
            answer = self.model.deliver(lease, owner, results, wrote)
            if url is not None and isinstance(answer, Done):
                self.model.tell_again(lease, results, url, was)
            return answer

        self.send(lambda: (command, foretell), who=owner, mutation="submitResult")

    def _result(self, lease: UUID, generation: UUID, state: str, wrote: int) -> GenerationResult:
        kind, form = self.model.leases[lease].job.wish.kind, self.model.generations[generation][1].form
        ok = state == "OK"
        version = version_of(lease, kind, form) if ok else ""
        tells = ok and form is not None and not version
        return GenerationResult(
            generation=generation,
            state=ResultState(state),
            etag="etag" if version else None,
            version=version,
            seed="7",
            metadata=f'"{self.words("by worker")}"',
            text=self.words("so").ljust(4 * wrote) if ok and kind == "TEXT" else None,
            form=f'"{self.words("a cat")}"' if tells else None,
        )

    @rule(
        lease=leases,
        by=st.sampled_from(("owner", "owner", "stranger")),
        after=st.sampled_from((0, 100, 3500, 3700)),
    )
    def extend(self, lease: UUID, by: str, after: int) -> None:
        """Also when its time is over, as long as nobody has noticed, or when it was extended for long enough."""
        self.pass_time(after)
        owner = self.model.leases[lease].owner if by == "owner" else ANONYMOUS
        self.send(lambda: (ExtendLease(lease=lease, owner=owner), lambda: self.model.extend(lease, owner)))

    @rule(lease=leases, by=st.sampled_from(("owner", "owner", "stranger")))
    def release(self, lease: UUID, by: str) -> None:
        owner = self.model.leases[lease].owner if by == "owner" else ANONYMOUS
        self.send(lambda: (ReleaseLease(lease=lease, owner=owner), lambda: self.model.release(lease, owner)))


def declared(worker: Worker) -> Capabilities:
    """What a worker says of itself, as the log takes it."""
    serves = tuple(sorted(NAMES[model] for model in worker.models))
    common: dict[str, Any] = {
        "allows": tuple(sorted(allows(worker))),
        "threads": 1,
        "agent": "test:1",
        "extra_slow": worker.extra_slow,
    }
    match worker.kind:
        case "TEXT":
            return TextCapabilities(
                **common, models=serves, max_length=worker.side, max_context_length=CONTEXT
            )
        case "INTERROGATION":
            return InterrogationCapabilities(**common, forms=serves, max_tiles=1)
        case _:
            return ImageCapabilities(**common, models=serves, max_pixels=worker.side**2)
