"""Text jobs: what is recorded, refused, shortened; and that no history of deliveries costs more than was quoted."""

from uuid import UUID

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from app.accounts.decider import GrantRole, OpenRealm, SetTrust
from app.jobs.decider import CancelJob
from app.jobs.text_decider import LEASE_SECONDS, SubmittedText
from app.jobs.text_wish import plain_text_quote
from app.ledger.text_upfront import Shorter
from app.ledger.upfront import Load
from app.platform.vault import GenerationSeed, JobWords
from app.workers.lease_decider import ExpireLease, ReleaseLease, ResultState
from events.accounts import Role
from events.base import ANONYMOUS
from events.jobs import GenerationCensored, GenerationDelivered, HoldPlaced, HoldReleased, JobKind
from events.moderation import CaseOpened
from events.workers import SuspicionRaised
from projections.queue import REQUIREMENTS
from tests.factories import (
    check_in,
    deliver_text,
    grant,
    pop,
    register,
    submit,
    submit_text,
    text_capabilities,
    uid,
)
from tests.given import Scene, given, later

ALICE, BOB = uid(1), uid(2)
JOB, G1, G2, G3, WORKER, LEASE = uid(10), uid(11), uid(12), uid(13), uid(20), uid(30)
#: 7.2 billion parameters: 80 tokens after a short prompt cost 558 hundredths
MODEL = "Mistral-7B-Instruct-v0.3"
PRICE, TAX = 558, 100
ABLE = text_capabilities((MODEL, "Llama-3.3-70B-Instruct"))


def people(kudos: int = 0) -> Scene:
    scene = given(OpenRealm(), register(ALICE), register(BOB), check_in(WORKER, BOB, ABLE))
    return scene.and_given(grant(ALICE, kudos)) if kudos else scene


def text(requester=ALICE, **changes):
    return submit_text(requester, job=JOB, **{"generations": (G1, G2), "models": (MODEL,)} | changes)


def test_a_submission_fixes_its_quote_and_holds_what_is_available():
    then = people(1000).when(text(wish={"soft_prompt": "pirates", "validated_backends": True}))
    submitted, hold = then.events
    assert (submitted.kind, submitted.price, submitted.tax, submitted.surcharge) == (
        JobKind.TEXT,
        PRICE,
        TAX,
        0,
    )
    assert submitted.offers == ((f"*text:{MODEL}", PRICE, 0),)
    assert (submitted.max_length, submitted.prompt_tokens, submitted.lease_seconds) == (80, 20, LEASE_SECONDS)
    assert (submitted.priority, submitted.tier, submitted.soft_prompt) == (1000, 0, "pirates")
    assert sum(amount for _, amount in submitted.quote) == 2 * (PRICE + TAX)
    assert {"soft_prompt", "validated_backend", "untrusted_requester", "not_covered"} < set(
        submitted.requirements
    )
    assert list(submitted.requirements) == [n for n in REQUIREMENTS if n in submitted.requirements]
    assert hold == HoldPlaced(job=JOB, requester=ALICE, amount=1000)
    assert then.result == SubmittedText(job=JOB)
    words, *seeds = then.vault
    assert words == JobWords(JOB, "once", "", '{"max_length":80,"max_context_length":2048}', "")
    assert seeds == [GenerationSeed(G1, JOB, 0), GenerationSeed(G2, JOB, 1)]


def test_no_word_of_the_client_is_in_the_log():
    events = people().when(text(prompt="a secret prompt", wish={"proxied_account": ""})).events
    assert "secret" not in repr(events)


def test_what_only_some_may_ask_for():
    people().when(text(wish={"batching": False})).then_rejected("FORBIDDEN", "input", "batching")
    people().and_given(SetTrust(user=ALICE, trusted=True)).when(text(wish={"batching": False})).events  # noqa: B018
    people().when(text(wish={"proxied_account": "x"})).then_rejected("FORBIDDEN", "input", "proxiedAccount")
    service = people().and_given(GrantRole(user=ALICE, role=Role.SERVICE))
    assert service.when(text(wish={"proxied_account": "x"})).vault[0].proxied_account == "x"


def test_texts_and_pictures_wait_in_one_count():
    full = people().and_given(submit(ALICE, n=28))
    refused = full.when(text(generations=(G1, G2, G3))).then_rejected("TOO_MANY_JOBS", "input", "params", "n")
    assert refused.detail == {"waiting": 28, "would_wait": 31, "limit": 30}
    full.when(text()).events  # noqa: B018


def test_a_quote_above_the_clients_limit_is_refused():
    people(10_000).when(text(max_kudos=1315)).then_rejected("INVALID_INPUT", "input", "maxKudos")
    people(10_000).when(text(max_kudos=1316)).events  # noqa: B018


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"max_length": 513}, ("params", "maxLength")),
        ({"prompt": "x" * 8_193, "max_context_length": 4_096}, ("prompt",)),
        ({"wish": {"slow_workers": False}}, ("slowWorkers",)),
    ],
)
def test_beyond_the_free_limits_the_whole_quote_must_be_in_hand(change, path):
    refused = people(100).when(text(**change)).then_rejected("INSUFFICIENT_KUDOS", "input", *path)
    quoted = plain_text_quote(text(**change)).total
    assert (refused.detail["required"], refused.detail["missing"]) == (quoted, quoted - 100)
    people(quoted).when(text(**change)).events  # noqa: B018


def test_who_holds_no_kudos_has_the_smaller_limits_and_load_lowers_the_others():
    newcomer = people()
    newcomer.when(text(max_length=256)).events  # noqa: B018
    newcomer.when(text(max_length=257)).then_rejected("INSUFFICIENT_KUDOS", match="beyond 256 tokens")
    newcomer.when(text(ANONYMOUS, max_length=257)).then_rejected("INSUFFICIENT_KUDOS", match="register")
    busy = {"load": Load(threads=2, queued=100)}
    known = people(1)
    known.when(text(max_length=432, wish=busy)).events  # noqa: B018
    known.when(text(max_length=433, wish=busy)).then_rejected("INSUFFICIENT_KUDOS", match="beyond 432 tokens")


def test_a_job_is_shortened_as_far_as_its_kudos_or_the_free_limits_make_it():
    allowing = {"allow_downgrade": True, "slow_workers": False}
    then = people().when(text(max_length=1000, wish=allowing))
    submitted = then.events[0]
    assert (submitted.max_length, submitted.downgraded) == (256, True)
    assert "not_slow" not in submitted.requirements
    assert then.result == SubmittedText(job=JOB, shorter=Shorter(max_length=256))
    assert then.vault[0].payload == '{"max_length":256,"max_context_length":2048}'
    rich = people(10_000)
    longer = rich.when(text(max_length=4096, max_context_length=8192, wish={"allow_downgrade": True})).events[
        0
    ]
    assert 512 < longer.max_length < 4096
    assert sum(amount for _, amount in longer.quote) <= 10_000
    exact = rich.when(text(max_length=longer.max_length + 1, max_context_length=8192))
    exact.then_rejected("INSUFFICIENT_KUDOS")


def test_any_model_is_offered_as_far_as_the_kudos_reach():
    offers = people(1).when(text(models=())).events[0].offers
    assert [name for name, _, _ in offers] == ["*texts:3b", "*texts:9b", "*texts:15b"]
    assert [price for _, price, _ in offers] == sorted(price for _, price, _ in offers)
    everything = people(1).when(text(models=(), max_kudos=10**9)).events[0].offers
    assert [name for name, _, _ in everything][-1] == "*texts:larger"
    impatient = {"slow_workers": False}
    within = people(1000).when(text(models=(), wish=impatient)).events[0]
    assert [name for name, _, _ in within.offers] == ["*texts:3b"]
    assert sum(amount for _, amount in within.quote) <= 1000


def test_each_class_is_paid_by_itself():
    scene = people(100_000).and_given(text(models=(), max_kudos=100_000))
    leased = scene.when(pop(WORKER, BOB, text_capabilities(("Llama-3.3-70B-Instruct",)))).events[0]
    prices = {name: price for name, price, _ in scene.log.jobs()[JOB].offers}
    assert leased.price == prices["*texts:73b"]
    small = scene.when(pop(WORKER, BOB, text_capabilities((MODEL,)))).events[0]
    assert small.price == prices["*texts:9b"] < leased.price
    own = scene.when(pop(WORKER, BOB, text_capabilities(("Llama-3.3-70B-Instruct::bob#2",))))
    assert own.events == [], "a model of one owner's own is of no class"


def leased(n: int = 1, kudos: int = 10_000) -> Scene:
    scene = people(kudos).and_given(text(generations=(G1, G2, G3)[:n]))
    return scene.and_given(pop(WORKER, BOB, ABLE, lease=LEASE, amount=n))


def test_a_lease_lasts_150_seconds_for_each_text():
    scene = people(10_000).and_given(text())
    event = scene.when(pop(WORKER, BOB, ABLE, amount=2)).events[0]
    assert (event.expires_at - scene.log.now).total_seconds() == 2 * LEASE_SECONDS


@pytest.mark.parametrize(
    ("written", "tokens", "price"),
    [("", 20, 140), ("x" * 80, 20, 140), ("x" * 81, 21, 146), ("x" * 160, 40, 279), ("x" * 320, 80, PRICE), ("x" * 999, 250, PRICE)],
)  # fmt: skip
def test_what_is_written_is_paid(written, tokens, price):
    events = leased().when(deliver_text(LEASE, BOB, G1, text=written)).events
    delivered = next(event for event in events if isinstance(event, GenerationDelivered))
    assert (delivered.tokens, delivered.price, delivered.charged) == (tokens, price, price + TAX)
    assert price // 2 <= delivered.escrowed <= price - price // 2
    assert sum(amount for _, amount in delivered.postings) == 0
    released = [event.amount for event in events if isinstance(event, HoldReleased)]
    assert sum(released) == PRICE - price


def test_a_report_opens_a_case_and_the_worker_is_paid_in_full():
    events = leased().when(deliver_text(LEASE, BOB, G1, state=ResultState.CSAM)).events
    censored = next(event for event in events if isinstance(event, GenerationCensored))
    assert (censored.price, censored.charged) == (PRICE, TAX)
    assert any(isinstance(event, CaseOpened) for event in events)


def test_a_text_that_comes_too_soon_raises_suspicion():
    scene = leased().and_given(later(1))
    quick = scene.when(deliver_text(LEASE, BOB, G1, text="x" * 160, fastest=30_000))
    assert any(isinstance(event, SuspicionRaised) for event in quick.events)
    slower = scene.when(deliver_text(LEASE, BOB, G1, text="x" * 160, fastest=100_000))
    assert not any(isinstance(event, SuspicionRaised) for event in slower.events)


GENERATIONS = tuple(uid(100 + n) for n in range(4))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.sampled_from([0, 401, 1_200, 5_000])),
        st.tuples(st.just("fail"), st.integers(0, 3), st.sampled_from(["CENSORED", "FAULTED", "CSAM"])),
        st.tuples(st.just("take"), st.integers(1, 4), st.integers(0, 3)),
        st.tuples(st.just("lapse"), st.just(0), st.just(0)),
        st.tuples(st.just("release"), st.just(0), st.just(0)),
        st.tuples(st.just("cancel"), st.just(0), st.just(0)),
    ),
    max_size=14,
).map(lambda steps: [("take", 2, 0), *steps])


@settings(max_examples=120, deadline=None)
@forall(
    steps=STEPS,
    kudos=st.integers(0, 40_000),
    limit=st.sampled_from([None, 60_000]),
    models=st.sampled_from([(), (MODEL,)]),
)
def test_no_history_costs_more_than_was_quoted_and_nothing_stays_held(
    steps: list[tuple[str, int, object]], kudos: int, limit: int | None, models: tuple[str, ...]
) -> None:
    """Whatever is delivered by which model, withheld, dropped or cancelled: the sum of the charges is within the quote."""
    scene = people(kudos)
    wish = {"allow_downgrade": True}
    command = text(models=models, generations=GENERATIONS, max_length=300, max_kudos=limit, wish=wish)
    scene.and_given(command)
    leases: list[UUID] = []
    for kind, first, second in steps:
        _step(scene, leases, kind, first, second)
    job = scene.log.jobs()[JOB]
    quoted = sum(amount for _, amount in job.quote)
    facts = [
        f.event for f in scene.log.facts if isinstance(f.event, GenerationDelivered | GenerationCensored)
    ]
    assert sum(event.charged for event in facts) == job.charged <= quoted
    assert all(sum(amount for _, amount in event.postings) == 0 for event in facts)
    assert all(event.charged <= job.cost and event.escrowed <= event.price <= job.price for event in facts)
    assert 0 <= job.held <= quoted - job.charged
    if job.final:
        assert job.held == 0
    assert scene.log.accounts()[ALICE].available >= 0


def _step(scene: Scene, leases: list[UUID], kind: str, first: int, second: object) -> None:
    """One thing that happens, if it may."""
    if kind == "take":
        assert isinstance(second, int)
        lease = uid(1000 + len(leases))
        taken = pop(WORKER, BOB, ABLE, lease=lease, amount=first, choice=second)
        if scene.when(taken).events:
            scene.and_given(taken)
            leases.append(lease)
        return
    if kind == "cancel":
        scene.and_given(CancelJob(job=JOB))
        return
    if not leases:
        return
    commands = {
        "write": lambda: deliver_text(leases[-1], BOB, GENERATIONS[first], text="x" * int(str(second))),
        "fail": lambda: deliver_text(leases[-1], BOB, GENERATIONS[first], state=ResultState(str(second))),
        "lapse": lambda: ExpireLease(lease=leases[-1]),
        "release": lambda: ReleaseLease(lease=leases[-1], owner=BOB),
    }
    if kind == "lapse":
        scene.and_given(later(700))
    command = commands[kind]()
    decided = scene.when(command).decided
    if hasattr(decided, "events"):
        scene.and_given(command)
