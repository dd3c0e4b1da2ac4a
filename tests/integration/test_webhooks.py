"""Webhooks on a real log and vault: one delivery for each fact and webhook, whatever is lost or comes twice.

"Outside" is 127.0.0.2, which the settings open. Look next: `tests/hostile/test_webhooks.py` for what servers may do.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
import redis

from app.actors_main import make_deliverer, make_pool
from app.jobs.decider import CancelJob
from app.platform.settings import Settings
from app.platform.vault import JobWebhook
from app.platform.writer import Writer
from app.relay.leader import Term, lead
from app.relay.webhooks import OF_ONE_WEBHOOK, Webhooks
from app.webhooks.actors import TELL_WEBHOOKS
from app.webhooks.decider import (
    CreateWebhook,
    DeleteWebhook,
    PingWebhook,
    Redeliver,
    RotateSecret,
    UpdateWebhook,
)
from app.webhooks.delivering import OF_ONE_OWNER, Deliverer
from app.webhooks.delivering import OF_ONE_WEBHOOK as AT_ONE_WEBHOOK
from app.webhooks.schedule import ATTEMPTS
from events.webhooks import WebhookEvent
from tests.factories import register, run, submit
from tests.gallery import ALL_RULES, Gallery, eventually, picture
from tests.stranger import OUTSIDE, RECEIVER_PEM, Says, Stranger, answer

BELIEVED = ssl.create_default_context(cafile=str(RECEIVER_PEM))
ALL = tuple(WebhookEvent)
CANCELLED = (WebhookEvent.JOB_CANCELLED,)


class Post:
    """Takes messages instead of the broker."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.away = False

    def __call__(self, actor: str, position: int) -> None:
        assert actor == TELL_WEBHOOKS
        if self.away:
            raise redis.ConnectionError
        self.sent.append(position)


class House(Gallery):
    """A realm with webhooks."""

    def hook(self, url: str = "https://example.com/", owner: UUID | None = None, events: Any = ALL) -> UUID:
        key = uuid4()
        command = CreateWebhook(webhook=key, owner=owner or self.requester, url=url, events=events)
        run(self.writer, command)
        return key

    def cancelled(self, requester: UUID | None = None, hook: str = "", events: Any = CANCELLED) -> UUID:
        """A job that was cancelled: one fact that webhooks may hear of."""
        job, who = uuid4(), requester or self.requester
        webhook = JobWebhook(job, who, hook, events, "") if hook else None
        run(self.writer, submit(who, job=job, wish={"webhook": webhook}))
        run(self.writer, CancelJob(job=job))
        return job

    def rows(self, columns: str = "webhook, event, state") -> list[tuple[Any, ...]]:
        return self.sql(f"SELECT {columns} FROM vault.webhook_delivery ORDER BY position, webhook")

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    @contextmanager
    def relay(self, post: Post, **options: Any) -> Iterator[Webhooks]:
        with self.term() as term:
            given = {"kept": timedelta(days=7), "words_kept": timedelta(hours=2)}
            yield Webhooks(term, post, **(given | options))

    @contextmanager
    def term(self) -> Iterator[Term]:
        with lead(self.settings.database_url, self.settings.realm, threading.Event()) as term:
            assert term is not None
            yield term

    def follow(self, **options: Any) -> list[int]:
        """What the relay asks for, once it has followed the log to its end."""
        post = Post()
        with self.relay(post, **options) as relay:
            exhaust(relay)
        return post.sent

    @contextmanager
    def deliverer(self) -> Iterator[Deliverer]:
        with make_pool(self.settings) as pool:
            made = make_deliverer(self.settings, pool, self.writer)
            made._tls = BELIEVED
            made.start()
            try:
                yield made
            finally:
                made.stop()

    def deliver_all(self) -> None:
        """Ask for what is due, and deliver it."""
        with self.deliverer() as deliverer:
            for position in self.follow():
                deliverer.begin(position)
            time.sleep(0.05)
            eventually(lambda: not deliverer._tasks, 20, "all is tried")

    def due(self) -> None:
        """What is pending is due now."""
        self.sql("UPDATE vault.webhook_delivery SET next_at = now(), asked_at = NULL WHERE state = 'PENDING'")


def exhaust(relay: Webhooks) -> None:
    while relay.advance():
        pass
    relay.advance()


@pytest.fixture
def house(settings: Settings, start_writer: Callable[..., Writer]) -> House:
    own = msgspec.structs.replace(settings, webhook_networks=f"{OUTSIDE}/32")
    return House(own, start_writer(rules=ALL_RULES))


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger(tls=True, pem=RECEIVER_PEM, hook=answer(status=204)) as made:
        yield made


# opening


def test_one_delivery_for_each_fact_and_webhook_however_often_the_relay_begins_anew(house: House):
    first, second = house.hook(), house.hook(events=CANCELLED)
    job = house.cancelled(hook="https://example.com/job")
    house.deliver(picture(64, 64))
    opened = house.follow()
    expected = {
        (first, "job.cancelled"), (second, "job.cancelled"), (job, "job.cancelled"),
        (first, "generation.done"), (first, "job.done"),
    }  # fmt: skip
    assert {(key, event) for key, event, _ in house.rows()} == expected
    assert len(house.rows()) == len(expected)
    assert len(opened) == 3
    ids = house.rows("id")
    house.sql("DELETE FROM relay.checkpoint WHERE follower = 'webhooks'")
    house.follow()
    assert house.rows("id") == ids


def test_a_page_that_fails_is_opened_again_whole(house: House, monkeypatch: pytest.MonkeyPatch):
    house.hook()
    house.cancelled()
    with house.relay(Post()) as relay:
        monkeypatch.setattr("app.relay.webhooks._ADVANCE", "SELECT 1/0")
        with pytest.raises(psycopg.Error):
            relay.advance()
    assert house.rows() == []
    monkeypatch.undo()
    house.follow()
    assert len(house.rows()) == 1


def test_nothing_is_told_of_what_was_before_or_of_others_or_is_long_past(house: House):
    house.cancelled()
    hook = house.hook()
    other = register()
    run(house.writer, other)
    house.cancelled(other.user)
    house.follow()
    assert house.rows() == []
    run(house.writer, UpdateWebhook(webhook=hook, owner=house.requester, active=False))
    house.cancelled()
    house.follow()
    assert house.rows() == []
    run(house.writer, UpdateWebhook(webhook=hook, owner=house.requester, active=True))
    house.follow()
    house.cancelled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.relay.webhooks.TOLD_WITHIN", timedelta(0))
        house.follow()
    assert house.rows() == []
    house.cancelled()
    house.follow()
    assert len(house.rows()) == 1


def test_deleting_a_webhook_forgets_what_it_was_told_and_what_it_would_be(house: House):
    hook, kept = house.hook(), house.hook()
    house.cancelled()
    house.follow()
    run(house.writer, DeleteWebhook(webhook=hook, owner=house.requester))
    house.cancelled()
    house.follow()
    assert {key for key, _, _ in house.rows()} == {kept}
    assert house.sql("SELECT webhook FROM vault.webhook") == [(kept,)]


# asking


def test_what_nobody_took_is_asked_for_again_and_an_empty_broker_loses_nothing(house: House):
    house.hook()
    house.cancelled()
    post = Post()
    post.away = True
    with house.relay(post, ask_again=timedelta(0)) as relay:
        exhaust(relay)
        assert post.sent == []
        post.away = False
        for times in (1, 2):
            relay._look_at = 0.0
            exhaust(relay)
            assert len(post.sent) == times
    # the messages were lost, and so is the relay: another one waits its time, then asks again
    assert house.follow() == []
    house.sql("UPDATE vault.webhook_delivery SET asked_at = now() - interval '31 seconds'")
    assert house.follow() == post.sent[:1]


def test_of_one_webhook_only_a_few_are_asked_for_so_that_others_have_their_turn(house: House):
    busy, quiet = house.hook(events=CANCELLED), register()
    run(house.writer, quiet)
    for _ in range(OF_ONE_WEBHOOK + 5):
        house.cancelled()
    house.hook(owner=quiet.user)
    house.cancelled(quiet.user)
    asked = house.follow()
    assert len(asked) == OF_ONE_WEBHOOK + 1
    assert house.follow() == []
    left = [
        position for key, position, at in house.rows("webhook, position, asked_at") if key == busy and not at
    ]
    assert len(left) == 5


# telling


def test_what_is_not_heard_is_tried_ever_more_rarely_and_then_given_up(house: House, stranger: Stranger):
    stranger.pages["/hook"] = answer(status=503)
    house.hook(stranger.url("hook"), events=CANCELLED)
    house.cancelled()
    before = 0.0
    for tries in range(1, ATTEMPTS):
        house.deliver_all()
        ((state, tried, attempts, waits),) = house.rows(
            "state, tries, jsonb_array_length(attempts), extract(epoch FROM next_at - now())"
        )
        assert (state, tried, attempts) == ("PENDING", tries, tries)
        assert waits > before
        before = min(float(waits), 3 * 3_600)
        assert house.follow() == []
        house.due()
    house.deliver_all()
    assert house.rows("state, tries, next_at") == [("GIVEN_UP", ATTEMPTS, None)]
    assert len({visit.headers["webhook-id"] for visit in stranger.visits}) == 1
    assert len(stranger.visits) == ATTEMPTS
    ((key, position),) = house.rows("webhook, position")
    run(house.writer, Redeliver(webhook=key, owner=house.requester, told=position))
    stranger.pages["/hook"] = answer()
    house.deliver_all()
    assert house.rows("state, jsonb_array_length(attempts)") == [("DELIVERED", ATTEMPTS + 1)]


def test_who_dies_in_the_midst_is_followed_by_another_after_its_time(house: House, stranger: Stranger):
    def silent() -> Says:
        stranger.over.wait(10)
        yield b""

    stranger.pages["/hook"] = silent
    house.hook(stranger.url("hook"), events=CANCELLED)
    house.cancelled()
    (position,) = house.follow()
    with house.deliverer() as deliverer:
        deliverer.begin(position)
        eventually(lambda: stranger.visits, 10, "it is being told")
        with house.deliverer() as other:
            other.begin(position)
            eventually(lambda: not other._tasks, 10, "it is somebody else's")
    assert len(stranger.visits) == 1
    stranger.pages["/hook"] = answer()
    house.due()
    house.deliver_all()
    assert house.rows("state") == [("PENDING",)]
    house.sql(
        "UPDATE vault.webhook_delivery SET claimed_until = now() - interval '1 second', asked_at = NULL"
    )
    house.deliver_all()
    assert house.rows("state") == [("DELIVERED",)]


def test_slow_servers_hold_up_neither_other_webhooks_nor_other_owners(house: House, stranger: Stranger):
    go = threading.Event()

    def slow() -> Says:
        go.wait(10)
        yield answer()

    stranger.pages["/slow"] = slow
    other = register()
    run(house.writer, other)
    for _ in range(3):
        house.hook(stranger.url("slow"), events=CANCELLED)
    for _ in range(6):
        house.cancelled()
    house.hook(stranger.url("hook"), owner=other.user)
    house.cancelled(other.user)
    with house.deliverer() as deliverer:
        for position in house.follow():
            deliverer.begin(position)
        eventually(lambda: "/hook" in stranger.paths(), 10, "the other owner is not held up")
        eventually(lambda: stranger.paths().count("/slow") == OF_ONE_OWNER, 10, "some are tried")
        time.sleep(0.3)
        assert stranger.paths().count("/slow") == OF_ONE_OWNER
        assert (
            len(house.sql("SELECT DISTINCT webhook FROM vault.webhook_delivery WHERE claimed_until > now()"))
            >= 2
        )
        taken = house.sql(
            "SELECT count(*) FROM vault.webhook_delivery WHERE claimed_until > now() GROUP BY webhook"
        )
        assert max(count for (count,) in taken) <= AT_ONE_WEBHOOK
        go.set()
        eventually(lambda: not deliverer._tasks, 20, "all is told")
    assert {state for (state,) in house.rows("state")} == {"DELIVERED"}
    assert len(stranger.visits) == 19


def test_who_hears_nothing_for_days_is_suspended_and_its_owner_can_see_why(house: House, stranger: Stranger):
    stranger.pages["/hook"] = answer(status=500)
    hook = house.hook(stranger.url("hook"), events=CANCELLED)
    house.cancelled()
    house.deliver_all()
    ((since,),) = house.sql("SELECT failing_since FROM vault.webhook WHERE webhook = %s", hook)
    assert since is not None
    house.sql("UPDATE vault.webhook SET failing_since = now() - interval '4 days'")
    house.due()
    house.deliver_all()
    # Its owner changed it less than three days ago: that is asked under the lock.
    assert endpoint(house)["active"] is True
    house.sql(
        "UPDATE projections.webhooks SET endpoints = jsonb_set(endpoints, '{0,begun_at}', '\"2020-01-01T00:00:00Z\"')"
    )
    with fresh_writer(house) as other:
        house.due()
        house.deliver_all()
        assert (endpoint(other)["active"], endpoint(other)["suspended"]) == (False, "FAILING")
        house.due()
        house.deliver_all()
        ((state, attempts),) = house.rows("state, attempts")
        assert (state, attempts[-1]["fault"]) == ("GIVEN_UP", "INACTIVE")
        assert len(stranger.visits) == 3
        run(other.writer, UpdateWebhook(webhook=hook, owner=house.requester, active=True))
        stranger.pages["/hook"] = answer()
        run(other.writer, PingWebhook(webhook=hook, owner=house.requester))
        house.deliver_all()
    assert house.sql("SELECT failing_since FROM vault.webhook") == [(None,)]


def endpoint(house: House) -> dict[str, Any]:
    ((endpoints,),) = house.sql("SELECT endpoints FROM projections.webhooks")
    found: dict[str, Any] = endpoints[0]
    return found


@contextmanager
def fresh_writer(house: House) -> Iterator[House]:
    """The house with a writer that has no rows at hand: what was changed behind its back is seen."""
    writer = Writer(house.settings.database_url, house.settings.realm, ALL_RULES, on_fatal=print)
    writer.start()
    before, house.writer = house.writer, writer
    try:
        yield house
    finally:
        house.writer = before
        writer.stop()


def test_after_a_rotation_both_secrets_are_good_for_a_day(house: House, stranger: Stranger):
    hook = house.hook(stranger.url("hook"))

    def signatures() -> int:
        run(house.writer, PingWebhook(webhook=hook, owner=house.requester))
        house.deliver_all()
        return len(stranger.visits[-1].headers["webhook-signature"].split(" "))

    assert signatures() == 1
    run(house.writer, RotateSecret(webhook=hook, owner=house.requester))
    assert signatures() == 2
    house.sql(
        "UPDATE projections.webhooks SET endpoints = jsonb_set(endpoints, '{0,rotated_at}', '\"2020-01-01T00:00:00Z\"')"
    )
    assert signatures() == 1


def test_what_was_erased_is_not_told(house: House, stranger: Stranger):
    house.hook(stranger.url("hook"), events=(WebhookEvent.GENERATION_DONE,))
    kept, erased = house.deliver(picture(64, 64)), house.deliver(picture(64, 64))
    house.sql("DELETE FROM vault.generation WHERE generation = %s", erased.generation)
    house.deliver_all()
    told = {each["data"]["generationId"]: each["data"] for each in map(msgspec.json.decode, bodies(stranger))}
    assert "imageUrl" in told[str(kept.generation)]
    assert "seed" in told[str(kept.generation)]
    assert not {"imageUrl", "seed", "workerName"} & told[str(erased.generation)].keys()


def bodies(stranger: Stranger) -> list[bytes]:
    return [visit.body for visit in stranger.visits]


# forgetting


def test_deliveries_and_places_are_forgotten_once_nothing_is_pending(house: House):
    hook = house.hook()
    job = house.cancelled(hook="https://example.com/job")
    house.follow()
    house.sql("UPDATE vault.webhook_delivery SET happened_at = now() - interval '8 days'")
    house.sql("UPDATE projections.jobs SET ended_at = now() - interval '3 hours'")
    house.follow()
    assert len(house.rows()) == 2, "what is pending is kept"
    assert house.sql("SELECT job FROM vault.job_webhook") == [(job,)]
    house.sql("UPDATE vault.webhook_delivery SET state = 'DELIVERED' WHERE webhook = %s", job)
    house.follow()
    assert house.rows("webhook") == [(hook,)]
    assert house.sql("SELECT job FROM vault.job_webhook") == []
    another = house.cancelled(hook="https://example.com/job", events=(WebhookEvent.JOB_DONE,))
    house.follow()
    assert house.sql("SELECT job FROM vault.job_webhook") == [(another,)], "its words are not due yet"
