"""Being told what becomes of jobs: signed, once or more, by a server that survives the death of who tells.

Features 67 and 94 of docs/checklist.md. "Outside" is a stranger's server at 127.0.0.2 whose certificate the actors
believe. Look next: `tests/hostile/test_webhooks.py`, `tests/integration/test_webhooks.py`, docs/webhooks.md.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.horde import (
    RESULT,
    Horde,
    Submitted,
    User,
    final,
    picture,
    refused,
    submit,
    transfer,
    unique,
)
from tests.acceptance.processes import CHECKOUT, eventually, free_port
from tests.acceptance.test_interrogation_job import TELLS, teller, uploaded
from tests.acceptance.test_interrogation_job import ask as interrogate
from tests.stranger import OUTSIDE, RECEIVER_PEM, Says, Stranger, Visit, answer

WEBHOOK = "id url jobId events active suspended failingSince createdAt secretRotatedAt"
CREATED = f"... on CreateWebhookSuccess {{ webhook {{ {WEBHOOK} }} secret position }}"
UPDATED = f"... on UpdateWebhookSuccess {{ webhook {{ {WEBHOOK} }} position }}"
ROTATED = f"... on RotateWebhookSecretSuccess {{ webhook {{ {WEBHOOK} }} secret oldSecretUntil position }}"
DELETED = "... on DeleteWebhookSuccess { id position }"
PINGED = "... on PingWebhookSuccess { webhook { id } deliveryId position }"
AGAIN = "... on RedeliverWebhookSuccess { deliveryId position }"
DELIVERY = (
    "id event position happenedAt jobId generationId state nextAttemptAt "
    "attempts { at statusCode fault milliseconds }"
)
DELIVERIES = (
    "query($id: ID!, $first: Int, $after: String) { node(id: $id) { ... on Webhook { deliveries(first: $first, "
    f"after: $after) {{ edges {{ cursor node {{ {DELIVERY} }} }} pageInfo {{ hasNextPage endCursor }} }} }} }} }}"
)
OF_JOB = f"query($job: ID!) {{ jobWebhook(job: $job) {{ {WEBHOOK} deliveries {{ edges {{ node {{ {DELIVERY} }} }} }} }} }}"
SUBMITTED = "... on SubmitImageJobSuccess { job { id } accessKey webhookSecret }"
TEXTS = "... on TextAssignment { leaseId generations { id } }"
MINE = f"{{ viewer {{ webhooks {{ {WEBHOOK} }} }} }}"
OWN_SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a secret....").decode()


def create(user: User, url: str, **given: Any) -> dict[str, Any]:
    """A webhook of a user's, and its secret."""
    return user.api.call("createWebhook", CREATED, {"url": url, **given})


def deliveries(user: User, webhook: str, **page: Any) -> list[dict[str, Any]]:
    """What it was told, newest first."""
    found = user.api.ask(DELIVERIES, id=webhook, **page)["node"]
    return [edge["node"] for edge in found["deliveries"]["edges"]]


def verified(visit: Visit, secret: str) -> bool:
    """Whether a visit is signed, by the words of the specification."""
    at = visit.headers["webhook-timestamp"]
    assert abs(time.time() - int(at)) < 60
    signed = visit.headers["webhook-id"].encode() + b"." + at.encode() + b"." + visit.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    good = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return good in visit.headers["webhook-signature"].split(" ")


def told(stranger: Stranger, page: str = "/hook") -> list[dict[str, Any]]:
    """What came to a page, in order."""
    return [json.loads(visit.body) for visit in stranger.visits if visit.path == page]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger(tls=True, pem=RECEIVER_PEM, hook=answer(b"thanks")) as made:
        yield made


def test_a_user_is_told_of_every_picture_and_of_the_end(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: signed, with what clients know from elsewhere; another user's jobs are not told."""
    made = create(alice, stranger.url("hook"))
    webhook, secret = made["webhook"], made["secret"]
    assert (webhook["url"], webhook["active"], len(webhook["events"])) == (stranger.url("hook"), True, 7)
    worker = bob.worker(model)
    other = horde.register("other", "100").submit(models=[model])
    job = alice.submit(models=[model], params={"n": 2})
    for _ in range(3):
        worker.serve()
    assert final(job)["state"] == final(other)["state"] == "DONE"
    eventually(lambda: len(stranger.visits) == 3, 20, "it is told")
    assert all(verified(visit, secret) for visit in stranger.visits)
    assert {visit.headers["content-type"] for visit in stranger.visits} == {"application/json"}
    by_type: dict[str, list[dict[str, Any]]] = {}
    for each in told(stranger):
        assert each["data"]["jobId"] == job.id
        by_type.setdefault(each["type"], []).append(each["data"])
    assert {name: len(each) for name, each in by_type.items()} == {"generation.done": 2, "job.done": 1}
    now = job.now()
    assert by_type["job.done"] == [
        {"jobId": job.id, "kind": "IMAGE", "state": "DONE", "kudos": now["charged"]}
    ]
    shown = {each["id"]: each for each in now["generations"]}
    for data in by_type["generation.done"]:
        one = shown[data["generationId"]]
        assert (data["state"], data["model"], data["seed"]) == ("DONE", model, one["seed"])
        assert (data["workerName"], data["kind"]) == (worker.name, "IMAGE")
        assert transfer("GET", data["imageUrl"])[0] == 200
    listed = deliveries(alice, webhook["id"])
    assert [each["state"] for each in listed] == ["DELIVERED"] * 3
    assert {each["id"] for each in listed} == {visit.headers["webhook-id"] for visit in stranger.visits}
    assert [[try_["statusCode"] for try_ in each["attempts"]] for each in listed] == [[200]] * 3
    positions = [int(each["position"]) for each in listed]
    assert positions == sorted(positions, reverse=True)


def test_one_job_tells_its_own_webhook_with_a_secret_of_the_job_or_of_the_client(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: named at submission; its secret follows from the job, and a repeat shows it again."""
    key = f"webhook {model}"
    given = {
        "prompt": "a lighthouse",
        "models": [model],
        "idempotencyKey": key,
        "webhook": {"url": stranger.url("hook"), "events": ["GENERATION_DONE"]},
    }
    made = [alice.api.call("submitImageJob", SUBMITTED, given) for _ in range(2)]
    assert made[0] == made[1]
    with refused("IDEMPOTENCY_CONFLICT"):
        alice.api.call("submitImageJob", SUBMITTED, given | {"webhook": {"url": stranger.url("other")}})
    own = alice.api.call(
        "submitImageJob",
        SUBMITTED,
        {
            "prompt": "a lighthouse",
            "models": [model],
            "webhook": {"url": stranger.url("hook"), "events": ["JOB_DONE"], "secret": OWN_SECRET},
        },
    )
    assert own["webhookSecret"] is None
    plain = alice.api.call("submitImageJob", SUBMITTED, {"prompt": "a tree", "models": [model]})
    assert plain["webhookSecret"] is None
    worker = bob.worker(model)
    for _ in range(3):
        worker.serve()
    eventually(lambda: len(stranger.visits) == 2, 20, "both are told")
    secrets = {made[0]["job"]["id"]: made[0]["webhookSecret"], own["job"]["id"]: OWN_SECRET}
    for visit in stranger.visits:
        assert verified(visit, secrets[json.loads(visit.body)["data"]["jobId"]])
    shown = alice.api.ask(OF_JOB, job=own["job"]["id"])["jobWebhook"]
    assert (shown["jobId"], shown["events"]) == (own["job"]["id"], ["JOB_DONE"])
    assert [edge["node"]["state"] for edge in shown["deliveries"]["edges"]] == ["DELIVERED"]
    assert bob.api.ask(OF_JOB, job=own["job"]["id"])["jobWebhook"] is None
    assert alice.api.ask(OF_JOB, job=plain["job"]["id"])["jobWebhook"] is None
    assert alice.api.ask(MINE)["viewer"]["webhooks"] == []


def test_a_text_is_told_with_its_words(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: of text jobs, too; never the prompt."""
    hook = {"url": stranger.url("hook"), "secret": OWN_SECRET}
    given = {"prompt": "marker-of-a-prompt", "models": [model], "webhook": hook}
    made = alice.api.call("submitTextJob", "... on SubmitTextJobSuccess { job { id } webhookSecret }", given)
    assert made["webhookSecret"] is None
    able = {"models": [model]}
    taken = bob.api.call("popJob", TEXTS, {"workerName": unique("writer"), "text": able})
    result = {"generationId": taken["generations"][0]["id"], "state": "OK", "text": "Once upon a time"}
    bob.api.call("submitResult", RESULT, {"leaseId": taken["leaseId"], "results": [result]})
    eventually(lambda: len(stranger.visits) == 2, 20, "it is told")
    assert all(verified(visit, OWN_SECRET) for visit in stranger.visits)
    assert b"marker-of-a-prompt" not in b"".join(visit.body for visit in stranger.visits)
    by_type = {each["type"]: each["data"] for each in told(stranger)}
    done = by_type["generation.done"]
    assert (done["kind"], done["text"], done["model"]) == ("TEXT", "Once upon a time", model)
    assert (by_type["job.done"]["kind"], by_type["job.done"]["state"]) == ("TEXT", "DONE")


def test_each_form_of_an_interrogation_is_told(
    horde: Horde, alice: User, bob: User, stranger: Stranger
) -> None:
    """Feature 94: what was told of a picture, form by form, and what was made of it by link."""
    source = uploaded(alice.api, picture())
    hook = {"url": stranger.url("hook"), "secret": OWN_SECRET, "events": ["GENERATION_DONE", "JOB_DONE"]}
    forms = ("CAPTION", "INTERROGATION", "REALESRGAN_X2PLUS")
    job = interrogate(alice.api, source, *forms, webhook=hook)
    worker = teller(bob, *forms)
    worker.tell(worker.take())
    eventually(lambda: len(stranger.visits) == len(forms) + 1, 20, "all is told")
    assert all(verified(visit, OWN_SECRET) for visit in stranger.visits)
    said = [each["data"] for each in told(stranger)]
    assert {(each["jobId"], each["kind"]) for each in said} == {(job.id, "INTERROGATION")}
    by_form = {each["form"]: each for each in said if "form" in each}
    assert by_form["caption"]["result"] == TELLS["CAPTION"]
    assert {each["keyword"] for each in by_form["interrogation"]["result"]} == set(TELLS["INTERROGATION"])
    made = by_form["RealESRGAN_x2plus"]
    assert "result" not in made
    assert transfer("GET", made["imageUrl"])[0] == 200


def test_jobs_that_come_to_nothing_are_told_too(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: censored, cancelled; and only what somebody wants to hear."""
    create(alice, stranger.url("hook"), events=["JOB_CANCELLED", "GENERATION_CENSORED"])
    alice.submit(models=[model]).cancel()
    censored = alice.submit(models=[model])
    worker = bob.worker(model)
    worker.deliver(worker.take(), state="CENSORED")
    eventually(lambda: len(stranger.visits) == 2, 20, "both are told")
    types = {each["type"]: each["data"]["state"] for each in told(stranger)}
    assert types == {"job.cancelled": "CANCELLED", "generation.censored": "CENSORED"}
    assert final(censored)["state"] == "DONE"


def test_a_webhook_is_changed_rotated_tried_and_deleted(
    horde: Horde, alice: User, bob: User, stranger: Stranger
) -> None:
    """Feature 67: by its owner alone; a ping bears both signatures after a rotation."""
    made = create(alice, stranger.url("hook"), idempotencyKey="my webhook")
    again = create(alice, stranger.url("hook"), idempotencyKey="my webhook")
    assert (again["webhook"]["id"], again["secret"]) == (made["webhook"]["id"], None)
    key = made["webhook"]["id"]
    rotated = alice.api.call("rotateWebhookSecret", ROTATED, {"id": key})
    assert rotated["secret"] != made["secret"]
    pinged = alice.api.call("pingWebhook", PINGED, {"id": key})
    eventually(lambda: stranger.visits, 20, "it is pinged")
    (visit,) = stranger.visits
    assert json.loads(visit.body)["type"] == "webhook.ping"
    assert json.loads(visit.body)["data"] == {"webhookId": key}
    assert visit.headers["webhook-id"] == pinged["deliveryId"]
    assert verified(visit, rotated["secret"])
    assert verified(visit, made["secret"])
    changed = alice.api.call(
        "updateWebhook",
        UPDATED,
        {"id": key, "url": stranger.url("moved"), "events": ["JOB_DONE"], "active": False},
    )["webhook"]
    assert (changed["url"], changed["events"], changed["active"]) == (
        stranger.url("moved"),
        ["JOB_DONE"],
        False,
    )
    with refused("INVALID_INPUT", "input", "id"):
        alice.api.call("pingWebhook", PINGED, {"id": key})
    for name, chosen in (
        ("updateWebhook", UPDATED),
        ("deleteWebhook", DELETED),
        ("rotateWebhookSecret", ROTATED),
        ("pingWebhook", PINGED),
    ):
        more = {"active": True} if name == "updateWebhook" else {}
        with refused("NOT_FOUND", "input", "id"):
            bob.api.call(name, chosen, {"id": key, **more})
    assert bob.api.ask(DELIVERIES, id=key)["node"] is None
    assert alice.api.ask(MINE)["viewer"]["webhooks"] == [changed]
    alice.api.call("deleteWebhook", DELETED, {"id": key})
    assert alice.api.ask(MINE)["viewer"]["webhooks"] == []
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        for table in ("webhook", "webhook_delivery"):
            count = f"SELECT count(*) FROM vault.{table} WHERE webhook = %s"
            eventually(
                lambda c=count: connection.execute(c, (key,)).fetchone() == (0,), 20, "all is forgotten"
            )  # type: ignore[misc]


def test_what_failed_is_tried_again_and_told_again_when_asked(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: three refusals, then it is heard; later once more, with the same id."""
    answers = iter([answer(status=500), answer(status=302, location="/elsewhere"), b"no HTTP at all"])
    stranger.pages["/hook"] = lambda: (next(answers, answer(status=204)),)
    webhook = create(alice, stranger.url("hook"), events=["JOB_DONE"])["webhook"]["id"]
    alice.submit(models=[model])
    bob.worker(model).serve()
    for tries in range(1, 4):
        eventually(lambda n=tries: len(tried(alice, webhook)) == n, 20, "it is tried")  # type: ignore[misc]
        (waiting,) = deliveries(alice, webhook)
        assert waiting["state"] == "PENDING"
        hurry(horde, waiting["id"])
    eventually(lambda: deliveries(alice, webhook)[0]["state"] == "DELIVERED", 20, "it is heard")
    (heard,) = deliveries(alice, webhook)
    assert [(each["statusCode"], each["fault"]) for each in heard["attempts"]] == [
        (500, "REFUSED"),
        (302, "REFUSED"),
        (None, "UNREACHABLE"),
        (204, None),
    ]
    assert "/elsewhere" not in stranger.paths()
    assert alice.api.ask(MINE)["viewer"]["webhooks"][0]["failingSince"] is None
    assert alice.api.call("redeliverWebhook", AGAIN, {"deliveryId": heard["id"]})["deliveryId"] == heard["id"]
    eventually(lambda: len(stranger.visits) == 5, 20, "it is told again")
    assert {visit.headers["webhook-id"] for visit in stranger.visits} == {heard["id"]}
    with refused("NOT_FOUND", "input", "deliveryId"):
        bob.api.call("redeliverWebhook", AGAIN, {"deliveryId": heard["id"]})


def tried(user: User, webhook: str) -> list[dict[str, Any]]:
    """The attempts at the one delivery of a webhook."""
    found = deliveries(user, webhook)
    attempts: list[dict[str, Any]] = found[0]["attempts"] if found else []
    return attempts


def hurry(horde: Horde, delivery: str) -> None:
    """The next attempt is due now: tests do not wait for hours."""
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        connection.execute("UPDATE vault.webhook_delivery SET next_at = now() WHERE id = %s", (delivery,))


def test_who_is_gone_is_suspended_until_its_owner_says_otherwise(
    horde: Horde, alice: User, stranger: Stranger
) -> None:
    """Feature 67: 410 ends it at once."""
    stranger.pages["/hook"] = answer(status=410)
    key = create(alice, stranger.url("hook"))["webhook"]["id"]
    alice.api.call("pingWebhook", PINGED, {"id": key})
    eventually(lambda: alice.api.ask(MINE)["viewer"]["webhooks"][0]["suspended"] == "GONE", 20, "suspended")
    (shown,) = alice.api.ask(MINE)["viewer"]["webhooks"]
    assert (shown["active"], shown["failingSince"] is not None) == (False, True)
    assert [each["state"] for each in deliveries(alice, key)] == ["GIVEN_UP"]
    back = alice.api.call("updateWebhook", UPDATED, {"id": key, "active": True})["webhook"]
    assert (back["active"], back["suspended"]) == (True, None)


def test_an_actor_that_is_killed_in_the_midst_loses_no_delivery(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 67: kill -9 while it is told; another process tells it, with the same id."""
    asked = stranger.visits

    def silent() -> Says:
        stranger.over.wait(30)
        yield b""

    stranger.pages["/hook"] = silent
    webhook = create(alice, stranger.url("hook"), events=["JOB_DONE"])["webhook"]["id"]
    alice.submit(models=[model])
    bob.worker(model).serve()
    eventually(lambda: asked, 20, "it is being told")
    horde.processes["actors"].stop(signal.SIGKILL)
    stranger.pages["/hook"] = answer(status=204)
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        # as if half a minute had gone by
        connection.execute(
            "UPDATE vault.webhook_delivery SET claimed_until = now(), asked_at = NULL WHERE webhook = %s",
            (webhook,),
        )
    horde.restart("actors")
    eventually(lambda: deliveries(alice, webhook)[0]["state"] == "DELIVERED", 30, "another one tells it")
    assert len(asked) == 2
    assert len({visit.headers["webhook-id"] for visit in asked}) == 1


@contextmanager
def documented_receiver(folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """The receiver of docs/webhooks.md, running: its URL, and what it prints."""
    page = (CHECKOUT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program, output = folder / "receiver.py", folder / "received.txt"
    program.write_text(source)
    address = f"{OUTSIDE}:{free_port()}"
    with output.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, str(program), address, str(RECEIVER_PEM), secret],
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        yield f"https://{address}/", output
    finally:
        process.kill()
        process.wait()


def test_the_documented_receiver_believes_what_is_told_and_nothing_else(
    horde: Horde, alice: User, bob: User, model: str, tmp_path: Path
) -> None:
    """Feature 67: docs/webhooks.md runs as it stands."""
    with documented_receiver(tmp_path, OWN_SECRET) as (url, output):
        hooks = [
            {"url": url, "events": ["JOB_DONE"], "secret": OWN_SECRET},
            {"url": url, "events": ["JOB_DONE"]},
        ]
        jobs = [alice.submit(models=[model], webhook=each) for each in hooks]
        worker = bob.worker(model)
        for _ in jobs:
            worker.serve()

        def state(job: Submitted) -> Any:
            edges = alice.api.ask(OF_JOB, job=job.id)["jobWebhook"]["deliveries"]["edges"]
            return edges and edges[0]["node"]

        eventually(lambda: state(jobs[0]) and state(jobs[0])["state"] == "DELIVERED", 20, "it is believed")

        def answers() -> list[int | None]:
            return [each["statusCode"] for each in (state(jobs[1]) or {"attempts": []})["attempts"]]

        # a receiver that serves one at a time may be too busy for a first attempt
        eventually(lambda: 401 in answers(), 60, "it is not believed")
        printed = output.read_text()
    assert [json.loads(line.partition(" ")[2])["data"]["jobId"] for line in printed.splitlines()] == [
        jobs[0].id
    ]


BAD_URLS = (
    "http://example.com/",
    "https://10.0.0.1/",
    "https://localhost.localdomain:99999/",
    "https://[::1]/",
    "https://127.0.0.1/",
    "https://169.254.169.254/",
    "https://me:word@example.com/",
    "ftp://example.com/",
    "no url",
    "https://example.com/" + "x" * 2_000,
)


def test_what_is_no_webhook_is_refused_where_it_is_named(horde: Horde, alice: User, model: str) -> None:
    """Feature 67: addresses, secrets, events, anonymous users; and the log stays as it was."""
    good = "https://example.com/"
    key = create(alice, good)["webhook"]["id"]
    before = horde.quiet()
    for url in BAD_URLS:
        with refused("INVALID_INPUT", "input", "url"):
            create(alice, url)
        with refused("INVALID_INPUT", "input", "url"):
            alice.api.call("updateWebhook", UPDATED, {"id": key, "url": url})
        with refused("INVALID_INPUT", "input", "webhook", "url"):
            alice.submit(models=[model], webhook={"url": url})
    with refused("INVALID_INPUT", "input", "events"):
        create(alice, good, events=[])
    with refused("INVALID_INPUT", "input", "webhook", "events"):
        alice.submit(models=[model], webhook={"url": good, "events": []})
    for secret in (
        "",
        "whsec_",
        "whsec_AAAA",
        "secret",
        OWN_SECRET[6:],
        OWN_SECRET + "é",
        "whsec_" + "A" * 200,
    ):
        with refused("INVALID_INPUT", "input", "webhook", "secret"):
            alice.submit(models=[model], webhook={"url": good, "secret": secret})
    with refused("FORBIDDEN", "input"):
        horde.anonymous.call("createWebhook", CREATED, {"url": good})
    with refused("FORBIDDEN", "input", "webhook"):
        submit(horde.anonymous, models=[model], webhook={"url": good})
    with refused("INVALID_INPUT", "input"):
        alice.api.call("updateWebhook", UPDATED, {"id": key})
    assert horde.position() == before
    for _ in range(9):
        create(alice, good)
    with refused("INVALID_INPUT", "input"):
        create(alice, good)


def test_neither_log_nor_process_logs_know_where_webhooks_lead(
    horde: Horde, alice: User, stranger: Stranger
) -> None:
    marked = stranger.url("hook?marker-of-a-webhook")
    key = create(alice, marked)
    alice.api.call("pingWebhook", PINGED, {"id": key["webhook"]["id"]})
    eventually(lambda: stranger.visits, 20, "it is pinged")
    alice.api.call("deleteWebhook", DELETED, {"id": key["webhook"]["id"]})
    words = ("marker-of-a-webhook", key["secret"], key["secret"].removeprefix("whsec_"))
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        for table in ("log.event", "vault.webhook", "vault.webhook_delivery", "vault.command"):
            for word in words:
                found = connection.execute(
                    f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s", (f"%{word}%",)
                )
                assert found.fetchone() == (0,), table
    for path in (*horde.log_folder.glob("*.log"), *horde.folder.rglob("*.log")):
        text = path.read_text(errors="replace")
        assert not [word for word in words if word in text]
