"""The relay on real servers: one leads, calls survive crashes and a lost broker, tails are kept, time ends things."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from dramatiq import Message

from app.accounts.decider import GrantRole
from app.moderation.decider import DecideCase
from app.platform.broker import QUEUE, make_broker
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.leader import LeadershipLostError, Term, lead
from app.relay.main import REACTIONS, Relay
from app.relay.reactions import Reactions
from app.relay.sweeper import Sweeper
from app.relay.tailing import Tailing
from app.sharing.actors import PUBLISH_PICTURE
from app.sharing.decider import WithdrawPictures
from app.workers.lease_decider import ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.moderation import Verdict
from projections.registry import TAILING
from projections.store.audit import verify
from projections.store.build import rebuild
from tests.factories import deliver, run, submit
from tests.gallery import ALL_RULES, Gallery, eventually, picture

CHECKOUT = Path(__file__).parents[2]
RELAY = (
    "import os, sys; from app.platform.settings import Settings; from app.relay.main import run; "
    "sys.exit(run(Settings.from_env(os.environ)))"
)


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    make_broker(settings).client.flushdb()
    return Gallery(settings, start_writer(rules=ALL_RULES))


@contextmanager
def leading(settings: Settings) -> Iterator[Term]:
    with lead(settings.database_url, settings.realm, threading.Event()) as term:
        assert term is not None
        yield term


@contextmanager
def running(settings: Settings, **options: Any) -> Iterator[Relay]:
    """A relay on a thread of this process."""
    stop = threading.Event()
    relay = Relay(settings, stop, **options)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(relay.run()))
    thread.start()
    try:
        yield relay
    finally:
        stop.set()
        thread.join(15)
    assert codes == [0]


@contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A relay in a process of its own."""
    environment = {**os.environ, **settings.to_env()}
    with subprocess.Popen([sys.executable, "-c", RELAY], env=environment, cwd=CHECKOUT) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()


def messages(settings: Settings) -> list[int]:
    """Positions of the messages that wait in the broker."""
    broker = make_broker(settings)
    client: Any = broker.client
    raw = client.hgetall(f"{broker.namespace}:{QUEUE}.msgs").values()
    return sorted(Message.decode(data).args[0] for data in raw)


def reactions(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT position, actor, attempts, completed_by FROM relay.reaction ORDER BY position"
    ).fetchall()


def epoch(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT epoch FROM relay.leader WHERE realm = 0").fetchone()
    assert row is not None
    return int(row[0])


def exhaust(follower: Reactions | Tailing) -> None:
    while follower.advance():
        pass


class Post:
    """Takes messages instead of the broker."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.broken = False

    def __call__(self, actor: str, position: int) -> None:
        if self.broken:
            raise RuntimeError
        self.sent.append((actor, position))


# reactions


def test_a_shared_delivery_calls_its_actor_once(gallery: Gallery, application: psycopg.Connection[Any]):
    gallery.deliver(picture(), shared=False)
    shared = gallery.deliver(picture())
    post = Post()
    with leading(gallery.settings) as term:
        follower = Reactions(term, REACTIONS, post)
        exhaust(follower)
        exhaust(follower)
    assert post.sent == [(PUBLISH_PICTURE, shared.position)]
    assert reactions(application) == [(shared.position, PUBLISH_PICTURE, 1, None)]


def test_a_verdict_completes_the_reaction(gallery: Gallery, application: psycopg.Connection[Any]):
    good, bad, open_ = gallery.deliver(picture()), gallery.deliver(None), gallery.deliver(picture())
    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, Post()))
        gallery.publish(good.position)
        gallery.publish(bad.position)
        exhaust(Reactions(term, REACTIONS, Post()))
    completed = [(position, by is not None) for position, _, _, by in reactions(application)]
    assert completed == [(good.position, True), (bad.position, True), (open_.position, False)]


def test_a_dismissed_report_calls_nobody_whatever_else_is_in_its_page(
    gallery: Gallery, application: psycopg.Connection[Any]
):
    """No fact would ever complete its call: what was taken back stays so, and nothing else is."""
    job, lease, generations = gallery.lease(n=2)
    run(gallery.writer, deliver(lease, gallery.owner, *generations, state=ResultState.CSAM))
    run(gallery.writer, GrantRole(user=gallery.owner, role=Role.MODERATOR))
    for generation, verdict in zip(generations, Verdict, strict=True):
        case = case_of(generation)
        decided = DecideCase(case=case, job=job, generation=generation, verdict=verdict, by=gallery.owner)
        run(gallery.writer, decided)
        run(gallery.writer, WithdrawPictures(job=job))
    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, Post()))
    calls = reactions(application)
    assert len(calls) == 3, "two reports, one of them upheld"
    assert all(by is not None for *_, by in calls)


def test_a_new_relay_reads_the_past_without_calling_for_what_is_done(gallery: Gallery):
    done, open_ = gallery.deliver(picture()), gallery.deliver(picture())
    gallery.publish(done.position)
    post = Post()
    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, post))
    assert post.sent == [(PUBLISH_PICTURE, open_.position)]


def test_dying_between_commit_and_sending_loses_nothing(gallery: Gallery):
    delivery = gallery.deliver(picture())
    post = Post()
    post.broken = True
    with leading(gallery.settings) as term, pytest.raises(RuntimeError):
        exhaust(Reactions(term, REACTIONS, post))
    post.broken = False
    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, post))
    assert post.sent == [(PUBLISH_PICTURE, delivery.position)]


def test_open_calls_are_sent_again_at_growing_intervals(
    gallery: Gallery, application: psycopg.Connection[Any]
):
    delivery = gallery.deliver(picture())
    call = (PUBLISH_PICTURE, delivery.position)

    def look(seconds_ago: float) -> int:
        """How many messages a new relay sends if the last one left so long ago."""
        post = Post()
        application.execute(
            "UPDATE relay.reaction SET sent_at = now() - %s::interval", (timedelta(seconds=seconds_ago),)
        )
        exhaust(Reactions(term, REACTIONS, post))
        assert set(post.sent) <= {call}
        return len(post.sent)

    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, Post()))
        # after 30 s, then 60, then 120 …
        assert [look(29), look(31), look(31), look(59), look(61), look(61), look(121)] == [
            0,
            1,
            0,
            0,
            1,
            0,
            1,
        ]
        application.execute("UPDATE relay.reaction SET attempts = 500")
        # … but never less often than every ten minutes
        assert [look(599), look(601)] == [0, 1]
        gallery.publish(delivery.position)
        exhaust(Reactions(term, REACTIONS, Post()))
        assert look(100_000) == 0


def test_pages_and_rounds_have_ends_and_nothing_is_lost_at_them(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.relay.reactions.PAGE", 2)
    monkeypatch.setattr("app.relay.reactions.SENT_AT_ONCE", 2)
    positions = [gallery.deliver(None).position for _ in range(5)]
    post = Post()
    with leading(gallery.settings) as term:
        exhaust(Reactions(term, REACTIONS, post))
    assert [position for _, position in post.sent] == positions


def test_a_restarted_relay_loses_nothing(gallery: Gallery):
    positions = []
    for _ in range(2):
        positions.append(gallery.deliver(None).position)
        with running(gallery.settings):
            positions.append(gallery.deliver(None).position)
            eventually(lambda: messages(gallery.settings) == positions, 10, "all messages are there")


def test_a_flushed_broker_loses_nothing(gallery: Gallery):
    delivery = gallery.deliver(None)
    with running(gallery.settings, overdue=timedelta(seconds=0.5)):
        eventually(lambda: messages(gallery.settings), 10, "the message is there")
        make_broker(gallery.settings).client.flushdb()
        eventually(lambda: messages(gallery.settings) == [delivery.position], 10, "it is there again")


def test_a_broker_that_is_away_stops_neither_tails_nor_time(
    gallery: Gallery, application: psycopg.Connection[Any]
):
    away = msgspec.structs.replace(gallery.settings, redis_url="redis://127.0.0.1:9/0")
    gallery.deliver(None)
    with running(away):
        eventually(lambda: images(application) == 1, 10, "the delivery is counted")
        gallery.deliver(None)
        eventually(lambda: images(application) == 2, 10, "the next one too")
        eventually(lambda: len(reactions(application)) == 2, 10, "both calls are noted")
    assert [attempts for _, _, attempts, _ in reactions(application)] == [0, 0]
    with running(gallery.settings):
        eventually(lambda: len(messages(gallery.settings)) == 2, 10, "both are sent")


# leadership


def test_only_one_leads_and_the_next_has_another_epoch(
    settings: Settings, application: psycopg.Connection[Any]
):
    before = epoch(application)
    with running(settings) as first:
        eventually(first.leading.is_set, 5, "the first leads")
        with running(settings) as second:
            time.sleep(1.5)
            assert not second.leading.is_set()
            assert epoch(application) == before + 1
        assert first.leading.is_set()
    assert epoch(application) == before + 1
    with leading(settings) as term:
        assert term.epoch == before + 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_when_the_leader_dies_or_hangs_another_takes_over(
    settings: Settings, application: psycopg.Connection[Any], number: signal.Signals
):
    before = epoch(application)
    with process(settings) as leader:
        eventually(lambda: epoch(application) > before, 15, "the first leads")
        with running(settings) as second:
            time.sleep(1)  # until the first waits for something to do
            leader.send_signal(number)
            eventually(second.leading.is_set, 7, "the other one leads")
            assert epoch(application) == before + 2
            if number is signal.SIGSTOP:  # wakes up late, and stands by
                leader.send_signal(signal.SIGCONT)
                time.sleep(2)
                assert second.leading.is_set()
                assert leader.poll() is None
            assert epoch(application) == before + 2


def test_a_late_leader_changes_nothing(gallery: Gallery, application: psycopg.Connection[Any]):
    gallery.deliver(None)
    with leading(gallery.settings) as old:
        application.execute("UPDATE relay.leader SET epoch = epoch + 1")
        with pytest.raises(LeadershipLostError):
            Reactions(old, REACTIONS, Post()).advance()
        with pytest.raises(LeadershipLostError):
            Tailing(old, TAILING[0]).advance()
    assert reactions(application) == []
    assert images(application) == 0


def test_a_lost_session_is_followed_by_a_new_term(gallery: Gallery, owner: psycopg.Connection[Any]):
    with running(gallery.settings) as relay:
        for _ in range(2):
            eventually(relay.leading.is_set, 5, "it leads")
            delivery = gallery.deliver(None)
            eventually(lambda d=delivery: d.position in messages(gallery.settings), 5, "it works")
            term = epoch(owner)
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'hoard-relay' AND datname = current_database()"
            )
            eventually(lambda t=term: epoch(owner) > t, 5, "a new term begins")


def test_a_relay_stops_by_signal(settings: Settings, application: psycopg.Connection[Any]):
    before = epoch(application)
    with process(settings) as relay:
        eventually(lambda: epoch(application) > before, 15, "it leads")
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(8) == 0


# tails


def images(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(count), 0)::bigint FROM projections.throughput WHERE name = '' AND span = 'EVER'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_tails_are_kept_and_survive_rebuilds(gallery: Gallery, owner: psycopg.Connection[Any]):
    with running(gallery.settings):
        for count in range(1, 7):
            gallery.deliver(None)
            if count % 2 == 0:
                rebuild(owner, 0)
        eventually(lambda: images(owner) == 6, 10, "each is counted once")
        report = verify(owner, 0)
        assert report.clean, report


def test_a_tail_waits_for_a_swap_and_goes_on_from_it(gallery: Gallery, owner: psycopg.Connection[Any]):
    gallery.deliver(None)
    with leading(gallery.settings) as term:
        exhaust(Tailing(term, TAILING[0]))
        gallery.deliver(None)
        rebuild(owner, 0)
        gallery.deliver(None)
        exhaust(Tailing(term, TAILING[0]))
    assert images(owner) == 3


def test_a_tail_and_a_swap_take_their_locks_in_the_same_order(
    gallery: Gallery, owner: psycopg.Connection[Any]
):
    gallery.deliver(None)
    with leading(gallery.settings) as term:
        tail = threading.Thread(target=Tailing(term, TAILING[0]).advance)
        with owner.transaction():
            owner.execute(
                "LOCK TABLE projections.throughput IN ACCESS EXCLUSIVE MODE"
            )  # as the swap's DROP does
            tail.start()
            eventually(
                lambda: owner.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (1,),
                5,
                "the tail waits",
            )
            owner.execute("UPDATE relay.checkpoint SET position = position")
        tail.join(10)
    assert images(owner) == 1


def test_a_program_of_another_version_stops(gallery: Gallery, owner: psycopg.Connection[Any]):
    owner.execute("UPDATE relay.projection SET version = 99 WHERE name = 'throughput'")
    assert Relay(gallery.settings, threading.Event()).run() == 1


def test_a_program_whose_projection_is_gone_stops(gallery: Gallery, owner: psycopg.Connection[Any]):
    owner.execute("DROP TABLE projections.throughput")
    owner.execute("DELETE FROM relay.projection WHERE name = 'throughput'")
    assert Relay(gallery.settings, threading.Event()).run() == 1


def test_a_relay_that_has_nothing_to_do_notices_another_version(
    gallery: Gallery, owner: psycopg.Connection[Any]
):
    relay = Relay(gallery.settings, threading.Event())
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(relay.run()))
    thread.start()
    assert relay.leading.wait(10)
    time.sleep(0.5)  # it has read all there is
    owner.execute("UPDATE relay.projection SET version = 99 WHERE name = 'jobs'")
    thread.join(5)
    assert ended == [1]


def test_a_realm_that_is_not_there_stops_it(settings: Settings):
    nowhere = msgspec.structs.replace(settings, realm=7)
    assert Relay(nowhere, threading.Event()).run() == 1
    assert settings.migrate_url is not None
    empty = msgspec.structs.replace(
        settings, database_url=settings.migrate_url.rpartition("/")[0] + "/postgres"
    )
    assert Relay(empty, threading.Event()).run() == 1


# time


@pytest.fixture
def sweeper(gallery: Gallery, start_writer: Callable[..., Writer]) -> Iterator[Sweeper]:
    """With a writer of its own, as the relay's: it has no rows at hand when a test moves their instants."""
    made = Sweeper(
        gallery.settings.database_url, 0, start_writer(), leading=threading.Event(), stop=threading.Event()
    )
    yield made
    made.close()


def state(connection: psycopg.Connection[Any], table: str, key: Any) -> str:
    row = connection.execute(f"SELECT state FROM projections.{table} WHERE id = %s", (key,)).fetchone()
    assert row is not None
    return str(row[0])


def test_leases_end_when_their_time_is_over(
    gallery: Gallery, sweeper: Sweeper, application: psycopg.Connection[Any]
):
    job, lease, _ = gallery.lease()
    _, other, _ = gallery.lease()
    assert sweeper.sweep() == 0
    application.execute(
        "UPDATE projections.leases SET expires_at = now() - interval '1 s' WHERE id = %s", (lease,)
    )
    assert sweeper.sweep() == 1
    assert state(application, "leases", lease) == "EXPIRED"
    assert state(application, "leases", other) == "LIVE"
    assert state(application, "jobs", job) == "WAITING"
    assert sweeper.sweep() == 0


def test_jobs_that_nobody_serves_expire(
    gallery: Gallery, sweeper: Sweeper, application: psycopg.Connection[Any]
):
    """Feature 164."""
    old, young = (submit(gallery.requester, models=("nobody has it",)) for _ in range(2))
    run(gallery.writer, old)
    run(gallery.writer, young)
    busy, _, _ = gallery.lease()
    shift = "UPDATE projections.jobs SET active_at = active_at - interval '20 min' WHERE id = ANY(%s)"
    application.execute(shift, ([old.job, busy],))
    assert sweeper.sweep() == 1
    assert [state(application, "jobs", key) for key in (old.job, young.job, busy)] == [
        "EXPIRED",
        "WAITING",
        "PROCESSING",
    ]
    assert sweeper.sweep() == 0


def test_a_wrong_cut_off_expires_nothing_before_its_time(
    gallery: Gallery, application: psycopg.Connection[Any]
):
    job, _, _ = gallery.lease(shared=False)
    waiting = submit(gallery.requester)
    run(gallery.writer, waiting)
    hasty = Sweeper(
        gallery.settings.database_url,
        0,
        gallery.writer,
        leading=threading.Event(),
        stop=threading.Event(),
        expiry=timedelta(0),
    )
    try:
        assert hasty.sweep() == 1  # it asks, and the decider declines
    finally:
        hasty.close()
    assert state(application, "jobs", waiting.job) == "WAITING"
    assert state(application, "jobs", job) == "PROCESSING"


def test_the_relay_sweeps_only_while_it_leads(gallery: Gallery, application: psycopg.Connection[Any]):
    _, lease, _ = gallery.lease()
    application.execute("UPDATE projections.leases SET expires_at = now() - interval '1 s'")
    with leading(gallery.settings), running(gallery.settings):
        time.sleep(2)
        assert state(application, "leases", lease) == "LIVE"
    with running(gallery.settings):
        eventually(lambda: state(application, "leases", lease) == "EXPIRED", 10, "the lease ends")


def test_partitions_are_made_ahead_and_old_reactions_forgotten(
    gallery: Gallery, sweeper: Sweeper, owner: psycopg.Connection[Any]
):
    owner.execute("DROP TABLE log.event_00002, log.posting_00002")
    owner.execute("INSERT INTO relay.checkpoint VALUES (0, 'reactions', 3000000)")
    owner.execute(
        "INSERT INTO relay.reaction SELECT 0, p, 'a', gen_random_uuid(), now(), 1, done FROM "
        "(VALUES (1, 2), (3, NULL), (2500000, 2500001)) AS t(p, done)"
    )
    sweeper.sweep()
    assert owner.execute("SELECT to_regclass('log.event_00002') IS NOT NULL").fetchone() == (True,)
    assert [position for position, *_ in reactions(owner)] == [3, 2_500_000]
