"""What workers earn: escrow, trust, uptime, speed, suspicions and rests, through the public API and a clock that jumps.

One horde of its own, whose database's clock is set ahead. The features are those of `docs/checklist.md`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.horde import Horde, User, Worker, final, refused, submit, unique
from tests.acceptance.processes import eventually, run_cli
from tests.acceptance.wires import Api
from tests.chaos.world import World

MONEY = (
    "{ viewer { kudos held escrow trusted roles totals { generated uptime granted received sent spent } } }"
)
WORKER = (
    "query($worker: String!) { worker(worker: $worker) { id megapixelstepsPerSecond paused suspicions maintenance maintenanceUntil "
    "uptimeSeconds uptimeEarned } }"
)
POPPED = (
    "... on ImageAssignment { leaseId generations { id } } ... on NoJob { skipped { reason } } "
    "... on WorkerInMaintenance { maintenanceMessage maintenanceUntil }"
)
PRICE, TAX = Decimal("6.50"), Decimal("3.00")


@pytest.fixture(scope="module")
def world(
    stack_settings: tuple[EmbeddedStack, Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A horde whose clock jumps."""
    stack, settings = stack_settings
    with World(tmp_path_factory.mktemp("earning"), stack, settings) as made:
        yield made


@pytest.fixture(scope="module")
def horde(world: World) -> Horde:
    return world.horde


@pytest.fixture(scope="module")
def jump(world: World) -> Callable[..., None]:
    """Let so much time pass in the log."""
    ahead = timedelta()

    def leap(**much: float) -> None:
        nonlocal ahead
        ahead += timedelta(**much)
        world.set_clock(f"{ahead.total_seconds()} seconds")

    return leap


@pytest.fixture(scope="module")
def operator(world: World, horde: Horde) -> Api:
    return horde.api(world.stack.seed_keys.operator)


def money(user: User) -> dict[str, Any]:
    found: dict[str, Any] = user.api.ask(MONEY)["viewer"]
    return found


def seen(user: User, worker: Worker) -> dict[str, Any]:
    found: dict[str, Any] = user.api.ask(WORKER, worker=worker.name)["worker"]
    return found


def trust(api: Api, user: User, trusted: bool = True) -> dict[str, Any]:
    given = {"user": user.alias, "trusted": trusted}
    return api.call("setTrusted", "... on SetTrustedSuccess { trusted released position }", given)


def work(alice: User, worker: Worker, **job: Any) -> dict[str, Any]:
    """Alice asks for a picture and the worker delivers it; the results."""
    alice.submit(models=worker.models, **job)
    return worker.deliver(worker.take())


def newest(user: User) -> tuple[str, Decimal, list[tuple[str, str]]]:
    """The last line of a statement, whose breakdown sums to its amount."""
    line = user.statement()[0]
    items = [(item["label"], item["amount"]) for item in line["breakdown"]]
    assert sum(Decimal(amount) for _, amount in items) == Decimal(line["amount"])
    return line["reason"], Decimal(line["amount"]), items


def test_half_of_what_an_untrusted_owner_earns_waits_in_escrow(horde: Horde) -> None:
    """Features 144, 147, 149 and 155: tax, escrow, holds and where kudos came from and went."""
    alice, bob = horde.register("alice", "100"), horde.register("bob")
    worker = bob.worker(unique("model"))
    job = alice.submit(models=worker.models)
    assert Decimal(money(alice)["held"]) == PRICE + TAX, "reserved, so that it cannot be spent twice"
    with refused("INSUFFICIENT_KUDOS"):
        alice.transfer(bob.alias, "100")
    assert Decimal(worker.deliver(worker.take())["reward"]) == PRICE
    assert final(job)["charged"] == str(PRICE + TAX)

    have = money(bob)
    assert (have["kudos"], have["escrow"], have["trusted"]) == ("3.25", "3.25", False)
    assert have["totals"]["generated"] == "6.50"
    assert newest(bob) == (
        "your worker delivered",
        Decimal("3.25"),
        [("generation delivered", "6.50"), ("kept in escrow until you are trusted", "-3.25")],
    )
    with refused("INSUFFICIENT_KUDOS"):
        bob.transfer(alice.alias, "3.26")  # an escrow is not to be spent
    spent = money(alice)
    assert (spent["held"], spent["totals"]["spent"], spent["totals"]["received"]) == (
        "0.00",
        "9.50",
        "100.00",
    )
    shared = alice.submit(models=worker.models, share=True)
    taxes = [item["amount"] for item in shared.job["quote"]["items"] if "tax" in item["label"].lower()]
    assert taxes == ["1.00"], "reduced for who shares"
    shared.cancel()


def test_moderators_say_who_is_trusted(world: World, horde: Horde, operator: Api) -> None:
    """Feature 147: trust releases the escrow, and from then on all is paid at once; what is taken stays taken."""
    alice, bob = horde.register("alice", "100"), horde.register("bob")
    worker = bob.worker(unique("model"))
    work(alice, worker)
    with refused("FORBIDDEN"):
        trust(alice.api, bob)
    with refused("NOT_FOUND", "input", "user"):
        operator.call("setTrusted", "__typename", {"user": "nobody#1", "trusted": True})
    with refused("NOT_FOUND", "input", "user"):
        operator.call("setTrusted", "__typename", {"user": "Anonymous#0", "trusted": True})

    assert trust(operator, bob)["released"] == "3.25"
    assert newest(bob) == (
        "escrow released",
        Decimal("3.25"),
        [("escrow released: you are trusted", "3.25")],
    )
    assert trust(operator, bob)["released"] == "0.00", "it is so already"
    work(alice, worker)
    have = money(bob)
    assert (have["kudos"], have["escrow"], have["trusted"], have["roles"]) == (
        "13.00",
        "0.00",
        True,
        ["trusted"],
    )

    assert trust(operator, bob, trusted=False)["trusted"] is False
    work(alice, worker)
    assert (money(bob)["kudos"], money(bob)["escrow"]) == ("16.25", "3.25")
    said = run_cli("trust", bob.alias, variables=world.variables)
    assert "3.25 kudos were released" in said


def test_work_over_days_earns_trust(horde: Horde, jump: Callable[..., None], world: World) -> None:
    """Feature 147: an escrow of more than 1000 kudos and an account of seven days, decided with the delivery."""
    alice, bob = horde.register("alice", "100000"), horde.register("bob")
    worker = bob.worker(unique("model"), maxPixels=2048 * 2048)
    size = {"params": {"width": 2048, "height": 2048, "steps": 100}}
    while Decimal(money(bob)["escrow"]) <= 1000:
        work(alice, worker, **size)
    assert not money(bob)["trusted"], "not on its first day"
    before, waits = Decimal(money(bob)["kudos"]), Decimal(money(bob)["escrow"])
    jump(days=7, seconds=1)
    earned = Decimal(work(alice, worker)["reward"])
    have = money(bob)
    assert (have["trusted"], have["escrow"]) == (True, "0.00")
    assert Decimal(have["kudos"]) == before + waits + earned
    types = [event["type"] for event in horde.events() if bob.id in str(event["subject"])]
    assert types[-2:] == ["accounts.TrustEarned", "kudos.EscrowReleased"]
    assert world.rows(
        "SELECT sum(amount) FROM log.posting WHERE account = %(a)s", {"a": f"escrow:{bob.id}"}
    ) == [(0,)]


def count_as_there(world: World, worker: str, seconds: int) -> None:
    """As if Valkey had counted so many seconds, the last poll a moment ago."""
    with redis.Redis.from_url(world.settings.redis_url) as valkey:
        now = int(valkey.time()[0])
        key = f"hoard:{world.settings.realm}:uptime:{worker}"
        valkey.hset(key, mapping={"last": now - 1, "seconds": seconds})


def poll(worker: Worker, **capabilities: Any) -> dict[str, Any]:
    image = {"models": worker.models, **worker.capabilities, **capabilities}
    asked = {"workerName": worker.name, "image": image}
    return worker.owner.api.call("popJob", POPPED, asked)


def test_ten_minutes_of_being_there_are_rewarded_once(
    world: World, horde: Horde, operator: Api, jump: Callable[..., None]
) -> None:
    """Feature 124: 50 kudos, 2 for each model, 30 if LoRAs are allowed; all in escrow for whom nobody trusts."""
    bob = horde.register("bob")
    worker = bob.worker(unique("model"), unique("model"), allowLora=True)

    def there(seconds: int) -> None:
        poll(
            worker, testMode=True
        )  # counts nothing, so that the next is not passed over as renewed a moment ago
        count_as_there(world, seen(bob, worker)["id"], seconds)
        poll(worker)

    there(700)
    assert seen(bob, worker)["uptimeSeconds"] == 0, "the log knows it for seconds only"
    jump(minutes=11)
    there(100)
    there(650)
    reward = Decimal("84.00")
    eventually(lambda: Decimal(money(bob)["escrow"]) == reward, 20, "the first reward")
    assert money(bob)["kudos"] == "0.00"
    assert newest(bob) == (
        "uptime",
        Decimal(0),
        [("uptime of your worker", "84.00"), ("kept in escrow until you are trusted", "-84.00")],
    )
    shown = seen(bob, worker)
    assert (shown["uptimeEarned"], money(bob)["totals"]["uptime"]) == ("84.00", "84.00")
    assert 650 <= shown["uptimeSeconds"] <= 700

    there(700)  # Valkey repeats itself: the log's time says that it was paid
    horde.quiet()
    assert Decimal(money(bob)["escrow"]) == reward
    trust(operator, bob)
    jump(minutes=11)
    worker.maintenance(True)
    for mode in (True, False):
        with refused("WORKER_IN_MAINTENANCE"):
            count_as_there(world, seen(bob, worker)["id"], 700)
            poll(worker, testMode=mode)
    horde.quiet()
    assert money(bob)["kudos"] == "84.00", "nothing in maintenance"
    worker.maintenance(False)
    there(650)
    eventually(lambda: Decimal(money(bob)["kudos"]) == 2 * reward, 20, "the second reward, at once")


def test_the_speed_of_a_worker_is_measured(horde: Horde, jump: Callable[..., None]) -> None:
    """Feature 125: pixelsteps a second over the last 20 deliveries, from taking work to delivering it."""
    alice, bob = horde.register("alice", "1000"), horde.register("bob")
    worker = bob.worker(unique("model"))
    for seconds in (10, 30):
        alice.submit(models=worker.models)
        taken = worker.take()
        jump(seconds=seconds)
        worker.deliver(taken)
    most = 2 * 512 * 512 * 30 / 40 / 1_000_000
    assert most * 0.8 < seen(bob, worker)["megapixelstepsPerSecond"] <= most


def test_a_worker_that_is_faster_than_any_is_suspected_and_paused(
    horde: Horde, operator: Api, jump: Callable[..., None]
) -> None:
    """5.1 of the reference: one suspicion in ten minutes at most, five pause the worker, trusted owners are immune."""
    alice, bob = horde.register("alice", "10000"), horde.register("bob")
    worker, big = (
        bob.worker(unique("model"), maxPixels=1024 * 1024),
        {"params": {"width": 1024, "height": 1024}},
    )
    for count in range(1, 6):
        for _ in range(2 if count < 5 else 1):  # a burst is one observation
            work(alice, worker, **big)
        assert seen(bob, worker)["suspicions"] == count
        assert seen(alice, worker)["suspicions"] is None, "for its owner and moderators"
        assert seen(bob, worker)["paused"] == (count == 5)
        jump(minutes=10)
    with refused("WORKER_PAUSED"):
        worker.pop()
    carol = horde.register("carol")
    trust(operator, carol)
    immune = carol.worker(unique("model"), maxPixels=1024 * 1024)
    work(alice, immune, **big)
    assert seen(carol, immune)["suspicions"] == 0


def test_a_worker_that_drops_its_work_rests_for_an_hour(horde: Horde, jump: Callable[..., None]) -> None:
    """5.6 of the reference: more than 20 failures within an hour, by its own fault; it ends by itself."""
    alice, bob = horde.register("alice", "10000"), horde.register("bob")
    worker = bob.worker(unique("model"))
    for n in (20, 1):
        assert poll(worker)["__typename"] == "NoJob"
        job = alice.submit(models=worker.models, params={"n": n})
        worker.deliver(worker.take(amount=20), "FAULTED")
        job.cancel()
    with refused("WORKER_IN_MAINTENANCE") as told:
        poll(worker)
    until = datetime.fromisoformat(told.result["maintenanceUntil"])
    assert "too many generations failed" in told.result["maintenanceMessage"]
    assert datetime.fromisoformat(seen(bob, worker)["maintenanceUntil"]) == until
    mine = bob.submit(models=worker.models)
    assert worker.take()["jobId"] == mine.id, "it still serves its owner"
    jump(minutes=59)
    with refused("WORKER_IN_MAINTENANCE"):
        poll(worker)
    jump(minutes=2)
    eventually(lambda: poll(worker)["__typename"] == "NoJob" or None, 5, "its rest is over")
    assert "workers.AutoMaintenanceStarted" in {event["type"] for event in horde.events()}


def test_balance_and_patience_decide_who_is_served_first_and_anonymous_users_come_last(
    horde: Horde, jump: Callable[..., None]
) -> None:
    """Features 159, 160 and 161: priority by what is available, 5 kudos for each second of waiting, a tier below."""
    rich, poor, bob = horde.register("rich", "2000"), horde.register("poor", "100"), horde.register("bob")
    worker, other = bob.worker(unique("model")), bob.worker(unique("model"))
    nobody = submit(horde.anonymous, models=worker.models)
    jump(minutes=15)  # waiting never lifts it above the registered
    later = poor.submit(models=worker.models)
    first = rich.submit(models=worker.models)
    assert [worker.take()["jobId"] for _ in range(3)] == [first.id, later.id, nobody.id]
    patient = poor.submit(models=other.models)
    jump(seconds=(2000 - 100) / 5 + 10)
    hasty = rich.submit(models=other.models)
    assert [other.take()["jobId"] for _ in range(2)] == [patient.id, hasty.id]
