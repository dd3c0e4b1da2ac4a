"""Publishing on real storage and a real log: what ends in the shared bucket, however often and wherever it breaks."""

import json
import threading
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from app.accounts.decider import GrantRole
from app.jobs.decider import WithdrawConsent
from app.jobs.image_params import PostProcessor
from app.moderation.decider import DecideCase
from app.platform.objects import ObjectStore, result_key
from app.platform.pictures.clean import CleanPicture, inspect
from app.platform.settings import Settings
from app.platform.storage_errors import StorageUnavailableError
from app.platform.writer import Writer
from app.sharing.decider import PublishPicture
from app.sharing.publish import UnrepairableError, UnsettledError
from app.sharing.story import NotShareableError
from app.workers.lease_decider import ResultState
from app.workers.reports import case_of
from events.accounts import Role
from events.base import ANONYMOUS
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import PicturesWithdrawn, ShareConsentWithdrawn
from tests.factories import deliver, run
from tests.gallery import ALL_RULES, Gallery, picture


class Broken(Exception):
    """The process dies here."""


@pytest.fixture
def gallery(settings: Settings, start_writer: Callable[..., Writer]) -> Gallery:
    return Gallery(settings, start_writer(rules=ALL_RULES))


def clean(data: bytes, width: int = 512, height: int = 512) -> CleanPicture:
    judged = inspect(data, (width, height))
    assert isinstance(judged, CleanPicture)
    return judged


def breaking(objects: ObjectStore, method: str, at_call: int) -> Any:
    """The same storage, but the process dies before the n-th call of a method."""

    class Breaks:
        calls = 0

        def __getattr__(self, name: str) -> Any:
            if name == method:
                self.calls += 1
                if self.calls == at_call:
                    raise Broken
            return getattr(objects, name)

    return Breaks()


class DeadWriter:
    """A writer that does the work, or not, and then its caller dies."""

    def __init__(self, writer: Writer, *, after: bool) -> None:
        self._writer = writer
        self._after = after

    def execute_sync(self, request: Any) -> Any:
        if self._after:
            self._writer.execute_sync(request)
        raise Broken


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG"])
def test_a_delivered_shared_picture_is_published(gallery: Gallery, kind: str):
    data = picture(kind=kind)
    delivery = gallery.deliver(data, prompt="a cat on the moon", seed="4242")
    gallery.publish(delivery.position)
    webp, metadata = gallery.shared(delivery.generation)
    assert webp is not None
    assert metadata is not None
    assert webp == clean(data).webp
    told = json.loads(metadata)
    assert told["prompt"] == "a cat on the moon"
    assert told["negative_prompt"] is None
    assert told["id"] == str(delivery.generation)
    assert told["set"] == str(delivery.job)
    assert told["seed"] == "4242"
    assert told["user_type"] == "registered"
    assert told["position"] == delivery.position
    assert told["sha256"] == clean(data).sha256
    assert abs((datetime.fromisoformat(told["delivered_at"]) - datetime.now(UTC)).total_seconds()) < 60
    (event,) = gallery.verdicts(delivery.generation)
    assert event["type"] == "sharing.PicturePublished"
    assert event["sha256"] == told["sha256"]
    assert (event["width"], event["height"], event["size"]) == (512, 512, len(webp))
    assert event["metadata"]["causation"] == delivery.position
    assert "cat" not in json.dumps(event)


def test_files_are_served_as_what_they_are(gallery: Gallery):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    kinds = [
        gallery.minio().stat_object("shared", f"{delivery.generation}.{end}").content_type
        for end in ("webp", "json")
    ]
    assert kinds == ["image/webp", "application/json"]


def test_an_anonymous_picture_says_so(gallery: Gallery):
    delivery = gallery.deliver(picture(), requester=ANONYMOUS)
    gallery.publish(delivery.position)
    _, metadata = gallery.shared(delivery.generation)
    assert metadata is not None
    assert json.loads(metadata)["user_type"] == "anon"


def test_a_seed_that_is_no_number_is_not_published(gallery: Gallery):
    delivery = gallery.deliver(picture(), seed="call me at 555")
    gallery.publish(delivery.position)
    _, metadata = gallery.shared(delivery.generation)
    assert metadata is not None
    assert json.loads(metadata)["seed"] == "0"


def test_an_upscaled_picture_has_the_size_it_must_have(gallery: Gallery):
    wishes: dict[str, Any] = {"width": 64, "height": 128}
    wishes["post_processing"] = (PostProcessor.REALESRGAN_X2PLUS,)
    good = gallery.deliver(picture(128, 256), **wishes)
    small = gallery.deliver(picture(64, 128), **wishes)
    gallery.publish(good.position)
    gallery.publish(small.position)
    (published,) = gallery.verdicts(good.generation)
    assert (published["width"], published["height"]) == (128, 256)
    (withheld,) = gallery.verdicts(small.generation)
    assert withheld["reason"] == "WRONG_SIZE"


def test_publishing_twice_is_publishing_once(gallery: Gallery):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    before = gallery.shared(delivery.generation)
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == before
    assert len(gallery.verdicts(delivery.generation)) == 1


@pytest.mark.parametrize("call", [1, 2])
def test_dying_between_the_files_leaves_nothing_half_done(gallery: Gallery, call: int):
    delivery = gallery.deliver(picture())
    with (
        gallery.publisher(objects=breaking(gallery.objects, "put", call)) as publisher,
        pytest.raises(Broken),
    ):
        publisher.publish(delivery.position)
    webp, metadata = gallery.shared(delivery.generation)
    assert metadata is None
    assert (webp is None) is (call == 1)
    assert gallery.verdicts(delivery.generation) == []
    gallery.publish(delivery.position)
    assert None not in gallery.shared(delivery.generation)
    assert len(gallery.verdicts(delivery.generation)) == 1


@pytest.mark.parametrize("after", [False, True])
def test_dying_around_the_event_gives_the_same_bytes_once(gallery: Gallery, after: bool):
    delivery = gallery.deliver(picture(kind="PNG"))
    with (
        gallery.publisher(writer=DeadWriter(gallery.writer, after=after)) as publisher,
        pytest.raises(Broken),
    ):
        publisher.publish(delivery.position)
    left = gallery.shared(delivery.generation)
    assert len(gallery.verdicts(delivery.generation)) == after
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == left
    assert len(gallery.verdicts(delivery.generation)) == 1


@pytest.mark.parametrize("lost", ["webp", "json"])
def test_what_is_missing_of_a_published_picture_is_put_back(gallery: Gallery, lost: str):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    before = gallery.shared(delivery.generation)
    gallery.objects.remove("shared", f"{delivery.generation}.{lost}")
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == before


def test_only_the_very_file_is_put_back(gallery: Gallery):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    gallery.objects.remove("shared", f"{delivery.generation}.webp")
    gallery.objects.remove("results", result_key(delivery.lease, delivery.generation))
    with pytest.raises(UnrepairableError):
        gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation)[0] is None


def test_another_file_than_the_published_one_is_not_put_in_its_place(gallery: Gallery):
    delivery = gallery.deliver(picture())
    published = PublishPicture(
        job=delivery.job,
        generation=delivery.generation,
        sha256="0" * 64,
        perceptual_hash="0" * 16,
        width=512,
        height=512,
        size=1,
    )
    run(gallery.writer, published)
    with pytest.raises(UnrepairableError):
        gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == (None, None)


def not_an_image() -> bytes:
    return b"RIFF....WEBPthis is no picture"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "MISSING"),
        (picture(512, 576), "WRONG_SIZE"),
        (not_an_image(), "DECODE_FAILED"),
        (picture()[:-200], "DECODE_FAILED"),
        (b"\x89PNG\r\n\x1a\n" + bytes(21 * 1024 * 1024), "TOO_LARGE"),
    ],
)
def test_what_is_no_good_picture_is_withheld(gallery: Gallery, data: bytes | None, reason: str):
    delivery = gallery.deliver(data)
    gallery.publish(delivery.position)
    gallery.publish(delivery.position)
    (event,) = gallery.verdicts(delivery.generation)
    assert (event["type"], event["reason"]) == ("sharing.PictureWithheld", reason)
    assert gallery.shared(delivery.generation) == (None, None)


def test_where_versions_are_kept_the_accepted_picture_is_published_whatever_came_after(gallery: Gallery):
    results = f"kept-{uuid4()}"
    gallery.objects.ensure_buckets({results: None})
    gallery.objects.keep_versions(results)
    kept = copy(gallery)
    kept.settings = msgspec.structs.replace(gallery.settings, bucket_results=results)
    deliveries = []
    for _ in range(2):
        job, lease, (generation,) = kept.lease()
        etag = kept.upload(lease, generation, picture())
        version = kept.minio().stat_object(results, result_key(lease, generation)).version_id
        assert version
        kept.upload(lease, generation, picture(seed=1))
        deliveries.append(kept.submit_result(job, lease, generation, etag, version=version))
    kept.publish(deliveries[0].position)
    webp, _ = kept.shared(deliveries[0].generation)
    assert webp == clean(picture()).webp

    # Deleted with all of its versions before it was published: gone, not "try again".
    kept.objects.remove(results, result_key(deliveries[1].lease, deliveries[1].generation))
    kept.publish(deliveries[1].position)
    assert [event["reason"] for event in kept.verdicts(deliveries[1].generation)] == ["MISSING"]


def test_an_object_that_was_replaced_after_its_delivery_is_withheld(gallery: Gallery):
    delivery = gallery.deliver(picture())
    gallery.upload(delivery.lease, delivery.generation, picture(seed=1))
    gallery.publish(delivery.position)
    assert [event["reason"] for event in gallery.verdicts(delivery.generation)] == ["MISSING"]


def test_a_picture_that_was_taken_down_is_withheld_also_when_it_only_looks_like_one(gallery: Gallery):
    known = clean(picture())
    gallery.take_down(sha256=known.sha256)
    assert gallery.verdict_on(picture()) == "BLOCKLISTED"
    assert gallery.verdict_on(picture(kind="JPEG")) is None, "another file"
    gallery.take_down(perceptual_hash=known.perceptual_hash, distance=6)
    assert gallery.verdict_on(picture(kind="JPEG")) == "BLOCKLISTED"
    assert gallery.verdict_on(picture(seed=1)) is None


def test_a_takedown_that_is_ordered_while_a_picture_is_judged_is_not_missed(gallery: Gallery):
    delivery = gallery.deliver(picture())

    class Slow:
        """Storage during whose work a moderator decides."""

        def __getattr__(self, name: str) -> Any:
            return getattr(objects, name)

        def put(self, *arguments: Any) -> str:
            gallery.take_down(sha256=clean(picture()).sha256)
            return objects.put(*arguments)

    with gallery.publisher() as publisher:
        objects = publisher._objects
    with gallery.publisher(objects=Slow()) as publisher, pytest.raises(UnsettledError):
        publisher.publish(delivery.position)
    gallery.publish(delivery.position)
    assert [event["reason"] for event in gallery.verdicts(delivery.generation)] == ["BLOCKLISTED"]
    assert gallery.shared(delivery.generation) == (None, None)


def test_erased_words_are_not_published(gallery: Gallery, application: psycopg.Connection[Any]):
    delivery = gallery.deliver(picture())
    application.execute("DELETE FROM vault.job WHERE job = %s", (delivery.job,))
    gallery.publish(delivery.position)
    assert [event["reason"] for event in gallery.verdicts(delivery.generation)] == ["PROMPT_ERASED"]


def test_files_of_an_attempt_that_died_go_when_the_picture_is_withheld(gallery: Gallery):
    delivery = gallery.deliver(picture())
    with (
        gallery.publisher(writer=DeadWriter(gallery.writer, after=False)) as publisher,
        pytest.raises(Broken),
    ):
        publisher.publish(delivery.position)
    assert None not in gallery.shared(delivery.generation)
    gallery.objects.remove("results", result_key(delivery.lease, delivery.generation))
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == (None, None)
    assert [event["reason"] for event in gallery.verdicts(delivery.generation)] == ["MISSING"]


def test_storage_that_is_away_withholds_nothing(gallery: Gallery):
    delivery = gallery.deliver(picture())
    away = ObjectStore("http://127.0.0.1:9", "key", "secret", "us-east-1")
    with gallery.publisher(objects=away) as publisher, pytest.raises(StorageUnavailableError):
        publisher.publish(delivery.position)
    assert gallery.verdicts(delivery.generation) == []
    gallery.publish(delivery.position)
    assert len(gallery.verdicts(delivery.generation)) == 1


def test_what_is_not_shared_is_never_published(gallery: Gallery):
    delivery = gallery.deliver(picture(), shared=False)
    for position in (delivery.position, 1, delivery.position + 1_000):
        with pytest.raises(NotShareableError):
            gallery.publish(position)
    assert gallery.shared(delivery.generation) == (None, None)
    assert gallery.verdicts(delivery.generation) == []


def test_a_censored_generation_has_no_delivery_to_publish(gallery: Gallery):
    _, lease, (generation,) = gallery.lease()
    gallery.upload(lease, generation, picture())
    done = run(gallery.writer, deliver(lease, gallery.owner, generation, state=ResultState.CENSORED))
    for position in range(1, done.position + 1):
        with pytest.raises(NotShareableError):
            gallery.publish(position)
    assert gallery.shared(generation) == (None, None)


def test_attempts_at_the_same_time_make_one_picture(gallery: Gallery):
    delivery = gallery.deliver(picture(kind="PNG"))
    failures: list[BaseException] = []
    with gallery.publisher() as publisher:

        def attempt() -> None:
            try:
                publisher.publish(delivery.position)
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert None not in gallery.shared(delivery.generation)
    assert len(gallery.verdicts(delivery.generation)) == 1


def test_an_attempt_that_would_withhold_waits_for_the_one_that_publishes(gallery: Gallery):
    delivery = gallery.deliver(picture())
    with gallery.publisher() as other:
        second = threading.Thread(target=other.publish, args=(delivery.position,))

        class Slow:
            """Its files are there and its event is not, when another attempt finds the result gone."""

            def execute_sync(self, request: Any) -> Any:
                gallery.objects.remove("results", result_key(delivery.lease, delivery.generation))
                second.start()
                second.join(1)
                return gallery.writer.execute_sync(request)

        with gallery.publisher(writer=Slow()) as publisher:
            publisher.publish(delivery.position)
        second.join(10)
    assert [event["type"] for event in gallery.verdicts(delivery.generation)] == ["sharing.PicturePublished"]
    assert None not in gallery.shared(delivery.generation)


def test_the_lock_is_free_after_a_failure(gallery: Gallery):
    delivery = gallery.deliver(picture())
    with gallery.publisher() as publisher:
        for _ in range(8):  # more than the pool has connections
            with pytest.raises(NotShareableError):
                publisher.publish(1)
        publisher.publish(delivery.position)
    assert len(gallery.verdicts(delivery.generation)) == 1


# --- sharing that ends


def position_of(settings: Settings, kind: str) -> int:
    """The last event of a type."""
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute("SELECT max(position) FROM log.event WHERE type = %s", (kind,)).fetchone()
    assert row is not None
    return int(row[0])


def withdraw_consent(gallery: Gallery, job: UUID) -> int:
    run(gallery.writer, WithdrawConsent(job=job))
    return position_of(gallery.settings, ShareConsentWithdrawn.TYPE)


def test_a_withdrawn_consent_takes_picture_and_metadata_out_of_the_bucket(gallery: Gallery):
    delivery, other = gallery.deliver(picture()), gallery.deliver(picture(seed=1))
    gallery.publish(delivery.position)
    gallery.publish(other.position)
    position = withdraw_consent(gallery, delivery.job)
    with gallery.publisher() as publisher:
        for _ in range(2):
            publisher.withdraw(position)
            assert gallery.shared(delivery.generation) == (None, None)
            publisher.publish(delivery.position)  # a message that comes again puts nothing back
            assert gallery.shared(delivery.generation) == (None, None)
    assert None not in gallery.shared(other.generation)
    assert position_of(gallery.settings, PicturesWithdrawn.TYPE) == position + 1


def test_what_was_not_published_yet_never_is(gallery: Gallery):
    delivery = gallery.deliver(picture())
    withdraw_consent(gallery, delivery.job)
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == (None, None)
    (verdict,) = gallery.verdicts(delivery.generation)
    assert verdict["reason"] == "CONSENT_WITHDRAWN"


def test_consent_withdrawn_while_a_picture_is_being_published(gallery: Gallery):
    """The files are in the bucket when the consent ends: the event is refused and the next attempt removes them."""
    delivery = gallery.deliver(picture())

    class Withdraws:
        def execute_sync(self, request: Any) -> Any:
            withdraw_consent(gallery, delivery.job)
            assert None not in gallery.shared(delivery.generation)
            return gallery.writer.execute_sync(request)

    with gallery.publisher(writer=Withdraws()) as publisher, pytest.raises(UnsettledError):
        publisher.publish(delivery.position)
    gallery.publish(delivery.position)
    assert gallery.shared(delivery.generation) == (None, None)
    assert [v["reason"] for v in gallery.verdicts(delivery.generation)] == ["CONSENT_WITHDRAWN"]


@pytest.mark.parametrize("at_call", [1, 2])
def test_a_withdrawal_that_dies_is_done_by_the_next_attempt(gallery: Gallery, at_call: int):
    delivery = gallery.deliver(picture())
    gallery.publish(delivery.position)
    position = withdraw_consent(gallery, delivery.job)
    with (
        gallery.publisher(objects=breaking(gallery.objects, "remove", at_call)) as publisher,
        pytest.raises(Broken),
    ):
        publisher.withdraw(position)
    with (
        gallery.publisher(writer=DeadWriter(gallery.writer, after=bool(at_call - 1))) as publisher,
        pytest.raises(Broken),
    ):
        publisher.withdraw(position)
    with gallery.publisher() as publisher:
        publisher.withdraw(position)
        with pytest.raises(NotShareableError):
            publisher.withdraw(delivery.position)
    assert gallery.shared(delivery.generation) == (None, None)
    assert position_of(gallery.settings, PicturesWithdrawn.TYPE) == position + 1


def test_an_upheld_report_withdraws_the_pictures_of_its_job(gallery: Gallery):
    job, lease, (shown, reported) = gallery.lease(n=2)
    delivery = gallery.submit_result(job, lease, shown, gallery.upload(lease, shown, picture()))
    gallery.publish(delivery.position)
    run(gallery.writer, deliver(lease, gallery.owner, reported, state=ResultState.CSAM))
    with gallery.publisher() as publisher:
        publisher.withdraw(position_of(gallery.settings, CaseOpened.TYPE))
        assert None not in gallery.shared(shown)
        run(gallery.writer, GrantRole(user=gallery.owner, role=Role.MODERATOR))
        upheld = Verdict.UPHELD
        case = DecideCase(
            case=case_of(reported), job=job, generation=reported, verdict=upheld, by=gallery.owner
        )
        run(gallery.writer, case)
        publisher.withdraw(position_of(gallery.settings, CaseDecided.TYPE))
    assert gallery.shared(shown) == gallery.shared(reported) == (None, None)
