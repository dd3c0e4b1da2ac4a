"""The horde as a whole through the public API: performance, models, totals, records, lists, news, modes, heartbeat.

The processes are shared with other tests, so what they leave is in the figures too: differences are looked at, or models
that nobody else has.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.horde import Horde, User, picture, refused, submit, transfer, unique
from tests.acceptance.processes import ApiProcess, eventually, run_cli
from tests.acceptance.wires import Api

KINDS = ("IMAGE", "TEXT", "INTERROGATION")
STATUS = (
    "{ hordeStatus { queuedJobs queuedGenerations queuedMegapixelsteps pastMinuteImages pastMinuteMegapixelsteps "
    "workers threads position kinds { kind unit queuedJobs queuedGenerations queuedWork pastMinuteGenerations "
    "pastMinuteWork workers threads } } }"
)
MODEL = "name kind known workers threads queuedJobs queuedMegapixelsteps unit queuedWork speed estimatedWaitSeconds"
WINDOW = "{ count work }"
TOTALS = (
    "query($kind: JobKind!) { totals(kind: $kind) { kind unit "
    f"minute {WINDOW} hour {WINDOW} day {WINDOW} month {WINDOW} ever {WINDOW} "
    "forms { form minute hour day month ever } } }"
)
RECORDS = "records { kind unit jobs requested received receivedWork delivered deliveredWork }"
PROFILE = f"username createdAt kudos earned trusted workers {RECORDS}"
MEGAPIXELSTEPS = 512 * 512 * 30 / 1_000_000


def kinds(api: Api) -> dict[str, dict[str, Any]]:
    """Performance by kind."""
    return {each["kind"]: each for each in api.ask(STATUS)["hordeStatus"]["kinds"]}


def find(api: Api, name: str, kind: str = "IMAGE") -> dict[str, Any] | None:
    """One model."""
    document = f"query($name: String!, $kind: JobKind!) {{ model(name: $name, kind: $kind) {{ {MODEL} }} }}"
    found: dict[str, Any] | None = api.ask(document, name=name, kind=kind)["model"]
    return found


def listed(api: Api, **given: Any) -> list[str]:
    """The names of models."""
    arguments = ", ".join(f"{name}: {value}" for name, value in given.items())
    document = f"{{ models{f'({arguments})' if arguments else ''} {{ name }} }}"
    return [each["name"] for each in api.ask(document)["models"]]


def totals(api: Api, kind: str) -> dict[str, Any]:
    """What was delivered of a kind."""
    found: dict[str, Any] = api.ask(TOTALS, kind=kind)["totals"]
    return found


def counted(api: Api, kind: str, before: dict[str, Any], by: int) -> dict[str, Any] | None:
    """The totals once they have grown by so many. By more if they were behind: they are counted afterwards, and kept."""
    now = totals(api, kind)
    return now if now["ever"]["count"] >= before["ever"]["count"] + by else None


def model_totals(api: Api, kind: str, knowledge: str = "ALL") -> dict[str, dict[str, Any]]:
    """What was delivered with each model, page by page."""
    document = (
        "query($kind: JobKind!, $knowledge: ModelKnowledge!, $after: String) { "
        "modelTotals(kind: $kind, knowledge: $knowledge, first: 100, after: $after) { edges { node { name known "
        f"day {WINDOW} month {WINDOW} ever {WINDOW} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    found: dict[str, dict[str, Any]] = {}
    after = None
    while True:
        page = api.ask(document, kind=kind, knowledge=knowledge, after=after)["modelTotals"]
        found |= {edge["node"]["name"]: edge["node"] for edge in page["edges"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def text_poll(owner: User, *models: str, name: str, **given: Any) -> dict[str, Any]:
    """A poll of a text worker."""
    asked = {
        "workerName": name,
        "text": {"models": models, "maxLength": 512, "maxContextLength": 4096},
        **given,
    }
    chosen = "... on TextAssignment { leaseId generations { id } } ... on NoJob { skipped { reason } }"
    return owner.api.call("popJob", chosen, asked)


def write_a_text(asker: User, owner: User, model: str) -> None:
    """A text from its submission to its delivery: 80 characters, 20 tokens."""
    asker.api.call(
        "submitTextJob",
        "... on SubmitTextJobSuccess { job { id } }",
        {"prompt": "once", "models": [model], "params": {"maxLength": 100}},
    )
    taken = text_poll(owner, model, name=unique("scribe"))
    done = {"generationId": taken["generations"][0]["id"], "state": "OK", "text": "word " * 16}
    owner.api.call(
        "submitResult",
        "... on SubmitResultSuccess { reward }",
        {"leaseId": taken["leaseId"], "results": [done]},
    )


@pytest.fixture(scope="module")
def operator(horde: Horde) -> User:
    """An operator, who is trusted."""
    return horde.promote(horde.register("operator"), "operator")


@pytest.fixture(scope="module")
def moderator(horde: Horde) -> User:
    """A moderator, who is trusted."""
    return horde.promote(horde.register("moderator"), "moderator")


def switch(api: Api, name: str, *, on: bool) -> dict[str, Any]:
    """Switch a mode through the API."""
    chosen = "... on SetModeSuccess { modes { maintenance inviteOnly raid } position }"
    return api.call("setMode", chosen, {"mode": name, "on": on})


@contextmanager
def mode(operator: User, name: str) -> Iterator[None]:
    """A mode of the house for a moment."""
    switch(operator.api, name, on=True)
    try:
        yield
    finally:
        switch(operator.api, name, on=False)


def test_performance_is_told_by_kind(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 190: what waits, what works and what was done in the past minute, in the unit of each kind."""
    before = eventually(lambda: kinds(alice.api), 5)
    assert tuple(before) == KINDS
    assert [each["unit"] for each in before.values()] == ["MEGAPIXELSTEPS", "TOKENS", "FORMS"]
    waiting = alice.submit(models=[model], params={"n": 2})
    asked = alice.api.call(
        "submitTextJob",
        "... on SubmitTextJobSuccess { job { id } }",
        {"prompt": "once", "models": [model], "params": {"n": 3, "maxLength": 100}},
    )
    text_poll(bob, "another model", name=unique("scribe"))

    def grown(kind: str, figure: str) -> float:
        return float(kinds(alice.api)[kind][figure] - before[kind][figure])

    eventually(lambda: grown("IMAGE", "queuedJobs") == 1, 5, "the picture is counted")
    assert grown("IMAGE", "queuedGenerations") == 2
    assert grown("IMAGE", "queuedWork") == pytest.approx(2 * MEGAPIXELSTEPS)
    eventually(lambda: grown("TEXT", "queuedJobs") == 1, 5, "the text is counted")
    assert (grown("TEXT", "queuedGenerations"), grown("TEXT", "queuedWork")) == (3, 300)
    eventually(lambda: grown("TEXT", "workers") >= 1, 5, "the scribe is counted")
    status = alice.api.ask(STATUS)["hordeStatus"]
    images = status["kinds"][0]
    assert (status["queuedJobs"], status["queuedGenerations"]) == (
        images["queuedJobs"],
        images["queuedGenerations"],
    )
    assert (status["workers"], status["threads"]) == (images["workers"], images["threads"])
    waiting.cancel()
    alice.api.call("cancelJob", "... on CancelJobSuccess { position }", {"id": asked["job"]["id"]})
    painter = bob.worker(model)
    alice.submit(models=[model])
    painter.serve()
    done = eventually(
        lambda: kinds(alice.api)["IMAGE"]["pastMinuteGenerations"] >= 1 and kinds(alice.api)["IMAGE"], 10
    )
    assert done["pastMinuteWork"] >= 0.9 * MEGAPIXELSTEPS


def test_models_with_their_queue_and_wait(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 191: by kind, by how many workers have them, by whether the reference describes them."""
    painter = bob.worker(model, "stable_diffusion")
    assert painter.pop()["__typename"] in {"NoJob", "ImageAssignment"}
    eventually(lambda: model in listed(alice.api), 5)
    known, custom = listed(alice.api, knowledge="KNOWN"), listed(alice.api, knowledge="CUSTOM")
    assert "stable_diffusion" in known
    assert model in custom
    assert not {*known} & {*custom}
    assert not [name for name in listed(alice.api) if name.startswith("*")], "no sets of models"
    assert model in listed(alice.api, minWorkers=1, maxWorkers=1)
    assert model not in listed(alice.api, minWorkers=2)
    assert model not in listed(alice.api, maxWorkers=0)
    assert model not in listed(alice.api, kind="TEXT")
    alice.submit(models=[model], params={"n": 2})
    found = eventually(lambda: (seen := find(alice.api, model)) and seen["queuedJobs"] and seen, 5)
    assert found["queuedWork"] == found["queuedMegapixelsteps"] == pytest.approx(2 * MEGAPIXELSTEPS)
    assert (found["workers"], found["threads"], found["known"]) == (1, 1, False)
    assert found["speed"] > 0
    assert found["estimatedWaitSeconds"] >= 1


def test_one_model_of_each_kind(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 192: known models without workers too; of others null."""
    assert find(alice.api, unique("model")) is None
    assert find(alice.api, "CAPTION", "TEXT") is None
    known = find(alice.api, "Mistral-7B-Instruct-v0.3", "TEXT")
    assert known is not None
    assert (known["known"], known["unit"]) == (True, "TOKENS")
    alice.api.call(
        "submitTextJob",
        "... on SubmitTextJobSuccess { job { id } }",
        {"prompt": "once", "models": [model], "params": {"maxLength": 100}},
    )
    found = eventually(lambda: find(alice.api, model, "TEXT"), 5)
    assert (found["queuedJobs"], found["queuedWork"], found["queuedMegapixelsteps"]) == (1, 100, 0)
    assert (found["workers"], found["estimatedWaitSeconds"]) == (0, None)
    with pytest.raises(AssertionError, match="`name` must have 1 to 100"):
        find(alice.api, "")


def test_totals_of_images_and_texts(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Features 196 and 197: what was delivered in windows of time, by kind and by model; not what was only asked for."""
    images, texts = totals(alice.api, "IMAGE"), totals(alice.api, "TEXT")
    painter = bob.worker(model)
    alice.submit(models=[model], params={"n": 2})
    painter.serve(amount=2)
    write_a_text(alice, bob, model)
    for kind, before, count, work in (
        ("IMAGE", images, 2, 2 * MEGAPIXELSTEPS),
        ("TEXT", texts, 1, 20),
    ):
        now = eventually(lambda k=kind, b=before, c=count: counted(alice.api, k, b, c), 15, kind)
        assert now["ever"]["work"] - before["ever"]["work"] > 0.999 * work
        counts = [now[window]["count"] for window in ("minute", "hour", "day", "month", "ever")]
        assert counts == sorted(counts)
        assert now["forms"] == []
        of_model = eventually(
            lambda k=kind: model_totals(alice.api, k).get(model), 15, "the model is counted"
        )
        window = {"count": count, "work": pytest.approx(work)}
        assert (of_model["day"], of_model["month"], of_model["ever"]) == (window, window, window)
        assert model not in model_totals(alice.api, kind, "KNOWN")
        assert model in model_totals(alice.api, kind, "CUSTOM")


def test_totals_of_forms(alice: User, bob: User) -> None:
    """Features 190 and 191: forms of interrogations are counted one by one, and each is listed like a model."""
    before = totals(alice.api, "INTERROGATION")
    data = picture(256, 256)
    chosen = "... on CreateUploadSuccess { upload { id url } }"
    made = alice.api.call("createUpload", chosen, {"contentLength": len(data)})["upload"]
    assert transfer("PUT", made["url"], data)[0] == 200
    asked = {"source": {"uploadId": made["id"]}, "forms": ["NSFW", "AESTHETIC"]}
    alice.api.call("submitInterrogationJob", "... on SubmitInterrogationJobSuccess { job { id } }", asked)
    eventually(lambda: (seen := find(alice.api, "aesthetic", "INTERROGATION")) and seen["queuedWork"] >= 1, 5)
    poll = {"workerName": unique("teller"), "amount": 2, "interrogation": {"forms": ["NSFW", "AESTHETIC"]}}
    taken = bob.api.call("popJob", "... on InterrogationAssignment { leaseId forms { id form } }", poll)
    tells = {"NSFW": False, "AESTHETIC": 7.5}
    results = [
        {"generationId": task["id"], "state": "OK", "form": tells[task["form"]]} for task in taken["forms"]
    ]
    told = {"leaseId": taken["leaseId"], "results": results}
    bob.api.call("submitResult", "... on SubmitResultSuccess { reward }", told)

    now = eventually(lambda: counted(alice.api, "INTERROGATION", before, 2), 15, "the relay has counted")
    assert now["ever"]["work"] == now["ever"]["count"]
    forms = {each["form"]: each for each in now["forms"]}
    assert sum(each["ever"] for each in forms.values()) == now["ever"]["count"]
    assert forms["nsfw"]["minute"] >= 1
    assert forms["aesthetic"]["day"] >= 1
    eventually(lambda: "nsfw" in listed(alice.api, kind="INTERROGATION", minWorkers=1), 5)


def test_records_of_a_user(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 29: asked for, given and delivered, by kind; each request is counted once, and only one's own is shown."""
    painter = bob.worker(model)
    alice.submit(models=[model], params={"n": 2})
    painter.serve()
    write_a_text(alice, bob, model)

    def records(user: User) -> dict[str, dict[str, Any]]:
        found = user.api.ask(f"{{ viewer {{ {RECORDS} }} }}")["viewer"]["records"]
        return {each.pop("kind"): each for each in found}

    asked = eventually(
        lambda: (seen := records(alice)).get("TEXT", {}).get("received") and seen, 10, "the relay has counted"
    )
    work = pytest.approx(MEGAPIXELSTEPS)
    assert asked == {
        "IMAGE": {
            "unit": "MEGAPIXELSTEPS", "jobs": 1, "requested": 2, "received": 1, "receivedWork": work,
            "delivered": 0, "deliveredWork": 0,
        },
        "TEXT": {
            "unit": "TOKENS", "jobs": 1, "requested": 1, "received": 1, "receivedWork": 20,
            "delivered": 0, "deliveredWork": 0,
        },
    }  # fmt: skip
    gave = records(bob)
    assert (gave["IMAGE"]["delivered"], gave["IMAGE"]["deliveredWork"]) == (1, work)
    assert (gave["TEXT"]["delivered"], gave["TEXT"]["deliveredWork"], gave["TEXT"]["jobs"]) == (1, 20, 0)


def leaderboard(api: Api, by: str, kind: str = "IMAGE", size: int = 100) -> list[dict[str, Any]]:
    """A whole list, page by page."""
    document = (
        "query($by: LeaderboardOrder!, $kind: JobKind!, $first: Int!, $after: String) { "
        f"leaderboard(by: $by, kind: $kind, first: $first, after: $after) {{ edges {{ node {{ {PROFILE} }} }} "
        "pageInfo { hasNextPage endCursor } } }"
    )
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = api.ask(document, by=by, kind=kind, first=size, after=after)["leaderboard"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def publish(user: User, *, public: bool = True) -> None:
    """Let everybody see a user, or nobody."""
    chosen = "... on SetPublicProfileSuccess { user { publicProfile } }"
    answer = user.api.call("setPublicProfile", chosen, {"public": public})
    assert answer["user"]["publicProfile"] is public


def test_lists_of_users_who_wish_to_be_seen(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Features 12 and 9: nobody is shown who did not say so; by kudos, earnings, work and age; page by page."""
    profile = f"query($name: String!) {{ profile(username: $name) {{ {PROFILE} }} }}"
    assert horde.anonymous.ask(profile, name=alice.alias)["profile"] is None
    with refused("FORBIDDEN"):
        horde.anonymous.call(
            "setPublicProfile", "... on SetPublicProfileSuccess { position }", {"public": True}
        )
    hidden = horde.register("hidden", "2000")
    for user in (alice, bob):
        publish(user)
    painter = bob.worker(model)
    alice.submit(models=[model])
    painter.serve()
    shown = horde.anonymous.ask(profile, name=alice.alias)["profile"]
    assert shown["username"] == alice.alias
    assert shown["kudos"] == alice.me()["kudos"]
    assert horde.anonymous.ask(profile, name=alice.alias.replace("alice", "alicia"))["profile"] is None

    def names(by: str) -> list[str]:
        return [each["username"] for each in leaderboard(horde.anonymous, by, size=1)]

    eventually(lambda: bob.alias in names("DELIVERED"), 20, "lists are read anew every ten seconds")
    assert alice.alias not in names("DELIVERED"), "who delivered nothing is not in it"
    eventually(lambda: {alice.alias, bob.alias} <= {*names("KUDOS")}, 20)
    for by, first, second in (("KUDOS", alice, bob), ("AGE", alice, bob), ("EARNED", bob, alice)):
        eventually(lambda b=by: {alice.alias, bob.alias} <= {*names(b)}, 20)
        found = names(by)
        assert found.index(first.alias) < found.index(second.alias)
        assert hidden.alias not in found
        assert "Anonymous#0" not in found
    (row,) = [each for each in leaderboard(horde.anonymous, "DELIVERED") if each["username"] == bob.alias]
    assert row["records"][0]["delivered"] == 1
    for user in (alice, bob):
        publish(user, public=False)
    assert horde.anonymous.ask(profile, name=alice.alias)["profile"] is None
    eventually(lambda: alice.alias not in names("KUDOS"), 20)


def test_a_process_tells_how_it_is(horde: Horde) -> None:
    """Feature 194: version, what waits, what is under way; the same by HTTP and GraphQL."""
    beat = horde.anonymous.ask("{ heartbeat { status version queue active polls } }")["heartbeat"]
    assert beat["status"] == "OK"
    assert min(beat["queue"], beat["active"], beat["polls"]) >= 0
    plain = horde.process.health("healthz")
    assert plain is not None
    assert plain.keys() == beat.keys()
    assert (plain["status"], plain["version"]) == ("ok", beat["version"])


def modes(api: Api) -> dict[str, Any]:
    """What the house is set to, as somebody sees it."""
    found: dict[str, Any] = api.ask("{ modes { maintenance inviteOnly raid changedAt } }")["modes"]
    return found


def test_modes_are_switched_by_whom_they_are_for(
    horde: Horde, alice: User, moderator: User, operator: User
) -> None:
    """Feature 195: by moderators, maintenance by operators; nobody else is told of a raid, whoever asked before."""
    for stranger in (alice.api, horde.anonymous):
        with refused("FORBIDDEN"):
            switch(stranger, "RAID", on=True)
    with refused("FORBIDDEN"):
        switch(moderator.api, "MAINTENANCE", on=True)
    with mode(operator, "MAINTENANCE"):
        assert modes(alice.api)["maintenance"]
    with mode(moderator, "RAID"):
        assert modes(moderator.api)["raid"] is True
        unseen = {"maintenance": False, "inviteOnly": False, "raid": None, "changedAt": None}
        assert modes(alice.api) == modes(horde.anonymous) == unseen
    off = {"maintenance": False, "invite_only": False, "raid": False}
    assert json.loads(run_cli("mode", "--json", variables=horde.variables)) == off


def test_modes_are_switched_at_the_command_line(horde: Horde, moderator: User) -> None:
    """Feature 195: it holds for the very next decision of every process."""
    try:
        shown = json.loads(run_cli("mode", "raid", "on", "--json", variables=horde.variables))
        assert shown == {"maintenance": False, "invite_only": False, "raid": True}
        assert modes(moderator.api)["raid"] is True
        with refused("REGISTRATION_CLOSED"):
            horde.register("raider")
    finally:
        run_cli("mode", "raid", "off", variables=horde.variables)
    assert horde.register("newcomer").alias


def test_in_maintenance_the_queue_runs_empty(operator: User, alice: User, bob: User, model: str) -> None:
    """Feature 195: no new jobs of any kind; what was taken is served and paid."""
    job = alice.submit(models=[model])
    painter = bob.worker(model)
    with mode(operator, "MAINTENANCE"):
        with refused("MAINTENANCE_MODE"):
            alice.submit(models=[model])
        with refused("MAINTENANCE_MODE"):
            alice.api.call(
                "submitTextJob",
                "... on SubmitTextJobSuccess { position }",
                {"prompt": "once", "models": [model]},
            )
        painter.serve()
        assert job.now()["state"] == "DONE"
    assert alice.submit(models=[model]).cancel()["state"] == "CANCELLED"


def test_while_it_is_invite_only_new_workers_need_an_invitation(
    bob: User, moderator: User, operator: User, model: str
) -> None:
    """Feature 195: a moderator invites by a number of workers; workers that there are work on."""
    old = bob.worker(model)
    old.pop()
    with mode(operator, "INVITE_ONLY"):
        with refused("INVITE_ONLY", "input", "workerName"):
            bob.worker(model).pop()
        assert old.pop()["__typename"] == "NoJob"
        moderator.api.call(
            "setWorkerLimit", "... on SetWorkerLimitSuccess { limit }", {"user": bob.alias, "limit": 2}
        )
        assert bob.worker(model).pop()["__typename"] == "NoJob"


def test_during_a_raid_strangers_may_do_less(alice: User, horde: Horde, operator: User, model: str) -> None:
    """Feature 195: no new accounts, a small share of the queue for the anonymous; users go on as before."""
    small = {"models": [model], "params": {"n": 20, "width": 64, "height": 64}}
    waiting = [submit(horde.anonymous, **small) for _ in range(3)]
    with mode(operator, "RAID"):
        with refused("TOO_MANY_JOBS"):
            submit(horde.anonymous, **small)
        assert alice.submit(models=[model]).cancel()["state"] == "CANCELLED"
    for job in waiting:
        job.cancel()


def test_news_are_read_from_a_file(horde: Horde, tmp_path: Path) -> None:
    """Feature 193: newest first, page by page; a change shows without a restart; at first there are none."""
    document = (
        "query($first: Int, $after: String) { news(first: $first, after: $after) { edges { cursor node { "
        "publishedAt title text importance tags links } } pageInfo { hasNextPage endCursor } } }"
    )
    assert horde.anonymous.ask(document)["news"]["edges"] == []
    file = tmp_path / "news.json"
    items = [
        {"date": f"2026-01-0{day}", "title": f"Day {day}", "text": "It *happened*.", "tags": ["days"]}
        for day in (1, 2, 3)
    ]
    file.write_text(json.dumps(items))
    api = ApiProcess(tmp_path / "api.log", {**horde.variables, "HOARD_NEWS_FILE": str(file)})
    try:
        api.wait()
        reader = Api(api.url)
        first = reader.ask(document, first=2)["news"]
        assert [edge["node"]["title"] for edge in first["edges"]] == ["Day 3", "Day 2"]
        assert first["edges"][0]["node"] == {
            "publishedAt": datetime(2026, 1, 3, tzinfo=UTC).isoformat(),
            "title": "Day 3",
            "text": "It *happened*.",
            "importance": "INFORMATION",
            "tags": ["days"],
            "links": [],
        }
        rest = reader.ask(document, first=2, after=first["pageInfo"]["endCursor"])["news"]
        assert [edge["node"]["title"] for edge in rest["edges"]] == ["Day 1"]
        assert not rest["pageInfo"]["hasNextPage"]
        file.write_text(json.dumps([{**items[0], "title": "Corrected", "importance": "CRISIS"}]))
        os.utime(file, (0, 0))
        eventually(
            lambda: [e["node"]["title"] for e in reader.ask(document)["news"]["edges"]] == ["Corrected"], 5
        )
    finally:
        api.stop()
