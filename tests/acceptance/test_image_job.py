"""Somebody wants pictures: quoted, queued, drawn, delivered, paid, and told at every step."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.acceptance.horde import (
    JOB,
    NOBODY,
    POPPED,
    WATCH,
    Horde,
    User,
    Worker,
    picture,
    read_job,
    refused,
    submit,
    transfer,
    unique,
    upload,
)
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

QUOTE = "... on QuoteSuccess { quote { total items { label amount } } warnings { code } }"


def quote(api: Api, prompt: str = "a lighthouse", **given: Any) -> dict[str, Any]:
    document = (
        "query($input: SubmitImageJobInput!) { quoteImageJob(input: $input) { "
        f"{QUOTE} ... on UserError {{ code message path }} }} }}"
    )
    found: dict[str, Any] = api.ask(document, input={"prompt": prompt, **given})["quoteImageJob"]
    return found


# ------------------------------------------------------------------ from wish to picture


def test_i_get_my_pictures_and_pay_what_was_quoted(alice: User, bob: User, model: str) -> None:
    """Features 36 to 38, 97, 103, 113."""
    job = alice.submit("a castle", negativePrompt="fog", models=[model], params={"n": 2, "seed": "42"})
    assert (job.job["state"], job.job["kind"], job.job["shared"]) == ("WAITING", "IMAGE", False)
    assert [g["seed"] for g in job.job["generations"]] == ["42", "43"]
    worker = bob.worker(model)
    taken = worker.take(amount=2)
    assert taken["jobId"] == job.id
    assert taken["model"] == model
    assert (
        taken["payload"] | {"prompt": "a castle", "negative_prompt": "fog", "width": 512} == taken["payload"]
    )
    assert job.now()["state"] == "PROCESSING"
    assert {g["workerName"] for g in job.now()["generations"]} == {worker.name}
    files = {task["id"]: upload(task) for task in taken["generations"]}
    results = [{"generationId": t["id"], "state": "OK", "seed": t["seed"]} for t in taken["generations"]]
    answer = worker.report(taken["leaseId"], *results)
    now = job.now()
    assert (now["state"], now["queuePosition"]) == ("DONE", None)
    assert now["charged"] == now["quote"]["total"] == job.job["quote"]["total"]
    for generation in now["generations"]:
        assert generation["state"] == "DONE"
        assert transfer("GET", generation["imageUrl"]) == (200, files[generation["id"]])
    tax = Decimal(6)
    assert Decimal(answer["reward"]) == Decimal(now["charged"]) - tax == bob.earned
    assert bob.kudos == bob.earned / 2, "the other half waits until he is trusted"
    assert Decimal(1000) - alice.kudos == Decimal(now["charged"])


def test_a_quote_is_what_the_job_will_say(alice: User, model: str) -> None:
    wish = {"models": [model], "params": {"n": 3, "width": 768, "height": 512, "steps": 20}}
    asked = quote(alice.api, **wish)
    assert quote(alice.api, **wish) == asked
    items = asked["quote"]["items"]
    assert sum(Decimal(item["amount"]) for item in items) == Decimal(asked["quote"]["total"])
    assert alice.submit(**wish).job["quote"] == asked["quote"]


def test_sharing_lowers_the_tax_from_3_to_1_for_each_picture(alice: User, model: str) -> None:
    for n in (1, 4):
        kept = Decimal(quote(alice.api, models=[model], params={"n": n}, share=False)["quote"]["total"])
        shared = Decimal(quote(alice.api, models=[model], params={"n": n}, share=True)["quote"]["total"])
        assert kept - shared == 2 * n
    job = alice.submit(models=[model], share=True)
    assert job.job["shared"] is True


def test_the_work_of_my_own_worker_costs_me_the_tax_only(alice: User, model: str) -> None:
    job = alice.submit(models=[model])
    alice.worker(model).serve()
    assert job.now()["charged"] == "3.00"
    assert alice.kudos == Decimal(997)
    assert alice.me()["held"] == "0.00"


def test_my_worker_serves_me_before_others_who_came_first(alice: User, bob: User, model: str) -> None:
    first, mine = alice.submit(models=[model]), bob.submit(models=[model])
    worker = bob.worker(model)
    assert [worker.take()["jobId"], worker.take()["jobId"]] == [mine.id, first.id]


def test_with_more_kudos_i_stand_before_others(horde: Horde, bob: User, model: str) -> None:
    """Feature 159."""
    poor = horde.register("poor").submit(models=[model])
    nobody = submit(horde.anonymous, models=[model])
    rich = horde.register("rich", "5000").submit(models=[model])
    worker = bob.worker(model)
    assert [worker.take()["jobId"] for _ in range(3)] == [rich.id, poor.id, nobody.id]


def test_i_am_told_my_place_in_the_queue(horde: Horde, model: str) -> None:
    user = horde.register("patient")
    jobs = [user.submit(models=[model]) for _ in range(4)]

    def places() -> list[int]:
        return [job.now()["queuePosition"] for job in jobs]

    # Each is asked for by itself, and what others leave in front of them may end in between.
    found = eventually(
        lambda: now if (now := places()) == sorted(set(now)) else None, 5, "each stands behind the one before"
    )
    assert found is not None
    assert found[0] >= 1
    jobs[0].cancel()
    assert jobs[0].now()["queuePosition"] is None


@pytest.mark.parametrize("wire", ["websocket", "events"])
def test_i_watch_my_job_to_its_end(alice: User, bob: User, model: str, wire: str) -> None:
    job = alice.submit(models=[model], params={"n": 2})
    worker = bob.worker(model)
    with getattr(alice.api, wire)(WATCH, {"id": job.id}) as updates:
        states = [next(updates)["data"]["jobUpdated"]["state"]]
        assert states == ["WAITING"]
        worker.serve()
        worker.serve()
        seen = [update["data"]["jobUpdated"] for update in updates]
    assert seen[-1]["state"] == "DONE"
    assert [g["state"] for g in seen[-1]["generations"]] == ["DONE", "DONE"]
    assert seen[-1]["charged"] == job.job["quote"]["total"]
    assert all(update["state"] in ("WAITING", "PROCESSING", "DONE") for update in seen)


@pytest.mark.parametrize("wire", ["websocket", "events"])
def test_watching_an_ended_job_tells_its_end_and_completes(alice: User, model: str, wire: str) -> None:
    job = alice.submit(models=[model])
    job.cancel()
    with getattr(alice.api, wire)(WATCH, {"id": job.id}) as updates:
        assert [u["data"]["jobUpdated"]["state"] for u in updates] == ["CANCELLED"]


@pytest.mark.parametrize("wire", ["websocket", "events"])
def test_whoever_watches_always_gets_the_last_word(horde: Horde, bob: User, model: str, wire: str) -> None:
    """Jobs that end while many are watched: none of the watchers is left waiting."""
    user = horde.register("watcher", "300")
    jobs = [user.submit(models=[model]) for _ in range(8)]
    watching = threading.Barrier(len(jobs) + 1)

    def watch(job: Any) -> str:
        with getattr(user.api, wire)(WATCH, {"id": job.id}) as updates:
            watching.wait(20)
            return [u["data"]["jobUpdated"]["state"] for u in updates][-1]

    with ThreadPoolExecutor(len(jobs)) as pool:
        ends = [pool.submit(watch, job) for job in jobs]
        watching.wait(20)
        worker = bob.worker(model)
        for job in jobs[::2]:
            job.cancel()
        for _ in jobs[1::2]:
            worker.serve()
        assert [end.result(20) for end in ends] == ["CANCELLED", "DONE"] * 4


# ------------------------------------------------------------------ whose job it is


def test_an_anonymous_job_is_shared_and_says_so(horde: Horde, model: str) -> None:
    for share in (None, False):
        job = submit(horde.anonymous, models=[model], share=share)
        assert job.job["shared"] is True
        assert "ANONYMOUS_IS_SHARED" in [w["code"] for w in job.answer["warnings"]]
    agreed = submit(horde.anonymous, models=[model], share=True)
    assert "ANONYMOUS_IS_SHARED" not in [w["code"] for w in agreed.answer["warnings"]]


def test_nobody_but_me_and_the_bearer_of_its_access_key_sees_my_job(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    job = alice.submit(models=[model])
    assert read_job(alice.api, job.id) is not None
    assert read_job(bob.api, job.id, job.access_key) is not None
    assert read_job(horde.anonymous, job.id, job.access_key) is not None
    for api in (bob.api, horde.anonymous):
        for key in (None, "", "x" * 22, job.access_key[:-1], job.access_key.swapcase(), "é" * 22):
            assert read_job(api, job.id, key) is None
        generation = job.job["generations"][0]["id"]
        for found in (job.id, generation):
            assert api.ask("query($id: ID!) { node(id: $id) { id } }", id=found)["node"] is None
        with refused("NOT_FOUND", "input", "id"):
            api.call("cancelJob", "... on CancelJobSuccess { position }", {"id": job.id, "accessKey": "x"})
        for wire in (api.websocket, api.events):
            with wire(WATCH, {"id": job.id}) as updates:
                assert next(updates)["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert read_job(alice.api, NOBODY) is None
    assert read_job(alice.api, "no id") is None


def test_anonymous_users_need_the_access_key_of_their_own_jobs(horde: Horde, model: str) -> None:
    job = submit(horde.anonymous, models=[model])
    assert read_job(horde.anonymous, job.id) is None
    assert read_job(horde.anonymous, job.id, job.access_key) is not None
    other = submit(horde.anonymous, models=[model])
    assert read_job(horde.anonymous, job.id, other.access_key) is None
    with refused("NOT_FOUND", "input", "id"):
        horde.anonymous.call("cancelJob", "... on CancelJobSuccess { position }", {"id": job.id})
    assert job.cancel()["state"] == "CANCELLED"


def test_what_anonymous_users_get_is_paid_by_nobody(horde: Horde, bob: User, model: str) -> None:
    """Features 146, 161."""
    job = submit(horde.anonymous, models=[model])
    bob.worker(model).serve()
    now = job.now()
    assert (now["state"], now["charged"]) == ("DONE", now["quote"]["total"])
    assert bob.kudos > 0
    me = horde.anonymous.ask("{ viewer { kudos held } }")["viewer"]
    assert me == {"kudos": "-50.00", "held": "0.00"}


# ------------------------------------------------------------------ cancelling


def test_i_cancel_what_waits_and_pay_nothing(alice: User, bob: User, model: str) -> None:
    """Feature 39."""
    job = alice.submit(models=[model], params={"n": 3})
    now = job.cancel()
    assert (now["state"], now["charged"]) == ("CANCELLED", "0.00")
    assert {g["state"] for g in now["generations"]} == {"CANCELLED"}
    assert (alice.kudos, alice.me()["held"]) == (Decimal(1000), "0.00")
    assert bob.worker(model).pop()["__typename"] == "NoJob"
    assert job.cancel()["state"] == "CANCELLED", "cancelling twice is no error"


def test_what_runs_when_i_cancel_is_delivered_and_paid(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model], params={"n": 2})
    worker = bob.worker(model)
    taken = worker.take()
    now = job.cancel()
    assert sorted(g["state"] for g in now["generations"]) == ["CANCELLED", "PROCESSING"]
    half = Decimal(job.job["quote"]["total"]) / 2
    assert Decimal(alice.me()["held"]) == half
    worker.deliver(taken)
    now = job.now()
    assert (now["state"], Decimal(now["charged"])) == ("CANCELLED", half)
    assert sorted(g["state"] for g in now["generations"]) == ["CANCELLED", "DONE"]
    assert (1000 - alice.kudos, alice.me()["held"]) == (half, "0.00")


# ------------------------------------------------------------------ what is refused


def test_beyond_the_free_size_the_kudos_must_be_there_and_i_am_told_what_would_do(
    horde: Horde, bob: User, model: str
) -> None:
    some = horde.register("some", "20")
    for api, field, params in (
        (bob.api, "width", {"width": 1024, "height": 1024, "steps": 80, "n": 2}),
        (bob.api, "steps", {"width": 512, "height": 512, "steps": 80}),
        (bob.api, "steps", {"width": 3072, "height": 64, "steps": 51}),
        (some.api, "height", {"width": 1024, "height": 2048}),
        (horde.anonymous, "width", {"width": 640, "height": 640}),
        (horde.anonymous, "steps", {"width": 512, "height": 512, "steps": 21, "sampler": "K_HEUN"}),
    ):
        with refused("INSUFFICIENT_KUDOS", "input", "params", field) as poor:
            submit(api, models=[model], params=params)
        told = poor.result
        assert Decimal(told["required"]) - Decimal(told["available"]) == Decimal(told["missing"]) > 0
        largest = told["largest"]
        assert largest["n"] == params.get("n", 1)
        assert submit(api, models=[model], params={**params, **largest}).job["state"] == "WAITING"


def test_i_never_pay_more_than_i_said(alice: User, model: str) -> None:
    total = Decimal(quote(alice.api, models=[model])["quote"]["total"])
    with refused("INVALID_INPUT", "input", "maxKudos"):
        alice.submit(models=[model], maxKudos=str(total - Decimal("0.01")))
    alice.submit(models=[model], maxKudos=str(total))


BAD: list[tuple[str, dict[str, Any]]] = [
    *(
        (f"params.{side}", {"params": {side: v}})
        for side in ("width", "height")
        for v in (0, 63, 65, 3136, -64)
    ),
    *(("params.steps", {"params": {"steps": v}}) for v in (0, 501, -1)),
    *(("params.cfgScale", {"params": {"cfgScale": v}}) for v in (-0.01, 100.01, 1.001)),
    *(("params.n", {"params": {"n": v}}) for v in (0, 21, -1)),
    *(("params.seedVariation", {"params": {"seedVariation": v}}) for v in (0, 1001)),
    *(("params.clipSkip", {"params": {"clipSkip": v}}) for v in (0, 13)),
    *(("params.hiresFixDenoisingStrength", {"params": {"hiresFixDenoisingStrength": v}}) for v in (0, 1.01)),
    *(("params.facefixerStrength", {"params": {"facefixerStrength": v}}) for v in (-0.1, 1.1)),
    ("params.seed", {"params": {"seed": "x" * 101}}),
    ("params.seed", {"params": {"seed": "a\0b"}}),
    ("params.postProcessing", {"params": {"postProcessing": ["REALESRGAN_X4PLUS", "NMKD_SIAX"]}}),
    ("params.postProcessing.1", {"params": {"postProcessing": ["GFPGAN", "GFPGAN"]}}),
    ("prompt", {"prompt": ""}),
    ("prompt", {"prompt": " \n"}),
    ("prompt", {"prompt": "x" * 20_001}),
    ("prompt", {"prompt": "x " * 7_501}),
    ("prompt", {"prompt": "a\0b"}),
    ("negativePrompt", {"negativePrompt": "x" * 20_001}),
    ("models", {"models": [f"m{i}" for i in range(21)]}),
    ("models.0", {"models": [""]}),
    ("models.1", {"models": ["m", "m"]}),
    ("models.0", {"models": ["x" * 101]}),
    ("models.0", {"models": ["GFPGAN"]}),
    ("models.0", {"models": ["a\nb"]}),
]


@pytest.mark.parametrize(("path", "given"), BAD)
def test_a_value_out_of_bounds_is_named(horde: Horde, alice: User, path: str, given: dict[str, Any]) -> None:
    before = horde.quiet() if path == "prompt" else None
    with refused("INVALID_INPUT", "input", *path.split(".")):
        alice.submit(**given)
    told = quote(alice.api, **given)
    assert (told["code"], told["path"]) == ("INVALID_INPUT", ["input", *path.split(".")])
    assert before is None or horde.position() == before


@pytest.mark.parametrize(
    "params",
    [
        {"width": 64, "height": 64, "steps": 1, "cfgScale": 0, "clipSkip": 12, "seedVariation": 1000},
        {"steps": 50, "cfgScale": 100, "hiresFixDenoisingStrength": 0.01, "facefixerStrength": 0, "n": 1},
        {"cfgScale": 7.25, "hiresFixDenoisingStrength": 1, "facefixerStrength": 1, "seed": "x" * 100},
        {
            "postProcessing": ["GFPGAN", "REALESRGAN_X2PLUS"],
            "tiling": True,
            "karras": False,
            "hiresFix": True,
        },
        {"seed": "😀 émoji"},
    ],
)
def test_the_bounds_themselves_are_accepted(alice: User, model: str, params: dict[str, Any]) -> None:
    assert alice.submit(models=[model], params=params).job["state"] == "WAITING"


def test_every_null_is_the_default(horde: Horde, alice: User, model: str) -> None:
    document = '{ __type(name: "ImageParamsInput") { inputFields { name } } }'
    names = [f["name"] for f in alice.api.ask(document)["__type"]["inputFields"]]
    nothing = alice.submit(models=[model])
    nulls = alice.submit(
        models=[model], params=dict.fromkeys(names), share=None, nsfw=None, maxKudos=None, negativePrompt=None
    )
    without = alice.submit(models=[model], params=None)
    assert nothing.job["quote"] == nulls.job["quote"] == without.job["quote"]
    assert len(nulls.job["generations"]) == 1
    worker = horde.register("w").worker(model)
    payloads = [worker.take()["payload"] for _ in range(3)]
    assert payloads[0] == payloads[1] == payloads[2]
    assert (payloads[0]["width"], payloads[0]["steps"], payloads[0]["cfg_scale"]) == (512, 30, 5.0)
    assert (payloads[0]["sampler_name"], payloads[0]["karras"]) == ("k_euler_a", True)


def test_i_may_send_a_job_again_and_it_is_the_same_job(horde: Horde, alice: User, model: str) -> None:
    for user, key in ((alice.api, "once"), (horde.anonymous, str(uuid4()))):
        wish = {"models": [model], "idempotencyKey": key, "params": {"n": 2}}
        first = submit(user, **wish)
        before = horde.quiet()
        again = submit(user, **wish)
        assert (again.id, again.access_key) == (first.id, first.access_key)
        assert again.answer["position"] == first.answer["position"]
        assert horde.position() == before
        with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
            submit(user, **{**wish, "params": {"n": 3}})
        with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
            submit(user, "another prompt", **wish)


def test_a_job_sent_twenty_times_at_once_is_one_job(alice: User, model: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        jobs = list(pool.map(lambda _: alice.submit(models=[model], idempotencyKey="burst").id, range(20)))
    assert len(set(jobs)) == 1


# ------------------------------------------------------------------ taking work


def test_a_worker_takes_as_many_pictures_of_one_job_as_it_asks_for(
    alice: User, bob: User, model: str
) -> None:
    """Features 40, 100, 101."""
    job = alice.submit(models=[model], params={"n": 5})
    worker = bob.worker(model)
    first, second = worker.take(amount=3), worker.take(amount=20)
    assert [len(first["generations"]), len(second["generations"])] == [3, 2]
    taken = [t["id"] for t in first["generations"] + second["generations"]]
    assert sorted(taken) == sorted(g["id"] for g in job.job["generations"])
    assert worker.pop()["__typename"] == "NoJob"


def test_two_workers_never_get_the_same_picture(alice: User, horde: Horde, model: str) -> None:
    """Feature 162."""
    jobs = [alice.submit(models=[model], params={"n": 3}) for _ in range(4)]
    workers = [horde.register("w").worker(model) for _ in range(6)]

    def drain(worker: Any) -> list[str]:
        found: list[str] = []
        while (popped := worker.pop())["__typename"] == "ImageAssignment":
            found += [t["id"] for t in popped["generations"]]
        return found

    with ThreadPoolExecutor(6) as pool:
        taken = [g for found in pool.map(drain, workers) for g in found]
    wanted = [g["id"] for job in jobs for g in job.job["generations"]]
    assert sorted(taken) == sorted(wanted)


def test_an_empty_poll_says_why(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Features 56, 111."""
    word = unique("word").replace(" ", "")
    alice.submit(
        f"a {word.upper()} at dusk",
        models=[model],
        params={"width": 576, "postProcessing": ["GFPGAN"]},
        nsfw=True,
    )
    name = unique("worker")
    able: dict[str, Any] = {"maxPixels": 1024 * 1024, "nsfw": True, "allowPostProcessing": True}
    for reason, lack in (
        ("max_pixels", {"maxPixels": 512 * 512}),
        ("nsfw", {"nsfw": False}),
        ("post_processing", {"allowPostProcessing": False}),
        ("blacklist", {"blacklist": [word]}),
    ):
        worker = bob.worker(model, name=name, **{**able, **lack})
        eventually(lambda worker=worker, reason=reason: worker.skipped().get(reason, 0) >= 1, 5, reason)
    other = bob.worker(unique("model"), **able)
    assert eventually(lambda: other.skipped().get("models", 0), 5)
    assert bob.worker(model, name=name, **able).take()["payload"]["prompt"] == f"a {word.upper()} at dusk"


def test_an_empty_poll_leaves_no_trace_in_the_log(horde: Horde, bob: User, model: str) -> None:
    worker = bob.worker(model)
    worker.skipped()
    before = horde.quiet()
    for _ in range(5):
        worker.skipped()
    assert horde.position() == before


def test_text_and_interrogation_workers_are_told_there_is_no_job(bob: User) -> None:
    for given in ({"text": {"models": ["m"]}}, {"interrogation": {"forms": ["CAPTION"]}}):
        found = bob.api.call(
            "popJob", "... on NoJob { skipped { reason } }", {"workerName": unique("w"), **given}
        )
        assert found == {"__typename": "NoJob", "skipped": []}
    for given in ({}, {"image": {"models": ["m"]}, "text": {"models": ["m"]}}):
        with refused("INVALID_INPUT", "input"):
            bob.api.call(
                "popJob", "... on NoJob { skipped { reason } }", {"workerName": unique("w"), **given}
            )


def test_a_worker_belongs_to_one_owner_and_anonymous_users_have_none(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    name = unique("mine")
    bob.worker(model, name=name).skipped()
    with refused("FORBIDDEN", "input", "workerName"):
        alice.worker(model, name=name).pop()
    with refused("FORBIDDEN"):
        horde.anonymous.call(
            "popJob",
            "... on NoJob { skipped { reason } }",
            {"workerName": unique("w"), "image": {"models": [model]}},
        )
    with refused("NOT_FOUND", "input", "worker"):
        alice.worker(model, name=name).maintenance(True)


def test_in_maintenance_my_worker_serves_only_me(alice: User, bob: User, model: str) -> None:
    worker = bob.worker(model)
    worker.skipped()
    shown = worker.maintenance(True, "back at noon")["worker"]
    assert (shown["name"], shown["maintenance"], shown["online"], shown["kind"]) == (
        worker.name,
        True,
        True,
        "IMAGE",
    )
    theirs = alice.submit(models=[model])
    with refused("WORKER_IN_MAINTENANCE") as told:
        worker.pop()
    assert told.result["maintenanceMessage"] == "back at noon"
    mine = bob.submit(models=[model])
    assert worker.take()["jobId"] == mine.id
    assert worker.maintenance(False)["worker"]["maintenance"] is False
    assert worker.take()["jobId"] == theirs.id


def test_a_waiting_worker_wakes_when_a_job_comes(alice: User, bob: User, model: str) -> None:
    worker = bob.worker(model)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(worker.pop, waitSeconds=20)
        time.sleep(0.7)
        assert not waiting.done()
        started = time.monotonic()
        job = alice.submit(models=[model])
        assert waiting.result(20)["jobId"] == job.id
        assert time.monotonic() - started < 3


def test_a_waiting_worker_with_an_idempotency_key_wakes_too(alice: User, bob: User, model: str) -> None:
    worker, key = bob.worker(model), str(uuid4())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(worker.pop, waitSeconds=15, idempotencyKey=key)
        time.sleep(0.7)
        job = alice.submit(models=[model])
        taken = waiting.result(20)
    assert taken["__typename"] == "ImageAssignment"
    assert taken["jobId"] == job.id
    again = worker.pop(idempotencyKey=key, waitSeconds=15)
    assert again["leaseId"] == taken["leaseId"]
    assert upload(again["generations"][0])
    with refused("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"):
        worker.pop(idempotencyKey=key, amount=2)


def hang_up_by_http(worker: Worker, document: str, variables: dict[str, Any]) -> None:
    api = worker.owner.api
    parts = urlsplit(api.url)
    connection = http.client.HTTPConnection(parts.netloc)
    body = json.dumps({"query": document, "variables": variables})
    connection.request("POST", parts.path, body, api.headers())
    time.sleep(0.7)
    connection.close()


def hang_up_by_websocket(worker: Worker, document: str, variables: dict[str, Any]) -> None:
    with worker.owner.api.websocket(document, variables):
        time.sleep(0.7)


@pytest.mark.parametrize("hang_up", [hang_up_by_http, hang_up_by_websocket])
def test_a_worker_that_hung_up_while_it_waited_gets_no_job(
    alice: User, bob: User, model: str, hang_up: Callable[[Worker, str, dict[str, Any]], None]
) -> None:
    worker = bob.worker(model)
    worker.skipped()
    asked = {"workerName": worker.name, "waitSeconds": 20, "image": {"models": [model]}}
    document = f"mutation($input: PopJobInput!) {{ popJob(input: $input) {{ __typename {POPPED} }} }}"
    hang_up(worker, document, {"input": asked})
    time.sleep(0.2)
    job = alice.submit(models=[model])
    time.sleep(1)
    assert job.now()["state"] == "WAITING"
    assert bob.worker(model).take()["jobId"] == job.id


def test_a_workers_second_long_poll_ends_its_first(alice: User, bob: User, model: str) -> None:
    worker = bob.worker(model)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(worker.pop, waitSeconds=20)
        time.sleep(0.7)
        second = pool.submit(worker.pop, waitSeconds=20)
        assert first.result(3)["__typename"] == "NoJob"
        assert not second.done()
        job = alice.submit(models=[model])
        assert second.result(20)["jobId"] == job.id


def test_a_waiting_worker_waits_no_longer_than_it_said(bob: User, model: str) -> None:
    started = time.monotonic()
    bob.worker(model).skipped(waitSeconds=1)
    assert 0.9 < time.monotonic() - started < 4


# ------------------------------------------------------------------ delivering


def test_nothing_uploaded_is_no_delivery(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model])
    worker = bob.worker(model)
    taken = worker.take()
    (task,) = taken["generations"]
    with refused("OBJECT_MISSING", "input", "results", "0"):
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    for rubbish in (b"", b"GIF89a" + b"\0" * 50, b"<html>", b"RIFF0000WAVE"):
        upload(task, rubbish)
        with refused("INVALID_INPUT", "input", "results", "0"):
            worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    upload(task, b"\0" * (20 * 1024 * 1024 + 1))
    with refused("INVALID_INPUT", "input", "results", "0"):
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    assert (job.now()["state"], job.now()["charged"]) == ("PROCESSING", "0.00")
    upload(task)
    worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK"})
    assert job.now()["state"] == "DONE"


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_each_kind_of_picture_is_taken(alice: User, bob: User, model: str, kind: str) -> None:
    job = alice.submit(models=[model])
    worker = bob.worker(model)
    taken = worker.take()
    data = upload(taken["generations"][0], picture(kind=kind))
    worker.report(taken["leaseId"], {"generationId": taken["generations"][0]["id"], "state": "OK"})
    status, found = transfer("GET", job.now()["generations"][0]["imageUrl"])
    assert (status, sha256(found).digest()) == (200, sha256(data).digest())


def test_anothers_lease_does_not_exist_for_me(horde: Horde, alice: User, bob: User, model: str) -> None:
    alice.submit(models=[model])
    taken = bob.worker(model).take()
    (task,) = taken["generations"]
    mallory = horde.register("mallory").worker(model)
    before = horde.quiet()
    for lease in (taken["leaseId"], NOBODY, taken["jobId"], task["id"], "no id", ""):
        with refused("NOT_FOUND", "input", "leaseId"):
            mallory.report(lease, {"generationId": task["id"], "state": "OK"})
        with refused("NOT_FOUND", "input", "leaseId"):
            mallory.extend(lease)
        with refused("NOT_FOUND", "input", "leaseId"):
            mallory.release(lease)
    for generation in (NOBODY, taken["leaseId"], "no id"):
        with refused("INVALID_INPUT", "input", "results", "0", "generationId"):
            bob.worker(model).report(taken["leaseId"], {"generationId": generation, "state": "OK"})
    for results in (
        [],
        [{"generationId": task["id"], "state": "FAULTED"}] * 2,
        [{"generationId": task["id"], "state": "OK"}] * 21,
    ):
        with refused("INVALID_INPUT", "input", "results"):
            bob.worker(model).report(taken["leaseId"], *results)
    assert horde.position() == before


def test_a_repeated_delivery_tells_its_first_reward_and_pays_once(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    alice.submit(models=[model])
    worker = bob.worker(model)
    taken = worker.take()
    first = worker.deliver(taken)
    earned, before = bob.earned, horde.quiet()
    for state in ("OK", "FAULTED", "CENSORED"):
        result = {"generationId": taken["generations"][0]["id"], "state": state}
        again = worker.report(taken["leaseId"], result)
        assert (again["reward"], again["results"]) == (first["reward"], first["results"])
    assert (bob.earned, horde.position()) == (earned, before)


def test_a_lease_may_be_delivered_bit_by_bit(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model], params={"n": 3})
    worker = bob.worker(model)
    taken = worker.take(amount=3)
    one, two, three = taken["generations"]
    upload(one)
    answer = worker.report(taken["leaseId"], {"generationId": one["id"], "state": "OK"})
    assert [r["state"] for r in answer["results"]] == ["DONE"]
    assert sorted(g["state"] for g in job.now()["generations"]) == ["DONE", "PROCESSING", "PROCESSING"]
    assert Decimal(job.now()["charged"]) == Decimal(job.job["quote"]["total"]) / 3
    upload(three)
    worker.report(
        taken["leaseId"],
        {"generationId": two["id"], "state": "FAULTED"},
        {"generationId": three["id"], "state": "OK"},
        {"generationId": one["id"], "state": "OK"},
    )
    states = {g["id"]: g["state"] for g in job.now()["generations"]}
    assert states == {one["id"]: "DONE", two["id"]: "WAITING", three["id"]: "DONE"}
    assert worker.pop()["__typename"] == "NoJob"
    bob.worker(model).serve()
    assert job.now()["state"] == "DONE"


def test_what_one_worker_cannot_draw_another_may(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 75."""
    job = alice.submit(models=[model])
    first = bob.worker(model)
    first.deliver(first.take(), "FAULTED")
    assert (job.now()["state"], job.now()["charged"]) == ("WAITING", "0.00")
    assert first.pop()["__typename"] == "NoJob", "it is not offered again to whoever failed it"
    bob.worker(model).serve()
    assert job.now()["state"] == "DONE"


def test_what_nobody_can_draw_is_faulted_and_costs_nothing(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 74."""
    job = alice.submit(models=[model], params={"n": 2})
    owners = [bob, horde.register("carol")]
    for number in range(3):
        worker = owners[number % 2].worker(model)
        worker.deliver(worker.take(amount=2), "FAULTED")
    now = job.now()
    assert (now["state"], now["charged"], alice.me()["held"]) == ("FAULTED", "0.00", "0.00")
    assert {g["state"] for g in now["generations"]} == {"FAULTED"}
    assert (alice.kudos, bob.earned) == (Decimal(1000), 0)


@pytest.mark.parametrize("state", ["CENSORED", "CSAM"])
def test_a_censored_picture_costs_me_the_tax_and_pays_the_worker(
    alice: User, bob: User, model: str, state: str
) -> None:
    """Feature 116."""
    job = alice.submit(models=[model])
    worker = bob.worker(model)
    answer = worker.deliver(worker.take(), state)
    assert answer["results"][0]["state"] == "CENSORED"
    now = job.now()
    assert now["generations"][0] | {"state": "CENSORED", "imageUrl": None} == now["generations"][0]
    price = Decimal(job.job["quote"]["total"]) - 3
    assert Decimal(answer["reward"]) == price == bob.earned
    assert bob.kudos == price / 2, "the other half waits until he is trusted"
    assert (alice.kudos, now["charged"]) == (Decimal(997), "3.00")


def test_a_worker_gives_back_what_it_cannot_finish(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model], params={"n": 2})
    worker = bob.worker(model)
    taken = worker.take(amount=2)
    done, left = taken["generations"]
    upload(done)
    worker.report(taken["leaseId"], {"generationId": done["id"], "state": "OK"})
    worker.release(taken["leaseId"])
    worker.release(taken["leaseId"])
    assert sorted(g["state"] for g in job.now()["generations"]) == ["DONE", "WAITING"]
    with refused("LEASE_ENDED", "input", "leaseId"):
        worker.extend(taken["leaseId"])
    upload(left)
    with refused("LEASE_ENDED"):
        worker.report(taken["leaseId"], {"generationId": left["id"], "state": "OK"})
    again = worker.take()
    assert [t["id"] for t in again["generations"]] == [left["id"]], "giving back is no failure"
    worker.deliver(again)
    assert job.now()["state"] == "DONE"


LIVE = (
    "query($worker: String) { liveAssignments(workerName: $worker) "
    "{ leaseId jobId expiresAt ... on ImageAssignment { model payload generations { id seed uploadUrl } } } }"
)


def test_the_owner_of_a_worker_sees_its_live_leases_with_fresh_links(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    one, two = bob.worker(model), bob.worker(model)
    job = alice.submit(models=[model], params={"n": 4})
    first, second = one.take(amount=2), two.take(amount=2)
    asked = {"worker": one.name}
    (held,) = bob.api.ask(LIVE, **asked)["liveAssignments"]
    links = {task["id"]: task["uploadUrl"] for task in held["generations"]}
    assert set(links) == {task["id"] for task in first["generations"]}
    assert {**held, "generations": None} == {
        **{name: first[name] for name in held},
        "generations": None,
    }
    assert {each["leaseId"] for each in bob.api.ask(LIVE)["liveAssignments"]} == {
        first["leaseId"],
        second["leaseId"],
    }
    for other in (alice.api, horde.anonymous):
        assert other.ask(LIVE)["liveAssignments"] == []
        assert other.ask(LIVE, **asked)["liveAssignments"] == []
    for name in (unique("nobody"), "a\0b", "x" * 5_000, NOBODY):
        assert bob.api.ask(LIVE, worker=name)["liveAssignments"] == []
    done, left = held["generations"]
    upload(done)
    one.report(first["leaseId"], {"generationId": done["id"], "state": "OK"})
    (held,) = bob.api.ask(LIVE, **asked)["liveAssignments"]
    assert [task["id"] for task in held["generations"]] == [left["id"]], "what is delivered gets no link"
    upload(held["generations"][0])
    one.report(first["leaseId"], {"generationId": left["id"], "state": "OK"})
    two.release(second["leaseId"])
    assert bob.api.ask(LIVE)["liveAssignments"] == []
    job.cancel()


def test_a_worker_that_needs_longer_gets_fresh_links_that_work(alice: User, bob: User, model: str) -> None:
    job = alice.submit(models=[model], params={"n": 2})
    worker = bob.worker(model)
    taken = worker.take(amount=2)
    time.sleep(1.1)
    longer = worker.extend(taken["leaseId"])
    assert longer["expiresAt"] > taken["expiresAt"]
    assert [t["id"] for t in longer["uploadUrls"]] == [t["id"] for t in taken["generations"]]
    assert [t["seed"] for t in longer["uploadUrls"]] == [t["seed"] for t in taken["generations"]]
    for task in longer["uploadUrls"]:
        upload(task)
    worker.report(taken["leaseId"], *({"generationId": t["id"], "state": "OK"} for t in longer["uploadUrls"]))
    assert job.now()["state"] == "DONE"


def test_an_upload_link_is_good_for_nothing_else(alice: User, bob: User, model: str) -> None:
    alice.submit(models=[model], params={"n": 2})
    one, two = bob.worker(model).take(amount=2)["generations"]
    assert transfer("GET", one["uploadUrl"])[0] == 403
    assert transfer("PUT", one["uploadUrl"].replace(one["id"], two["id"]), b"x")[0] == 403
    plain = one["uploadUrl"].partition("?")[0] + "?"
    assert transfer("GET", plain)[0] in (403, 404)
    assert transfer("PUT", plain, b"x")[0] == 403


def test_a_job_may_name_many_models_or_none(alice: User, bob: User, model: str) -> None:
    other = unique("model")
    any_of = alice.submit(models=[model, other])
    assert bob.worker(other).take()["jobId"] == any_of.id
    assert JOB
    free = alice.submit(f"free {model}", models=[])
    worker = bob.worker(model, maxPixels=512 * 512)
    for _ in range(50):  # what other tests left waiting for any model may come first
        taken = worker.take()
        if taken["jobId"] == free.id:
            break
    assert taken["model"] == model
