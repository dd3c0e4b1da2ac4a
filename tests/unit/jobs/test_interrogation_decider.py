"""Interrogations from submission to their end: money form by form, what was told before, failures and limits.

Look next: `tests/acceptance/test_interrogation_job.py`.
"""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_data
from hypothesis import settings
from hypothesis import strategies as st

from app.accounts.decider import OpenRealm, SetWaitingLimit
from app.jobs.decider import CancelJob, ExpireJob
from app.jobs.interrogation_decider import LEASE_SECONDS, SubmitInterrogationJob
from app.jobs.interrogation_wish import ToldBefore
from app.platform.commands import Decision
from app.platform.vault import GenerationSeed, JobSource, JobWords, ResultWords, SourceRole, ToldForm
from app.sources.decider import AcceptSources
from app.workers.decider import CheckIn, InterrogationCapabilities
from app.workers.lease_decider import (
    TOLD_FOR,
    ExpireLease,
    GenerationResult,
    PopJob,
    ReleaseLease,
    ResultState,
    SubmitResults,
)
from events.base import ANONYMOUS
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationsLeased,
    HoldPlaced,
    HoldReleased,
    InterrogationJobSubmitted,
    JobCancelled,
    JobEnded,
    JobKind,
    JobState,
    SourcesFetched,
)
from projections.generations import GenerationState
from projections.queue import ALLOWED_BEFORE, STANDING_REQUIREMENTS, Search, form_model, requirement_mask
from tests.factories import RULES, at, grant, register, uid
from tests.given import Scene, Then, given, later

ALICE, BOB, CAROL = uid(1), uid(2), uid(3)
JOB = uid(10)
W_BOB, W_CAROL, W_BOB_2 = uid(20), uid(21), uid(22)
OWNER = {W_BOB: BOB, W_CAROL: CAROL, W_BOB_2: BOB}
LEASE, SOURCE, TOLD = uid(30), uid(40), uid(41)
FORMS = ("caption", "interrogation", "GFPGAN")
GENERATION = dict(zip(FORMS, (uid(11), uid(12), uid(13)), strict=True))
BEFORE = ToldBefore("caption", TOLD, uid(42), '"a cat"')


def asked(*forms: str, requester: UUID = ALICE, **given: Any) -> SubmitInterrogationJob:
    """An interrogation of a picture of four tiles: 1, 3 and 12 kudos, and 1 of tax on each."""
    fields: dict[str, Any] = {"tiles": 4, "nsfw": False, "max_kudos": None, **given}
    made = tuple(GENERATION[form] for form in forms)
    return SubmitInterrogationJob(forms=forms, requester=requester, job=JOB, generations=made, **fields)


def people(kudos: int = 10_000) -> Scene:
    scene = given(OpenRealm(), *(register(user) for user in (ALICE, BOB, CAROL)), grant(ALICE, kudos))
    able = InterrogationCapabilities(
        forms=FORMS, max_tiles=16, allows=("nsfw", *ALLOWED_BEFORE), threads=1, agent="test:1"
    )
    workers = (
        CheckIn(worker=key, owner=owner, name=f"w {key}", capabilities=able) for key, owner in OWNER.items()
    )
    return scene.and_given(*workers)


def pop(
    worker: UUID = W_BOB, *forms: str, lease: UUID = LEASE, amount: int = 20, max_tiles: int = 16
) -> PopJob:
    models = tuple(form_model(form) for form in forms or FORMS)
    search = Search(
        worker=worker,
        owner=OWNER[worker],
        kind=JobKind.INTERROGATION,
        models=models,
        max_size=max_tiles,
        allowed=requirement_mask((*ALLOWED_BEFORE, *STANDING_REQUIREMENTS)),
    )
    return PopJob(lease=lease, worker=worker, search=search, amount=amount, choice=0)


def result(form: str, state: ResultState = ResultState.OK) -> GenerationResult:
    picture = form == "GFPGAN" and state is ResultState.OK
    told = None if picture or state is not ResultState.OK else f'"{form}"'
    return GenerationResult(
        generation=GENERATION[form],
        state=state,
        etag="etag" if picture else None,
        seed=None,
        metadata=None,
        form=told,
    )


def tell(*results: GenerationResult, lease: UUID = LEASE, owner: UUID = BOB, **given: Any) -> SubmitResults:
    return SubmitResults(lease=lease, owner=owner, results=results, **given)


def states(scene: Scene) -> dict[str, GenerationState]:
    return {row.form or "": row.state for row in scene.log.generations_of(JOB)}


# --- submission


def test_each_form_is_a_generation_with_an_offer_of_its_own():
    then = people().when(asked(*FORMS))
    submitted, hold = then.events
    assert isinstance(submitted, InterrogationJobSubmitted)
    assert submitted.forms == FORMS
    assert submitted.offers == (
        ("*form:caption", 100, 0),
        ("*form:interrogation", 300, 0),
        ("*form:GFPGAN", 1_200, 0),
    )
    assert (submitted.price, submitted.tax, submitted.lease_seconds) == (1_200, 100, LEASE_SECONDS)
    assert hold == HoldPlaced(job=JOB, requester=ALICE, amount=1_900)
    assert then.vault == [
        JobWords(JOB, "", "", "{}"),
        *(GenerationSeed(GENERATION[form], JOB, 0) for form in FORMS),
    ]


def test_what_follows_from_the_wish_is_required_of_workers():
    (submitted, *_) = (
        people(50)
        .when(asked("caption", nsfw=True, trusted_workers=True, slow_workers=False, unsafe_address=True))
        .events
    )
    assert isinstance(submitted, InterrogationJobSubmitted)
    assert set(submitted.requirements) == {
        "nsfw",
        "untrusted_requester",
        "not_covered",
        "unsafe_address",
        "untrusted_unsafe_address",
        "trusted_worker",
        "not_slow",
        "not_extra_slow",
    }
    assert (submitted.surcharge, submitted.quote[1]) == (20, ("slow workers refused x1.2", 20))


def test_a_form_that_was_told_before_is_settled_at_once_and_costs_nothing():
    then = people().when(asked("caption", "interrogation", told=(BEFORE,)))
    submitted, reused, hold = then.events
    assert isinstance(submitted, InterrogationJobSubmitted)
    assert dict(submitted.quote)["caption, told before"] == 0
    assert reused == FormReused(job=JOB, requester=ALICE, generation=GENERATION["caption"], reused=TOLD)
    assert hold == HoldPlaced(job=JOB, requester=ALICE, amount=400)
    assert then.vault[-1] == ResultWords(
        generation=GENERATION["caption"], lease=BEFORE.lease, seed=None, metadata=None, form='"a cat"'
    )
    scene = people().and_given(asked("caption", "interrogation", told=(BEFORE,)))
    account, job = scene.log.accounts()[ALICE], scene.log.jobs()[JOB]
    assert (account.waiting_forms, job.waiting, job.done, job.models) == (1, 1, 1, ("*form:interrogation",))
    leased = scene.when(pop()).events[0]
    assert isinstance(leased, GenerationsLeased)
    assert leased.generations == (GENERATION["interrogation"],)


def test_where_all_was_told_before_the_job_is_done():
    then = people().when(asked("caption", told=(BEFORE,)))
    assert then.names == ["InterrogationJobSubmitted", "FormReused", "JobEnded"]
    assert then.events[-1] == JobEnded(job=JOB, requester=ALICE, state=JobState.DONE)
    scene = people().and_given(asked("caption", told=(BEFORE,)))
    assert (scene.log.jobs()[JOB].charged, scene.log.accounts()[ALICE].balance) == (0, 10_000)
    assert scene.when(pop()).names == []


def test_ten_times_as_many_forms_may_wait_and_only_those_that_wait_count():
    scene = people().and_given(SetWaitingLimit(user=ALICE, limit=1))
    for number in range(5):
        scene.and_given(another(number))
    refused = scene.when(asked("caption")).then_rejected("TOO_MANY_JOBS", "input", "forms")
    assert (refused.detail["waiting"], refused.detail["would_wait"], refused.detail["limit"]) == (10, 11, 10)
    scene.when(asked("caption", told=(BEFORE,)))
    assert scene.when(asked("caption", told=(BEFORE,))).names[-1] == "JobEnded"


def another(number: int) -> SubmitInterrogationJob:
    generations = (uid(300 + 2 * number), uid(301 + 2 * number))
    return SubmitInterrogationJob(
        forms=("caption", "interrogation"), requester=ALICE, job=uid(200 + number), generations=generations,
        tiles=1, nsfw=False, max_kudos=None,
    )  # fmt: skip


def test_refusals():
    people().when(asked("interrogation", max_kudos=399)).then_rejected("INVALID_INPUT", "input", "maxKudos")
    people().when(asked("caption", proxied_account="x")).then_rejected("FORBIDDEN", "input", "proxiedAccount")
    assert people().when(asked("caption", requester=ANONYMOUS)).names == ["InterrogationJobSubmitted"]


def test_what_is_not_available_is_covered_and_nobody_is_refused_for_it():
    then = people(250).when(asked(*FORMS))
    assert then.events[1] == HoldPlaced(job=JOB, requester=ALICE, amount=250)


# --- fetching


def test_a_picture_that_was_fetched_says_how_large_it_is():
    source = JobSource(JOB, SourceRole.SOURCE, 0, 1.0, "", "https://example.com/a", digest=SOURCE)
    scene = people().and_given(asked("caption", tiles=0, sources=(source,)))
    assert scene.when(pop()).names == []
    accept = AcceptSources(job=JOB, sources=(), tiles=17)
    scene.when(accept).then(SourcesFetched(job=JOB, requester=ALICE, tiles=17))
    scene.and_given(accept)
    assert scene.log.jobs()[JOB].size == 17
    assert scene.when(pop(max_tiles=16)).names == []
    assert scene.when(pop(max_tiles=17)).names == ["GenerationsLeased"]


# --- work


def test_a_worker_takes_the_forms_that_it_tells_in_one_lease_of_three_minutes_each():
    scene = people().and_given(asked(*FORMS))
    (leased,) = scene.when(pop(W_BOB, "caption", "GFPGAN")).events
    assert isinstance(leased, GenerationsLeased)
    assert leased.generations == (GENERATION["caption"], GENERATION["GFPGAN"])
    assert leased.expires_at == scene.log.now + 2 * (at(LEASE_SECONDS) - at(0))


def test_forms_are_told_singly_and_together_each_for_its_own_price():
    scene = people().and_given(asked(*FORMS, slow_workers=False), pop())
    (_, told) = scene.when(tell(result("interrogation"))).events
    assert isinstance(told, GenerationDelivered)
    assert (told.price, told.surcharge, told.tax, told.charged, told.form) == (
        300,
        60,
        100,
        460,
        "interrogation",
    )
    scene.and_given(tell(result("interrogation")))
    last = scene.when(tell(result("caption"), result("GFPGAN")))
    assert last.names == [
        "HoldCaptured",
        "GenerationDelivered",
        "HoldCaptured",
        "GenerationDelivered",
        "JobEnded",
    ]
    scene.and_given(tell(result("caption"), result("GFPGAN")))
    job, account = scene.log.jobs()[JOB], scene.log.accounts()[ALICE]
    assert (job.state, job.charged, job.held) == (JobState.DONE, 1_920 + 300, 0)
    assert (account.balance, account.held, account.waiting_forms) == (10_000 - 2_220, 0, 0)
    assert sum(amount for _, amount in told.postings) == 0


def test_cancelling_frees_what_waits_and_pays_what_runs():
    scene = people().and_given(asked(*FORMS), pop(W_BOB, "interrogation"))
    then = scene.when(CancelJob(job=JOB))
    gone = (GENERATION["caption"], GENERATION["GFPGAN"])
    then.then(
        HoldReleased(job=JOB, requester=ALICE, amount=1_500),
        JobCancelled(job=JOB, requester=ALICE, generations=gone, kind=JobKind.INTERROGATION),
    )
    scene.and_given(CancelJob(job=JOB), tell(result("interrogation")))
    job, account = scene.log.jobs()[JOB], scene.log.accounts()[ALICE]
    assert (job.state, job.charged, account.balance, account.held) == (JobState.CANCELLED, 400, 9_600, 0)


def test_three_failures_by_two_owners_give_up_one_form_and_the_others_go_on():
    scene = people().and_given(asked(*FORMS))
    for number, worker in enumerate((W_BOB, W_BOB_2, W_CAROL)):
        lease = uid(50 + number)
        scene.and_given(pop(worker, "GFPGAN", lease=lease))
        scene.and_given(tell(result("GFPGAN", ResultState.FAULTED), lease=lease, owner=OWNER[worker]))
        assert scene.when(pop(worker, "GFPGAN")).names == []
    assert states(scene)["GFPGAN"] is GenerationState.FAULTED
    assert scene.log.jobs()[JOB].held == 600
    scene.and_given(pop(W_BOB), tell(result("caption"), result("interrogation")))
    job = scene.log.jobs()[JOB]
    assert (job.state, job.done, job.faulted, job.charged, job.held) == (JobState.DONE, 2, 1, 600, 0)


def test_forms_of_a_lease_that_ran_out_wait_again_but_for_those_that_were_told():
    scene = people().and_given(asked(*FORMS), pop(), tell(result("caption")), later(3 * LEASE_SECONDS + 1))
    scene.and_given(ExpireLease(lease=LEASE))
    assert states(scene) == {
        "caption": GenerationState.DONE,
        "interrogation": GenerationState.WAITING,
        "GFPGAN": GenerationState.WAITING,
    }
    assert scene.log.accounts()[ALICE].waiting_forms == 2
    assert scene.log.jobs()[JOB].models == ("*form:GFPGAN", "*form:interrogation")


# --- what is told again


def kept(then: Then) -> list[ToldForm]:
    return [row for row in then.vault if isinstance(row, ToldForm)]


def test_words_are_kept_for_others_by_what_the_url_makes_and_pictures_are_not():
    scene = people().and_given(asked(*FORMS), pop())
    everything = [result(form) for form in FORMS]
    assert kept(scene.when(tell(*everything))) == []
    then = scene.when(tell(*everything, source=SOURCE))
    expires_at = scene.log.now + TOLD_FOR
    assert kept(then) == [
        ToldForm(
            GENERATION[form], JOB, LEASE, SOURCE, form, nsfw=False, told=f'"{form}"', expires_at=expires_at
        )
        for form in ("caption", "interrogation")
    ]


@pytest.mark.parametrize("state", [ResultState.CENSORED, ResultState.CSAM, ResultState.FAULTED])
def test_what_was_not_told_is_not_kept(state: ResultState):
    scene = people().and_given(asked(*FORMS), pop())
    assert kept(scene.when(tell(result("caption", state), source=SOURCE))) == []


def test_of_a_reported_picture_nothing_is_kept_any_more():
    scene = people().and_given(asked(*FORMS), pop())
    together = tell(result("caption", ResultState.CSAM), result("interrogation"), source=SOURCE)
    assert kept(scene.when(together)) == []
    scene.and_given(tell(result("caption", ResultState.CSAM), source=SOURCE))
    assert kept(scene.when(tell(result("interrogation"), source=SOURCE))) == []


def test_its_command_is_known_to_the_writer():
    assert SubmitInterrogationJob in RULES


# --- any history

WORKERS = st.sampled_from([W_BOB, W_CAROL, W_BOB_2])
SOME = st.lists(st.sampled_from(FORMS), min_size=1, max_size=3, unique=True)
STATES = st.sampled_from([*ResultState, ResultState.OK, ResultState.OK])
TAKE = st.tuples(st.just("take"), WORKERS, SOME, st.integers(1, 3))
TELL = st.tuples(st.just("tell"), st.integers(0, 9), SOME, STATES)
SELDOM = st.one_of(
    st.tuples(st.just("give back"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, LEASE_SECONDS, 1_300])),
    st.tuples(st.just("cancel")),
)
#: most begin with work, so that there is something to go wrong
STEPS = st.tuples(
    st.lists(st.one_of(TAKE, TELL, TELL), min_size=6, max_size=12),
    st.lists(st.one_of(TAKE, TELL, SELDOM), max_size=12),
).map(lambda parts: [*parts[0], *parts[1]])


@settings(max_examples=25, deadline=None)
@given_data(STEPS, st.sampled_from([100, 900, 10_000]), st.sets(st.sampled_from(FORMS[:2])), st.booleans())
def test_any_history_charges_each_form_at_most_once_and_leaves_nothing_held(steps, kudos, told, slow_refused):
    before = tuple(ToldBefore(form, uid(400 + n), uid(500), '"x"') for n, form in enumerate(sorted(told)))
    command = asked(*FORMS, told=before, slow_workers=not slow_refused)
    scene = people(kudos).and_given(command)
    quoted = sum(amount for _, amount in scene.log.jobs()[JOB].quote)
    leases: list[tuple[UUID, UUID, tuple[UUID, ...]]] = []
    for step in (*steps, ("wait", 1_300), ("cancel",)):
        _play(scene, step, leases)
        job, account = scene.log.jobs()[JOB], scene.log.accounts()[ALICE]
        rows = scene.log.generations_of(JOB)
        waiting = [row for row in rows if row.state is GenerationState.WAITING]
        assert account.waiting_forms == job.waiting == len(waiting)
        assert account.held == job.held <= quoted
        assert job.charged <= quoted
        assert set(job.models) == {form_model(row.form or "") for row in waiting}
        assert account.available >= 0
    charged: dict[UUID, int] = {}
    for fact in scene.log.facts:
        if isinstance(fact.event, GenerationDelivered | GenerationCensored):
            assert fact.event.generation not in charged
            charged[fact.event.generation] = fact.event.charged
            assert sum(amount for _, amount in fact.event.postings) == 0
    job, account = scene.log.jobs()[JOB], scene.log.accounts()[ALICE]
    assert (job.held, account.held, job.open) == (0, 0, 0)
    assert job.final
    assert job.charged == account.consumed == sum(charged.values())


def _play(scene: Scene, step: tuple[Any, ...], leases: list[tuple[UUID, UUID, tuple[UUID, ...]]]) -> None:
    """One step, as far as it can be done."""
    match step:
        case ("take", worker, forms, amount):
            lease = uid(600 + len(leases))
            decided = scene.when(pop(worker, *forms, lease=lease, amount=amount)).decided
            if isinstance(decided, Decision) and decided.events:
                (leased,) = decided.events
                assert isinstance(leased, GenerationsLeased)
                leases.append((lease, OWNER[worker], leased.generations))
                scene.and_given(pop(worker, *forms, lease=lease, amount=amount))
        case ("tell", number, forms, state) if leases:
            lease, owner, taken = leases[number % len(leases)]
            results = [result(form, state) for form in forms if GENERATION[form] in taken]
            command = tell(*results, lease=lease, owner=owner, source=SOURCE)
            if results and isinstance(scene.when(command).decided, Decision):
                scene.and_given(command)
        case ("give back", number) if leases:
            lease, owner, _ = leases[number % len(leases)]
            scene.and_given(ReleaseLease(lease=lease, owner=owner))
        case ("wait", seconds):
            scene.and_given(later(seconds), *(ExpireLease(lease=lease) for lease, _, _ in leases))
            scene.and_given(ExpireJob(job=JOB))
        case ("cancel",):
            scene.and_given(CancelJob(job=JOB))
        case _:
            pass
