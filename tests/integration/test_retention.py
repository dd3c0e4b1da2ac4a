"""Forgetting on a real log, vault and storage: what is deleted, what stays, what waits, and what breaks on the way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from app.accounts.authentication import Viewer
from app.accounts.decider import GrantRole
from app.jobs.decider import CancelJob
from app.main import make_services, run_services
from app.moderation.decider import DecideCase
from app.platform.graphql.context import RequestContext
from app.platform.objects import Missing, result_key
from app.platform.settings import Settings
from app.platform.storage_errors import StorageUnavailableError
from app.platform.writer import Writer
from app.relay.main import Relay
from app.relay.retention import Retention
from app.schema import schema
from app.workers.lease_decider import ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.moderation import Verdict
from tests.factories import (
    check_in,
    deliver,
    deliver_text,
    pop,
    register,
    run,
    submit,
    submit_text,
    text_capabilities,
)
from tests.gallery import ALL_RULES, Delivery, Gallery, eventually, picture

VIEW = """query($id: ID!) { job(id: $id) { id state charged shared quote { total } ... on ImageJob {
  generations { id state seed model imageUrl sha256 etag workerName } } } }"""


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES))


@contextmanager
def forgetting(gallery: Gallery, *, after: int = 0, **parts: Any) -> Iterator[Retention]:
    """The relay's part that forgets, so many seconds after the end of a job; `parts` replace its own."""
    settings = msgspec.structs.replace(gallery.settings, retention_seconds=after)
    objects = parts.get("objects", gallery.objects)
    made = Retention(settings, objects, leading=threading.Event(), stop=threading.Event())
    yield made
    made.close()


def forget(gallery: Gallery, **options: Any) -> None:
    with forgetting(gallery, **options) as retention:
        while retention.step():
            pass


def vault_of(gallery: Gallery, job: UUID) -> tuple[int, int, int]:
    """Rows of a job in the vault: words, seeds, results."""
    of_job = "SELECT id FROM projections.generations WHERE job = %(job)s"
    with psycopg.connect(gallery.settings.database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM vault.job WHERE job = %(job)s), "
            "(SELECT count(*) FROM vault.generation WHERE job = %(job)s), "
            f"(SELECT count(*) FROM vault.result WHERE generation IN ({of_job}))",
            {"job": job},
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def uploaded(gallery: Gallery, lease: UUID, generation: UUID) -> bool:
    found = gallery.objects.stat(gallery.settings.bucket_results, result_key(lease, generation))
    return not isinstance(found, Missing)


def stands(gallery: Gallery, delivery: Delivery) -> bool:
    """Whether all of a delivered job of one picture is there; nothing is ever half there."""
    words, there = vault_of(gallery, delivery.job), uploaded(gallery, delivery.lease, delivery.generation)
    assert (words, there) in [((1, 1, 1), True), ((0, 0, 0), False)]
    return there


def log_of(settings: Settings) -> list[Any]:
    with psycopg.connect(settings.database_url) as connection:
        return connection.execute("SELECT * FROM log.event ORDER BY position").fetchall()


@pytest.mark.anyio
async def test_words_and_picture_are_gone_and_the_job_can_still_be_read(gallery: Gallery):
    delivery = gallery.deliver(picture(), shared=False, prompt="a secret cat")
    before = log_of(gallery.settings)
    async with run_services(services := make_services(gallery.settings, print)):

        async def seen() -> Any:
            context = RequestContext(
                app=services, request_id="", api_key=None, address="", client_agent=None,
                viewer=Viewer(gallery.requester),
            )  # fmt: skip
            answer = await schema.execute(VIEW, {"id": str(delivery.job)}, context_value=context)
            assert answer.errors is None, answer.errors
            assert answer.data is not None
            return answer.data["job"]

        whole = await seen()
        assert whole["generations"][0]["imageUrl"].startswith(gallery.settings.s3_url)
        assert whole["generations"][0]["seed"] == "7"
        forget(gallery, after=7_200)
        assert stands(gallery, delivery)
        assert await seen() | {"generations": []} == whole | {"generations": []}
        forget(gallery)
        assert not stands(gallery, delivery)
        (left,) = (after := await seen())["generations"]
        assert (left["imageUrl"], left["seed"], left["etag"]) == (None, None, None)
        gone = {"imageUrl": None, "seed": None, "etag": None}
        assert after == whole | {"generations": [whole["generations"][0] | gone]}
    assert log_of(gallery.settings) == before


TEXT_VIEW = """query($id: ID!) { job(id: $id) { state charged ... on TextJob {
  generations { state seed model text textAbsence tokens } } } }"""


@pytest.mark.anyio
async def test_a_text_is_gone_and_its_job_can_still_be_read(gallery: Gallery):
    job, generation, worker, owner, lease = (uuid4() for _ in range(5))
    for command in (
        submit_text(gallery.requester, job=job, generations=(generation,), prompt="a secret"),
        register(owner),
        check_in(worker, owner, text_capabilities()),
        pop(worker, owner, text_capabilities(), lease=lease),
        deliver_text(lease, owner, generation, text="another secret"),
    ):
        run(gallery.writer, command)
    async with run_services(services := make_services(gallery.settings, print)):

        async def seen() -> Any:
            context = RequestContext(
                app=services, request_id="", api_key=None, address="", client_agent=None,
                viewer=Viewer(gallery.requester),
            )  # fmt: skip
            answer = await schema.execute(TEXT_VIEW, {"id": str(job)}, context_value=context)
            assert answer.data is not None, answer.errors
            return answer.data["job"]

        (whole,) = (before := await seen())["generations"]
        assert (whole["text"], whole["tokens"], whole["textAbsence"]) == ("another secret", 20, None)
        assert vault_of(gallery, job) == (1, 1, 1)
        forget(gallery)
        assert vault_of(gallery, job) == (0, 0, 0)
        gone = {"text": None, "tokens": None, "seed": None, "textAbsence": "EXPIRED"}
        assert await seen() == before | {"generations": [whole | gone]}


def test_messages_to_workers_are_forgotten_after_they_expired(gallery: Gallery):
    ages = {uuid4(): hours for hours in (-1, 1, 3)}
    count = "SELECT message FROM vault.worker_message"
    with psycopg.connect(gallery.settings.database_url, autocommit=True) as connection:
        for message, hours in ages.items():
            connection.execute(
                "INSERT INTO vault.worker_message (realm, message, worker, sender, words, origin, sent_at, expires_at) "
                "VALUES (%s, %s, NULL, %s, 'secret words', '', now(), now() - make_interval(hours => %s))",
                (gallery.settings.realm, message, uuid4(), hours),
            )
        forget(gallery, after=7_200)
        assert {row[0] for row in connection.execute(count)} == {m for m, hours in ages.items() if hours < 3}
        forget(gallery)
        assert {row[0] for row in connection.execute(count)} == {m for m, hours in ages.items() if hours < 0}


def test_networks_of_ratings_are_forgotten_after_ninety_days(gallery: Gallery):
    ages = {uuid4(): days for days in (0, 89, 91)}
    with psycopg.connect(gallery.settings.database_url, autocommit=True) as connection:
        for rating, days in ages.items():
            connection.execute(
                "INSERT INTO vault.rating_origin (realm, rating, rater, network, at) "
                "VALUES (%s, %s, %s, %s, now() - make_interval(days => %s))",
                (gallery.settings.realm, rating, uuid4(), uuid4(), days),
            )
        forget(gallery)
        kept = connection.execute("SELECT rating FROM vault.rating_origin").fetchall()
    assert {row[0] for row in kept} == {rating for rating, days in ages.items() if days < 90}


def test_what_was_told_of_pictures_is_forgotten_in_time_or_with_a_report(gallery: Gallery):
    """Feature 93: of a reported picture at once, whichever job it was told for; a dismissed report takes nothing."""
    realm, told = gallery.settings.realm, "SELECT form FROM vault.told ORDER BY form"
    reported, same, dismissed, other = (uuid4() for _ in range(4))
    digest, open_, closed = uuid4(), uuid4(), uuid4()
    rows = [
        ("expired", other, uuid4(), -1),
        ("other", other, uuid4(), 5),
        ("dismissed", dismissed, uuid4(), 5),
        ("reported", reported, uuid4(), 5),
        ("same picture", same, digest, 5),
    ]
    with psycopg.connect(gallery.settings.database_url, autocommit=True) as connection:
        for form, job, source, days in rows:
            connection.execute(
                "INSERT INTO vault.told (realm, generation, job, lease, source, form, nsfw, told, expires_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, false, '\"secret\"', now() + make_interval(days => %s))",
                (realm, uuid4(), job, uuid4(), source, form, days),
            )
        connection.execute(
            "INSERT INTO vault.source (realm, job, role, ordinal, strength, key, url, alpha, digest) "
            "VALUES (%s, %s, 'source', 0, 1, '', '', false, %s)",
            (realm, reported, digest),
        )
        forget(gallery)
        assert [row[0] for row in connection.execute(told)] == [
            "dismissed",
            "other",
            "reported",
            "same picture",
        ]
        for case, job, state in ((open_, reported, "OPEN"), (closed, dismissed, "DISMISSED")):
            connection.execute(
                "INSERT INTO projections.cases (realm, id, job, generation, requester, worker, cause, state, opened, "
                "opened_at) VALUES (%s, %s, %s, %s, %s, %s, 'CSAM', %s, 1, now())",
                (realm, case, job, uuid4(), uuid4(), uuid4(), state),
            )
        forget(gallery)
        assert [row[0] for row in connection.execute(told)] == ["dismissed", "other"]


def test_a_job_that_goes_on_is_not_touched(gallery: Gallery):
    job, lease, (first, second) = gallery.lease(n=2, shared=False)
    gallery.submit_result(job, lease, first, gallery.upload(lease, first, picture()))
    forget(gallery)
    assert vault_of(gallery, job) == (1, 2, 1)
    run(gallery.writer, deliver(lease, gallery.owner, second, state=ResultState.CENSORED))
    forget(gallery)
    assert vault_of(gallery, job) == (0, 0, 0)
    assert not uploaded(gallery, lease, first)


def test_uploads_that_were_never_delivered_are_deleted_too(gallery: Gallery):
    job, lease, (generation,) = gallery.lease(shared=False)
    gallery.upload(lease, generation, picture())
    run(gallery.writer, deliver(lease, gallery.owner, generation, state=ResultState.FAULTED))
    run(gallery.writer, CancelJob(job=job))
    forget(gallery)
    assert not uploaded(gallery, lease, generation)
    assert vault_of(gallery, job) == (0, 0, 0)


def test_a_shared_picture_waits_for_its_verdict_and_its_public_copy_stays(gallery: Gallery):
    delivery = gallery.deliver(picture())
    forget(gallery)
    assert stands(gallery, delivery)
    gallery.publish(delivery.position)
    forget(gallery)
    assert not stands(gallery, delivery)
    assert None not in gallery.shared(delivery.generation)
    gallery.publish(delivery.position)  # a message that comes again finds nothing to do


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_was_reported_waits_for_the_moderator(gallery: Gallery, verdict: Verdict):
    job, lease, (generation,) = gallery.lease(shared=False)
    gallery.upload(lease, generation, picture())
    run(gallery.writer, deliver(lease, gallery.owner, generation, state=ResultState.CSAM))
    forget(gallery)
    assert vault_of(gallery, job) == (1, 1, 1)
    assert uploaded(gallery, lease, generation)
    moderator = register()
    run(gallery.writer, moderator)
    run(gallery.writer, GrantRole(user=moderator.user, role=Role.MODERATOR))
    case = DecideCase(
        case=case_of(generation), job=job, generation=generation, verdict=verdict, by=moderator.user
    )
    run(gallery.writer, case)
    forget(gallery, after=7_200)
    assert vault_of(gallery, job) == (1, 1, 1)
    forget(gallery)
    assert vault_of(gallery, job) == (0, 0, 0)
    assert not uploaded(gallery, lease, generation)


class Fails:
    """A storage that deletes, or not, and then fails."""

    def __init__(self, gallery: Gallery, *, after: bool) -> None:
        self._gallery = gallery
        self._after = after

    def remove_many(self, bucket: str, keys: list[str]) -> None:
        if self._after:
            self._gallery.objects.remove_many(bucket, keys)
        raise StorageUnavailableError


@pytest.mark.parametrize("after", [False, True])
def test_a_step_that_dies_is_done_again(gallery: Gallery, after: bool):
    delivery = gallery.deliver(picture(), shared=False)
    with (
        forgetting(gallery, objects=Fails(gallery, after=after)) as retention,
        pytest.raises(StorageUnavailableError),
    ):
        retention.step()
    assert vault_of(gallery, delivery.job) == (1, 1, 1), "the words say that something is left to do"
    forget(gallery)
    assert not stands(gallery, delivery)
    with psycopg.connect(gallery.settings.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM relay.checkpoint WHERE follower = 'retention'")
    forget(gallery)  # from the first event on again: nothing is there, and nothing is missed


def test_a_step_is_bounded_and_the_next_goes_on(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.relay.retention.AT_ONCE", 2)
    jobs = [submit(gallery.requester, job=uuid4()) for _ in range(5)]
    for job in jobs:
        run(gallery.writer, job)
        run(gallery.writer, CancelJob(job=job.job))
    left = []
    with forgetting(gallery) as retention:
        for _ in range(3):
            retention.step()
            left.append(sum(vault_of(gallery, job.job)[0] for job in jobs))
        assert not retention.step()
    assert left == [3, 1, 0]


def test_the_relay_forgets_while_it_leads(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.relay.retention.LOOK_SECONDS", 0.1)
    settings = msgspec.structs.replace(gallery.settings, retention_seconds=0)
    delivery = gallery.deliver(picture(), shared=False)
    stop = threading.Event()
    relay = Relay(settings, stop)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        eventually(lambda: vault_of(gallery, delivery.job) == (0, 0, 0), 20, "the relay forgets")
    finally:
        stop.set()
        thread.join(15)
    assert not stands(gallery, delivery)
