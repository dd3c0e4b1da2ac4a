"""Which facts are told to whom, what is said of them, when, and how it is signed."""

import json
from datetime import timedelta

import pytest

from app.platform.keys import webhook_secret
from app.platform.vault import DeliveryState, JobWebhook
from app.platform.webhooks import secret_bytes, secret_text
from app.webhooks.payload import JobView, Words, payload_of
from app.webhooks.schedule import ATTEMPTS, LONGEST_PAUSE, pause_after
from app.webhooks.signature import signed_headers
from app.webhooks.told import PING, deliveries_of, delivery_id
from events.base import Event, Fact
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFaulted,
    HoldReleased,
    JobEnded,
    JobKind,
    JobState,
)
from events.webhooks import WebhookEvent, WebhookPinged
from projections.webhooks import Endpoint, Webhooks
from tests.factories import START, uid

ALICE, JOB, GENERATION, HOOK, OTHER, WORKER = uid(1), uid(2), uid(3), uid(4), uid(5), uid(6)
OF = {"job": JOB, "requester": ALICE}
ALL = tuple(WebhookEvent)
DELIVERED = GenerationDelivered(
    **OF, generation=GENERATION, lease=uid(7), worker=WORKER, owner=uid(8), model="m", etag="e", pixelsteps=1,
    waited=False, price=900, tax=100, charged=1005, covered=0, postings=(),
)  # fmt: skip
CENSORED = GenerationCensored(
    **OF, generation=GENERATION, lease=uid(7), worker=WORKER, owner=uid(8), model="m", cause="CSAM", price=900,
    tax=100, charged=100, covered=0, postings=(),
)  # fmt: skip
FAULTED = GenerationFaulted(**OF, generation=GENERATION, kind=JobKind.TEXT)
REUSED = FormReused(**OF, generation=GENERATION, reused=uid(9))


def endpoint(key=HOOK, events=ALL, since=10, *, active=True) -> Endpoint:
    return Endpoint(key, events, active, None, 0, since, START, START, None)


def ended(state: JobState) -> JobEnded:
    return JobEnded(**OF, state=state)


def told(event: Event, *endpoints: Endpoint, job: JobWebhook | None = None, position: int = 11):
    owned = Webhooks(ALICE, endpoints) if endpoints else None
    return list(deliveries_of(0, Fact(position, START, event), owned, job))


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (DELIVERED, "generation.done"),
        (REUSED, "generation.done"),
        (CENSORED, "generation.censored"),
        (FAULTED, "generation.faulted"),
        (ended(JobState.DONE), "job.done"),
        (ended(JobState.FAULTED), "job.faulted"),
        (ended(JobState.CANCELLED), "job.cancelled"),
        (ended(JobState.EXPIRED), "job.expired"),
    ],
)
def test_every_event_has_a_name_and_is_told_to_who_wants_it(event: Event, name: str):
    only = (WebhookEvent(name),)
    others = tuple(each for each in ALL if each not in only)
    found = told(event, endpoint(events=only), endpoint(OTHER, others))
    assert [(each.webhook, each.event, each.job) for each in found] == [(HOOK, name, JOB)]
    assert found[0].generation == getattr(event, "generation", None)
    assert (found[0].state, found[0].owner) == (DeliveryState.PENDING, ALICE)
    assert told(event, endpoint(OTHER, others)) == []


def test_nothing_else_is_told():
    assert told(HoldReleased(**OF, amount=1), endpoint()) == []


def test_what_was_before_it_or_while_it_was_not_active_is_not_told():
    assert told(DELIVERED, endpoint(since=11)) == []
    assert told(DELIVERED, endpoint(active=False)) == []
    assert len(told(DELIVERED, endpoint(since=10))) == 1


def test_a_job_s_webhook_is_told_beside_those_of_its_owner():
    of_job = JobWebhook(JOB, ALICE, "https://example.com/", (WebhookEvent.GENERATION_DONE,), "")
    assert [each.webhook for each in told(DELIVERED, endpoint(), job=of_job)] == [HOOK, JOB]
    assert [each.webhook for each in told(DELIVERED, job=of_job)] == [JOB]
    assert [each.webhook for each in told(ended(JobState.DONE), job=of_job)] == []


def test_a_ping_is_told_to_the_one_that_is_pinged():
    ping = WebhookPinged(webhook=HOOK, owner=ALICE)
    found = told(ping, endpoint(events=()), endpoint(OTHER))
    assert [(each.webhook, each.event, each.job) for each in found] == [(HOOK, PING, None)]
    assert told(ping, endpoint(OTHER)) == []


def test_one_id_for_each_fact_and_webhook():
    ids = {delivery_id(r, w, p) for r in (0, 1) for w in (HOOK, OTHER) for p in (1, 2)}
    assert len(ids) == 8
    assert told(DELIVERED, endpoint())[0].id == delivery_id(0, HOOK, 11)


def said(event: Event, words: Words | None = None, job: JobView | None = None):
    fact = Fact(11, START, event)
    return json.loads(payload_of(HOOK, fact, job or JobView(JobKind.IMAGE, 0), words or Words()))


def test_what_is_said_of_a_picture():
    words = Words(worker_name="owl", seed="12", image_url="https://storage/x")
    assert said(DELIVERED, words) == {
        "type": "generation.done",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "jobId": str(JOB), "kind": "IMAGE", "generationId": str(GENERATION), "state": "DONE", "kudos": "10.05",
            "model": "m", "workerId": str(WORKER), "workerName": "owl", "seed": "12", "imageUrl": "https://storage/x",
        },
    }  # fmt: skip


def test_what_is_said_of_words_and_of_nothing():
    text = GenerationDelivered(**{**_fields(DELIVERED), "kind": JobKind.TEXT, "tokens": 5})
    assert said(text, Words(text="once"))["data"]["text"] == "once"
    form = GenerationDelivered(**{**_fields(DELIVERED), "kind": JobKind.INTERROGATION, "form": "caption"})
    data = said(form, Words(form="caption", result='"a cat"'))["data"]
    assert (data["form"], data["result"], data["kind"]) == ("caption", "a cat", "INTERROGATION")
    listed = said(form, Words(form="palette", result='[["#00aaff",0.5]]'))["data"]
    assert listed["result"] == [{"hex": "#00aaff", "share": 0.5}]
    assert said(form, Words(form="nsfw", result="false"))["data"]["result"] is False
    assert "result" not in said(form, Words(form="vectorize", result=f'"{"x" * 70_000}"'))["data"]
    assert said(CENSORED)["data"]["state"] == "CENSORED"
    faulted = said(FAULTED)["data"]
    assert faulted == {
        "jobId": str(JOB), "kind": "TEXT", "generationId": str(GENERATION), "state": "FAULTED", "kudos": "0.00"
    }  # fmt: skip
    assert said(REUSED)["data"]["kudos"] == "0.00"


def _fields(event: Event):
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_what_is_said_of_a_job_and_a_ping():
    data = said(ended(JobState.EXPIRED), job=JobView(JobKind.TEXT, 12_345))["data"]
    assert data == {"jobId": str(JOB), "kind": "TEXT", "state": "EXPIRED", "kudos": "123.45"}
    ping = said(WebhookPinged(webhook=HOOK, owner=ALICE))
    assert (ping["type"], ping["data"]) == (PING, {"webhookId": str(HOOK)})


def test_pauses_grow_and_end_after_a_day():
    middle = [pause_after(tries, 0.5) for tries in range(1, ATTEMPTS)]
    pauses = [each for each in middle if each is not None]
    assert len(pauses) == ATTEMPTS - 1
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=5), LONGEST_PAUSE)
    assert timedelta(hours=24) < sum(pauses, timedelta()) < timedelta(hours=27)
    assert pause_after(ATTEMPTS, 0.5) is None
    assert pause_after(1, 0.0) == timedelta(seconds=4)
    assert pause_after(1, 1.0) == timedelta(seconds=6)


@pytest.mark.parametrize(
    ("secret", "key", "at", "body", "signature"),
    [
        # the example of the specification's libraries
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
            '{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        # made with standardwebhooks 1.1.0
        (
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "00000000-0000-4000-8000-000000000001", 1795406400,
            '{"type":"webhook.ping","data":{"name":"é"}}', "v1,h+kei3l8nr5K2OjEXlWgwMlWthGzIwj+ghcTVgaOQEw=",
        ),
    ],
)  # fmt: skip
def test_signatures_are_those_of_the_specification(secret: str, key: str, at: int, body: str, signature: str):
    given = secret_bytes(secret)
    assert given is not None
    assert secret_text(given) == secret
    headers = signed_headers(key, at, body.encode(), [given])
    assert headers == {"webhook-id": key, "webhook-timestamp": str(at), "webhook-signature": signature}
    both = signed_headers(key, at, body.encode(), [b"another", given])["webhook-signature"].split(" ")
    assert len(both) == 2
    assert both[1] == signature


def test_secrets_follow_from_webhook_rotations_and_pepper():
    made = {webhook_secret(p, w, n) for p in ("a" * 16, "b" * 16) for w in (HOOK, OTHER) for n in (0, 1)}
    assert len(made) == 8
    assert {len(each) for each in made} == {32}
