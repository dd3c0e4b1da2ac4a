"""Situations of jobs, generations, leases, holds, pictures and cases, made by the real deciders; and the edges between.

An edge is (what, from, to, fact): seen by folding a history fact by fact. Look next: `test_documented_edges`, which
compares what is seen with `docs/lifecycle.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.accounts.decider import GrantRole, OpenRealm
from app.jobs.decider import CancelJob, ExpireJob, WithdrawConsent
from app.jobs.interrogation_wish import ToldBefore
from app.moderation.decider import DecideCase
from app.platform.commands import Command, Decision
from app.platform.vault import JobSource, SourceRole
from app.sharing.decider import PublishPicture, WithdrawPictures, WithholdPicture
from app.sources.decider import AcceptSources, RefuseSources
from app.workers.lease_decider import ExpireLease, ExtendLease, ReleaseLease, ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.base import Fact
from events.jobs import JobState, SourceFault
from events.moderation import Verdict
from events.sharing import WithheldReason
from projections import memory
from projections.registry import INLINE
from tests.factories import check_in, deliver, grant, pop, register, submit, submit_forms, submit_text, uid
from tests.given import Scene, Step, fetching, given, later

ALICE, BOB, CAROL, MODERATOR = uid(1), uid(2), uid(3), uid(4)
JOB, G1, G2 = uid(10), uid(11), uid(12)
W_BOB, W_CAROL, FIRST, SECOND, THIRD = uid(20), uid(21), uid(30), uid(31), uid(32)
NONE = "—"

Edge = tuple[str, str, str, str]

PUBLISH = PublishPicture(
    job=JOB, generation=G1, sha256="ab", perceptual_hash="cd", width=512, height=512, size=9
)
WITHHOLD = WithholdPicture(job=JOB, generation=G1, reason=WithheldReason.MISSING)


def decide(verdict: Verdict) -> DecideCase:
    return DecideCase(case=case_of(G1), job=JOB, generation=G1, verdict=verdict, by=MODERATOR)


#: Alice's job of one shared picture waits; Bob and Carol have workers
WAITING: tuple[Step, ...] = (
    OpenRealm(), register(ALICE), register(BOB), register(CAROL), register(MODERATOR),
    GrantRole(user=MODERATOR, role=Role.MODERATOR), grant(ALICE, 100_000),
    check_in(W_BOB, BOB), check_in(W_CAROL, CAROL),
    submit(ALICE, job=JOB, generations=(G1,), shared=True),
)  # fmt: skip
FETCHING = (*WAITING[:-1], *fetching(WAITING[:-1], submit(ALICE, job=JOB, generations=(G1,))))
LEASED = (*WAITING, pop(W_BOB, BOB, lease=FIRST))
DELIVERED = (*LEASED, deliver(FIRST, BOB, G1))
EXPIRED = (*LEASED, later(9_000), ExpireLease(lease=FIRST))
TAKEN_OVER = (*EXPIRED, pop(W_CAROL, CAROL, lease=SECOND))
OUTRUN = (*TAKEN_OVER, deliver(FIRST, BOB, G1))
REPORTED = (*LEASED, deliver(FIRST, BOB, G1, state=ResultState.CSAM))
FAULT = ResultState.FAULTED
GIVEN_UP = (
    *EXPIRED, pop(W_BOB, BOB, lease=THIRD), deliver(THIRD, BOB, G1, state=FAULT),
    pop(W_CAROL, CAROL, lease=SECOND), deliver(SECOND, CAROL, G1, state=FAULT),
)  # fmt: skip

#: by the names that the table of the page has
SITUATIONS: dict[str, tuple[Step, ...]] = {
    "waits": WAITING,
    "fetching": FETCHING,
    "runs": LEASED,
    "delivered": DELIVERED,
    "censored": (*LEASED, deliver(FIRST, BOB, G1, state=ResultState.CENSORED)),
    "released": (*LEASED, ReleaseLease(lease=FIRST, owner=BOB)),
    "lease ran out": EXPIRED,
    "taken over": TAKEN_OVER,
    "outrun": OUTRUN,
    "given up": GIVEN_UP,
    "cancelled": (*WAITING, CancelJob(job=JOB)),
    "cancelled while it runs": (*LEASED, CancelJob(job=JOB)),
    "cancelled after its lease ran out": (*EXPIRED, CancelJob(job=JOB)),
    "expired": (*WAITING, later(1_300), ExpireJob(job=JOB)),
    "reported": REPORTED,
    "published": (*DELIVERED, PUBLISH),
    "consent withdrawn": (*DELIVERED, PUBLISH, WithdrawConsent(job=JOB)),
}

#: a closed job whose last generation has not ended yet; clients see its final state already
_CLOSING = {
    JobState.CANCELLED: "CANCELLING",
    JobState.EXPIRED: "EXPIRING",
    JobState.FAULTED: "FAULTING",
}
_OWNERS = {FIRST: BOB, SECOND: CAROL}


def commands(scene: Scene) -> dict[str, Command]:
    """What can be asked in a situation, of the lease at hand: the last one taken, or one that never was."""
    lease = SECOND if scene.log.state["leases"].get(SECOND) is not None else FIRST
    owner = _OWNERS[lease]
    return {
        "deliver": deliver(lease, owner, G1),
        "report a fault": deliver(lease, owner, G1, state=FAULT),
        "report CSAM": deliver(lease, owner, G1, state=ResultState.CSAM),
        "extend": ExtendLease(lease=lease, owner=owner),
        "release": ReleaseLease(lease=lease, owner=owner),
        "time is over": ExpireLease(lease=lease),
        "pop": pop(W_CAROL, CAROL),
        "cancel": CancelJob(job=JOB),
        "nobody came": ExpireJob(job=JOB),
        "sources are there": AcceptSources(job=JOB, sources=()),
        "no source": RefuseSources(job=JOB, cause=SourceFault.NO_IMAGE),
        "withdraw consent": WithdrawConsent(job=JOB),
        "publish": PUBLISH,
        "uphold": decide(Verdict.UPHELD),
    }


def answer(history: tuple[Step, ...], name: str) -> str:
    """What comes of a command: the facts it makes, a refusal's code, or nothing."""
    scene = given(*history)
    # Long enough for any lease and any job that nobody serves; only then do the two sweeps mean something.
    if name in ("time is over", "nobody came"):
        scene.and_given(later(10_000))
    if name == "extend":
        scene.and_given(later(60))
    decided = scene.when(commands(scene)[name]).decided
    if not isinstance(decided, Decision):
        return decided.code
    return ", ".join(type(event).__name__ for event in decided.events) or "nothing"


#: what a form told of a picture before, given again while the picture is still to be fetched for the other form
TOLD = ToldBefore("caption", uid(13), uid(33), '"a cat"')
TO_FETCH = JobSource(JOB, SourceRole.SOURCE, 0, 1.0, "", "https://x")
TOLD_IN_PART = submit_forms(
    ALICE, "caption", "nsfw", job=JOB, generations=(G1, G2), tiles=0, told=(TOLD,), sources=(TO_FETCH,)
)

#: further histories for edges that no situation above passes
FURTHER: dict[str, Callable[[], Scene]] = {
    "late, and nobody took it": lambda: given(*EXPIRED, deliver(FIRST, BOB, G1)),
    "expired again while one more runs": lambda: given(
        *WAITING[:-1], submit(ALICE, job=JOB, generations=(G1, G2)), pop(W_BOB, BOB, lease=FIRST),
        deliver(FIRST, BOB, G1), later(1_300), ExpireJob(job=JOB),
    ),
    "cancelled and given back": lambda: given(*LEASED, CancelJob(job=JOB), ReleaseLease(lease=FIRST, owner=BOB)),
    "cancelled and given back with others open": lambda: given(
        *WAITING[:-1], submit(ALICE, job=JOB, generations=(G1, G2)), pop(W_BOB, BOB, lease=FIRST),
        CancelJob(job=JOB), ReleaseLease(lease=FIRST, owner=BOB),
    ),
    "redundant and paid": lambda: given(*OUTRUN, deliver(SECOND, CAROL, G1)),
    "redundant and reported": lambda: given(
        *OUTRUN, PUBLISH, deliver(SECOND, CAROL, G1, state=ResultState.CSAM), WithdrawPictures(job=JOB),
        decide(Verdict.UPHELD),
    ),
    "redundant and run out": lambda: given(*OUTRUN, later(9_000), ExpireLease(lease=SECOND)),
    "redundant and released": lambda: given(*OUTRUN, ReleaseLease(lease=SECOND, owner=CAROL)),
    "a shared job's report upheld": lambda: given(
        *WAITING[:-1], submit(ALICE, job=JOB, generations=(G1, G2), shared=True),
        pop(W_BOB, BOB, lease=FIRST, amount=2), deliver(FIRST, BOB, G1, state=ResultState.CSAM),
        decide(Verdict.UPHELD), WithdrawPictures(job=JOB),
    ),
    "no source": lambda: given(*FETCHING, RefuseSources(job=JOB, cause=SourceFault.NO_IMAGE)),
    "a text": lambda: given(*WAITING[:-1], submit_text(ALICE, job=JOB, generations=(G1,))),
    "told before in part, and no source": lambda: given(
        *WAITING[:-1], TOLD_IN_PART, RefuseSources(job=JOB, cause=SourceFault.NO_IMAGE)
    ),
    "dismissed": lambda: given(*REPORTED, decide(Verdict.DISMISSED)),
    "withheld": lambda: given(*DELIVERED, WITHHOLD),
    "withdrawn": lambda: given(*DELIVERED, PUBLISH, WithdrawConsent(job=JOB), WithdrawPictures(job=JOB)),
    "extended": lambda: given(*LEASED, later(60), ExtendLease(lease=FIRST, owner=BOB)),
    "poor": lambda: given(
        *WAITING[:6], grant(ALICE, 50), *WAITING[7:9], submit(ALICE, job=JOB, generations=(G1, G2)),
        pop(W_BOB, BOB, lease=FIRST, amount=2), deliver(FIRST, BOB, G1),
    ),
}  # fmt: skip


def edges(facts: list[Fact]) -> set[Edge]:
    """The changes of state in a history, each with the fact that made it."""
    state: Any = memory.empty(INLINE)
    seen: set[Edge] = set()
    for fact in facts:
        before = _states(state)
        memory.apply(state, fact, INLINE)
        after = _states(state)
        for key, now in after.items():
            was = before.get(key, NONE)
            if was != now:
                seen.add((key[0], was, now, type(fact.event).__name__))
    return seen


def _states(state: Any) -> dict[tuple[str, Any], str]:
    """Where everything stands; what is not there yet stands at NONE."""
    made: dict[tuple[str, Any], str] = {}
    for key, job in state["jobs"].items():
        made["job", key] = job.state.value if job.final else _CLOSING.get(job.state, job.state.value)
        made["hold", key] = "HELD" if job.held else NONE
        made["sharing", key] = (
            NONE if not job.shared else "SHARED" if job.unshared is None
            else "ENDING" if job.withdrawing else "ENDED"
        )  # fmt: skip
    for key, generation in state["generations"].items():
        made["generation", key] = generation.state.value
        made["case", key] = generation.report.value if generation.report else NONE
        made["picture", key] = (
            "PUBLISHED" if generation.sha256 else "WITHHELD" if generation.withheld else NONE
        )
    for key, lease in state["leases"].items():
        made["lease", key] = lease.state.value
    return made
