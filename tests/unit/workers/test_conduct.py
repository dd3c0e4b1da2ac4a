"""Uptime is paid once, impossible speeds are suspected, workers that drop their work rest; outages are nobody's fault."""

from uuid import UUID

import msgspec
import pytest

from app.accounts.decider import OpenRealm, SetTrust
from app.platform.commands import Command
from app.workers.conduct import MAX_FAULTS, EndRest, RestEnded, unreasonable_text_speed
from app.workers.decider import SetMaintenance
from app.workers.lease_decider import ExpireLease, ResultState
from app.workers.uptime import MODELS_COUNTED, MOST, ClaimUptime, UptimeClaimed, reward_of
from events.jobs import FailureCause, GenerationFailed
from events.workers import AutoMaintenanceStarted, MaintenanceEnded, MaintenanceStarted, UptimeRewarded
from tests.factories import (
    at,
    capabilities,
    check_in,
    deliver,
    pop,
    register,
    submit,
    text_capabilities,
    uid,
)
from tests.given import Scene, given, later

ALICE, BOB, W, JOB, LEASE = uid(1), uid(2), uid(20), uid(10), uid(30)
GENERATIONS = tuple(uid(100 + n) for n in range(MAX_FAULTS + 1))


def scene(*steps: Command | later) -> Scene:
    return given(OpenRealm(), register(ALICE), register(BOB), check_in(W, BOB), *steps)


def leased(n: int = len(GENERATIONS), lease: UUID = LEASE) -> Scene:
    """Bob's worker has taken so many generations at once."""
    return scene(submit(ALICE, job=JOB, generations=GENERATIONS[:n])).and_given(
        pop(W, BOB, lease=lease, amount=n)
    )


def claim(seconds: int = 601) -> ClaimUptime:
    return ClaimUptime(worker=W, owner=BOB, seconds=seconds)


def test_ten_minutes_are_rewarded_into_escrow():
    moved = (("system:treasury", -5200), (f"user:{BOB}", 0), (f"escrow:{BOB}", 5200))
    event = UptimeRewarded(worker=W, owner=BOB, seconds=650, amount=5200, escrowed=5200, postings=moved)
    scene(later(700)).when(claim(650)).then(event, result=UptimeClaimed(amount=5200))


def test_a_trusted_owner_has_it_at_once():
    (event,) = scene(SetTrust(user=BOB, trusted=True), later(700)).when(claim(650)).events
    assert isinstance(event, UptimeRewarded)
    assert (event.escrowed, event.postings[1]) == (0, (f"user:{BOB}", 5200))


def test_no_second_is_paid_twice_whatever_is_claimed():
    rewarded = scene(later(700)).and_given(claim(10**6))
    (first,) = [f.event for f in rewarded.log.facts if isinstance(f.event, UptimeRewarded)]
    assert first.seconds == 700, "no more than the log knows of"
    rewarded.and_given(later(599)).when(claim()).then_nothing(UptimeClaimed(amount=0))
    assert rewarded.and_given(later(1)).when(claim()).names == ["UptimeRewarded"]
    rewarded.when(claim(599)).then_nothing()
    assert rewarded.when(ClaimUptime(worker=W, owner=ALICE, seconds=601)).then_rejected("NOT_FOUND")


def test_who_serves_only_its_owner_is_not_rewarded():
    resting = scene(SetMaintenance(worker=W, owner=BOB, maintenance=True, message=""), later(700))
    resting.when(claim()).then_nothing(UptimeClaimed(amount=0))


def test_so_many_models_count_and_no_more():
    many = capabilities([f"m{n}" for n in range(300)])
    (event,) = scene(check_in(W, BOB, many), later(700)).when(claim()).events
    assert isinstance(event, UptimeRewarded)
    assert event.amount == 5000 + 200 * MODELS_COUNTED


@pytest.mark.parametrize(("seconds", "suspected"), [(1, True), (2, False), (0, False)])
def test_what_was_delivered_under_a_lease_tells_its_speed(seconds: int, suspected: bool):
    """Three pictures of 7.9 million pixelsteps, drawn as one batch: 23.6 or 11.8 million a second."""
    batch = leased(3).and_given(later(seconds))
    names = batch.when(deliver(LEASE, BOB, *GENERATIONS[:3])).names
    assert ("SuspicionRaised" in names) == suspected, "a clock that stands still measures nothing"


def test_a_batch_is_as_fast_as_all_of_it():
    batch = leased(2).and_given(later(10), deliver(LEASE, BOB, *GENERATIONS[:2]))
    worker = batch.log.state["workers"][W]
    assert worker.measured == ((7_864_320, 10_000), (7_864_320, 0))  # type: ignore[attr-defined]
    assert worker.speed == 2 * 7_864_320 // 10  # type: ignore[attr-defined]


def test_more_than_twenty_failures_in_an_hour_let_a_worker_rest():
    failing = leased()
    twenty = failing.when(deliver(LEASE, BOB, *GENERATIONS[:MAX_FAULTS], state=ResultState.FAULTED))
    assert "AutoMaintenanceStarted" not in twenty.names
    events = failing.when(deliver(LEASE, BOB, *GENERATIONS, state=ResultState.FAULTED)).events
    assert events[-1] == AutoMaintenanceStarted(worker=W, owner=BOB, until=at(3600), failures=MAX_FAULTS + 1)


def test_failures_of_before_the_hour_do_not_count():
    failing = leased().and_given(
        deliver(LEASE, BOB, *GENERATIONS[:1], state=ResultState.FAULTED), later(3600)
    )
    names = failing.when(deliver(LEASE, BOB, *GENERATIONS[1:], state=ResultState.FAULTED)).names
    assert "AutoMaintenanceStarted" not in names


def test_a_rest_ends_by_the_logs_clock_unless_the_owner_wants_it_to_last():
    resting = leased().and_given(deliver(LEASE, BOB, *GENERATIONS, state=ResultState.FAULTED), later(3599))
    resting.when(EndRest(worker=W)).then_nothing(RestEnded(ended=False))
    resting.and_given(later(1)).when(EndRest(worker=W)).then(MaintenanceEnded(worker=W, owner=BOB))
    lasting = SetMaintenance(worker=W, owner=BOB, maintenance=True, message="")
    resting.when(lasting).then(MaintenanceStarted(worker=W, owner=BOB))
    resting.and_given(lasting).when(EndRest(worker=W)).then_nothing()


def causes(*events: object) -> set[FailureCause]:
    return {event.cause for event in events if isinstance(event, GenerationFailed)}


def test_what_a_worker_gives_up_while_storage_is_away_is_not_its_fault():
    given_up = deliver(LEASE, BOB, *GENERATIONS, state=ResultState.FAULTED)
    away = msgspec.structs.replace(given_up, storage_away=True)
    events = leased().when(away).events
    assert causes(*events) == {FailureCause.STORAGE_AWAY}
    assert not any(isinstance(event, AutoMaintenanceStarted) for event in events)


@pytest.mark.parametrize(
    ("late", "told", "cause"),
    [
        (1, False, FailureCause.LEASE_EXPIRED),
        (60, False, FailureCause.LEASE_EXPIRED),
        (61, False, FailureCause.SERVER_AWAY),
        (1, True, FailureCause.SERVER_AWAY),
    ],
)
def test_a_lease_that_ran_out_while_the_server_was_away_is_nobodys_fault(
    late: int, told: bool, cause: FailureCause
):
    n = len(GENERATIONS)
    events = leased().and_given(later(150 * n + late)).when(ExpireLease(lease=LEASE, server_away=told)).events
    assert causes(*events) == {cause}
    rests = any(isinstance(event, AutoMaintenanceStarted) for event in events)
    assert rests == (cause is FailureCause.LEASE_EXPIRED)


@pytest.mark.parametrize(
    ("billions", "context", "amount"),
    [
        (7, 2048, 5_500),
        (7, 4096, 8_500),
        (3, 2048, 2_357),
        (0.1, 2048, 1_375),
        (None, 2048, 2_750),
        (70, 8192, MOST),
    ],
)
def test_a_text_worker_is_rewarded_by_context_and_size_within_bounds(billions, context, amount):
    """The reference's examples, up to what an image worker can have."""
    able = msgspec.structs.replace(text_capabilities(), max_context_length=context)
    scene = given(OpenRealm(), register(BOB), check_in(W, BOB, able), later(700))
    parameters = None if billions is None else round(billions * 10**9)
    (event,) = scene.when(msgspec.structs.replace(claim(), parameters=parameters)).events
    assert isinstance(event, UptimeRewarded)
    assert event.amount == amount


def test_nobody_is_there_more_dearly_than_an_image_worker_can_be():
    every = capabilities([f"m{n}" for n in range(300)], allows=("lora",))
    scene = given(OpenRealm(), register(BOB), check_in(W, BOB, every))
    (image,) = scene.log.state["workers"].values()
    assert reward_of(image) == MOST


@pytest.mark.parametrize(
    ("model", "billions", "tokens"),
    [
        ("a", None, 150), ("a", 8, 150), ("a", 13, 150), ("a", 14, 100), ("a", 69, 100), ("a", 70, 30),
        ("Mixtral-8x7B", 46.7, 150), ("Mixtral-8x22B", 141, 90),
    ],
)  # fmt: skip
def test_how_fast_a_text_model_can_be_follows_from_its_size(model, billions, tokens):
    parameters = None if billions is None else round(billions * 10**9)
    assert unreasonable_text_speed(model, parameters) == tokens * 1000
