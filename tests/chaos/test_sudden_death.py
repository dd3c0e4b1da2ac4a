"""Any server or process may die at any moment: whoever repeats a call with its key gets one effect, and nothing is lost."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from app.embedded.stack import EmbeddedStack
from tests.acceptance.horde import WATCH, Horde, User, Worker, final, refused, upload
from tests.acceptance.processes import ApiProcess, eventually, run_cli
from tests.acceptance.wires import Api, Refusal

GIVE = (
    "mutation($input: TransferKudosInput!) { transferKudos(input: $input) { __typename "
    "... on TransferKudosSuccess { position } ... on UserError { code message } } }"
)
GIVERS, EACH = 4, 25

#: that both wires tell the same is for the soak
WIRES = ["websocket", pytest.param("events", marks=pytest.mark.slow)]


def kill(stack: EmbeddedStack, name: str) -> None:
    os.kill(stack.pid(name), signal.SIGKILL)


def give(api: Api, to: str, key: str, told: set[str]) -> int:
    """Give 0.01 once, repeating the call until it is acknowledged; its position."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = api.post(GIVE, {"input": {"to": to, "amount": "0.01", "idempotencyKey": key}})
        except (OSError, http.client.HTTPException) as error:
            told.add(type(error).__name__)
        else:
            result = (answer.body.get("data") or {}).get("transferKudos") or {}
            if "position" in result:
                return int(result["position"])
            told.update([*answer.codes, *([result["code"]] if "code" in result else [])])
        time.sleep(0.1)
    raise AssertionError(f"{key} was never acknowledged: {told}")


def exactly_once(horde: Horde, urls: list[str], strike: Callable[[], None]) -> set[str]:
    """Many give while `strike` happens in their midst; what they were told meanwhile."""
    giver, taker = horde.register("giver", "1000"), horde.register("taker")
    told: set[str] = set()
    begun = threading.Semaphore(0)

    def work(number: int) -> list[int]:
        api, places = Api(urls[number % len(urls)], giver.key), []
        for count in range(EACH):
            places.append(give(api, taker.alias, f"{number}.{count}", told))
            begun.release()
            time.sleep(0.02)
        return places

    with ThreadPoolExecutor(GIVERS) as pool:
        working = [pool.submit(work, number) for number in range(GIVERS)]
        for _ in range(GIVERS * EACH // 4):
            assert begun.acquire(timeout=60)
        strike()
        places = [place for one in working for place in one.result(90)]
    assert len(set(places)) == GIVERS * EACH
    assert taker.kudos == Decimal(GIVERS * EACH) / 100
    assert giver.kudos == 1000 - taker.kudos
    mine = {
        e["position"]
        for e in horde.events(min(places) - 1, ["kudos.KudosTransferred"])
        if e["subject"] == giver.id
    }
    assert mine == {str(place) for place in places}, "every acknowledged position is in the log, and no other"
    return told


def test_when_an_api_process_is_killed_every_gift_is_given_once(horde: Horde, tmp_path: Path) -> None:
    server = [ApiProcess(tmp_path / "api.log", horde.variables).wait()]

    def strike() -> None:
        server[0].stop(signal.SIGKILL)
        server[0] = ApiProcess(tmp_path / "api.log", horde.variables, server[0].port).wait()

    try:
        told = exactly_once(horde, [horde.url, server[0].url], strike)
        assert "INTERNAL" not in told
    finally:
        server[0].stop()


def test_when_the_database_is_killed_every_gift_is_given_once(horde: Horde, stack: EmbeddedStack) -> None:
    def strike() -> None:
        kill(stack, "postgres")
        time.sleep(0.5)
        stack.restart("postgres")

    told = exactly_once(horde, [horde.url], strike)
    assert "INTERNAL" not in told, told
    eventually(horde.process.health, 20, "ready again")
    horde.quiet()
    run_cli("log", "verify", variables=horde.variables)


READS = (
    "{ viewer { kudos statement { edges { node { amount } } } jobs { edges { node { id } } } } }",
    "{ events(first: 2) { edges { node { position } } } }",
    "{ hordeStatus { queuedJobs workers } }",
    "{ workers(first: 2) { edges { node { name } } } }",
    '{ job(id: "00000000-0000-0000-0000-000000000001") { id } }',
    '{ quoteImageJob(input: { prompt: "a cat" }) { __typename } }',
    'mutation { submitImageJob(input: { prompt: "a cat" }) { __typename ... on UserError { code } } }',
    'mutation { cancelJob(input: { id: "00000000-0000-0000-0000-000000000001" }) { ... on UserError { code } } }',
    'mutation { registerUser(input: { username: "x" }) { __typename ... on UserError { code } } }',
    'mutation { popJob(input: { workerName: "x", image: { models: ["m"] } }) { ... on UserError { code } } }',
)


@pytest.mark.slow
def test_while_the_database_is_away_i_am_told_to_try_again(
    horde: Horde, stack: EmbeddedStack, alice: User
) -> None:
    def ask(document: str, api: Api) -> list[str]:
        answer = api.post(document)
        told = [*answer.codes]
        for result in (answer.body.get("data") or {}).values():
            told += [result["code"]] if result and "code" in result else []
        return told

    def ask_all() -> dict[tuple[str, Api], list[str]]:
        wishes = [(document, api) for document in READS for api in (alice.api, horde.anonymous)]
        with ThreadPoolExecutor(len(wishes)) as pool:
            return dict(zip(wishes, pool.map(ask, *zip(*wishes, strict=True)), strict=True))

    kill(stack, "postgres")
    try:
        away = ask_all()
        assert horde.process.health("healthz")["status"] == "ok"
        assert horde.process.health() is None
    finally:
        stack.restart("postgres")
    back = ask_all()
    allowed = {
        "TRY_AGAIN",
        "FORBIDDEN",
    }  # anonymous users may not transfer, whether the database is there or not
    assert "TRY_AGAIN" in {code for codes in away.values() for code in codes} <= allowed, away
    assert "INTERNAL" not in {code for codes in back.values() for code in codes}, back
    eventually(lambda: not ask(READS[1], horde.anonymous), 20, "the log is read again")


@pytest.mark.parametrize("wire", WIRES)
def test_who_reads_the_whole_log_is_not_thrown_out_when_the_database_is_killed(
    horde: Horde, stack: EmbeddedStack, wire: str, tmp_path: Path
) -> None:
    end = horde.quiet()
    server = ApiProcess(tmp_path / "api.log", horde.variables).wait()  # it has followed nothing of this yet
    follow = "subscription { events(after: 0) { position } }"
    try:
        kill(stack, "postgres")
        stack.restart("postgres")  # its connections are from before
        with getattr(Api(server.url), wire)(follow, timeout=40) as live:
            told = [next(live)["data"]["events"]["position"] for _ in range(end)]
    finally:
        server.stop()
    assert told == [str(place) for place in range(1, end + 1)]


@pytest.mark.parametrize("wire", WIRES)
def test_who_follows_the_log_misses_nothing_when_the_database_is_killed(
    horde: Horde, stack: EmbeddedStack, wire: str
) -> None:
    start = horde.quiet()
    follow = "subscription($after: Position) { events(after: $after) { position hash } }"
    with getattr(horde.anonymous, wire)(follow, {"after": str(start)}, timeout=40) as live:
        horde.register("before")
        assert next(live)["data"]["events"]["position"] == str(start + 1)
        kill(stack, "postgres")
        stack.restart("postgres")
        eventually(horde.process.health, 20, "ready again")
        horde.register("after")
        end = horde.position()
        told = [next(live)["data"]["events"] for _ in range(start + 1, end)]
    assert [event["position"] for event in told] == [str(place) for place in range(start + 2, end + 1)]
    stored = {event["position"]: event["hash"] for event in horde.events(start)}
    assert all(stored[event["position"]] == event["hash"] for event in told)


@pytest.mark.parametrize("wire", WIRES)
def test_who_watches_a_job_gets_its_end_although_the_database_was_killed(
    horde: Horde, stack: EmbeddedStack, alice: User, bob: User, model: str, wire: str
) -> None:
    job = alice.submit(models=[model])
    with getattr(alice.api, wire)(WATCH, {"id": job.id}, timeout=40) as updates:
        assert next(updates)["data"]["jobUpdated"]["state"] == "WAITING"
        kill(stack, "postgres")
        time.sleep(3)  # longer than the pause between two looks
        stack.restart("postgres")
        eventually(horde.process.health, 20, "ready again")
        bob.worker(model).serve()
        told = list(updates)
    assert "errors" not in told[-1], told
    assert told[-1]["data"]["jobUpdated"]["state"] == "DONE"


def test_while_storage_is_away_a_delivery_waits_and_nothing_is_lost(
    horde: Horde, stack: EmbeddedStack, alice: User, bob: User, model: str
) -> None:
    job = alice.submit(models=[model])
    worker = bob.worker(model)
    taken = worker.take()
    upload(taken["generations"][0])
    result = {"generationId": taken["generations"][0]["id"], "state": "OK"}
    kill(stack, "seaweedfs")
    try:
        started = time.monotonic()
        with refused("STORAGE_UNAVAILABLE"):
            worker.report(taken["leaseId"], result)
        assert time.monotonic() - started < 6
        other = alice.submit(models=[model])
        assert worker.take()["jobId"] == other.id, "work is handed out meanwhile"
        assert worker.extend(taken["leaseId"])["expiresAt"]
    finally:
        stack.restart("seaweedfs")
    eventually(lambda: delivered(worker, taken["leaseId"], result), 30, "storage is back")
    assert final(job)["state"] == "DONE"


def delivered(worker: Worker, lease: str, result: dict[str, str]) -> bool:
    try:
        worker.report(lease, result)
    except Refusal as refusal:
        if refusal.code != "STORAGE_UNAVAILABLE":
            raise
        return False
    return True


@pytest.mark.parametrize("limits", [pytest.param("false", marks=pytest.mark.slow), "true"])
def test_without_valkey_the_main_job_goes_on(
    horde: Horde, stack: EmbeddedStack, alice: User, bob: User, model: str, tmp_path: Path, limits: str
) -> None:
    server = ApiProcess(tmp_path / "api.log", {**horde.variables, "HOARD_RATE_LIMITS": limits}).wait()
    mine = User(alice.id, alice.alias, alice.key, Api(server.url, alice.key))
    worker = User(bob.id, bob.alias, bob.key, Api(server.url, bob.key)).worker(model)
    try:
        kill(stack, "valkey")
        try:
            started = time.monotonic()
            job = mine.submit(models=[model], share=True)
            worker.serve()
            assert final(job)["state"] == "DONE"
            assert time.monotonic() - started < 10
        finally:
            stack.restart("valkey")
        eventually(
            lambda: job.now()["generations"][0]["sha256"], 60, "it is published once the broker is back"
        )
    finally:
        server.stop()
