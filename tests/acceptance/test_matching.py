"""Which jobs a worker gets by what it declares, feature by feature of docs/checklist.md, through the public API."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.horde import Horde, Submitted, User, Worker, refused, unique
from tests.acceptance.processes import eventually

SMALL = {"width": 256, "height": 256, "steps": 10}


@pytest.fixture
def trusted(horde: Horde) -> User:
    """A trusted user with kudos."""
    return horde.promote(horde.register("tess", "100"), "trusted")


def plain(user: User, model: str, **given: Any) -> Submitted:
    """A small job for a model."""
    params = {**SMALL, **given.pop("params", {})}
    return user.submit(models=[model], params=params, **given)


def told(worker: Worker, reason: str) -> None:
    """A worker finds nothing, and is told why: by counters at most a second old."""
    eventually(lambda: reason in worker.skipped(), 5, reason)


LORA = {"loras": [{"name": "a style"}]}


@pytest.mark.parametrize(
    ("params", "allow", "reason"),
    [
        (LORA, {"allowLora": True}, "lora"),
        ({"hiresFix": True}, {"features": ["HIRES_FIX"]}, "hires_fix"),
        ({"tiling": True}, {"features": ["TILING"]}, "tiling"),
        ({"clipSkip": 2}, {"features": ["CLIP_SKIP"]}, "clip_skip"),
        ({"sampler": "LCM", "steps": 4}, {"features": ["LCM"]}, "lcm"),
        ({"postProcessing": ["GFPGAN"]}, {"allowPostProcessing": True}, "post_processing"),
        ({"postProcessing": ["NOMOS8KSC_X4"]}, {"features": ["MODERN_POST_PROCESSING"]}, "modern_post_processing"),
        ({"tis": [{"name": "a word"}]}, {"features": ["TEXTUAL_INVERSION"]}, "textual_inversion"),
    ],
)  # fmt: skip
def test_a_worker_gets_what_its_program_can_do_and_is_told_what_it_lacks(
    alice: User, bob: User, model: str, params: dict[str, Any], allow: dict[str, Any], reason: str
) -> None:
    """Features 102, 111, 115: capabilities are declared, not guessed from the program's name."""
    job = plain(alice, model, params=params)
    name = unique("able")
    lacking = bob.worker(
        model, name=name, features=[], allowLora=False, allowPostProcessing=reason != "post_processing"
    )
    told(lacking, reason)
    lacking.capabilities = {"features": [], **allow}
    assert lacking.take()["jobId"] == job.id


def test_a_worker_declares_its_largest_picture(alice: User, bob: User, model: str) -> None:
    """Feature 102."""
    plain(alice, model, params={"width": 576, "height": 512})
    told(bob.worker(model, maxPixels=576 * 512 - 1), "max_pixels")
    bob.worker(model, maxPixels=576 * 512).serve()


def test_a_worker_may_refuse_words(alice: User, bob: User, model: str) -> None:
    """Feature 104: whatever their case; the words are never stored."""
    job = plain(alice, model, prompt="A Kraken at sea")
    told(bob.worker(model, blacklist=["kraken"]), "blacklist")
    assert bob.worker(model, blacklist=["lighthouse"]).take()["jobId"] == job.id


def test_the_owner_comes_first_then_friends_then_all_others_by_rank(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Features 105, 159."""
    friend, poor = horde.register("friend", "1"), horde.register("poor", "2")
    jobs = {who.alias: plain(who, model).id for who in (poor, alice, friend, bob)}
    worker = bob.worker(model, priorityUsers=[friend.alias])
    order = [worker.serve()["jobId"] for _ in range(4)]
    assert order == [jobs[who.alias] for who in (bob, friend, alice, poor)]


def test_a_friend_must_exist(bob: User, model: str) -> None:
    """Feature 105."""
    with refused("NOT_FOUND", "input", "image", "priorityUsers", "0"):
        bob.worker(model, priorityUsers=["nobody#999999999"]).pop()
    with refused("INVALID_INPUT", "input", "image", "priorityUsers", "0"):
        bob.worker(model, priorityUsers=["no number"]).pop()


def test_a_worker_may_want_requesters_who_have_the_kudos(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 106: all of the quote at submission; not of its owner, its friends or trusted users."""
    poor = horde.register("poor", "1")
    poors = plain(poor, model)
    worker = bob.worker(model, requireUpfrontKudos=True)
    told(worker, "not_covered")
    rich = plain(alice, model)
    assert worker.serve()["jobId"] == rich.id
    own = plain(bob, model)
    assert worker.serve()["jobId"] == own.id
    worker.capabilities["priorityUsers"] = [poor.alias]
    assert worker.serve()["jobId"] == poors.id


def test_a_worker_may_want_trusted_requesters(alice: User, bob: User, trusted: User, model: str) -> None:
    """Feature 107 beside the addresses: who is trusted is served though others stand before them."""
    plain(alice, model)
    job = plain(trusted, model)
    worker = bob.worker(model, trustedRequestersOnly=True)
    assert worker.serve()["jobId"] == job.id
    told(worker, "untrusted_requester")


def test_a_worker_may_refuse_many_steps(alice: User, bob: User, model: str) -> None:
    """Feature 108: more than the midpoint of what its models usually take."""
    plain(alice, model, params={"steps": 31})
    worker = bob.worker(model, limitMaxSteps=True)
    told(worker, "many_steps")
    usual = plain(alice, model, params={"steps": 30})
    assert worker.take()["jobId"] == usual.id


def test_an_extra_slow_worker_has_three_times_as_long(alice: User, bob: User, model: str) -> None:
    """Features 60, 109, 112: it gets what accepts it; when the lease ends is told."""
    plain(alice, model)
    slow = bob.worker(model, extraSlow=True)
    told(slow, "not_extra_slow")
    job = plain(alice, model, extraSlowWorkers=True)
    taken = slow.take()
    assert taken["jobId"] == job.id
    left = (datetime.fromisoformat(taken["expiresAt"]) - datetime.now(UTC)).total_seconds()
    assert 2 * 150 < left <= 3 * 150


def test_a_worker_in_test_mode_gets_its_owners_jobs_only_and_no_reward(
    alice: User, bob: User, model: str
) -> None:
    plain(alice, model)
    worker = bob.worker(model, testMode=True)
    assert worker.pop()["__typename"] == "NoJob"
    own = plain(bob, model)
    taken = worker.take()
    assert taken["jobId"] == own.id
    assert worker.deliver(taken)["reward"] == "0.00"


def test_models_of_ones_own_are_for_customizers(horde: Horde, alice: User, bob: User) -> None:
    """Features 73, 127: named after their owner, served only to jobs that name them."""
    custom = f"{unique('mine')}::{bob.alias}"
    with refused("FORBIDDEN", "input", "image", "models"):
        bob.worker(custom).pop()
    with refused("INVALID_INPUT", "input", "image", "models"):
        bob.worker(f"mine::{alice.alias}").pop()
    host = horde.promote(horde.register("host"), "customizer")
    own = f"{unique('mine')}::{host.alias}"
    job = plain(alice, own)
    taken = host.worker(own).take()
    assert (taken["jobId"], taken["model"]) == (job.id, own)


def test_jobs_that_name_no_model_are_for_models_of_plain_price(alice: User, bob: User) -> None:
    """Features 41, 143: dearer models only if maxKudos allows them, at their price."""
    plain_model, dear_model = unique("plain"), f"{unique('dear')} [SDXL]"
    cheap, dear = alice.submit(params=SMALL), alice.submit(params=SMALL, maxKudos="100")
    dear_worker = bob.worker(dear_model, maxPixels=256 * 256)
    taken = dear_worker.take()
    assert taken["jobId"] == dear.id
    dear_worker.deliver(taken)
    price, tax = Decimal("2.62"), Decimal(3)
    assert Decimal(dear.now()["charged"]) == price + tax < Decimal(dear.job["quote"]["total"])
    worker = bob.worker(plain_model, maxPixels=256 * 256)
    while (found := worker.take())["jobId"] != cheap.id:
        worker.deliver(found)  # others' jobs that name no model
    worker.deliver(found)
    assert cheap.now()["charged"] == cheap.job["quote"]["total"]
