"""What owners and moderators do with workers: features 95, 96, 110, 111, 117 to 123 and 126 of docs/checklist.md.

Look next: `docs/workers.md`, `tests/acceptance/test_teams.py`.
"""

from typing import Any

import pytest

from tests.acceptance.horde import Horde, User, Worker, refused, unique, upload
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

SEEN = (
    "id name kind online maintenance maintenanceMessage paused models maxPixels nsfw allows extraSlow agent threads "
    "fulfilled failed earned description owner failures { cause count } lastPoll { at found skipped { reason count } } "
    "liveLeases { id model generations expiresAt } messages { message }"
)
WORKERS = (
    "query($first: Int, $after: String, $kind: JobKind, $name: String, $online: Boolean, $mine: Boolean) { "
    "workers(first: $first, after: $after, kind: $kind, name: $name, online: $online, mine: $mine) { "
    "edges { node { name } } pageInfo { hasNextPage endCursor } } }"
)
MESSAGES = (
    "query($worker: String, $validity: MessageValidity! = ACTIVE) { workerMessages(first: 100, worker: $worker, "
    "validity: $validity) { edges { node { id message origin mine workerId } } } }"
)
MESSAGE = "sent { id workerId message origin sentAt expiresAt mine }"


@pytest.fixture(scope="module")
def moderator(horde: Horde) -> User:
    return horde.promote(horde.register("moderator"), "moderator")


def seen(api: Api, worker: str) -> Any:
    return api.ask(f"query($w: String!) {{ worker(worker: $w) {{ {SEEN} }} }}", w=worker)["worker"]


def update(user: User, worker: str, **given: Any) -> dict[str, Any]:
    chosen = f"... on UpdateWorkerSuccess {{ worker {{ {SEEN} }} position }}"
    return user.api.call("updateWorker", chosen, {"worker": worker, **given})


def pause(user: User, worker: str, paused: bool = True) -> dict[str, Any]:
    chosen = f"... on SetWorkerPausedSuccess {{ worker {{ {SEEN} }} position }}"
    return user.api.call("setWorkerPaused", chosen, {"worker": worker, "paused": paused})


def delete(user: User, worker: str) -> dict[str, Any]:
    chosen = "... on DeleteWorkerSuccess { id position } ... on WorkerBusy { leases until }"
    return user.api.call("deleteWorker", chosen, {"worker": worker})


def tell(user: User, message: str, worker: str | None = None, **given: Any) -> dict[str, Any]:
    chosen = f"... on SendWorkerMessageSuccess {{ {MESSAGE} position }}"
    asked = {"message": message, "worker": worker, **given}
    found: dict[str, Any] = user.api.call("sendWorkerMessage", chosen, asked)["sent"]
    return found


def untell(user: User, message: str) -> None:
    user.api.call(
        "deleteWorkerMessage", "... on DeleteWorkerMessageSuccess { position }", {"message": message}
    )


def registered(user: User, model: str) -> Worker:
    worker = user.worker(model)
    worker.pop()
    return worker


def told(worker: Worker) -> list[str]:
    return [message["message"] for message in worker.pop()["messages"]]


def names(api: Api, **given: Any) -> list[str]:
    """The names of all workers that are asked for, page by page."""
    found: list[str] = []
    after = None
    while True:
        page = api.ask(WORKERS, first=100, after=after, **given)["workers"]
        found += [edge["node"]["name"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


# ------------------------------------------------------------------ names, descriptions


def test_a_worker_is_renamed_and_described_by_its_owner_and_by_moderators(
    horde: Horde, alice: User, bob: User, moderator: User, model: str
) -> None:
    """Feature 119. Features 95 and 96: the first poll registers, and no two workers of any kind share a name."""
    worker, other = registered(bob, model), registered(bob, model)
    name = unique("renamed")
    position = horde.position()
    answer = update(bob, worker.name, name=name, description="two cards\nand a fan")
    assert (answer["worker"]["name"], answer["worker"]["description"]) == (name, "two cards\nand a fan")
    assert seen(alice.api, worker.name) is None
    told = horde.events(position, ["workers.WorkerRenamed", "workers.WorkerDescribed"])
    assert [event["type"] for event in told] == ["workers.WorkerRenamed", "workers.WorkerDescribed"]
    assert name not in str(told)

    assert seen(alice.api, name.upper())["description"] == "two cards\nand a fan"
    with refused("INVALID_INPUT", "input", "name"):
        update(bob, other.name, name=name.upper())
    with refused("INVALID_INPUT", "input", "name"):
        update(bob, name, name=" blank at its start")
    with refused("INVALID_INPUT", "input", "description"):
        update(bob, name, description="x" * 1_001)
    with refused("INVALID_INPUT", "input"):
        update(bob, name)
    with refused("NOT_FOUND", "input", "worker"):
        update(alice, name, description="mine")
    assert update(moderator, name, description="")["worker"]["description"] is None
    again = unique("again")
    update(bob, name, name=again)
    worker.name = again
    assert worker.pop()["__typename"] == "NoJob"
    assert seen(bob.api, again)["id"] == answer["worker"]["id"]


# ------------------------------------------------------------------ maintenance, pause


def test_maintenance_tells_its_message_to_the_worker_and_moderators_may_set_it(
    alice: User, bob: User, moderator: User, model: str
) -> None:
    """Feature 117."""
    worker = registered(bob, model)
    chosen = "... on SetWorkerMaintenanceSuccess { worker { maintenance } }"
    moderator.api.call(
        "setWorkerMaintenance", chosen, {"worker": worker.name, "maintenance": True, "message": "cool down"}
    )
    alice.submit(models=[model])
    with refused("WORKER_IN_MAINTENANCE") as told:
        worker.pop()
    assert told.result["maintenanceMessage"] == "cool down"
    assert seen(bob.api, worker.name)["maintenanceMessage"] == "cool down"
    assert seen(alice.api, worker.name)["maintenanceMessage"] is None
    with refused("NOT_FOUND", "input", "worker"):
        alice.worker(model, name=worker.name).maintenance(False)
    worker.maintenance(False)
    worker.serve()


def test_a_paused_worker_is_told_so_and_gets_nothing_but_delivers_what_it_has(
    alice: User, bob: User, moderator: User, model: str
) -> None:
    """Feature 118: in place of fake jobs a clear refusal."""
    worker = bob.worker(model)
    alice.submit(models=[model])
    taken = worker.take()
    alice.submit(models=[model])
    for nobody in (alice, bob):
        with refused("FORBIDDEN"):
            pause(nobody, worker.name)
    assert pause(moderator, worker.name)["worker"]["paused"] is True
    with refused("WORKER_PAUSED", "input", "workerName"):
        worker.pop()
    with refused("WORKER_PAUSED", "input", "workerName"):
        worker.pop(waitSeconds=5)
    worker.deliver(taken)
    assert pause(moderator, worker.name, False)["worker"]["paused"] is False
    worker.serve()
    with refused("NOT_FOUND", "input", "worker"):
        pause(moderator, unique("nobody's"))


# ------------------------------------------------------------------ deletion


def test_a_worker_at_work_cannot_be_deleted_and_a_deleted_one_frees_its_name(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 120."""
    worker = bob.worker(model)
    alice.submit(models=[model])
    taken = worker.take()
    message = tell(bob, "a word", worker.name)
    with refused("WORKER_BUSY", "input", "worker") as busy:
        delete(bob, worker.name)
    assert (busy.result["leases"], busy.result["until"]) == (1, taken["expiresAt"])
    worker.deliver(taken)
    with refused("NOT_FOUND", "input", "worker"):
        delete(alice, worker.name)
    before = seen(bob.api, worker.name)
    assert delete(bob, worker.name)["id"] == before["id"]
    assert seen(bob.api, worker.name) is None
    assert seen(bob.api, before["id"]) is None
    assert worker.name not in names(bob.api, mine=True)
    with refused("NOT_FOUND", "input", "message"):
        untell(bob, message["id"])
    with refused("NOT_FOUND", "input", "worker"):
        delete(bob, before["id"])

    namesake = alice.worker(model, name=worker.name)
    namesake.pop()
    after = seen(alice.api, worker.name)
    assert (after["fulfilled"], after["earned"]) == (0, "0.00")
    assert after["id"] != before["id"]


# ------------------------------------------------------------------ how many workers


def test_a_newcomer_has_three_workers_a_trusted_user_twenty(
    horde: Horde, moderator: User, model: str
) -> None:
    """The limits that keep one person from being a crowd; a moderator may set others."""
    owner = horde.register("collector")
    made = [registered(owner, model) for _ in range(3)]
    with refused("TOO_MANY_WORKERS", "input", "workerName") as full:
        owner.worker(model).pop()
    assert (full.result["workers"], full.result["limit"]) == (3, 3)
    made[0].pop()
    delete(owner, made[0].name)
    registered(owner, model)

    chosen = "... on SetWorkerLimitSuccess { limit }"
    given = {"user": owner.alias, "limit": 4}
    with refused("FORBIDDEN"):
        owner.api.call("setWorkerLimit", chosen, given)
    assert moderator.api.call("setWorkerLimit", chosen, given)["limit"] == 4
    registered(owner, model)
    with refused("TOO_MANY_WORKERS"):
        owner.worker(model).pop()
    horde.promote(owner, "trusted")
    assert moderator.api.call("setWorkerLimit", chosen, {"user": owner.alias, "limit": None})["limit"] == 20
    registered(owner, model)
    me = owner.api.ask("{ viewer { workers workerLimit } }")["viewer"]
    assert me == {"workers": 5, "workerLimit": 20}


# ------------------------------------------------------------------ looking


def test_workers_are_listed_by_kind_name_owner_and_presence(horde: Horde, bob: User, model: str) -> None:
    """Features 121 and 122."""
    part = unique("Hall")
    both = [f"{part} one", f"{part} two"]
    workers = [bob.worker(model, name=name) for name in both]
    anyone = horde.anonymous

    def listed_as_online() -> bool:
        """When Valkey takes longer than half a second, nobody seems online for some seconds."""
        for worker in workers:
            worker.pop()
        return names(anyone, name=part, kind="IMAGE", online=True) == both

    eventually(listed_as_online, 30, "both are online")
    assert names(anyone, name=part.lower()) == both
    assert names(anyone, name=part, online=False) == []
    assert names(anyone, name=part, kind="TEXT") == []
    assert names(bob.api, mine=True) == both
    first = anyone.ask(WORKERS, first=1, name=part)["workers"]
    assert [edge["node"]["name"] for edge in first["edges"]] == both[:1]
    assert first["pageInfo"]["hasNextPage"]


def test_what_a_worker_declares_is_shown_to_everybody_and_the_rest_to_its_owner(
    horde: Horde, alice: User, bob: User, moderator: User, model: str
) -> None:
    """Features 110 and 122."""
    worker = bob.worker(model, threads=3, maxPixels=1_048_576, nsfw=False, allowPostProcessing=True)
    alice.submit(models=[model], params={"n": 2})
    taken = worker.take(amount=2, bridgeAgent="some worker:1.2:https://example.org/me")
    shown = seen(horde.anonymous, worker.name)
    assert (shown["threads"], shown["maxPixels"], shown["agent"]) == (3, 1_048_576, "some worker:1.2")
    assert "post_processing" in shown["allows"]
    assert "nsfw" not in shown["allows"]
    inside = ("owner", "failures", "lastPoll", "liveLeases", "messages", "maintenanceMessage")
    assert [shown[name] for name in inside] == [None] * len(inside)
    (lease,) = seen(bob.api, worker.name)["liveLeases"]
    assert (lease["id"], lease["model"], lease["generations"]) == (taken["leaseId"], model, 2)
    assert seen(moderator.api, worker.name)["owner"] == bob.alias

    results = [{"generationId": task["id"], "state": "FAULTED"} for task in taken["generations"]]
    worker.report(taken["leaseId"], *results)
    mine = seen(bob.api, worker.name)
    assert mine["failures"] == [{"cause": "REPORTED_BY_WORKER", "count": 2}]
    assert (mine["failed"], mine["liveLeases"]) == (2, [])


def test_an_owner_is_named_to_others_only_if_they_want_it(alice: User, bob: User, model: str) -> None:
    """Feature 126."""
    worker = registered(bob, model)
    assert seen(alice.api, worker.name)["owner"] is None
    chosen = "... on SetPublicWorkersSuccess { user { publicWorkers } position }"
    assert bob.api.call("setPublicWorkers", chosen, {"public": True})["user"]["publicWorkers"] is True
    assert seen(alice.api, worker.name)["owner"] == bob.alias
    bob.api.call("setPublicWorkers", chosen, {"public": False})
    assert seen(alice.api, worker.name)["owner"] is None
    assert seen(bob.api, worker.name)["owner"] == bob.alias


# ------------------------------------------------------------------ messages


def test_a_message_comes_with_every_poll_until_it_is_deleted(
    horde: Horde, alice: User, bob: User, moderator: User, model: str
) -> None:
    """Feature 123: to one worker by its owner, to all by moderators."""
    worker, other = registered(bob, model), registered(alice, model)
    words = unique("mind the fan")
    position = horde.position()
    sent = tell(bob, words, worker.name, hours=1, origin="the cellar")
    assert (sent["message"], sent["origin"], sent["mine"]) == (words, "the cellar", True)
    everybody = tell(moderator, unique("an update is out"))
    assert everybody["workerId"] is None
    eventually(lambda: set(told(worker)) >= {words, everybody["message"]}, 10, "both come with a poll")
    assert told(worker) == told(worker)
    assert words not in told(other)
    assert everybody["message"] in told(other)
    alice.submit(models=[model])
    taken = worker.take()
    assert words in [message["message"] for message in taken["messages"]]
    worker.deliver(taken)

    log = horde.events(position, ["workers.WorkerMessageSent"])
    assert len(log) == 2
    assert words not in str(log)
    untell(bob, sent["id"])
    with refused("NOT_FOUND", "input", "message"):
        untell(bob, sent["id"])
    with refused("NOT_FOUND", "input", "message"):
        untell(bob, everybody["id"])
    eventually(lambda: words not in told(worker), 10, "it is told no more")
    untell(moderator, everybody["id"])


def test_whom_one_may_tell_what(horde: Horde, alice: User, bob: User, moderator: User, model: str) -> None:
    """Feature 123: the bounds, each named."""
    worker = registered(bob, model)
    with refused("NOT_FOUND", "input", "worker"):
        tell(alice, "psst", worker.name)
    with refused("FORBIDDEN", "input", "worker"):
        tell(bob, "to all")
    for words in ("", " ", "x" * 10_241, "a\0b"):
        with refused("INVALID_INPUT", "input", "message"):
            tell(bob, words, worker.name)
    for hours in (0, 721):
        with refused("INVALID_INPUT", "input", "hours"):
            tell(bob, "x", worker.name, hours=hours)
    with refused("INVALID_INPUT", "input", "origin"):
        tell(bob, "x", worker.name, origin="o" * 256)
    sent = [tell(bob, f"number {n}", worker.name)["id"] for n in range(20)]
    with refused("INVALID_INPUT", "input", "worker"):
        tell(bob, "one too many", worker.name)
    tell(moderator, "to another", registered(bob, model).name)

    def listed(user: User, **given: Any) -> list[str]:
        found = user.api.ask(MESSAGES, **given)["workerMessages"]["edges"]
        return [edge["node"]["id"] for edge in found]

    assert listed(bob, worker=worker.name) == sent[::-1]
    assert listed(moderator, worker=worker.name) == sent[::-1]
    assert listed(alice, worker=worker.name) == []
    assert listed(bob, worker=worker.name, validity="EXPIRED") == []
    assert listed(bob, worker=worker.name, validity="ALL") == sent[::-1]


# ------------------------------------------------------------------ following


FOLLOW = f"subscription($worker: String!) {{ workerUpdated(worker: $worker) {{ {SEEN} }} }}"


@pytest.mark.parametrize("wire", ["websocket", pytest.param("events", marks=pytest.mark.slow)])
def test_an_owner_follows_what_a_worker_does_and_why_it_finds_nothing(
    alice: User, bob: User, model: str, wire: str
) -> None:
    """Feature 111 and the subscription of owners: work, kudos, failures, messages, what polls passed over; to the end."""
    worker = registered(bob, model)
    with getattr(bob.api, wire)(FOLLOW, {"worker": worker.name}, timeout=30.0) as updates:

        def until(wanted: Any) -> Any:
            return next(state for state in (u["data"]["workerUpdated"] for u in updates) if wanted(state))

        assert until(lambda _: True)["fulfilled"] == 0
        alice.submit(models=[model], params={"n": 2})
        taken = worker.take(amount=2)
        assert until(lambda now: now["liveLeases"])["liveLeases"][0]["generations"] == 2
        one, two = taken["generations"]
        upload(one)
        worker.report(taken["leaseId"], {"generationId": one["id"], "state": "OK"})
        earned = until(lambda now: now["fulfilled"] == 1)["earned"]
        assert earned != "0.00"
        worker.report(taken["leaseId"], {"generationId": two["id"], "state": "FAULTED"})
        failed = until(lambda now: now["failed"] == 1)
        assert failed["failures"] == [{"cause": "REPORTED_BY_WORKER", "count": 1}]
        alice.submit(models=[unique("other model")])
        worker.pop()
        poll = until(lambda now: now["lastPoll"] and not now["lastPoll"]["found"])["lastPoll"]
        assert "models" in [skip["reason"] for skip in poll["skipped"]]
        delete(bob, worker.name)
        for _ in updates:
            pass  # what comes before the end; that it comes is the point


def test_nobody_else_follows_a_worker(alice: User, bob: User, model: str) -> None:
    worker = registered(bob, model)
    with alice.api.websocket(FOLLOW, {"worker": worker.name}) as updates:
        (error,) = next(updates)["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"


# ------------------------------------------------------------------ demand


def test_the_demand_board_tells_what_each_model_and_size_would_earn(
    alice: User, bob: User, model: str
) -> None:
    """What waits, in lines by model and size, with the reward for one generation."""
    small = alice.submit(models=[model], params={"n": 3, "width": 512, "height": 512, "steps": 30})
    large = alice.submit(models=[model], params={"n": 1, "width": 1024, "height": 512, "steps": 30})
    document = "{ demand(first: 100) { model maxPixels jobs generations megapixelsteps reward } }"

    def lines() -> list[dict[str, Any]] | None:
        found = [line for line in alice.api.ask(document)["demand"] if line["model"] == model]
        return found if len(found) == 2 else None

    first, second = eventually(lines, 10, "both lines are there") or []
    assert (first["maxPixels"], first["jobs"], first["generations"]) == (262_144, 1, 3)
    assert first["megapixelsteps"] == pytest.approx(3 * 512 * 512 * 30 / 1e6)
    assert (second["maxPixels"], second["jobs"], second["generations"]) == (589_824, 1, 1)
    worker = bob.worker(model)
    reward = worker.deliver(worker.take())["reward"]
    assert float(reward) == pytest.approx(float(first["reward"]))
    small.cancel()
    large.cancel()
    eventually(
        lambda: not [line for line in alice.api.ask(document)["demand"] if line["model"] == model], 10, "gone"
    )
