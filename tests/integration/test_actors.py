"""Actors on a real broker: the whole way from a delivery to the shared bucket, retries, dead letters, stop and death."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result
from dramatiq.worker import Worker

from app.actors_commands import actors_group
from app.actors_main import run
from app.platform.broker import broker_url, make_broker, make_sender, send
from app.platform.dead_letters import dead_letters, requeue
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.main import Relay
from app.sharing.actors import PUBLISH_PICTURE, declare
from app.sharing.story import NotShareableError
from tests.gallery import ALL_RULES, Gallery, eventually, picture

CHECKOUT = Path(__file__).parents[2]
ACTORS = (
    "import os, sys; from app.platform.settings import Settings; from app.actors_main import run; "
    "sys.exit(run(Settings.from_env(os.environ)))"
)


@pytest.fixture
def clear(settings: Settings) -> Settings:
    """Settings with an empty broker."""
    make_broker(settings).client.flushdb()
    return settings


@pytest.fixture
def gallery(clear: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(clear, start_writer(rules=ALL_RULES))


@contextmanager
def threaded(work: Callable[[threading.Event], int]) -> Iterator[None]:
    stop = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(work(stop)))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert codes == [0]


@contextmanager
def working(settings: Settings, publish: Callable[[int], None], *, max_retries: int = 1) -> Iterator[None]:
    """A worker that does something else."""
    broker = make_broker(settings)
    declare(broker, publish, publish, max_retries=max_retries)
    worker = Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        yield
    finally:
        worker.stop()
        broker.client.close()


def test_from_delivery_to_the_shared_bucket(gallery: Gallery, application: psycopg.Connection[Any]):
    with (
        threaded(lambda stop: run(gallery.settings, stop)),
        threaded(lambda stop: Relay(gallery.settings, stop).run()),
    ):
        shared = [gallery.deliver(picture(seed=n)) for n in range(3)]
        bad = gallery.deliver(None)
        kept = gallery.deliver(picture(), shared=False)
        eventually(
            lambda: (
                application.execute(
                    "SELECT count(*) FROM relay.reaction WHERE completed_by IS NOT NULL"
                ).fetchone()
                == (4,)
            ),
            20,
            "all are settled",
        )
    for delivery in shared:
        assert None not in gallery.shared(delivery.generation)
    for delivery in (bad, kept):
        assert gallery.shared(delivery.generation) == (None, None)


def test_messages_hold_a_position_and_nothing_else(gallery: Gallery):
    delivery = gallery.deliver(picture(), prompt="a secret cat")
    sender = make_sender(gallery.settings)
    send(sender, 0, PUBLISH_PICTURE, delivery.position)
    client: Any = sender.client
    (raw,) = client.hvals(f"{sender.namespace}:default.msgs")
    message = json.loads(raw)
    assert message["args"] == [delivery.position]
    assert message["kwargs"] == {}
    assert set(message["options"]) == {"redis_message_id"}
    assert "cat" not in raw.decode()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("redis://:pw@127.0.0.1:1/0", "redis://:pw@127.0.0.1:1/1"),
        ("redis://127.0.0.1:1", "redis://127.0.0.1:1/1"),
        ("rediss://u:p@h/4?ssl_cert_reqs=none", "rediss://u:p@h/5?ssl_cert_reqs=none"),
    ],
)
def test_the_broker_has_a_database_of_its_own(given: str, made: str):
    assert broker_url(given) == made


def test_what_fails_for_a_time_is_tried_again(clear: Settings):
    calls: list[int] = []

    def publish(position: int) -> None:
        calls.append(position)
        if len(calls) < 3:
            raise OSError

    with working(clear, publish, max_retries=5):
        send(make_sender(clear), 0, PUBLISH_PICTURE, 7)
        eventually(lambda: len(calls) == 3, 15, "the third attempt")
    assert dead_letters(make_sender(clear)) == []


def test_what_never_succeeds_is_given_up_soon(clear: Settings):
    calls: list[int] = []

    def publish(position: int) -> None:
        calls.append(position)
        raise NotShareableError("nothing there")

    with working(clear, publish, max_retries=50):
        send(make_sender(clear), 0, PUBLISH_PICTURE, 7)
        eventually(lambda: dead_letters(make_sender(clear)), 15, "the dead letter")
    assert calls == [7, 7]


@pytest.fixture
def two_dead(clear: Settings) -> Settings:
    """Two dead letters, for positions 5 and 6."""

    def publish(position: int) -> None:
        raise ValueError(f"no luck with {position}")

    with working(clear, publish):
        for position in (5, 6):
            send(make_sender(clear), 0, PUBLISH_PICTURE, position)
            eventually(
                lambda p=position: p in [letter.position for letter in dead_letters(make_sender(clear))],
                15,
                "the dead letter",
            )
    return clear


def test_dead_letters_tell_what_when_and_why(two_dead: Settings):
    first, second = dead_letters(make_sender(two_dead))
    assert (first.actor, first.position, first.error) == (
        PUBLISH_PICTURE,
        5,
        "ValueError: no luck with 5",
    )
    assert first.at <= second.at
    assert first.id != second.id
    assert [letter.position for letter in dead_letters(make_sender(two_dead), 1)] == [5]


def test_a_dead_letter_that_is_sent_again_has_all_its_attempts(two_dead: Settings):
    sender = make_sender(two_dead)
    first, _ = dead_letters(sender)
    assert requeue(sender, first.id)
    assert not requeue(sender, first.id)
    assert [letter.position for letter in dead_letters(sender)] == [6]
    calls: list[int] = []

    def publish(position: int) -> None:
        calls.append(position)
        if len(calls) == 1:
            raise OSError

    with working(two_dead, publish):
        eventually(lambda: calls == [5, 5], 15, "the second attempt")
    assert [letter.position for letter in dead_letters(sender)] == [6]


def hoard(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(actors_group, arguments, env=settings.to_env())


def test_the_command_line_lists_and_sends_again(two_dead: Settings):
    listed = hoard(two_dead, "failed", "--json")
    letters = json.loads(listed.stdout)
    assert [(letter["position"], letter["error"]) for letter in letters] == [
        (5, "ValueError: no luck with 5"),
        (6, "ValueError: no luck with 6"),
    ]
    assert "publish_picture(5)  ValueError: no luck with 5" in hoard(two_dead, "failed").stdout
    one = hoard(two_dead, "retry", letters[0]["id"], "unknown", "--json")
    assert one.exit_code == 1
    assert json.loads(one.stdout) == {"sent": [letters[0]["id"]], "unknown": ["unknown"]}
    assert hoard(two_dead, "retry", "--all").exit_code == 0
    assert json.loads(hoard(two_dead, "failed", "--json").stdout) == []
    assert hoard(two_dead, "retry").exit_code == 2


def test_the_command_line_says_when_the_broker_is_away(settings: Settings):
    away = msgspec.structs.replace(settings, redis_url="redis://:secret@127.0.0.1:9/0")
    outcome = hoard(away, "failed")
    assert outcome.exit_code == 1
    assert "the broker does not answer" in outcome.output
    assert "secret" not in outcome.output


@contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **settings.to_env()}
    with subprocess.Popen([sys.executable, "-c", ACTORS], env=environment, cwd=CHECKOUT) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def test_actors_stop_by_signal_and_others_go_on(gallery: Gallery):
    first, second = gallery.deliver(picture()), gallery.deliver(picture(seed=1))
    sender = make_sender(gallery.settings)
    with process(gallery.settings) as actors:
        send(sender, 0, PUBLISH_PICTURE, first.position)
        eventually(lambda: gallery.verdicts(first.generation), 20, "the first is published")
        actors.send_signal(signal.SIGTERM)
        assert actors.wait(10) == 0
    send(sender, 0, PUBLISH_PICTURE, second.position)
    with process(gallery.settings) as actors:
        eventually(lambda: gallery.verdicts(second.generation), 20, "the second is published")
